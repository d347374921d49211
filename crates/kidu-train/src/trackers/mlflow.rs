//! A run of an MLflow server, recorded in the run's folder first.

use std::time::Duration;

use kidu_track::{
    ParamValue,
    mlflow::{Recorder, RunStatus},
};

use super::{STEP_LOSS, STEP_LR};
use crate::{
    history::EpochRow,
    tracker::{RunEnd, RunResult, StepRow, Tracker},
};

/// Records parameters, metrics and artifacts. No call waits for the server but the last, and that one for a limited
/// time.
pub struct MlflowTracker {
    /// None once the run has ended.
    recorder: Option<Recorder>,
    every: u64,
    wait: Duration,
    notes: Vec<String>,
}

impl MlflowTracker {
    /// Records loss and learning rate every `every` optimizer steps, and waits at most `wait` at the end. A recording
    /// that goes on has its parameters and tags already.
    ///
    /// # Errors
    /// [`kidu_track::Error`] when the run's folder cannot be written.
    pub fn new(
        mut recorder: Recorder,
        params: &[(String, ParamValue)],
        tags: &[(String, String)],
        every: u64,
        wait: Duration,
    ) -> kidu_track::Result<Self> {
        if !recorder.is_resumed() {
            recorder.params(params.iter().map(|(name, value)| (name.clone(), value.to_string())))?;
            recorder.tags(tags.iter().cloned())?;
        }
        Ok(Self { recorder: Some(recorder), every: every.max(1), wait, notes: Vec::new() })
    }

    fn record(&mut self, act: impl FnOnce(&mut Recorder) -> kidu_track::Result<()>) -> Result<(), String> {
        self.recorder.as_mut().map_or(Ok(()), act).map_err(|e| e.to_string())
    }
}

impl Tracker for MlflowTracker {
    fn name(&self) -> &str {
        "mlflow"
    }

    fn on_step(&mut self, step: &StepRow) -> Result<(), String> {
        if !step.step.is_multiple_of(self.every) {
            return Ok(());
        }
        self.record(|r| r.step(step.step, [(STEP_LOSS, step.loss), (STEP_LR, step.lr)]))
    }

    fn on_epoch(&mut self, history: &[EpochRow]) -> Result<(), String> {
        self.record(|r| {
            history.iter().try_for_each(|row| r.epoch(row.step, row.metrics.iter().map(|(k, v)| (k.as_str(), *v))))
        })
    }

    fn on_result(&mut self, result: &RunResult) -> Result<(), String> {
        let Some(mut recorder) = self.recorder.take() else { return Ok(()) };
        let files = result.artifacts.iter().cloned();
        // Those of epochs are recorded with their epochs.
        let of_test = result.metrics.iter().filter(|(name, _)| name.starts_with("test/") || *name == "val/ece");
        let recorded = recorder
            .result(result.step, of_test.map(|(k, v)| (k.as_str(), *v)))
            .and_then(|()| files.into_iter().try_for_each(|(file, path)| recorder.artifact(&file, &path)));
        let status = match result.end {
            RunEnd::Finished => RunStatus::Finished,
            RunEnd::Failed => RunStatus::Failed,
            RunEnd::Interrupted => RunStatus::Killed,
        };
        let (report, notes) = recorder.finish(status, self.wait);
        self.notes.extend(notes);
        self.notes.push(match report.undelivered {
            0 => report.to_string(),
            _ => format!("{report}; send them later with: kidu track send RUN"),
        });
        recorded.map_err(|e| e.to_string())
    }

    fn notes(&mut self) -> Vec<String> {
        let recorder = self.recorder.as_mut();
        std::mem::take(&mut self.notes).into_iter().chain(recorder.map(Recorder::notes).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use kidu_track::mlflow::{Credentials, RunIdentity, SPOOL, Server};

    use super::*;

    #[test]
    fn a_server_that_is_down_costs_no_time_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody listens there.
        let server = Server::new("http://127.0.0.1:9", Credentials::default()).unwrap();
        let identity = RunIdentity { key: "k".into(), experiment: "e".into(), run_name: "r".into(), start_time: 1 };
        let recorder = Recorder::open(dir.path(), identity, server, 1 << 20).unwrap();
        let params = [("seed".to_string(), ParamValue::Number(7.0))];
        let mut tracker = MlflowTracker::new(recorder, &params, &[], 1, Duration::ZERO).unwrap();
        let start = Instant::now();
        for step in 1..=500 {
            tracker.on_step(&StepRow { epoch: 0, step, loss: 0.5, lr: 0.1 }).unwrap();
        }
        let row = EpochRow { epoch: 0, step: 500, metrics: [("val/acc".to_string(), 0.5)].into() };
        tracker.on_epoch(&[row]).unwrap();
        let result = RunResult {
            end: RunEnd::Finished,
            step: 500,
            metrics: [("test/acc".to_string(), 0.75)].into(),
            figures: Vec::new(),
            artifacts: vec![("bundle/bundle.json".into(), "bundle/bundle.json".into())],
        };
        tracker.on_result(&result).unwrap();
        assert!(start.elapsed() < Duration::from_secs(15));
        let notes = tracker.notes().join("\n");
        assert!(notes.contains("not delivered") && notes.contains("kidu track send"), "{notes}");
        let spool = std::fs::read_to_string(dir.path().join(SPOOL)).unwrap();
        for kept in ["seed", "\"step\":500", "val/acc", "test/acc", "bundle.json", "FINISHED"] {
            assert!(spool.contains(kept), "{kept}: {spool}");
        }
    }
}
