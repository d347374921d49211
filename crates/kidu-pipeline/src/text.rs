//! Tables for people: runs and model versions as plain text.

use std::fmt::Write;

use kidu_core::Bundle;

use crate::{
    ledger::{LedgerEntry, ModelVersion, Status},
    lineage::StepLineage,
    model_registry::{self, ModelRecord},
    parameter::text_of,
    run::{RunRecord, StepRecord},
};

/// Rows under a heading, aligned as [`columns`].
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let heading = heading.iter().map(ToString::to_string).collect();
    columns(&[&[heading][..], rows].concat())
}

/// Rows whose columns are as wide as their longest cell, aligned at the left, two spaces between them. The lines of a
/// cell become one.
pub fn columns(rows: &[Vec<String>]) -> String {
    let one_line = |cell: &String| cell.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(one_line).collect()).collect();
    let mut widths = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// All versions of a group, newest first.
pub fn model_list(group: &str, versions: &[ModelVersion]) -> String {
    if versions.is_empty() {
        return format!("model group '{group}' has no versions\n");
    }
    let incumbent = versions.iter().rfind(|v| v.status == crate::Status::Approved).map(|v| v.version);
    let row = |v: &ModelVersion| {
        let mark = if Some(v.version) == incumbent { " (incumbent)" } else { "" };
        let accuracy = v.registered.lineage.metrics.get("test/acc").map_or_else(|| "-".into(), |a| format!("{a:.4}"));
        vec![
            v.version.to_string(),
            format!("{}{mark}", v.status),
            v.registered.model.clone(),
            accuracy,
            v.registered.lineage.dataset_version.clone(),
            v.created.clone(),
        ]
    };
    let rows: Vec<_> = versions.iter().rev().map(row).collect();
    table(&["version", "status", "model", "test/acc", "dataset", "registered"], &rows)
}

/// All versions of a group in any registry, newest first.
pub fn record_list(group: &str, records: &[ModelRecord]) -> String {
    if records.is_empty() {
        return format!("model group '{group}' has no versions\n");
    }
    let incumbent = records.iter().rfind(|r| r.status == Status::Approved).map(|r| r.version);
    let row = |r: &ModelRecord| {
        let mark = if Some(r.version) == incumbent { " (incumbent)" } else { "" };
        let fact = |name: &str| r.facts.get(name).cloned().unwrap_or_else(|| "-".into());
        let accuracy = r.metrics.get("test/acc").map_or_else(|| "-".into(), |a| format!("{a:.4}"));
        let status = format!("{}{mark}", r.status);
        vec![
            r.version.to_string(),
            status,
            fact(model_registry::MODEL),
            accuracy,
            fact(model_registry::DATASET),
            r.created.clone(),
        ]
    };
    let rows: Vec<_> = records.iter().rev().map(row).collect();
    table(&["version", "status", "model", "test/acc", "dataset", "registered"], &rows)
}

/// One version of any registry.
pub fn record_show(record: &ModelRecord) -> String {
    let mut out = format!("{} version {}: {}\n\n", record.group, record.version, record.status);
    let fixed = [
        ("id", record.id.clone()),
        ("registered", Some(record.created.clone())),
        ("bundle", Some(record.bundle.clone())),
        ("evaluation", record.evaluation.clone()),
        ("image", record.image.clone()),
        ("decided", record.decision.clone()),
    ];
    let fixed = fixed.into_iter().filter_map(|(name, value)| Some(vec![name.to_string(), value?]));
    let facts = record.facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]);
    out += &indented(&columns(&fixed.chain(facts).collect::<Vec<_>>()));
    let metrics: Vec<_> = record.metrics.iter().map(|(name, value)| vec![name.clone(), metric(*value)]).collect();
    if !metrics.is_empty() {
        out += &format!("\nMetrics\n{}", indented(&columns(&metrics)));
    }
    out
}

/// One version with its lineage and history.
pub fn model_show(version: &ModelVersion) -> String {
    let lineage = &version.registered.lineage;
    let mut out = format!("{} version {}: {}\n\n", version.group, version.version, version.status);
    out += &indented(&columns(&facts(version)));
    let metrics: Vec<_> = lineage.metrics.iter().map(|(name, value)| vec![name.clone(), metric(*value)]).collect();
    out += &format!("\nMetrics\n{}", indented(&columns(&metrics)));
    if let Some(run) = &lineage.run {
        let row = |step: &StepLineage| {
            let how = if step.cached { "from the cache" } else { "executed" };
            let made = step.made.as_deref().unwrap_or("-");
            [step.name.as_str(), step.key.get(..12).unwrap_or(&step.key), made, how].map(String::from).to_vec()
        };
        out += &format!("\nSteps\n{}", indented(&columns(&run.steps.iter().map(row).collect::<Vec<_>>())));
    }
    out + &format!("\nHistory\n{}", indented(&history(&version.history)))
}

