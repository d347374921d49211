//! The locks of a key in the step cache.
//!
//! There are two files: `KEY` is held by the run that makes the key, `KEY.step` by the process of the step itself, since
//! a step may outlive the run that started it. The next run waits for both. The system releases a lock whichever way
//! its holder ends.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use kidu_core::{Sha256Hex, files};

use crate::error::{Error, Result};

/// Holds other runs off a key until dropped.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
    step: PathBuf,
}

impl KeyLock {
    /// Takes the lock of a key below the folder `locks`, as [`StepCache::lock`](crate::cache::StepCache::lock) says.
    pub(crate) fn take(
        locks: &Path,
        key: &Sha256Hex,
        stop: &AtomicBool,
        waiting: impl FnOnce(),
    ) -> Result<Option<Self>> {
        files::create_dir_all(locks)?;
        let mut waiting = Some(waiting);
        let Some(file) = lock_file(&locks.join(key.as_str()), stop, &mut waiting)? else { return Ok(None) };
        let step = locks.join(format!("{key}.step"));
        // Let go at once for the step to take: no other run gets here as long as the first lock is held.
        let free = lock_file(&step, stop, &mut waiting)?.is_some();
        Ok(free.then_some(Self { _file: file, step }))
    }

    /// The file that the step's own process locks for as long as it may write.
    pub fn step_file(&self) -> &Path {
        &self.step
    }
}

/// Waits for an exclusive lock; `None` when `stop` was raised meanwhile.
fn lock_file(path: &Path, stop: &AtomicBool, waiting: &mut Option<impl FnOnce()>) -> Result<Option<File>> {
    let file = File::create(path).map_err(|e| Error::io("create", path, e))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path, e)),
            Err(TryLockError::WouldBlock) if stop.load(Ordering::Relaxed) => return Ok(None),
            Err(TryLockError::WouldBlock) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(dir: &Path, stop: bool, waiting: impl FnOnce()) -> Option<KeyLock> {
        KeyLock::take(dir, &Sha256Hex::of_bytes(b"k"), &AtomicBool::new(stop), waiting).unwrap()
    }

    #[test]
    fn a_locked_key_makes_others_wait_or_stop() {
        let dir = tempfile::tempdir().unwrap();
        let held = take(dir.path(), false, || panic!("nobody holds it")).unwrap();
        assert!(take(dir.path(), true, || {}).is_none());
        drop(held);
        assert!(take(dir.path(), true, || {}).is_some());
    }

    #[test]
    fn a_step_that_outlives_its_run_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let held = take(dir.path(), false, || {}).unwrap();
        let step = File::options().write(true).open(held.step_file()).unwrap();
        step.lock().unwrap();
        drop(held);
        assert!(take(dir.path(), true, || {}).is_none());
        let mut waited = false;
        let taken = take(dir.path(), false, || {
            waited = true;
            step.unlock().unwrap();
        });
        assert!(taken.is_some() && waited);
    }
}
