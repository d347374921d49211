//! Tables for people: runs and model versions as plain text.

use std::fmt::Write;

use crate::{
    ledger::{LedgerEntry, ModelVersion},
    parameter::text_of,
    run::{RunRecord, StepRecord},
};

/// Rows under a heading, columns aligned at the left, two spaces between them.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body: String = rows.iter().map(|row| line(row.iter().map(String::as_str).collect())).collect();
    line(heading.to_vec()) + &body
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

/// One version with its lineage and history.
pub fn model_show(version: &ModelVersion) -> String {
    let (registered, lineage) = (&version.registered, &version.registered.lineage);
    let mut out = format!("{} version {}: {}\n\n", version.group, version.version, version.status);
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:16}{value}");
    };
    field("model", &registered.model);
    field("bundle", &version.bundle_dir.display().to_string());
    field("evaluation", &version.evaluation.display().to_string());
    field("model hash", registered.model_hash.as_str());
    field("dataset", &lineage.dataset_version);
    field("test set", lineage.test_version.as_deref().unwrap_or("unknown"));
    field("config hash", &lineage.config_hash);
    field("commit", lineage.git_commit.as_deref().unwrap_or("unknown"));
    field("initial weights", &lineage.initial_weights);
    field("kidu", &lineage.kidu_version);
    if let Some(run) = &lineage.run {
        field("run", &format!("{} of {}", run.id, run.pipeline));
    }
    out.push_str("\nMetrics\n");
    for (name, value) in &lineage.metrics {
        let _ = writeln!(out, "  {name:16}{value:.4}");
    }
    if let Some(run) = &lineage.run {
        out.push_str("\nSteps\n");
        for step in &run.steps {
            let how = if step.cached { "from the cache" } else { "executed" };
            let made = step.made.as_deref().unwrap_or("-");
            let _ = writeln!(out, "  {:16}{}  {made}  {how}", step.name, step.key.get(..12).unwrap_or(&step.key));
        }
    }
    out.push_str("\nHistory\n");
    out + &indented(&history(&version.history))
}

/// Entries of a ledger, oldest first.
pub fn history(entries: &[LedgerEntry]) -> String {
    let row = |e: &LedgerEntry| {
        let change = e.from.map_or_else(|| format!("registered as {}", e.to), |from| format!("{from} -> {}", e.to));
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
}
