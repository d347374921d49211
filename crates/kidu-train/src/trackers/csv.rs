//! `metrics.csv`: one line an epoch.

use std::{fmt::Write, path::PathBuf};

use kidu_core::files;

use crate::{
    history::{EpochRow, metric_names},
    tracker::Tracker,
};

/// Writes the whole table after each epoch, so that a resumed run leaves the same file as an uninterrupted one.
#[derive(Clone, Debug)]
pub struct CsvTracker {
    path: PathBuf,
}

impl CsvTracker {
    /// Writes to `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Tracker for CsvTracker {
    fn name(&self) -> &str {
        "csv"
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        files::write_atomic(&self.path, table(history).as_bytes()).map_err(|e| e.to_string())
    }
}

/// Metrics' names hold no commas or quotes; numbers are written with as many digits as they need.
fn table(history: &[EpochRow]) -> String {
    let names = metric_names(history);
    let mut text = String::from("epoch,step");
    names.iter().for_each(|name| text.extend([",", name]));
    for row in history {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{},{}", row.epoch, row.step);
        for name in &names {
            let _ = match row.get(name) {
                Some(value) => write!(text, ",{value}"),
                None => write!(text, ","),
            };
        }
    }
    text.push('\n');
    text
}
