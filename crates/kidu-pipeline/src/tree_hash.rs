//! The content hash of a file or a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{ContentHasher, Sha256Hex};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Content of a file or folder in one number: names below it and bytes count; times, owners and where it is do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeHash {
    /// The hash: a file's own SHA-256, or that of a folder's sorted list of names and hashes.
    pub sha256: Sha256Hex,
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Hashes a file or everything below a folder. Links to files count as the files; empty folders do not count.
///
/// # Errors
/// [`Error::Core`] if something cannot be read, or for a link to a folder, which might lead anywhere.
pub fn hash_path(path: &Path) -> Result<TreeHash> {
    let meta = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    if !meta.is_dir() {
        return Ok(TreeHash { sha256: Sha256Hex::of_file(path)?, files: 1, bytes: meta.len() });
    }
    let mut files = Vec::new();
    list(path, &mut files)?;
    files.sort_unstable();
    let (mut hasher, mut bytes) = (ContentHasher::new("kidu folder 1"), 0);
    for file in &files {
        bytes += fs::metadata(file).map_err(|e| Error::io("read", file, e))?.len();
        let name: Vec<&[u8]> = match file.strip_prefix(path) {
            Ok(relative) => relative.iter().map(std::ffi::OsStr::as_encoded_bytes).collect(),
            Err(_) => vec![file.as_os_str().as_encoded_bytes()],
        };
        hasher = hasher.field("name", name.join(&b'/')).field("sha256", Sha256Hex::of_file(file)?.as_str());
    }
    Ok(TreeHash { sha256: hasher.finish(), files: files.len() as u64, bytes })
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|e| Error::io("read folder", dir, e))? {
        let entry = entry.map_err(|e| Error::io("read folder", dir, e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| Error::io("read", &path, e))?;
        if kind.is_dir() {
            list(&path, files)?;
        } else if kind.is_symlink() && path.is_dir() {
            let reason = "is a link to a folder, which is not followed; copy the files in its place";
            return Err(kidu_core::Error::format(&path, reason).into());
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        kidu_core::files::write_atomic(&dir.join(name), text.as_bytes()).unwrap();
    }

    #[test]
    fn names_and_bytes_count_and_place_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("deep/b"));
        for folder in [&a, &b] {
            write(folder, "x/1", "one");
            write(folder, "2", "two");
        }
        let hash = hash_path(&a).unwrap();
        assert_eq!(hash, hash_path(&b).unwrap());
        assert_eq!((hash.files, hash.bytes), (2, 6));
        fs::rename(b.join("2"), b.join("3")).unwrap();
        assert_ne!(hash.sha256, hash_path(&b).unwrap().sha256);
        write(&a, "2", "tow");
        assert_ne!(hash.sha256, hash_path(&a).unwrap().sha256);
        assert!(hash_path(&dir.path().join("none")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        assert!(hash_path(dir.path()).unwrap_err().to_string().contains("link to a folder"));
    }
}
