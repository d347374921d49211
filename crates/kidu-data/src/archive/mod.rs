//! Archives of images: extracted once, whole or not at all, and never outside their own folder.

mod sink;
mod tar_file;
mod zip_file;

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, files};
use serde::{Deserialize, Serialize};

use self::sink::Sink;
use crate::error::{DataError, Result};

/// Bounds on what an archive may unpack to. They stop archives made to fill the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Bytes of all entries together.
    pub max_total_bytes: u64,
    /// Number of entries, folders included.
    pub max_entries: u64,
    /// Unpacked bytes for each packed byte, of one entry (zip) and of the whole archive. Photographs hardly shrink, so
    /// a high ratio is no dataset. Not applied to the first [`ArchiveLimits::RATIO_FLOOR`] bytes.
    pub max_ratio: u64,
}

impl ArchiveLimits {
    /// Below this many unpacked bytes (16 MiB) the ratio does not matter.
    pub const RATIO_FLOOR: u64 = 16 << 20;
}

impl Default for ArchiveLimits {
    /// 20 GiB, a million entries, a ratio of 100.
    fn default() -> Self {
        Self { max_total_bytes: 20 << 30, max_entries: 1_000_000, max_ratio: 100 }
    }
}

/// The kinds of archives that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveKind {
    /// `.zip`
    Zip,
    /// `.tar`
    Tar,
    /// `.tar.gz` or `.tgz`
    TarGz,
}

impl ArchiveKind {
    /// By the file's name, in any case; `None` when it is no archive that is read.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        match name {
            n if n.ends_with(".zip") => Some(Self::Zip),
            n if n.ends_with(".tar.gz") || n.ends_with(".tgz") => Some(Self::TarGz),
            n if n.ends_with(".tar") => Some(Self::Tar),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
        }
    }
}

/// What was extracted, written beside the folder when it is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Hash of the archive.
    sha256: Sha256Hex,
    /// Path inside the folder and size in bytes of each file.
    files: Vec<(String, u64)>,
}

impl Record {
    /// Whether every file is still there with its size: a crash or a person may have changed the folder.
    fn describes(&self, folder: &Path, sha256: &Sha256Hex) -> bool {
        let whole = |(path, bytes): &(String, u64)| {
            fs::metadata(folder.join(path)).is_ok_and(|m| m.is_file() && m.len() == *bytes)
        };
        self.sha256 == *sha256 && self.files.iter().all(whole)
    }
}

/// What a dataset is read from: an archive's extracted folder (see [`extract`]), anything else as it is.
///
/// # Errors
/// As [`extract`].
pub fn opened<'a>(source: &'a Path, out_dir: &Path, progress: &dyn Progress) -> Result<Cow<'a, Path>> {
    match ArchiveKind::of(source) {
        Some(_) if source.is_file() => Ok(Cow::Owned(extract(source, out_dir, &ArchiveLimits::default(), progress)?)),
        _ => Ok(Cow::Borrowed(source)),
    }
}

/// Extracts an archive to `<out_dir>/images/<first 12 digits of its SHA-256>` and returns that folder. A folder that
/// holds the same archive already is used as it is. The folder appears whole, by a rename, or not at all.
///
/// # Errors
/// [`DataError::Archive`] for a damaged archive or one beyond the limits, [`DataError::ArchiveEntry`] for an entry that
/// is absolute, leaves the folder, stands twice or is not a plain file or folder, and I/O errors (a full disk).
pub fn extract(archive: &Path, out_dir: &Path, limits: &ArchiveLimits, progress: &dyn Progress) -> Result<PathBuf> {
    let Some(kind) = ArchiveKind::of(archive) else {
        return Err(DataError::Source { path: archive.into(), reason: "is not an archive that can be read".into() });
    };
    let sha256 = Sha256Hex::of_file(archive)?;
    let parent = out_dir.join("images");
    files::create_dir_all(&parent)?;
    // Two runs may share the folder; the lock goes with the file handle.
    let _lock = lock(&parent)?;
    let target = parent.join(sha256.short());
    let record_path = parent.join(format!("{}.json", sha256.short()));
    if files::read_json::<Record>(&record_path, "record of an extraction").is_ok_and(|r| r.describes(&target, &sha256))
    {
        progress.note(&format!("{} is already extracted in {}", archive.display(), target.display()));
        return Ok(target);
    }
    remove_leftovers(&parent, &target)?;
    let staging = tempfile::Builder::new()
        .prefix(STAGING)
        .tempdir_in(&parent)
        .map_err(|e| DataError::io("create a folder in", &parent, e))?;
    let files = fill(archive, kind, staging.path(), limits, progress)?;
    set_usual_mode(staging.path())?;
    fs::rename(staging.path(), &target).map_err(|e| DataError::io("rename a folder to", &target, e))?;
    // Renamed away: there is nothing left to remove.
    let _ = staging.keep();
    files::write_json(&record_path, &Record { sha256, files })?;
    Ok(target)
}

const STAGING: &str = ".tmp-";

fn fill(
    archive: &Path,
    kind: ArchiveKind,
    folder: &Path,
    limits: &ArchiveLimits,
    progress: &dyn Progress,
) -> Result<Vec<(String, u64)>> {
    let packed = fs::metadata(archive).map_err(|e| DataError::io("read", archive, e))?.len();
    let mut sink = Sink::new(archive, kind, folder, *limits, packed, progress);
    let result = match kind {
        ArchiveKind::Zip => zip_file::extract(archive, &mut sink),
        ArchiveKind::Tar => tar_file::extract(archive, false, &mut sink),
        ArchiveKind::TarGz => tar_file::extract(archive, true, &mut sink),
    };
    progress.end();
    result?;
    sink.finish()
}

/// What a killed run left, and a folder that no longer agrees with its record.
fn remove_leftovers(parent: &Path, target: &Path) -> Result<()> {
    let entries = fs::read_dir(parent).map_err(|e| DataError::io("list", parent, e))?;
    for entry in entries.filter_map(io::Result::ok) {
        let path = entry.path();
        if path.is_dir() && (path == target || entry.file_name().to_string_lossy().starts_with(STAGING)) {
            fs::remove_dir_all(&path).map_err(|e| DataError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn lock(parent: &Path) -> Result<File> {
    let path = parent.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| DataError::io("open", &path, e))?;
    file.lock().map_err(|e| DataError::io("lock", &path, e))?;
    Ok(file)
}

/// Temporary folders are made private (0700); what stays gets the usual mode.
#[cfg(unix)]
fn set_usual_mode(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(|e| DataError::io("set the mode of", folder, e))
}

#[cfg(not(unix))]
fn set_usual_mode(_: &Path) -> Result<()> {
    Ok(())
}
