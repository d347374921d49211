//! `curves.svg` and `curves.png`: loss, accuracy and learning rate over the epochs.

use std::path::PathBuf;

use kidu_core::files;
use kidu_plot::{Chart, Scale, Series, Style, figure, png};

use crate::{
    history::{EpochRow, LR, TRAIN_ACC, TRAIN_LOSS, VAL_ACC, VAL_LOSS},
    tracker::Tracker,
};

const TRAIN: &str = "#2b6cb0";
const VAL: &str = "#c05621";
const RATE: &str = "#2f855a";

/// Draws the curves anew after each epoch.
#[derive(Clone, Debug)]
pub struct PlotTracker {
    path: PathBuf,
}

impl PlotTracker {
    /// Writes to `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Tracker for PlotTracker {
    fn name(&self) -> &str {
        "plots"
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        files::write_atomic(&self.path, draw(history).as_bytes()).map_err(|e| e.to_string())
    }

    /// The picture, once: drawing it takes as long as a short epoch.
    fn on_end(&mut self, history: &[EpochRow]) -> Result<(), String> {
        let picture = png(&draw(history), 2.0).map_err(|e| e.to_string())?;
        files::write_atomic(&self.path.with_extension("png"), &picture).map_err(|e| e.to_string())
    }
}

/// The figure as SVG text.
pub(super) fn draw(history: &[EpochRow]) -> String {
    let series = |name: &str, label: &str, colour: &str| Series {
        label: label.into(),
        colour: colour.into(),
        // Counted as the console counts them, from 1.
        points: history.iter().filter_map(|r| Some((r.epoch as f64 + 1.0, r.get(name)?))).collect(),
        style: Style::Line,
    };
    let chart = |title: &str, series: Vec<Series>, from_zero| Chart {
        title: title.into(),
        x: ("epoch".into(), Scale::Linear),
        series,
        from_zero,
        ..Chart::default()
    };
    let charts = [
        chart("loss", vec![series(TRAIN_LOSS, "train", TRAIN), series(VAL_LOSS, "val", VAL)], true),
        chart("accuracy", vec![series(TRAIN_ACC, "train", TRAIN), series(VAL_ACC, "val", VAL)], false),
        chart("learning rate", vec![series(LR, "head", RATE)], true),
    ];
    figure(&charts, (380.0, 300.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_every_length_of_history() {
        let rows: Vec<EpochRow> = (0..12)
            .map(|e| {
                let x = e as f64;
                let mut metrics: std::collections::BTreeMap<String, f64> = [
                    (TRAIN_LOSS.to_string(), 1.8 * (-x / 4.0).exp()),
                    (TRAIN_ACC.to_string(), 0.95 - 0.6 * (-x / 3.0).exp()),
                    (LR.to_string(), 0.001 * (0.5 + (x / 4.0).cos() / 2.0)),
                ]
                .into();
                if e % 2 == 1 {
                    metrics.insert(VAL_LOSS.into(), 0.2 + 1.6 * (-x / 4.0).exp());
                    metrics.insert(VAL_ACC.into(), 0.9 - 0.6 * (-x / 3.0).exp());
                }
                EpochRow { epoch: e, step: 0, metrics }
            })
            .collect();
        for n in [0, 1, 2, 12] {
            let svg = draw(&rows[..n]);
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert_eq!(draw(&rows).matches("stroke-width=\"2\"").count(), 5);
        if let Ok(path) = std::env::var("KIDU_DRAW") {
            std::fs::write(path, draw(&rows)).unwrap();
        }
    }
}
