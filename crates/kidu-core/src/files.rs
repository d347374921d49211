//! Writes that never leave half a file: temporary file in the same folder, fsync, rename.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// How the temporary files of [`write_atomic`] are named: this, and so many random letters and digits.
const TEMPORARY: &str = ".tmp-";
const RANDOM: usize = 6;

/// Replaces `path` by `bytes`, whole or not at all, even over a power cut. Missing parent folders are made.
///
/// # Errors
/// [`Error::Io`]; the old content is then still in place.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomic`], with the content written by a function.
///
/// # Errors
/// [`Error::Io`]; the old content is then still in place.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    write(file.file()).map_err(|e| Error::io("write", path, e))?;
    file.commit()
}

/// Writes `path` whole unless something is there already: of several writers, in any process, one alone gets `true`.
/// Missing parent folders are made.
///
/// # Errors
/// [`Error::Io`]; nothing is then written.
pub fn create_atomic(path: &Path, bytes: &[u8]) -> Result<bool> {
    let mut file = AtomicFile::create(path)?;
    file.file().write_all(bytes).map_err(|e| Error::io("write", path, e))?;
    file.sync()?;
    match file.temporary.persist_noclobber(path) {
        Ok(_) => {
            sync_dir(&parent_of(path));
            Ok(true)
        }
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io("write", path, e.error)),
    }
}

/// A file that is written over some time and appears under its name when it is whole. Dropped before that, it leaves
/// nothing.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins `path`, whose missing parent folders are made.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let parent = parent_of(path);
        create_dir_all(&parent)?;
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .rand_bytes(RANDOM)
            .tempfile_in(&parent)
            .map_err(|e| Error::io("create a file in", &parent, e))?;
        Ok(Self { temporary, path: path.to_path_buf() })
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Where the content is until [`AtomicFile::commit`], for writers that open it a second time.
    pub fn temporary_path(&self) -> &Path {
        self.temporary.path()
    }

    /// Puts the file in its place, over any that is there, even over a power cut.
    ///
    /// # Errors
    /// [`Error::Io`]; the old content is then still in place.
    pub fn commit(self) -> Result<()> {
        self.sync()?;
        self.temporary.persist(&self.path).map_err(|e| Error::io("write", &self.path, e.error))?;
        sync_dir(&parent_of(&self.path));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let file = self.temporary.as_file();
        set_default_mode(file).and_then(|()| file.sync_all()).map_err(|e| Error::io("write", &self.path, e))
    }
}

/// Removes from a folder (not from those below it) the temporary files that an interrupted [`write_atomic`] left, known
/// by their names. Only for a folder in which nobody else writes at the moment: their temporary files look the same.
/// Returns what was removed; no folder, nothing removed.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_temporaries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", dir, e)),
    };
    let mut removed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", dir, e))?;
        let ours = entry.file_name().to_str().is_some_and(is_temporary);
        // Not followed: a link of that name is somebody else's.
        if ours && entry.file_type().is_ok_and(|t| t.is_file()) {
            fs::remove_file(entry.path()).map_err(|e| Error::io("remove", entry.path(), e))?;
            removed.push(entry.path());
        }
    }
    Ok(removed)
}

/// Whether a name is one of [`write_atomic`]'s temporary files.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|tail| tail.len() == RANDOM && tail.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Writes a value as pretty JSON, atomically, with a final newline.
///
/// # Errors
/// [`Error::Io`], or [`Error::Json`] for a value that JSON cannot hold.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|source| Error::Json {
        what: "JSON value",
        path: path.to_path_buf(),
        source,
    })?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

/// Reads a JSON file; `what` names its meaning in the error message.
///
/// # Errors
/// [`Error::Io`] or [`Error::Json`].
pub fn read_json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { what, path: path.to_path_buf(), source })
}

/// Makes a folder and its parents.
///
/// # Errors
/// [`Error::Io`].
pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("create folder", path, e))
}

/// The folder that holds `path`, `.` for a bare name.
pub fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Makes a rename durable. Best effort: some file systems refuse to sync a folder, and the data is already safe.
pub(crate) fn sync_dir(dir: &Path) {
    if let Ok(handle) = File::open(dir) {
        let _ = handle.sync_all();
    }
}

/// Temporary files are made private (0600); what replaces a user's file gets the usual mode.
#[cfg(unix)]
fn set_default_mode(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_default_mode(_: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_content_and_leaves_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"old").unwrap();
        let failed = write_atomic_with(&path, |f| {
            f.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_not_created_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/a");
        assert!(create_atomic(&path, b"first").unwrap());
        assert!(!create_atomic(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_write_left_is_known_by_its_name_and_nothing_else_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        // The name while a write is under way, as a kill would leave it.
        let mut name = PathBuf::new();
        write_atomic_with(&dir.path().join("a.json"), |file| {
            file.write_all(b"half")?;
            name = fs::read_dir(dir.path())?.flatten().map(|e| e.path()).next().unwrap_or_default();
            Ok(())
        })
        .unwrap();
        let kept = [".tmp-notes.txt", ".tmp-", ".tmp-long123", "tmp-abc123", ".tmp-ab_123"];
        for name in kept {
            fs::write(dir.path().join(name), "mine").unwrap();
        }
        fs::create_dir(dir.path().join(".tmp-folder")).unwrap();
        fs::write(&name, "half").unwrap();
        assert_eq!(remove_temporaries(dir.path()).unwrap(), [name]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), kept.len() + 2);
        assert!(remove_temporaries(&dir.path().join("none")).unwrap().is_empty());
    }
}
