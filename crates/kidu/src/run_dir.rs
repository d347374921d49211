//! A run's own folder: what was asked for, in what state of the working tree, and where everything went.
//!
//! `config.yaml` and `overrides.txt` are those of the first start and stay; `run.json` tells of it too, and of each
//! time the run was resumed.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use kidu_core::{DatasetManifest, Error, files, run};
use serde_json::{Value, json};

use crate::{Outcome, failure::Failure, git, settings::Configuration, step, ui};

const CONFIG: &str = "config.yaml";
const OVERRIDES: &str = "overrides.txt";
const RECORD: &str = "run.json";
const LOCK: &str = ".lock";
/// The entries of resumed starts in the record.
const RESUMED: &str = "resumed";
/// The data version in the record.
const SNAPSHOT: &str = "data_snapshot";
/// The folders that a run writes to.
const FOLDERS: [&str; 5] = ["", "checkpoints", "bundle", "data", "plots"];

/// The verb that makes a folder a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Train,
    TuneLr,
    Split,
    Evaluate,
    Robustness,
    Check,
    Search,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::TuneLr => "tune-lr",
            Self::Split => "data split",
            Self::Evaluate => "evaluate",
            Self::Robustness => "robustness",
            Self::Check => "data check",
            Self::Search => "search",
        }
    }
}

/// A run's folder, held by this process.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    /// None on a file system without locks.
    lock: Option<File>,
}

/// Makes the folder (`out`, `paths.output_dir`, or a new one below `paths.log_dir/task_name`) and writes into it the
/// resolved configuration, the overrides, the tags and the state of the working tree.
///
/// A folder that holds a run already is refused, since what is in it would be lost. Verbs whose results can be made
/// again at any time may replace their own.
pub(crate) fn create(configuration: &Configuration, verb: Verb, out: Option<&Path>) -> Outcome<RunDir> {
    let settings = &configuration.settings;
    let Some(dir) = out.or(settings.paths.output_dir.as_deref()) else {
        let dir = RunDir::hold(&run::create_run_dir(&settings.paths.log_dir.join(&settings.task_name))?)?;
        dir.begin(configuration, verb)?;
        return Ok(dir);
    };
    match occupant(dir) {
        None => {}
        // A step of a pipeline goes on in its own folder of the cache.
        Some(_) if verb == Verb::Train && step::is_step() => {
            return resume(configuration, dir, configuration.composed.overrides());
        }
        Some(held) if verb != Verb::Train && held == verb.name() => {}
        Some(held) => {
            let dir = dir.display();
            let way_on = match verb {
                Verb::Train if held == verb.name() => {
                    format!("go on with it by `kidu train --resume {dir}`, or give another folder to start anew")
                }
                _ => "give another folder".into(),
            };
            return Err(Failure::usage(format!("{dir} holds a run of `kidu {held}`, which is kept: {way_on}")));
        }
    }
    let dir = RunDir::hold(dir)?;
    dir.begin(configuration, verb)?;
    Ok(dir)
}

/// Goes on in the folder of an earlier training. Nothing that its first start wrote is changed: `run.json` gets an entry
/// with the overrides of this start.
pub(crate) fn resume(configuration: &Configuration, dir: &Path, overrides: &[String]) -> Outcome<RunDir> {
    let dir = RunDir::hold(dir)?;
    let mut record = match read(&dir.path)? {
        Some(record) => record,
        // The first start ended before it had told of itself.
        None => dir.begin(configuration, Verb::Train)?,
    };
    let mut entry = state(configuration);
    entry["overrides"] = json!(overrides);
    let mut entries = resumed(&record).to_vec();
    entries.push(entry);
    record[RESUMED] = entries.into();
    files::write_json(&dir.path.join(RECORD), &record)?;
    Ok(dir)
}

/// The overrides by which a run's resumed starts differ from its `config.yaml`, in order. Starts that failed do not
/// count: a mistake in one must not spoil the next.
pub(crate) fn later_overrides(dir: &Path) -> Outcome<Vec<String>> {
    let record = read(dir)?.unwrap_or_default();
    let entries = resumed(&record).iter().filter(|e| e.get("failed").is_none());
    let words = entries.flat_map(|e| e["overrides"].as_array().into_iter().flatten().filter_map(Value::as_str));
    Ok(words.map(str::to_string).collect())
}

