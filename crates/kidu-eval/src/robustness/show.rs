//! The result for people: text, CSV, curves, the report's table.

use std::fmt::Write;

use kidu_plot::{Chart, Scale, Series, Style, figure as draw};

use super::{CorruptionResult, Robustness};
use crate::report::Table;

/// A chart in pixels: wide enough for the legend of five curves.
const SIZE: (f64, f64) = (760.0, 340.0);
/// Of each in a page, whose letters must be readable on a phone.
const PAGE: (f64, f64) = (440.0, 300.0);
const COLOURS: [&str; 6] = ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#975a16"];

/// What the terminal shows.
pub fn summary(result: &Robustness) -> String {
    let mut text = String::new();
    let width = result.corruptions.iter().map(|c| c.name.len()).max().unwrap_or(0).max("corruption".len());
    // Writing to a text does not fail.
    let _ = write!(text, "{:<width$}  {:>8}", "corruption", "accuracy");
    let severities = severities(result);
    for severity in &severities {
        let _ = write!(text, "  {:>6}", format!("sev {severity}"));
    }
    let _ = writeln!(text, "{}", if result.baseline.is_some() { "      CE" } else { "" });
    let _ = writeln!(text, "{:<width$}  {:>8.4}", "(none)", result.clean_accuracy);
    for corruption in &result.corruptions {
        let _ = write!(text, "{:<width$}  {:>8.4}", corruption.name, corruption.accuracy);
        for severity in &severities {
            let _ = write!(text, "  {:>6}", accuracy(corruption, *severity));
        }
        let error = corruption.corruption_error.map_or_else(String::new, |e| format!("  {e:>6.3}"));
        let _ = writeln!(text, "{error}");
    }
    let _ = writeln!(
        text,
        "{:<width$}  {:>8.4}  on {} images; {:.1} % of the answers change",
        "mean",
        result.mean_accuracy,
        result.images,
        100.0 * result.mean_flipped
    );
    if let (Some(mce), Some(baseline)) = (result.mce, &result.baseline) {
        let other = if baseline.same_images { "" } else { " (judged on other images)" };
        let relative = result.relative_mce.map_or_else(String::new, |r| format!(", relative {r:.3}"));
        let _ = writeln!(text, "mCE {mce:.3}{relative} against {}{other}", baseline.model);
    }
    for rule in result.gate.iter().flat_map(|gate| &gate.rules) {
        let _ = writeln!(text, "{} {}: {}", if rule.passed { "passed " } else { "refused" }, rule.name, rule.detail);
    }
    text
}

fn severities(result: &Robustness) -> Vec<u8> {
    let all: std::collections::BTreeSet<u8> =
        result.corruptions.iter().flat_map(|c| c.cells.iter().map(|cell| cell.severity)).collect();
    all.into_iter().collect()
}

fn accuracy(corruption: &CorruptionResult, severity: u8) -> String {
    let cell = corruption.cells.iter().find(|c| c.severity == severity);
    cell.map_or_else(|| "–".to_string(), |c| format!("{:.4}", c.accuracy))
}

/// One line for each corruption and severity.
pub fn csv(result: &Robustness) -> String {
    let mut text = String::from("corruption,category,severity,accuracy,lower,upper,flipped,mean_confidence\n");
    for corruption in &result.corruptions {
        for cell in &corruption.cells {
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{}",
                corruption.name,
                corruption.category,
                cell.severity,
                cell.accuracy,
                cell.interval.lower,
                cell.interval.upper,
                cell.flipped,
                cell.mean_confidence
            );
        }
    }
    text
}

/// Accuracy over severity, a chart for each kind of corruption; severity 0 is the clean image.
pub fn figure(result: &Robustness) -> String {
    draw(&charts(result), SIZE)
}

/// The same, a drawing for each kind.
pub fn figures(result: &Robustness) -> Vec<String> {
    charts(result).into_iter().map(|chart| draw(&[chart], PAGE)).collect()
}

fn charts(result: &Robustness) -> Vec<Chart> {
    let mut categories: Vec<&str> = Vec::new();
    for corruption in &result.corruptions {
        if !categories.contains(&corruption.category.as_str()) {
            categories.push(&corruption.category);
        }
    }
    let chart = |category: &&str| {
        let of = result.corruptions.iter().filter(|c| c.category == **category);
        let series = of.zip(COLOURS.iter().cycle()).map(|(corruption, colour)| Series {
            label: corruption.name.replace('_', " "),
            colour: (*colour).to_string(),
            points: std::iter::once((0.0, result.clean_accuracy))
                .chain(corruption.cells.iter().map(|c| (f64::from(c.severity), c.accuracy)))
                .collect(),
            style: Style::Line,
        });
        Chart {
            title: capitalised(category),
            x: ("severity".into(), Scale::Linear),
            y: ("accuracy".into(), Scale::Linear),
            series: series.collect(),
            y_range: Some((0.0, 1.0)),
            ..Chart::default()
        }
    };
    categories.iter().map(chart).collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// The table of the report.
pub fn table(result: &Robustness) -> Table {
    let severities = severities(result);
    let mut columns = vec!["corruption".to_string(), "mean".into()];
    columns.extend(severities.iter().map(|s| format!("severity {s}")));
    let mut clean = vec!["none".to_string(), format!("{:.4}", result.clean_accuracy)];
    clean.resize(columns.len(), String::new());
    let row = |corruption: &CorruptionResult| {
        let mut row = vec![corruption.name.replace('_', " "), format!("{:.4}", corruption.accuracy)];
        row.extend(severities.iter().map(|s| accuracy(corruption, *s)));
        row
    };
    let gate = match &result.gate {
        None => String::new(),
        Some(gate) if gate.passed => " All its rules are fulfilled.".into(),
        Some(gate) => {
            let refusals: Vec<_> = gate.refusals().map(|r| format!("{} ({})", r.name, r.detail)).collect();
            format!(" Refused by {}.", refusals.join("; "))
        }
    };
    let mce = result.mce.map_or_else(String::new, |mce| {
        let baseline = result.baseline.as_ref().map_or("the baseline", |b| b.model.as_str());
        format!(" Mean corruption error against {baseline}: {mce:.3}.")
    });
    Table {
        section: "Robustness".into(),
        caption: format!(
            "Accuracy on {} images under corruption: {:.4} on the mean, {:.4} without; {:.1} % of the answers change.{mce}{gate}",
            result.images,
            result.mean_accuracy,
            result.clean_accuracy,
            100.0 * result.mean_flipped
        ),
        columns,
        rows: std::iter::once(clean).chain(result.corruptions.iter().map(row)).collect(),
    }
}
