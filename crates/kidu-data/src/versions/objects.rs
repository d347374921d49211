//! File contents by their SHA-256, read-only, each once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Sha256Hex, files};
use serde::{Deserialize, Serialize};

use super::{
    error::{Result, VersionError},
    version::VersionFile,
};

/// How a file gets from one place to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkMode {
    /// A copy. File systems that can (Btrfs, XFS, APFS) share the blocks until one of the two is written to.
    #[default]
    Copy,
    /// A hard link, which takes no space. Both names are one file and it is made read-only: writing through either would
    /// change the store's content. Where the file system cannot link, a copy.
    Hard,
}

/// Temporary files begin so; the same name stands for nothing else in the store.
const TEMPORARY: &str = "tmp";

/// The contents of a store.
#[derive(Debug)]
pub(super) struct Objects {
    dir: PathBuf,
    temporary: PathBuf,
}

impl Objects {
    pub(super) fn new(store: &Path) -> Self {
        Self { dir: store.join("objects"), temporary: store.join(TEMPORARY) }
    }

    /// Where a content is.
    pub(super) fn path(&self, hash: &Sha256Hex) -> PathBuf {
        let (shard, rest) = hash.as_str().split_at(2);
        self.dir.join(shard).join(rest)
    }

    /// Whether a content is there with its size.
    pub(super) fn has(&self, hash: &Sha256Hex, bytes: u64) -> bool {
        fs::symlink_metadata(self.path(hash)).is_ok_and(|m| m.is_file() && m.len() == bytes)
    }

    /// Takes in a file whose content must have this hash; says whether it had. The object appears whole or not at all.
    pub(super) fn add(&self, from: &Path, hash: &Sha256Hex, link: LinkMode) -> Result<bool> {
        files::create_dir_all(&self.temporary)?;
        let temporary = tempfile::Builder::new()
            .tempfile_in(&self.temporary)
            .map_err(|e| VersionError::io("create a file in", &self.temporary, e))?
            .into_temp_path();
        transfer(from, &temporary, link)?;
        if Sha256Hex::of_file(&temporary)? != *hash {
            return Ok(false);
        }
        set_mode(&temporary, 0o444)?;
        if SYNC_EACH {
            fs::File::open(&temporary).and_then(|f| f.sync_all()).map_err(|e| VersionError::io("write", from, e))?;
        }
        let to = self.path(hash);
        files::create_dir_all(&files::parent_of(&to))?;
        temporary.persist(&to).map_err(|e| VersionError::io("write", &to, e.error))?;
        Ok(true)
    }

    /// Writes a content to a new file and checks it. `file.path` is for the message only.
    pub(super) fn restore(&self, file: &VersionFile, to: &Path, link: LinkMode) -> Result<()> {
        let from = self.path(&file.sha256);
        let broken =
            |reason| VersionError::Object { object: from.display().to_string(), path: file.path.clone(), reason };
        if !from.is_file() {
            return Err(broken("is missing"));
        }
        transfer(&from, to, link)?;
        if Sha256Hex::of_file(to)? != file.sha256 {
            let _ = fs::remove_file(to);
            return Err(broken("does not have the content that its name says"));
        }
        if link == LinkMode::Copy { set_mode(to, 0o644) } else { Ok(()) }
    }