impl RunDir {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the folder for this process. What an interrupted write left in an earlier run is removed.
    fn hold(dir: &Path) -> Outcome<Self> {
        files::create_dir_all(dir)?;
        let path = dir.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| Error::io("create", &path, e))?;
        let lock = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::Failed(anyhow::anyhow!(
                    "{} is in use by another process of kidu: wait until it ends, or give another folder",
                    dir.display()
                )));
            }
            Err(TryLockError::Error(_)) => None,
        };
        let dir = Self { path: dir.to_path_buf(), lock };
        dir.tidy();
        Ok(dir)
    }

    /// Best effort: what is left costs space and nothing else. Without the lock a file may be another process's.
    fn tidy(&self) {
        if self.lock.is_none() || occupant(&self.path).is_none() {
            return;
        }
        for path in FOLDERS.iter().flat_map(|f| files::remove_temporaries(&self.path.join(f)).unwrap_or_default()) {
            ui::note(format!("removed {}, left by an interrupted write", path.display()));
        }
    }

    /// Writes what a first start tells of itself; returns the record.
    fn begin(&self, configuration: &Configuration, verb: Verb) -> Outcome<Value> {
        let composed = &configuration.composed;
        let overrides: String = composed.overrides().iter().map(|o| format!("{o}\n")).collect();
        for (name, text) in [(CONFIG, composed.to_yaml()), (OVERRIDES, overrides)] {
            let path = self.path.join(name);
            // A training that was killed here is resumed with its own.
            if verb != Verb::Train || !path.exists() {
                files::write_atomic(&path, text.as_bytes())?;
            }
        }
        let mut record = state(configuration);
        record["verb"] = verb.name().into();
        record["tags"] = json!(configuration.settings.tags);
        files::write_json(&self.path.join(RECORD), &record)?;
        Ok(record)
    }

    /// Notes the data version that the images were read from. Best effort: the dataset's manifest has it too.
    pub(crate) fn note_data(&self, manifest: &DatasetManifest) {
        let (Some(snapshot), Ok(Some(mut record))) = (&manifest.snapshot, read(&self.path)) else { return };
        if record.get(SNAPSHOT).and_then(Value::as_str) != Some(snapshot) {
            record[SNAPSHOT] = snapshot.as_str().into();
            let _ = files::write_json(&self.path.join(RECORD), &record);
        }
    }

    /// Notes that this start, a resumed one, failed. Best effort: the failure itself is what has to be told.
    pub(crate) fn note_failure(&self, failure: &Failure) {
        let Ok(Some(mut record)) = read(&self.path) else { return };
        let entries = record.get_mut(RESUMED).and_then(Value::as_array_mut);
        if let Some(entry) = entries.and_then(|e| e.last_mut()).filter(|e| e.is_object()) {
            entry["failed"] = failure.to_string().into();
            let _ = files::write_json(&self.path.join(RECORD), &record);
        }
    }
}

/// The verb of the run that a folder holds, as far as its record says.
fn occupant(dir: &Path) -> Option<String> {
    let record = read(dir).ok().flatten();
    if record.is_none() && ![CONFIG, RECORD].iter().any(|name| dir.join(name).exists()) {
        return None;
    }
    let verb = record.and_then(|r| Some(r.get("verb")?.as_str()?.to_string()));
    Some(verb.unwrap_or_else(|| "train".into()))
}

fn read(dir: &Path) -> Outcome<Option<Value>> {
    let path = dir.join(RECORD);
    if !path.exists() {
        return Ok(None);
    }
    let record: Value = files::read_json(&path, "run record")?;
    if record.is_object() {
        return Ok(Some(record));
    }
    Err(Failure::Failed(anyhow::anyhow!(
        "{} is no record of a run: restore it, or remove it to go on without",
        path.display()
    )))
}

/// The entries of resumed starts.
fn resumed(record: &Value) -> &[Value] {
    record.get(RESUMED).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn state(configuration: &Configuration) -> Value {
    let here = std::env::current_dir().unwrap_or_default();
    json!({
        "time": run::timestamp(),
        "kidu_version": env!("CARGO_PKG_VERSION"),
        "git_commit": git::commit(&here),
        "config_hash": configuration.composed.hash(),
        "command": std::env::args().collect::<Vec<_>>(),
    })
}
