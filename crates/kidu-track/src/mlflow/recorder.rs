//! What a run records.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    client::Server,
    delivery::{Delivery, Report},
    entry::{self, Entry, Metric, RunStatus},
    spool::{Seen, Spool},
};
use crate::error::Result;

/// The file of entries in a run's folder.
pub const SPOOL: &str = "mlflow.spool.jsonl";
/// The file beside it that says what the run is called there and how much is delivered.
pub const STATE: &str = "mlflow.json";

/// Values of single steps go to the spool in groups of so many.
const STEP_GROUP: usize = 64;

/// What a run is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// Unique; by it the run is found again on the server (letters, digits, `-`, `_` and `.`).
    pub key: String,
    /// The experiment, made if it is missing.
    pub experiment: String,
    /// The run's name.
    pub run_name: String,
    /// Milliseconds since 1970.
    pub start_time: u64,
}

/// Records a run in its folder and delivers it in the background. No call waits for the server.
pub struct Recorder {
    delivery: Delivery,
    seen: Seen,
    steps: Vec<Metric>,
    resumed: bool,
}

impl Recorder {
    /// Opens the recording of a run's folder, or goes on with one. At most `limit` bytes of values of single steps
    /// wait; parameters, values of epochs and artifacts are always kept.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be opened.
    pub fn open(run_dir: &Path, identity: RunIdentity, server: Server, limit: u64) -> Result<Self> {
        let mut spool = Spool::open(run_dir, Some(identity), limit)?;
        let seen = spool.seen(note_seen)?;
        let resumed = spool.resumed;
        spool.append(&Entry::Status { status: RunStatus::Running, end_time: None }, false)?;
        let delivery = Delivery::start(spool, server, run_dir.to_path_buf());
        Ok(Self { delivery, seen, steps: Vec::new(), resumed })
    }

    /// Whether the folder had a recording already, which this one goes on with.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Parameters; MLflow takes each once.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be written.
    pub fn params(&mut self, all: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        entry::pairs(all).into_iter().try_for_each(|list| self.append(&Entry::Params(list), true))
    }

    /// Tags.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be written.
    pub fn tags(&mut self, all: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        entry::pairs(all).into_iter().try_for_each(|list| self.append(&Entry::Tags(list), true))
    }

    /// Values after an optimizer step. A step that is recorded already, by the same run before an interruption, is
    /// left out.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be written.
    pub fn step<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<()> {
        if step <= self.seen.step {
            return Ok(());
        }
        self.seen.step = step;
        self.steps.extend(metrics(step, values));
        if self.steps.len() >= STEP_GROUP { self.flush() } else { Ok(()) }
    }

    /// Values after an epoch, at the step at which it ended; likewise each once.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be written.
    pub fn epoch<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<()> {
        self.flush()?;
        if step <= self.seen.epoch {
            return Ok(());
        }
        self.append(&Entry::Metrics(metrics(step, values)), true)?;
        self.seen.epoch = step;
        Ok(())
    }

    /// Values of the finished run.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be written.
    pub fn result<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<()> {
        self.flush()?;
        self.append(&Entry::Metrics(metrics(step, values)), true)
    }

    /// A file, below the run's folder or by an absolute path, as an artifact of that path (`plots/curves.png`). It must
    /// stay until it is delivered.
    ///
    /// # Errors
    /// [`crate::Error`] when the spool cannot be written.
    pub fn artifact(&mut self, file: &Path, path: &str) -> Result<()> {
        self.append(&Entry::Artifact { file: file.to_path_buf(), path: path.into() }, true)
    }

    /// What there is to tell: that the server is down, is back, has refused something.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.delivery.shared.lock().notes)
    }

    /// Ends the recording, waiting at most `wait` for the server.
    pub fn finish(mut self, status: RunStatus, wait: Duration) -> (Report, Vec<String>) {
        let end_time = (status != RunStatus::Running).then(now_ms);
        let written = self.flush().and_then(|()| self.append(&Entry::Status { status, end_time }, true));
        let shared = std::sync::Arc::clone(&self.delivery.shared);
        let report = self.delivery.finish(wait);
        let mut notes = std::mem::take(&mut shared.lock().notes);
        notes.extend(written.err().map(|e| e.to_string()));
        (report, notes)
    }

    /// Moves the gathered values of steps to the spool, if they fit.
    fn flush(&mut self) -> Result<()> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.steps);
        let mut inner = self.delivery.shared.lock();
        if !inner.spool.has_room() {
            if inner.spool.state.dropped == 0 {
                inner.notes.push("too much waits for the server: values of single steps are no longer kept".into());
            }
            inner.spool.state.dropped += group.len() as u64;
            return Ok(());
        }
        inner.spool.append(&Entry::Metrics(group), false)?;
        self.delivery.shared.wake.notify_all();
        Ok(())
    }

    fn append(&mut self, entry: &Entry, durable: bool) -> Result<()> {
        let mut inner = self.delivery.shared.lock();
        inner.spool.append(entry, durable)?;
        self.delivery.shared.wake.notify_all();
        Ok(())
    }
}

/// Delivers what waits in a run's folder, waiting at most so long; to the server that it was meant for if none is
/// named.
///
/// # Errors
/// [`crate::Error`] when nothing was recorded there, or the run is still under way.
pub fn send(
    run_dir: &Path,
    server: impl FnOnce(&str) -> Result<Server>,
    wait: Duration,
) -> Result<(Report, Vec<String>)> {
    let spool = Spool::open(run_dir, None, u64::MAX)?;
    let server = server(&spool.state.tracking_uri)?;
    let delivery = Delivery::start(spool, server, PathBuf::from(run_dir));
    let shared = std::sync::Arc::clone(&delivery.shared);
    let report = delivery.finish(wait);
    let notes = std::mem::take(&mut shared.lock().notes);
    Ok((report, notes))
}

/// What an entry adds to the steps that are recorded. Only values of steps have the batch's loss.
pub(super) fn note_seen(entry: &Entry, seen: &mut Seen) {
    let Entry::Metrics(all) = entry else { return };
    for metric in all {
        let last = if metric.key.starts_with(STEP_PREFIX) { &mut seen.step } else { &mut seen.epoch };
        *last = metric.step.max(*last);
    }
}

/// What the names of values of steps begin with.
pub const STEP_PREFIX: &str = "step/";

fn metrics<'a>(step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<Metric> {
    let timestamp = now_ms();
    let finite = values.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(key, value)| Metric { key: entry::key(key), value, timestamp, step }).collect()
}

/// Milliseconds since 1970, as MLflow counts time.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
