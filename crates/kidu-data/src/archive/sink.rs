//! Where the entries of any archive go: every rule about names and sizes is enforced here.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::Path,
};

use kidu_core::Progress;

use super::{ArchiveKind, ArchiveLimits};
use crate::error::{DataError, Result};

/// Receives the entries of one archive and writes them below one folder.
pub(super) struct Sink<'a> {
    archive: &'a Path,
    kind: ArchiveKind,
    folder: &'a Path,
    limits: ArchiveLimits,
    /// Size of the archive in bytes.
    packed: u64,
    progress: &'a dyn Progress,
    entries: u64,
    total: u64,
    files: Vec<(String, u64)>,
    block: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        archive: &'a Path,
        kind: ArchiveKind,
        folder: &'a Path,
        limits: ArchiveLimits,
        packed: u64,
        progress: &'a dyn Progress,
    ) -> Self {
        let (files, block) = (Vec::new(), vec![0; 1 << 17]);
        Self { archive, kind, folder, limits, packed, progress, entries: 0, total: 0, files, block }
    }

    pub(super) fn begin(&self, entries: Option<u64>) {
        self.progress.begin("extract archive", "entries", entries);
    }

    /// Counts one entry of any kind.
    pub(super) fn count(&mut self) -> Result<()> {
        self.entries += 1;
        self.progress.advance(1);
        if self.entries > self.limits.max_entries {
            return Err(self.error(format!("holds more than {} entries; refused", self.limits.max_entries)));
        }
        Ok(())
    }

    /// Makes a folder.
    pub(super) fn folder(&mut self, name: &str) -> Result<()> {
        let plain = self.plain_name(name)?;
        if plain.is_empty() {
            return Ok(());
        }
        self.create_folder(name, &self.folder.join(plain))
    }

    /// Writes a file. `packed` is its size in the archive where that is known.
    pub(super) fn file(&mut self, name: &str, packed: Option<u64>, mut content: impl Read) -> Result<()> {
        let plain = self.plain_name(name)?;
        if plain.is_empty() {
            return Err(self.entry_error(name, "is a file without a name"));
        }
        let path = self.folder.join(&plain);
        if let Some(parent) = path.parent() {
            self.create_folder(name, parent)?;
        }
        let mut out = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists | ErrorKind::IsADirectory => self.entry_error(name, "stands twice"),
            _ => DataError::io("write", &path, e),
        })?;
        let mut bytes = 0u64;
        loop {
            let n = match content.read(&mut self.block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.damaged(&e)),
            };
            bytes += n as u64;
            self.total += n as u64;
            self.check_sizes(name, bytes, packed)?;
            out.write_all(&self.block[..n]).map_err(|e| DataError::io("write", &path, e))?;
        }
        self.files.push((plain, bytes));
        Ok(())
    }

    /// Everything that was written, sorted by path.
    pub(super) fn finish(mut self) -> Result<Vec<(String, u64)>> {
        if self.files.is_empty() {
            return Err(self.error("holds no file".into()));
        }
        self.files.sort_unstable();
        Ok(self.files)
    }

    /// An error about the archive as a whole.
    pub(super) fn error(&self, reason: String) -> DataError {
        DataError::Archive { path: self.archive.into(), reason }
    }

    /// An error about one entry.
    pub(super) fn entry_error(&self, entry: &str, reason: &str) -> DataError {
        DataError::ArchiveEntry { path: self.archive.into(), entry: entry.into(), reason: reason.into() }
    }

    /// The archive cannot be read to its end.
    pub(super) fn damaged(&self, reason: &dyn std::fmt::Display) -> DataError {
        self.error(format!("is not a whole {} archive ({reason}); copy or make it again", self.kind.name()))
    }

    fn check_sizes(&self, name: &str, bytes: u64, packed: Option<u64>) -> Result<()> {
        let ArchiveLimits { max_total_bytes, max_ratio, .. } = self.limits;
        if self.total > max_total_bytes {
            return Err(self.error(format!("unpacks to more than {max_total_bytes} bytes; refused")));
        }
        let too_dense = |bytes: u64, packed: u64| {
            bytes > ArchiveLimits::RATIO_FLOOR && bytes > packed.max(1).saturating_mul(max_ratio)
        };
        if packed.is_some_and(|p| too_dense(bytes, p)) {
            return Err(self.entry_error(name, &format!("unpacks to more than {max_ratio} times its size")));
        }
        if too_dense(self.total, self.packed) {
            return Err(self.error(format!("unpacks to more than {max_ratio} times its size; refused")));
        }
        Ok(())
    }

    fn create_folder(&self, entry: &str, path: &Path) -> Result<()> {
        fs::create_dir_all(path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => self.entry_error(entry, "stands twice"),
            _ => DataError::io("create folder", path, e),
        })
    }

    /// The name without `.` and empty parts, or an error if it could lead out of the folder.
    fn plain_name(&self, name: &str) -> Result<String> {
        plain_name(name).map_err(|reason| self.entry_error(name, reason))
    }
}

/// The entry's name without `.` and empty parts, with forward slashes; refused if it could lead out of the folder on
/// any system.
fn plain_name(name: &str) -> Result<String, &'static str> {
    if name.starts_with('/') {
        return Err("has an absolute path");
    }
    if name.contains('\\') {
        return Err("has a backslash in its path");
    }
    if name.chars().any(char::is_control) {
        return Err("has a control character in its path");
    }
    if name.len() > 4096 {
        return Err("has a path longer than 4096 bytes");
    }
    let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.contains(&"..") {
        return Err("leaves the folder (..)");
    }
    // A drive such as C: would be an absolute path elsewhere.
    if parts.first().is_some_and(|p| p.len() > 1 && p.as_bytes()[1] == b':' && p.as_bytes()[0].is_ascii_alphabetic()) {
        return Err("has an absolute path (a drive)");
    }
    if parts.iter().any(|p| p.len() > 255) {
        return Err("has a name longer than 255 bytes");
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_plain_or_refused() {
        assert_eq!(plain_name("./a//b.jpg").unwrap(), "a/b.jpg");
        assert_eq!(plain_name("a..b/c").unwrap(), "a..b/c");
        for evil in ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "C:/x", "a/\0", "..", "a/.."] {
            assert!(plain_name(evil).is_err(), "{evil}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_name_stays_inside(name in r"[a./\\:]{0,12}") {
            if let Ok(plain) = plain_name(&name) {
                prop_assert!(plain.is_empty() || kidu_core::dataset::is_inside(&plain), "{} -> {}", name, plain);
            }
        }
    }
}