/// Four decimals; of a learning rate, which may have none there, its first digits.
fn metric(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 { format!("{value:.2e}") } else { format!("{value:.4}") }
}

/// What a version is and what it was made from, as (name, value).
fn facts(version: &ModelVersion) -> Vec<Vec<String>> {
    let (registered, lineage) = (&version.registered, &version.registered.lineage);
    let or_unknown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
    let run = lineage.run.as_ref().map(|run| ("run", format!("{} of {}", run.id, run.pipeline)));
    [
        ("model", registered.model.clone()),
        ("bundle", version.bundle_dir.display().to_string()),
        ("evaluation", version.evaluation.display().to_string()),
        ("model hash", registered.model_hash.to_string()),
        ("bundle.json", registered.files.get(Bundle::MANIFEST).map_or("unknown".into(), ToString::to_string)),
        ("dataset", lineage.dataset_version.clone()),
        ("test set", or_unknown(&lineage.test_version)),
        ("config hash", lineage.config_hash.clone()),
        ("commit", or_unknown(&lineage.git_commit)),
        ("initial weights", lineage.initial_weights.clone()),
        ("kidu", lineage.kidu_version.clone()),
    ]
    .into_iter()
    .chain(run)
    .map(|(name, value)| vec![name.to_string(), value])
    .collect()
}

/// Entries of a ledger, oldest first.
pub fn history(entries: &[LedgerEntry]) -> String {
    let row = |e: &LedgerEntry| {
        let change = match (&e.deployment, e.from) {
            (Some(deployment), _) => deployment.to_string(),
            (None, Some(from)) => format!("{from} -> {}", e.to),
            (None, None) => format!("registered as {}", e.to),
        };
        let reason = e.reason.clone().unwrap_or_default();
        vec![e.time.clone(), e.version.to_string(), change, e.actor.clone(), reason]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    table(&["time", "version", "change", "actor", "reason"], &rows)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// All runs, newest first.
pub fn run_list(runs: &[RunRecord]) -> String {
    if runs.is_empty() {
        return "no runs yet\n".into();
    }
    let row = |r: &RunRecord| {
        let done = r.steps.iter().filter(|s| s.made.is_some()).count();
        vec![r.id.clone(), r.status.name().into(), format!("{done}/{}", r.steps.len()), r.message.clone()]
    };
    let rows: Vec<_> = runs.iter().rev().map(row).collect();
    table(&["run", "status", "steps", "message"], &rows)
}

/// One run with its parameters and steps.
pub fn run_show(run: &RunRecord) -> String {
    let mut out = format!("{} of {}: {}\n", run.id, run.pipeline, run.status.name());
    if !run.message.is_empty() {
        let _ = writeln!(out, "  {}", run.message);
    }
    let _ = writeln!(out, "  started {}, finished {}\n", run.started, run.finished.as_deref().unwrap_or("-"));
    let parameters: Vec<_> = run.parameters.iter().map(|(name, v)| vec![name.clone(), text_of(v)]).collect();
    out += &indented(&table(&["parameter", "value"], &parameters));
    out.push('\n');
    let row = |s: &StepRecord| {
        let key = s.key.as_deref().and_then(|k| k.get(..12)).unwrap_or("-");
        vec![s.name.clone(), s.status.name().into(), format!("{:.1} s", s.seconds), key.into(), s.message.clone()]
    };
    let steps: Vec<_> = run.steps.iter().map(row).collect();
    out + &indented(&table(&["step", "status", "time", "key", "why"], &steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = vec![vec!["é".to_string(), "x".into()], vec!["long".to_string(), "y".into()]];
        assert_eq!(table(&["a", "b"], &rows), "a     b\né     x\nlong  y\n");
        assert_eq!(run_list(&[]), "no runs yet\n");
    }

    #[test]
    fn no_cell_runs_into_the_next() {
        let rows = vec![
            vec!["test/balanced_acc".to_string(), "0.2222".into()],
            vec!["lr".to_string(), "two\n  lines".into(), "more".into()],
        ];
        assert_eq!(columns(&rows), "test/balanced_acc  0.2222\nlr                 two lines  more\n");
        assert_eq!(columns(&[]), "");
        assert_eq!([0.0, 0.22222, 1.4641e-4].map(metric), ["0.0000", "0.2222", "1.46e-4"]);
    }
}
