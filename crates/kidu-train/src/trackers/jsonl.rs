//! `metrics.jsonl`: one object an epoch.

use std::path::PathBuf;

use kidu_core::files;

use crate::{history::EpochRow, tracker::Tracker};

/// Writes all lines after each epoch, so that a resumed run leaves the same file as an uninterrupted one.
#[derive(Clone, Debug)]
pub struct JsonlTracker {
    path: PathBuf,
}

impl JsonlTracker {
    /// Writes to `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Tracker for JsonlTracker {
    fn name(&self) -> &str {
        "jsonl"
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        let mut text = Vec::new();
        for row in history {
            serde_json::to_writer(&mut text, row).map_err(|e| e.to_string())?;
            text.push(b'\n');
        }
        files::write_atomic(&self.path, &text).map_err(|e| e.to_string())
    }
}
