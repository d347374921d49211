//! TensorBoard's event files: curves, learning rate, pictures, and the table of runs (hparams).

use std::{fs, path::PathBuf};

use kidu_track::{
    ParamValue,
    tensorboard::{EventWriter, Metric, SessionStatus, last_step},
};

use super::{STEP_LOSS, STEP_LR};
use crate::{
    history::{EpochRow, TRAIN_LOSS, VAL_ACC, VAL_LOSS},
    tracker::{RunEnd, RunResult, StepRow, Tracker},
};

/// Columns of the table of runs.
const METRICS: [&str; 3] = [VAL_ACC, VAL_LOSS, "test/acc"];

/// Writes one event file, and a further one each time the run goes on, which takes back what the earlier ones hold of
/// steps that are done again.
#[derive(Debug)]
pub struct TensorBoardTracker {
    dir: PathBuf,
    name: String,
    params: Vec<(String, ParamValue)>,
    every: u64,
    writer: Option<EventWriter>,
    /// The step of the last epoch that the files hold.
    epoch: Option<u64>,
    /// Rows of epochs that came before the file was begun.
    before: Vec<EpochRow>,
    /// The next step, as far as the rows tell.
    next: u64,
}

impl TensorBoardTracker {
    /// Writes into `dir`. `name` is the run's row in the table of runs and `params` what it was started with; loss and
    /// learning rate are written every `every` optimizer steps.
    pub fn new(dir: PathBuf, name: String, params: Vec<(String, ParamValue)>, every: u64) -> Self {
        let every = every.max(1);
        Self { dir, name, params, every, writer: None, epoch: None, before: Vec::new(), next: 1 }
    }

    /// The file, begun if there is none yet; `step` is the first that is to come.
    fn writer(&mut self, step: u64) -> kidu_track::Result<&mut EventWriter> {
        if self.writer.is_none() {
            let epoch = last_step(&self.dir, TRAIN_LOSS)?;
            let earlier = last_step(&self.dir, STEP_LOSS)?.max(epoch);
            let mut writer = EventWriter::create(&self.dir, earlier.map(|_| step))?;
            if earlier.is_none() {
                let metrics = METRICS.map(|tag| Metric { tag: tag.into(), display_name: String::new() });
                writer.start_session(&self.name, &self.params, &metrics)?;
                writer.text("configuration", 0, &table(&self.params))?;
            }
            // What is done again is written again.
            self.epoch = epoch.filter(|e| *e < step);
            self.writer = Some(writer);
            let before = std::mem::take(&mut self.before);
            self.rows(&before)?;
        }
        match &mut self.writer {
            Some(writer) => Ok(writer),
            None => unreachable!("made above"),
        }
    }

    /// Writes the rows that are not written yet.
    fn rows(&mut self, history: &[EpochRow]) -> kidu_track::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        for row in history.iter().filter(|row| self.epoch.is_none_or(|last| row.step > last)) {
            for (tag, value) in &row.metrics {
                writer.scalar(tag, row.step, *value)?;
            }
            writer.scalar("epoch", row.step, (row.epoch + 1) as f64)?;
        }
        self.epoch = self.epoch.max(history.last().map(|row| row.step));
        writer.flush()
    }

    fn result(&mut self, result: &RunResult) -> kidu_track::Result<()> {
        let step = result.step;
        let writer = self.writer(step + 1)?;
        // Those of epochs are in the curves.
        let of_test = result.metrics.iter().filter(|(tag, _)| tag.starts_with("test/"));
        for (tag, value) in of_test {
            writer.scalar(tag, step, *value)?;
        }
        for (title, file) in &result.figures {
            let png = fs::read(file).map_err(|e| kidu_core::Error::io("read", file, e))?;
            writer.image(title, step, &png)?;
        }
        match result.end {
            RunEnd::Finished => writer.end_session(SessionStatus::Success),
            RunEnd::Failed => writer.end_session(SessionStatus::Failure),
            RunEnd::Interrupted => writer.flush(),
        }
    }
}

impl Tracker for TensorBoardTracker {
    fn name(&self) -> &str {
        "tensorboard"
    }

