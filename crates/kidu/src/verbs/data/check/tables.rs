//! The result on a terminal.

use kidu_data::check::{CheckReport, Severity};
use kidu_pipeline::text;

/// How many of the worst findings are told in full.
const TOLD: usize = 10;

/// Files of each class and split, and how many have findings.
pub(super) fn classes(report: &CheckReport) -> String {
    let rows: Vec<Vec<String>> = report
        .classes
        .iter()
        .map(|r| {
            let numbers = [r.train, r.val, r.test, r.with_findings].map(|n| n.to_string());
            std::iter::once(r.class.clone()).chain(numbers).collect()
        })
        .collect();
    text::table(&["class", "train", "val", "test", "with findings"], &rows)
}

/// Findings by kind, the worst first.
pub(super) fn summary(report: &CheckReport) -> String {
    let rows: Vec<Vec<String>> = report
        .summary
        .iter()
        .map(|l| {
            let [findings, files] = [l.findings, l.files].map(|n| n.to_string());
            vec![l.severity.to_string(), l.kind.to_string(), findings, files, l.kind.advice().into()]
        })
        .collect();
    text::table(&["severity", "finding", "findings", "files", "what to do"], &rows)
}

/// The first errors, one line each.
pub(in crate::verbs::data) fn worst(report: &CheckReport) -> Vec<String> {
    let errors: Vec<_> = report.findings.iter().filter(|f| f.severity == Severity::Error).collect();
    let mut lines: Vec<String> = errors
        .iter()
        .take(TOLD)
        .map(|f| match f.files.as_slice() {
            [only] => format!("{}: {} {}", f.kind, only.path, f.message),
            _ => format!("{}: {}", f.kind, f.message),
        })
        .collect();
    if errors.len() > TOLD {
        lines.push(format!("... and {} more errors, see {}", errors.len() - TOLD, CheckReport::FILE));
    }
    lines
}
