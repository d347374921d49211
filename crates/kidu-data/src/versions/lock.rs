//! Who may use a store at a time: one writer, or any number of readers.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use kidu_core::Progress;

use super::error::{Result, VersionError};

const FILE: &str = ".lock";

/// A held lock; given back when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Held {
    /// None on a file system without locks, or for a reader who may not write there.
    _file: Option<File>,
}

/// Waits until nobody else uses the store.
pub(super) fn exclusive(store: &Path, progress: &dyn Progress) -> Result<Held> {
    let path = store.join(FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    hold(file.map_err(|e| VersionError::io("open", &path, e))?, progress, File::try_lock, File::lock)
}

/// Waits until nobody changes the store. A store that cannot be written to is read without a lock.
pub(super) fn shared(store: &Path, progress: &dyn Progress) -> Result<Held> {
    let path = store.join(FILE);
    match File::options().create(true).truncate(false).write(true).open(&path).or_else(|_| File::open(&path)) {
        Ok(file) => hold(file, progress, File::try_lock_shared, File::lock_shared),
        Err(_) => Ok(Held { _file: None }),
    }
}

fn hold(
    file: File,
    progress: &dyn Progress,
    attempt: impl Fn(&File) -> Result<(), TryLockError>,
    wait: impl Fn(&File) -> std::io::Result<()>,
) -> Result<Held> {
    match attempt(&file) {
        Ok(()) => Ok(Held { _file: Some(file) }),
        Err(TryLockError::WouldBlock) => {
            progress.note("another process uses the version store: waiting until it ends");
            wait(&file).map_err(|e| VersionError::io("lock", FILE, e))?;
            Ok(Held { _file: Some(file) })
        }
        Err(TryLockError::Error(_)) => Ok(Held { _file: None }),
    }
}
