//! Carries a plan out: each step whole or not at all, nothing ever over another file.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use kidu_core::{Progress, Sha256Hex, files, journal::Journal, run};
use serde::{Deserialize, Serialize};

use crate::{
    error::{ImportError, Result},
    obtain::staged,
    plan::{Plan, QUARANTINE},
    provenance,
};

/// How the folder is called in which new images wait.
const STAGING: &str = ".kidu-import-";

/// How often a held lock is tried before it is believed.
const PATIENCE: u32 = 10;

/// A line of `.quarantine/log.jsonl`: what was taken out, from where, and why. Moving `to` back to `from` undoes it.
#[derive(Debug, Serialize, Deserialize)]
struct TakenOut {
    time: String,
    from: String,
    to: String,
    sha256: String,
    label: String,
    annotation: Option<String>,
    reason: String,
}

/// The dataset's folder, held against other imports, with a place for new images.
pub(crate) struct Workplace {
    dir: PathBuf,
    staging: Option<tempfile::TempDir>,
    /// The folder was not there before.
    made: bool,
    /// Held until it is dropped. No lock where folders cannot be opened.
    _lock: Option<File>,
}

/// Whether somebody else holds the lock, and keeps it: a process that another thread starts has our open files for the
/// moment until it is another program, and with them a lock that was given up here.
fn is_held(lock: &File) -> bool {
    let refused = || matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock));
    (0..PATIENCE).all(|tried| {
        if tried > 0 {
            std::thread::sleep(Duration::from_millis(25));
        }
        refused()
    })
}

impl Workplace {
    /// Makes the folder if it is missing, waits for nobody: a second import is refused.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let made = !dir.exists();
        files::create_dir_all(dir)?;
        let lock = File::open(dir).ok();
        if lock.as_ref().is_some_and(is_held) {
            let reason = "another import works in this folder; wait until it is done".into();
            return Err(ImportError::Target { path: dir.into(), reason });
        }
        remove_leftovers(dir)?;
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(dir)
            .map_err(|e| ImportError::io("create a folder in", dir, e))?;
        Ok(Self { dir: dir.into(), staging: Some(staging), made, _lock: lock })
    }

    /// Where new images wait.
    pub(crate) fn staging(&self) -> &Path {
        self.staging.as_ref().map_or(&self.dir, tempfile::TempDir::path)
    }

    /// Does what the plan says. Interrupted anywhere, the same import again completes it.
    pub(crate) fn carry_out(&self, plan: &mut Plan, progress: &dyn Progress) -> Result<()> {
        self.announce(plan)?;
        let steps = plan.writes.len() + plan.moves.len() + plan.quarantine.len();
        progress.begin("write the dataset", "images", Some(steps as u64));
        let done = self.steps(plan, progress);
        progress.end();
        done?;
        provenance::save(&self.dir, &mut plan.entries)
    }

    /// Writes the lines of new images before the images: one that an interruption left without its line would count as
    /// part of the dataset that was there before, and never be taken out again. A line without an image is dropped by the
    /// next import.
    fn announce(&self, plan: &Plan) -> Result<()> {
        if plan.writes.is_empty() {
            return Ok(());
        }
        let new: HashSet<&Sha256Hex> = plan.writes.iter().map(|(sha256, _)| sha256).collect();
        let mut entries = provenance::load(&self.dir)?;
        entries.retain(|e| !new.contains(&e.sha256));
        entries.extend(plan.entries.iter().filter(|e| new.contains(&e.sha256)).cloned());
        provenance::save(&self.dir, &mut entries)
    }

    fn steps(&self, plan: &Plan, progress: &dyn Progress) -> Result<()> {
        for (sha256, path) in &plan.writes {
            self.rename(&staged(self.staging(), sha256), &self.dir.join(path))?;
            progress.advance(1);
        }
        for step in &plan.moves {
            self.rename(&self.dir.join(&step.from), &self.dir.join(&step.to))?;
            progress.advance(1);
        }
        if plan.quarantine.is_empty() {
            return Ok(());
        }
        let log = Journal::new(self.dir.join(QUARANTINE).join("log.jsonl"));
        for (step, entry) in &plan.quarantine {
            // Written first: a line too many is better than an image that nobody knows how to put back.
            log.append(TakenOut {
                time: run::timestamp(),
                from: step.from.clone(),
                to: step.to.clone(),
                sha256: entry.sha256.to_string(),
                label: entry.label.clone(),
                annotation: entry.annotation.clone(),
                reason: "its annotations were withdrawn".into(),
            })?;
            self.rename(&self.dir.join(&step.from), &self.dir.join(&step.to))?;
            progress.advance(1);
        }
        Ok(())
    }

    /// Renames, with the folder made where it is missing; refuses to replace anything.
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        files::create_dir_all(&files::parent_of(to))?;
        if to.symlink_metadata().is_ok() {
            let reason = "appeared while the import ran; move it away and import again".into();
            return Err(ImportError::Target { path: to.into(), reason });
        }
        fs::rename(from, to).map_err(|e| ImportError::io("move to", to, e))
    }
}

/// A refused import leaves no empty folder.
impl Drop for Workplace {
    fn drop(&mut self) {
        drop(self.staging.take());
        if self.made {
            // Fails, as it should, if there is anything in it.
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

/// What a killed import left. Only called with the lock held.
fn remove_leftovers(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|e| ImportError::io("list", dir, e))?.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|n| n.starts_with(STAGING));
        if ours && entry.file_type().is_ok_and(|t| t.is_dir()) {
            match fs::remove_dir_all(entry.path()) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(ImportError::io("remove", entry.path(), e)),
                _ => {}
            }
        }
    }
    Ok(())
}
