//! The folder of deployments: who keeps it, its state, its releases.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use kidu_core::files;

use crate::{
    error::{DeployError, Result},
    state::State,
};

/// The folder, kept by this process alone.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Store {
    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`DeployError::Kept`] if another process has it, [`DeployError::Core`] if it cannot be used.
    pub fn open(dir: &Path) -> Result<Self> {
        files::create_dir_all(dir)?;
        let dir = std::path::absolute(dir).map_err(|e| kidu_core::Error::io("find", dir, e))?;
        let path = dir.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|e| kidu_core::Error::io("open", &path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(DeployError::Kept { dir }),
            Err(fs::TryLockError::Error(e)) => return Err(kidu_core::Error::io("lock", &path, e).into()),
        }
        // Nobody else writes here: what is left of a write is of one that was killed.
        files::remove_temporaries(&dir)?;
        Ok(Self { dir, _lock: lock })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state, or a new one.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self) -> Result<State> {
        Ok(load(&self.dir)?.unwrap_or_else(|| State::new(format!("{:016x}", rand::random::<u64>()))))
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// [`DeployError::Core`].
    pub fn save(&self, state: &State) -> Result<()> {
        Ok(files::write_json(&state_path(&self.dir), state)?)
    }

    /// The folder of a version's release.
    pub fn release(&self, version: u32) -> PathBuf {
        release_dir(&self.dir, version)
    }

    /// Removes the folders of releases that are not wanted any more. What cannot be removed stays for the next time.
    pub fn prune(&self, wanted: &[u32]) {
        let Ok(entries) = fs::read_dir(self.dir.join("releases")) else { return };
        for entry in entries.flatten() {
            let version = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if version.is_some_and(|v| !wanted.contains(&v)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The state in a folder, also of one that another process keeps; nothing where none was written.
///
/// # Errors
/// [`DeployError::Core`], and [`DeployError::State`] for one of another version of Kidu.
pub fn load(dir: &Path) -> Result<Option<State>> {
    let path = state_path(dir);
    if !path.exists() {
        return Ok(None);
    }
    let state: State = files::read_json(&path, "state of deployments")?;
    if state.format != State::FORMAT {
        return Err(DeployError::State(format!(
            "{} has the form {}, and this version of Kidu knows {}; use the version that wrote it",
            path.display(),
            state.format,
            State::FORMAT
        )));
    }
    Ok(Some(state))
}

fn state_path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

/// The folder of a version's release below the folder of deployments.
pub fn release_dir(dir: &Path, version: u32) -> PathBuf {
    dir.join("releases").join(version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_keeper_at_a_time_and_the_state_survives_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(DeployError::Kept { .. })));
        let mut state = store.load().unwrap();
        assert_eq!(state.keeper.len(), 16);
        state.live = Some(3);
        store.save(&state).unwrap();
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap().load().unwrap(), state);
    }

    #[test]
    fn another_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = State { format: 9, ..State::new("k".into()) };
        files::write_json(&state_path(dir.path()), &state).unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("form 9"));
    }

    #[test]
    fn only_old_releases_are_pruned() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for name in ["1", "2", "notes"] {
            fs::create_dir_all(dir.path().join("releases").join(name)).unwrap();
        }
        store.prune(&[2]);
        let left = fs::read_dir(dir.path().join("releases")).unwrap().map(|e| e.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["2", "notes"]);
    }
}
