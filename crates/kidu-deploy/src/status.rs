//! How everything is: for commands, for people in a browser, for programs.

use std::{
    fmt::Write,
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use kidu_core::markup::escape;
use kidu_pipeline::{LedgerEntry, text};
use serde::{Deserialize, Serialize};

use crate::{
    canary::Sample,
    environment::Condition,
    state::{Ended, Environment, Phase, Release, Request, State},
};

/// What the page may load: its own style, and nothing else.
pub const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The page's style.
pub(crate) const STYLE: &str = include_str!("status.css");

/// How everything is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The folder of deployments.
    pub dir: PathBuf,
    /// The registry's group.
    pub group: String,
    /// Whether a supervisor runs; without one, what it left.
    pub running: bool,
    /// When, RFC 3339.
    pub time: String,
    /// The version in production.
    pub live: Option<u32>,
    /// Versions to go back to, oldest first.
    pub earlier: Vec<u32>,
    /// The environments.
    pub environments: Vec<Place>,
    /// The release under way.
    pub release: Option<Release>,
    /// The one after it.
    pub next: Option<Request>,
    /// The last ones that ended, oldest first.
    pub ended: Vec<Ended>,
    /// What the ledger says of deployments, newest last.
    pub history: Vec<LedgerEntry>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub environment: Environment,
    /// Where it answers.
    pub url: Option<String>,
    /// Its versions.
    pub versions: Vec<Served>,
}

/// A version in an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// The version.
    pub version: u32,
    /// Its weight among the others.
    pub weight: u32,
    /// Its share of the requests, 0 to 1.
    pub share: f64,
    /// How its server is.
    pub condition: Option<Condition>,
    /// What the last requests say.
    pub sample: Sample,
}

impl Served {
    /// Versions with their shares from their weights.
    pub fn of(goal: &[(u32, u32)], mut look: impl FnMut(u32) -> (Option<Condition>, Sample)) -> Vec<Self> {
        let total: u32 = goal.iter().map(|(_, w)| w).sum();
        let one = |&(version, weight): &(u32, u32)| {
            let (condition, sample) = look(version);
            let share = if total == 0 { 0.0 } else { f64::from(weight) / f64::from(total) };
            Self { version, weight, share, condition, sample }
        };
        goal.iter().map(one).collect()
    }
}

impl Status {
    /// What a state says where no supervisor runs.
    pub fn offline(dir: PathBuf, group: String, state: State, history: Vec<LedgerEntry>) -> Self {
        let place = |environment, version: Option<u32>| {
            let goal: Vec<_> = version.map(|v| (v, 1)).into_iter().collect();
            Place { environment, url: None, versions: Served::of(&goal, |_| (None, Sample::default())) }
        };
        Self {
            dir,
            group,
            running: false,
            time: kidu_core::run::timestamp(),
            live: state.live,
            environments: vec![place(Environment::Production, state.live), place(Environment::Staging, state.staging)],
            earlier: state.earlier,
            release: state.release,
            next: state.next,
            ended: state.ended,
            history,
            warnings: vec!["no supervisor runs: nothing answers; start it with `kidu deploy up`".into()],
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for warning in &self.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        let _ = writeln!(out, "{}", self.sentence());
        for place in &self.environments {
            let _ = writeln!(out, "\n{} {}", place.environment, place.url.as_deref().unwrap_or(""));
            if place.versions.is_empty() {
                let _ = writeln!(out, "  nothing is deployed");
                continue;
            }
            let rows: Vec<_> = place.versions.iter().map(cells).collect();
            let table = text::table(&HEADS, &rows);
            out.extend(table.lines().map(|line| format!("  {line}\n")));
        }
        if !self.history.is_empty() {
            let last = self.history.len().saturating_sub(12);
            let _ = write!(out, "\nLast transitions\n{}", text::history(self.history.get(last..).unwrap_or_default()));
        }
        out
    }

    /// What is under way.
    pub fn sentence(&self) -> String {
        let Some(r) = &self.release else {
            let live = self
                .live
                .map_or_else(|| "nothing is in production".into(), |v| format!("version {v} is in production"));
            return match self.ended.last().filter(|e| Some(e.version) != self.live) {
                Some(e) => format!(
                    "{live}; release {} (version {}) {}: {}",
                    e.number,
                    e.version,
                    e.ending.name(),
                    e.reason.as_deref().unwrap_or("no reason given")
                ),
                None => live,
            };
        };
        let how = match r.phase {
            Phase::Waiting => format!(
                "waits for approval: `kidu deploy approve` or `kidu deploy reject --reason '...'`; staging {}",
                self.environments
                    .iter()
                    .find(|p| p.environment == Environment::Staging)
                    .and_then(|p| p.url.as_deref())
                    .unwrap_or("")
            ),
            Phase::Canary { .. } => {
                let served = self
                    .environments
                    .iter()
                    .flat_map(|p| &p.versions)
                    .find(|v| v.version == r.request.version && v.share > 0.0);
                format!("is a canary with {:.0} % of the requests", served.map_or(0.0, |v| v.share * 100.0))
            }
            Phase::Working | Phase::Starting => format!("is in the step {}", r.step),
        };
        format!("release {} (version {}) {how}", r.number, r.request.version)
    }
}

const HEADS: [&str; 6] = ["version", "traffic", "server", "requests", "failed", "p95"];

fn cells(v: &Served) -> Vec<String> {
    let condition = match v.condition {
        Some(Condition::Ready) => "ready",
        Some(Condition::Starting) => "starting",
        Some(Condition::Down) => "down",
        None => "-",
    };
    vec![
        v.version.to_string(),
        format!("{:.0} %", v.share * 100.0),
        condition.into(),
        v.sample.requests.to_string(),
        format!("{:.1} %", v.sample.error_rate() * 100.0),
        v.sample.p95_ms.map_or_else(|| "-".into(), |ms| format!("{ms:.0} ms")),
    ]
}

/// The status as the fronts show it, renewed by the supervisor.
#[derive(Debug, Default)]
pub struct Board(RwLock<Option<Status>>);

impl Board {
    /// Shows another status.
    pub fn show(&self, status: Status) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// What is shown.
    pub fn status(&self) -> Option<Status> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.status()).unwrap_or_default()
    }

    /// The page.
    pub fn page(&self) -> String {
        let Some(status) = self.status() else { return html("Deployments", "<p>not started yet</p>") };
        html(&format!("Deployments of {}", status.group), &body(&status))
    }
}

