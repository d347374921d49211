//! The record of a run: what `pipeline status` reads, live and afterwards.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use kidu_core::{files, run};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Its process is at work.
    Running,
    /// All steps ended well.
    Succeeded,
    /// A gate said no.
    Refused,
    /// A step failed.
    Failed,
    /// It was stopped, or its process is gone. Run again: finished steps are taken from the cache.
    Interrupted,
}

impl RunStatus {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The exit code of a command that ran it: 0 done, 3 a gate said no, 1 anything else.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Refused => 3,
            Self::Running | Self::Failed | Self::Interrupted => 1,
        }
    }
}

/// How a step of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not reached yet.
    Pending,
    /// At work.
    Running,
    /// Taken from the cache.
    Cached,
    /// Executed and ended well.
    Succeeded,
    /// Said no.
    Refused,
    /// Failed.
    Failed,
    /// Not executed, because an earlier step did not end well.
    Skipped,
    /// Stopped.
    Interrupted,
}

impl StepStatus {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Cached => "cached",
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: StepStatus,
    /// Its key in the cache, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why it ran, was refused, failed or was skipped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where its outputs are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// When its outputs were finished (for a cached step: by an earlier run), RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// How long it took in this run, in seconds.
    #[serde(default)]
    pub seconds: f64,
}

impl StepRecord {
    /// A step that is yet to come.
    pub fn pending(name: &str) -> Self {
        Self {
            name: name.into(),
            status: StepStatus::Pending,
            key: None,
            message: String::new(),
            folder: None,
            made: None,
            seconds: 0.0,
        }
    }
}

/// Content of `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run's id, also the name of its folder.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// How it stands.
    pub status: RunStatus,
    /// The process that runs it.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Version of Kidu.
    pub code_version: String,
    /// Commit of the working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// SHA-256 of the resolved configuration.
    pub config_hash: String,
    /// The parameters' values.
    pub parameters: BTreeMap<String, Value>,
    /// The steps in the order they run.
    pub steps: Vec<StepRecord>,
    /// The rule that refused, or what failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl RunRecord {
    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|s| s.name == name)
    }
}

const RECORD: &str = "run.json";
const LOCK: &str = ".lock";

/// A run of this process: its folder, its record, and the lock that shows others that the process lives. The system
/// releases the lock whichever way the process ends, and unlike a process id it is not given to another one later.
#[derive(Debug)]
pub(crate) struct ActiveRun {
    pub(crate) dir: PathBuf,
    pub(crate) record: RunRecord,
    _lock: File,
}

impl ActiveRun {
    /// Makes the folder, takes the lock and writes the first record.
    pub(crate) fn create(runs: &Path, record: impl FnOnce(String) -> RunRecord) -> Result<Self> {
        let dir = run::create_run_dir(runs)?;
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        lock.lock().map_err(|e| Error::io("lock", &path, e))?;
        let id = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let active = Self { record: record(id), dir, _lock: lock };
        active.save()?;
        Ok(active)
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn save(&self) -> Result<()> {
        Ok(files::write_json(&self.dir.join(RECORD), &self.record)?)
    }
}

/// The record of one run. A run whose process is gone without an end shows as interrupted.
///
/// # Errors
/// [`Error::UnknownRun`] with the nearest id, or [`Error::Core`].
pub fn load(runs: &Path, id: &str) -> Result<RunRecord> {
    let ids = ids(runs)?;
    if !ids.iter().any(|known| known == id) {
        let nearest = kidu_core::suggest::nearest(id, ids.iter().map(String::as_str)).map(Into::into);
        return Err(Error::UnknownRun { id: id.into(), dir: runs.to_path_buf(), nearest });
    }
    let dir = runs.join(id);
    // The lock is asked first: a run that ends in between has then written its end already.
    let alive = is_alive(&dir);
    let mut record: RunRecord = files::read_json(&dir.join(RECORD), "run record")?;
    if record.status == RunStatus::Running && !alive {
        record.status = RunStatus::Interrupted;
        record.message = format!("its process ({}) is gone; run it again to go on from the cached steps", record.pid);
        for step in record.steps.iter_mut().filter(|s| s.status == StepStatus::Running) {
            step.status = StepStatus::Interrupted;
        }
    }
    Ok(record)
}

/// The ids of all runs, oldest first.
///
/// # Errors
/// [`Error::Core`] if the folder cannot be read; no folder means no runs.
pub fn ids(runs: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read folder", runs, e)),
    };
    let with_record = entries.flatten().filter(|e| e.path().join(RECORD).is_file());
    let mut ids: Vec<String> = with_record.filter_map(|e| e.file_name().into_string().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// All runs, oldest first.
///
/// # Errors
/// [`Error::Core`].
pub fn list(runs: &Path) -> Result<Vec<RunRecord>> {
    ids(runs)?.iter().map(|id| load(runs, id)).collect()
}

fn is_alive(dir: &Path) -> bool {
    File::open(dir.join(LOCK)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: String) -> RunRecord {
        RunRecord {
            id,
            pipeline: "p".into(),
            status: RunStatus::Running,
            pid: std::process::id(),
            started: run::timestamp(),
            finished: None,
            code_version: "0".into(),
            git_commit: None,
            config_hash: "0".into(),
            parameters: BTreeMap::new(),
            steps: vec![StepRecord { status: StepStatus::Running, ..StepRecord::pending("train") }],
            message: String::new(),
        }
    }

    #[test]
    fn a_run_without_process_shows_as_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let active = ActiveRun::create(dir.path(), record).unwrap();
        let id = active.record.id.clone();
        assert_eq!(load(dir.path(), &id).unwrap().status, RunStatus::Running);
        drop(active);
        let gone = load(dir.path(), &id).unwrap();
        assert_eq!((gone.status, gone.steps[0].status), (RunStatus::Interrupted, StepStatus::Interrupted));
        assert_eq!(list(dir.path()).unwrap(), [gone]);
    }

    #[test]
    fn an_unknown_run_names_the_nearest() {
        let dir = tempfile::tempdir().unwrap();
        let id = ActiveRun::create(dir.path(), record).unwrap().record.id;
        let error = load(dir.path(), &id[..id.len() - 1]).unwrap_err().to_string();
        assert!(error.contains(&format!("did you mean '{id}'?")), "{error}");
        assert!(load(&dir.path().join("none"), "../x").is_err());
    }
}
