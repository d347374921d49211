//! `/status`, for people: light and dark, readable on a phone, without scripts.

use std::{sync::PoisonError, time::Duration};

use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use serde_json::json;

use super::app::App;
use crate::training::{Build, BuildEnd, now_ms};

const PAGE: &str = include_str!("status.html");

#[derive(Serialize)]
struct Row {
    id: String,
    annotations: usize,
    planned: String,
    ended: String,
    outcome: &'static str,
    class: &'static str,
    detail: String,
}

/// Tasks that failed for one reason.
#[derive(Serialize)]
struct Failed {
    code: &'static str,
    tasks: usize,
    example: String,
}

#[derive(Serialize)]
struct Model {
    name: String,
    since: String,
}

pub(super) fn render(app: &App) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let seen = app.watch.seen();
    let now = now_ms();
    let mut remarks: Vec<(String, String)> = {
        let remarks = app.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.iter().filter(|(_, r)| !r.is_empty()).map(|(p, r)| (p.clone(), r.clone())).collect()
    };
    remarks.sort();
    let (pending, asked, building, builds, models) = app.journal.with_state(|state| {
        let builds: Vec<Row> = state.builds().map(|b| row(b, now)).collect();
        let since =
            |(model, at): (&crate::endpoint::ModelName, u64)| Model { name: model.to_string(), since: ago(at, now) };
        let models: Vec<Model> = state.models().map(since).collect();
        (state.pending(), state.is_asked(), state.current().map(|b| row(b, now)), builds, models)
    });
    let failures = app.batcher.last_failures().map(|f| {
        let failed = |(code, (tasks, example)): (&'static str, (usize, String))| Failed { code, tasks, example };
        let reasons: Vec<Failed> = f.reasons.into_iter().map(failed).collect();
        json!({"when": ago(f.at, now), "of": f.tasks, "tasks": reasons.iter().map(|r| r.tasks).sum::<usize>(), "reasons": reasons})
    });
    let page = json!({
        "failures": failures,
        "model": seen.model.as_ref().map(|m| m.model.to_string()),
        "classes": seen.model.as_ref().map(|m| m.classes.join(", ")),
        "endpoint": app.endpoint.transport().describe(),
        "down": seen.down(),
        "uptime": long(app.started.elapsed()),
        "version": env!("CARGO_PKG_VERSION"),
        "threshold": app.trigger.annotations,
        "build": app.build,
        "remarks": remarks,
        "pending": pending,
        "asked": asked,
        "building": building,
        "builds": builds,
        "models": models,
    });
    environment.render_str(PAGE, minijinja::value::Serde(&page))
}

fn row(build: &Build, now: u64) -> Row {
    let (outcome, class) = match build.end {
        None => ("running", "good"),
        Some(BuildEnd::Succeeded) => ("succeeded", "good"),
        Some(BuildEnd::Refused) => ("the gate said no", "bad"),
        Some(BuildEnd::Failed) => ("failed", "bad"),
        Some(BuildEnd::Misconfigured) => ("cannot be run as configured", "bad"),
    };
    Row {
        id: build.id.clone(),
        annotations: build.annotations,
        planned: ago(build.planned, now),
        ended: build.ended.map(|at| ago(at, now)).unwrap_or_default(),
        outcome,
        class,
        detail: detail(outcome, &build.detail),
    }
}

/// What is told besides the outcome, which a gate's no begins with again.
fn detail(outcome: &str, told: &str) -> String {
    let rest = told.strip_prefix(outcome).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(told).to_owned()
}

fn ago(at: u64, now: u64) -> String {
    format!("{} ago", long(Duration::from_millis(now.saturating_sub(at))))
}

/// A time by its largest unit.
fn long(time: Duration) -> String {
    let seconds = time.as_secs();
    let (n, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_once() {
        assert_eq!(detail("the gate said no", "the gate said no: refused: not better"), "refused: not better");
        assert_eq!(detail("failed", "exit code 1: no images"), "exit code 1: no images");
        assert_eq!(detail("succeeded", ""), "");
    }

    #[test]
    fn times_are_told_by_their_largest_unit() {
        assert_eq!(long(Duration::from_secs(1)), "1 second");
        assert_eq!(long(Duration::from_secs(7199)), "1 hour");
        assert_eq!(ago(0, 3 * 86_400_000), "3 days ago");
        assert_eq!(ago(10, 0), "0 seconds ago");
    }
}