fn html(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"refresh\" content=\"5\">\
         <link rel=\"stylesheet\" href=\"/status.css\"></head><body><h1>{title}</h1>{body}</body></html>\n"
    )
}

fn body(status: &Status) -> String {
    let mut out = String::new();
    for warning in &status.warnings {
        let _ = write!(out, "<p class=\"wrong\" role=\"alert\">{}</p>", escape(warning));
    }
    let _ = write!(out, "<p class=\"now\">{}</p>", escape(&status.sentence()));
    for place in &status.environments {
        let url = place.url.as_deref().unwrap_or_default();
        let name = place.environment.name();
        let _ = write!(out, "<h2>{name} <small>{}</small></h2>", escape(url));
        if place.versions.is_empty() {
            out += "<p>nothing is deployed</p>";
            continue;
        }
        let rows: Vec<_> = place.versions.iter().map(cells).collect();
        out += &table(&HEADS, &rows);
    }
    if let Some(next) = &status.next {
        let _ = write!(out, "<p>version {} comes next, for {}</p>", next.version, escape(&next.actor));
    }
    if !status.history.is_empty() {
        out += "<h2>ledger</h2>";
        let rows: Vec<Vec<String>> = status.history.iter().rev().map(entry).collect();
        out += &table(&["time", "version", "transition", "actor", "reason"], &rows);
    }
    let _ = write!(
        out,
        "<footer>{} · <a href=\"/metrics\">metrics</a> · <a href=\"/status.json\">JSON</a></footer>",
        escape(&status.time)
    );
    out
}

fn entry(entry: &LedgerEntry) -> Vec<String> {
    let what = entry.deployment.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![
        entry.time.clone(),
        entry.version.to_string(),
        what,
        entry.actor.clone(),
        entry.reason.clone().unwrap_or_default(),
    ]
}

/// Each cell names its column, for narrow windows, where a row becomes a card.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let head: String = heads.iter().map(|h| format!("<th scope=\"col\">{h}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().zip(heads);
        let cells: String = cells.map(|(c, h)| format!("<td data-name=\"{h}\">{}</td>", escape(c))).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let mut state = State::new("k".into());
        (state.live, state.staging) = (Some(3), Some(4));
        Status::offline("/d".into(), "scenes<b>".into(), state, vec![])
    }

    #[test]
    fn the_page_escapes_and_needs_nothing_from_elsewhere() {
        let board = Board::default();
        assert!(board.page().contains("not started yet"));
        board.show(status());
        let page = board.page();
        assert!(page.contains("scenes&lt;b&gt;") && !page.contains("scenes<b>"), "{page}");
        assert!(page.contains("version 3 is in production") && !page.contains("https://") && !page.contains(" style="));
        assert!(STYLE.contains("prefers-color-scheme") && STYLE.contains("@media (max-width"));
    }

    #[test]
    fn the_text_says_what_is_where() {
        let text = status().text();
        for says in ["no supervisor runs", "version 3 is in production", "100 %", "staging"] {
            assert!(text.contains(says), "{says}: {text}");
        }
        let served = Served::of(&[(1, 9), (2, 1)], |_| (Some(Condition::Ready), Sample::default()));
        assert_eq!(served.iter().map(|s| s.share).collect::<Vec<_>>(), [0.9, 0.1]);
    }
}
