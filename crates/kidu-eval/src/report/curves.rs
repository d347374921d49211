//! Learning curves, of one run or of several over each other.

use std::collections::BTreeMap;

use kidu_plot::{COLOURS, Chart, Scale, Series, Style, figure};
use serde::{Deserialize, Serialize};

use super::RunReport;

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Values by name: `train/loss`, `val/acc`, ...
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
}

const SIZE: (f64, f64) = (400.0, 300.0);
/// Name, heading, whether the axis begins at 0.
const SHOWN: [(&str, &str, bool); 2] = [("loss", "loss", true), ("acc", "accuracy", false)];

/// Loss, accuracy and learning rate of one run; `None` without epochs.
pub(super) fn of_run(history: &[EpochMetrics]) -> Option<String> {
    if history.is_empty() {
        return None;
    }
    let mut charts: Vec<Chart> = SHOWN
        .iter()
        .map(|(name, title, from_zero)| {
            let both = [("train", COLOURS[0]), ("val", COLOURS[1])];
            let lines = both.map(|(split, colour)| line(history, &format!("{split}/{name}"), split, colour));
            chart(title, lines.into(), *from_zero)
        })
        .collect();
    charts.push(chart("learning rate", vec![line(history, "lr", "head", COLOURS[2])], true));
    Some(charts.iter().map(|c| figure(std::slice::from_ref(c), SIZE)).collect())
}

/// Validation loss and accuracy of all runs; `None` if fewer than two have epochs.
pub(super) fn compared(runs: &[RunReport]) -> Option<String> {
    if runs.iter().filter(|r| !r.history.is_empty()).count() < 2 {
        return None;
    }
    let charts = SHOWN.map(|(name, title, from_zero)| {
        let lines = runs.iter().zip(COLOURS.iter().cycle());
        let lines = lines.map(|(run, colour)| line(&run.history, &format!("val/{name}"), &run.name, colour)).collect();
        chart(&format!("validation {title}"), lines, from_zero)
    });
    Some(charts.iter().map(|c| figure(std::slice::from_ref(c), SIZE)).collect())
}

fn line(history: &[EpochMetrics], metric: &str, label: &str, colour: &str) -> Series {
    // Counted as the console counts them, from 1.
    let points = history.iter().filter_map(|row| Some((row.epoch as f64 + 1.0, *row.metrics.get(metric)?))).collect();
    Series { label: label.into(), colour: colour.into(), points, style: Style::Line }
}

fn chart(title: &str, series: Vec<Series>, from_zero: bool) -> Chart {
    Chart { title: title.into(), x: ("epoch".into(), Scale::Linear), series, from_zero, ..Chart::default() }
}
