//! How several runs compare: metrics side by side, paired tests on the same images, and what they were set to.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{RunReport, curves, view::four};
use crate::{bootstrap, error::Result, evaluation::Evaluation};

/// Resamples of the paired bootstrap, and its seed and confidence.
const SAMPLES: usize = 2000;
const SEED: u64 = 42;
const CONFIDENCE: f64 = 0.95;

/// Stands for what a run does not have.
const NOTHING: &str = "–";

#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    names: Vec<String>,
    metrics: Vec<Row>,
    /// F1 by class, for runs with the same classes.
    classes: Vec<Row>,
    paired: Vec<Paired>,
    curves: Option<String>,
    settings: Vec<Row>,
}

/// A line of a table: a name, and a cell for each run.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    best: bool,
}

#[derive(Debug, Serialize)]
struct Paired {
    name: String,
    images: usize,
    difference: String,
    interval: String,
    only_this: u64,
    only_first: u64,
    p: String,
    verdict: &'static str,
}

/// Which of two values is better.
#[derive(Clone, Copy, PartialEq)]
enum Better {
    Higher,
    Lower,
}

/// `None` for a single run.
pub(super) fn of(runs: &[RunReport]) -> Result<Option<Comparison>> {
    if runs.len() < 2 {
        return Ok(None);
    }
    Ok(Some(Comparison {
        names: runs.iter().map(|r| r.name.clone()).collect(),
        metrics: metrics(runs),
        classes: classes(runs),
        paired: paired(runs)?,
        curves: curves::compared(runs),
        settings: settings(runs),
    }))
}

fn metrics(runs: &[RunReport]) -> Vec<Row> {
    type Of = fn(&Evaluation) -> Option<f64>;
    let all: [(&str, Better, Of); 10] = [
        ("accuracy", Better::Higher, |e| Some(e.accuracy())),
        ("balanced accuracy", Better::Higher, |e| Some(e.details.balanced_accuracy)),
        ("F1, macro", Better::Higher, |e| Some(e.details.macro_average.f1)),
        ("ROC-AUC, macro", Better::Higher, |e| e.details.roc_auc.macro_average),
        ("PR-AUC, macro", Better::Higher, |e| e.details.average_precision.macro_average),
        ("Cohen's kappa", Better::Higher, |e| e.details.cohen_kappa),
        ("MCC", Better::Higher, |e| Some(e.details.matthews_corrcoef)),
        ("log loss", Better::Lower, |e| Some(e.details.calibration.log_loss)),
        ("calibration error", Better::Lower, |e| Some(e.details.calibration.reliability.expected_calibration_error)),
        ("Brier score", Better::Lower, |e| Some(e.details.calibration.brier_score)),
    ];
    let value = |run: &RunReport, of: Of| run.evaluation.as_ref().and_then(of);
    let mut rows: Vec<Row> = all
        .into_iter()
        .map(|(name, better, of)| row(name, &runs.iter().map(|r| value(r, of)).collect::<Vec<_>>(), better))
        .collect();
    let intervals = runs.iter().map(|r| match &r.evaluation {
        Some(e) => {
            let w = e.details.accuracy_wilson;
            format!("{} to {}", four(w.lower), four(w.upper))
        }
        None => NOTHING.into(),
    });
    rows.insert(1, plain("accuracy, 95 % interval", intervals));
    let images = |r: &RunReport| r.evaluation.as_ref().map_or_else(|| NOTHING.into(), |e| e.details.images.to_string());
    rows.push(plain("images", runs.iter().map(images)));
    let of_epochs = [
        ("validation accuracy, best epoch", "val/acc", Better::Higher),
        ("validation loss, best epoch", "val/loss", Better::Lower),
    ];
    for (name, metric, better) in of_epochs {
        let best = |run: &RunReport| {
            let values = run.history.iter().filter_map(|epoch| epoch.metrics.get(metric).copied());
            if better == Better::Higher { values.reduce(f64::max) } else { values.reduce(f64::min) }
        };
        rows.push(row(name, &runs.iter().map(best).collect::<Vec<_>>(), better));
    }
    rows.retain(|row| row.cells.iter().any(|c| c.text != NOTHING));
    rows
}

fn classes(runs: &[RunReport]) -> Vec<Row> {
    let evaluations: Vec<&Evaluation> = runs.iter().filter_map(|r| r.evaluation.as_ref()).collect();
    let Some(first) = evaluations.first().filter(|_| evaluations.len() == runs.len()) else { return Vec::new() };
    if evaluations.iter().any(|e| e.classes() != first.classes()) {
        return Vec::new();
    }
    let f1 = |class: usize| evaluations.iter().map(|e| Some(e.details.per_class[class].f1)).collect::<Vec<_>>();
    first.classes().iter().enumerate().map(|(c, name)| row(name, &f1(c), Better::Higher)).collect()
}

/// Each run against the first, on the images that both were judged on.
fn paired(runs: &[RunReport]) -> Result<Vec<Paired>> {
    let Some(first) = runs.first().and_then(|r| r.evaluation.as_ref()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for run in &runs[1..] {
        let Some(evaluation) = &run.evaluation else { continue };
        let both: Vec<(bool, bool)> = evaluation
            .details
            .correct
            .iter()
            .filter_map(|(image, right)| Some((*right, *first.details.correct.get(image)?)))
            .collect();
        if both.is_empty() {
            continue;
        }
        let (this, other): (Vec<bool>, Vec<bool>) = both.into_iter().unzip();
        let c = bootstrap::compare(&this, &other, CONFIDENCE, SAMPLES, SEED)?;
        let verdict = match (c.interval.lower > 0.0, c.interval.upper < 0.0) {
            (true, _) => "better",
            (_, true) => "worse",
            _ => "not told apart",
        };
        found.push(Paired {
            name: run.name.clone(),
            images: c.images,
            difference: format!("{:+.4}", c.difference),
            interval: format!("{:+.4} to {:+.4}", c.interval.lower, c.interval.upper),
            only_this: c.only_first,
            only_first: c.only_second,
            p: four(c.mcnemar_p),
            verdict,
        });
    }
    Ok(found)
}

/// The settings that are not the same in all runs.
fn settings(runs: &[RunReport]) -> Vec<Row> {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|r| r.settings.keys()).collect();
    let value = |run: &RunReport, key: &str| run.settings.get(key).cloned().unwrap_or_else(|| NOTHING.into());
    keys.into_iter()
        .map(|key| plain(key, runs.iter().map(|r| value(r, key))))
        .filter(|row| row.cells.iter().any(|c| c.text != row.cells[0].text))
        .collect()
}

fn plain(name: &str, cells: impl Iterator<Item = String>) -> Row {
    Row { name: name.into(), cells: cells.map(|text| Cell { text, best: false }).collect() }
}

fn row(name: &str, values: &[Option<f64>], better: Better) -> Row {
    let signed = |v: f64| if better == Better::Higher { v } else { -v };
    let best = values.iter().flatten().copied().map(signed).fold(f64::NEG_INFINITY, f64::max);
    // Where all are the same, none is the best.
    let differ = values.iter().flatten().any(|v| signed(*v) < best);
    let cells = values.iter().map(|v| match v {
        Some(v) => Cell { text: four(*v), best: differ && signed(*v) >= best },
        None => Cell { text: NOTHING.into(), best: false },
    });
    Row { name: name.into(), cells: cells.collect() }
}