    fn on_step(&mut self, step: &StepRow) -> Result<(), String> {
        let every = self.every;
        let write = |writer: &mut EventWriter| {
            if step.step.is_multiple_of(every) {
                writer.scalar(STEP_LOSS, step.step, step.loss)?;
                writer.scalar(STEP_LR, step.step, step.lr)?;
                // A killed run goes on after its last checkpoint: nothing before that may be missing.
                writer.flush()?;
            }
            Ok(())
        };
        self.next = step.step + 1;
        self.writer(step.step).and_then(write).map_err(|e: kidu_track::Error| e.to_string())
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        if self.writer.is_none() {
            // A run that goes on: the first step that comes tells from where.
            self.before = history.to_vec();
            self.next = history.last().map_or(1, |row| row.step + 1);
            return Ok(());
        }
        self.rows(history).map_err(|e| e.to_string())
    }

    fn on_end(&mut self, history: &[EpochRow]) -> Result<(), String> {
        let next = self.next;
        self.writer(next).map(|_| ()).and_then(|()| self.rows(history)).map_err(|e| e.to_string())
    }

    fn on_result(&mut self, result: &RunResult) -> Result<(), String> {
        // A run that ended before its first step has nothing to show.
        if self.writer.is_none() && result.end != RunEnd::Finished {
            return Ok(());
        }
        self.result(result).map_err(|e| e.to_string())
    }
}

/// Names and values as a table in Markdown.
fn table(params: &[(String, ParamValue)]) -> String {
    let row = |(name, value): &(String, ParamValue)| {
        format!("| {name} | {} |\n", value.to_string().replace('|', "\\|").replace('\n', " "))
    };
    format!("| key | value |\n|---|---|\n{}", params.iter().map(row).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> StepRow {
        StepRow { epoch: 0, step, loss: step as f64, lr: 0.1 }
    }

    fn row(epoch: usize, step: u64) -> EpochRow {
        EpochRow { epoch, step, metrics: [(TRAIN_LOSS.to_string(), step as f64)].into() }
    }

    fn tracker(dir: &std::path::Path) -> TensorBoardTracker {
        let params = vec![("seed".to_string(), ParamValue::Number(1.0))];
        TensorBoardTracker::new(dir.to_path_buf(), "run".into(), params, 1)
    }

    #[test]
    fn a_resumed_run_shows_what_an_uninterrupted_one_shows() {
        let python = kidu_testing::peer_python("tensorboard resumed", &["tensorboard"]);
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let rows = [row(0, 3), row(1, 6)];
        let mut one = tracker(whole.path());
        (1..=3).for_each(|s| one.on_step(&step(s)).unwrap());
        one.on_epoch(&rows[..1]).unwrap();
        (4..=6).for_each(|s| one.on_step(&step(s)).unwrap());
        one.on_epoch(&rows).unwrap();
        drop(one);
        // Killed at step 5, after a checkpoint at step 4; the first epoch's row was never written.
        let mut first = tracker(parts.path());
        (1..=5).for_each(|s| first.on_step(&step(s)).unwrap());
        drop(first);
        let mut second = tracker(parts.path());
        second.on_epoch(&rows[..1]).unwrap();
        (5..=6).for_each(|s| second.on_step(&step(s)).unwrap());
        second.on_epoch(&rows).unwrap();
        drop(second);
        assert_eq!(fs::read_dir(parts.path()).unwrap().count(), 2);
        let Some(python) = python else { return };
        let read = |dir: &std::path::Path| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/tensorboard_read.py");
            let out = std::process::Command::new(&python).arg(script).arg(dir).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            let mut read: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            // The row of the first epoch comes late in one of them.
            for points in read["scalars"].as_object_mut().unwrap().values_mut() {
                points.as_array_mut().unwrap().sort_by_key(|p| p[0].as_u64());
            }
            read
        };
        let (a, b) = (read(whole.path()), read(parts.path()));
        assert_eq!(a["scalars"], b["scalars"]);
        assert_eq!(a["scalars"]["step/loss"].as_array().unwrap().len(), 6);
        assert_eq!(a["hparams"]["start"], b["hparams"]["start"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(tracker(&dir.path().join("file/x")).on_step(&step(1)).is_err());
    }
}
