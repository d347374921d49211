//! Names of runs and the time.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rand::Rng;

use crate::error::{Error, Result};

/// The present moment in UTC, RFC 3339 with seconds: `2026-11-23T08:02:47Z`.
pub fn timestamp() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A new run id: UTC time and four random hexadecimal digits, so that ids sort by time and do not collide.
pub fn new_run_id() -> String {
    let tail: u16 = (rand::rng().next_u32() & 0xffff) as u16;
    format!("{}-{tail:04x}", Timestamp::now().strftime("%Y-%m-%d_%H-%M-%S"))
}

/// Makes the folder of a new run, `parent/<run id>`.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be made.
pub fn create_run_dir(parent: &Path) -> Result<PathBuf> {
    crate::files::create_dir_all(parent)?;
    loop {
        let dir = parent.join(new_run_id());
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("create folder", &dir, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sortable_and_folders_unique() {
        let dir = tempfile::tempdir().unwrap();
        let a = create_run_dir(dir.path()).unwrap();
        let b = create_run_dir(dir.path()).unwrap();
        assert_ne!(a, b);
        assert_eq!(new_run_id().len(), "2026-11-23_08-02-47-ab12".len());
        assert!(timestamp().ends_with('Z'));
    }
}