    /// All contents that are there, sorted, each with its file and size. Files of other names are left out.
    pub(super) fn all(&self) -> Result<Vec<(Sha256Hex, PathBuf, u64)>> {
        let mut all = Vec::new();
        for shard in entries(&self.dir)? {
            let Some(head) = shard.file_name().and_then(|n| n.to_str()).filter(|n| n.len() == 2) else { continue };
            for path in entries(&shard)? {
                let name = path.file_name().and_then(|n| n.to_str()).map(|n| format!("{head}{n}"));
                if let Some(hash) = name.filter(|n| !n.contains(|c: char| c.is_ascii_uppercase()))
                    && let Some(hash) = Sha256Hex::parse(&hash)
                    && let Ok(metadata) = fs::symlink_metadata(&path)
                    && metadata.is_file()
                {
                    all.push((hash, path, metadata.len()));
                }
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// What interrupted writes left. Only for the one who holds the store alone.
    pub(super) fn leftovers(&self) -> Result<Vec<PathBuf>> {
        entries(&self.temporary)
    }
}

/// Removes a read-only file.
pub(super) fn remove(path: &Path) -> Result<()> {
    // Windows refuses to remove what is read-only.
    if cfg!(windows) {
        let _ = set_mode(path, 0o644);
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(VersionError::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// What a folder holds, nothing if there is no such folder.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(VersionError::io("list", dir, e)),
    };
    let list = |e: std::io::Result<fs::DirEntry>| e.map(|e| e.path()).map_err(|e| VersionError::io("list", dir, e));
    read.map(list).collect()
}

/// Copies or links onto `to`, which may exist.
fn transfer(from: &Path, to: &Path, link: LinkMode) -> Result<()> {
    // A hard link to a symbolic link is one itself; and the file that it leads to is somebody else's, to be left writable.
    let is_plain = || fs::symlink_metadata(from).is_ok_and(|m| m.is_file());
    if link == LinkMode::Hard && is_plain() {
        let _ = fs::remove_file(to);
        if fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
    }
    // Shares blocks where the file system can.
    fs::copy(from, to).map(|_| ()).map_err(|e| VersionError::io("copy", from, e))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| VersionError::io("protect", path, e))
}

#[cfg(not(unix))]
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let io = |e| VersionError::io("protect", path, e);
    let mut permissions = fs::metadata(path).map_err(io)?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    fs::set_permissions(path, permissions).map_err(io)
}

/// Whether each file is made durable by itself, since the file system cannot be asked for all at once.
const SYNC_EACH: bool = !cfg!(target_os = "linux");

/// Makes everything written so far to the file system of `dir` survive a power cut. One call for thousands of small
/// files takes a moment, a call for each takes minutes.
#[cfg(target_os = "linux")]
pub(super) fn sync_all(dir: &Path) -> Result<()> {
    let folder = fs::File::open(dir).map_err(|e| VersionError::io("open", dir, e))?;
    rustix::fs::syncfs(&folder).map_err(|e| VersionError::io("write", dir, e.into()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sync_all(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, text: &str) -> (PathBuf, VersionFile) {
        let path = dir.join(format!("in-{text}"));
        fs::write(&path, text).unwrap();
        (path, super::super::version::tests::file("a/1", text, "", None))
    }

    #[test]
    fn a_content_goes_in_once_read_only_and_comes_out_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(&dir.path().join("s"));
        let (from, file) = put(dir.path(), "x");
        assert!(!objects.has(&file.sha256, 1));
        assert!(objects.add(&from, &file.sha256, LinkMode::Copy).unwrap());
        assert!(objects.has(&file.sha256, 1) && !objects.has(&file.sha256, 2));
        assert!(fs::metadata(objects.path(&file.sha256)).unwrap().permissions().readonly());
        assert!(!fs::metadata(&from).unwrap().permissions().readonly());
        let to = dir.path().join("out");
        objects.restore(&file, &to, LinkMode::Copy).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"x");
        assert!(!fs::metadata(&to).unwrap().permissions().readonly());
        assert_eq!(objects.all().unwrap().len(), 1);
    }

    #[test]
    fn content_that_is_not_what_it_should_be_goes_neither_in_nor_out() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(&dir.path().join("s"));
        let (from, file) = put(dir.path(), "x");
        assert!(!objects.add(&from, &Sha256Hex::of_bytes(b"y"), LinkMode::Copy).unwrap());
        assert!(objects.leftovers().unwrap().is_empty() && objects.all().unwrap().is_empty());
        let to = dir.path().join("out");
        let message = objects.restore(&file, &to, LinkMode::Copy).unwrap_err().to_string();
        assert!(message.contains("is missing") && message.contains("a/1"), "{message}");
        objects.add(&from, &file.sha256, LinkMode::Copy).unwrap();
        set_mode(&objects.path(&file.sha256), 0o644).unwrap();
        fs::write(objects.path(&file.sha256), "z").unwrap();
        for link in [LinkMode::Copy, LinkMode::Hard] {
            assert!(objects.restore(&file, &to, link).unwrap_err().to_string().contains("verify"));
            assert!(!to.exists());
        }
    }

    #[cfg(unix)]
    #[test]
    fn hard_links_are_one_read_only_file() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(&dir.path().join("s"));
        let (from, file) = put(dir.path(), "x");
        objects.add(&from, &file.sha256, LinkMode::Hard).unwrap();
        let to = dir.path().join("out");
        objects.restore(&file, &to, LinkMode::Hard).unwrap();
        let stat = |p: &Path| fs::metadata(p).unwrap();
        assert_eq!(stat(&to).ino(), stat(&from).ino());
        assert!(stat(&from).permissions().readonly());
    }
}
