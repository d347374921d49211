//! The folder that keeps versions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Sha256Hex, files, journal::Journal, progress::Silent};
use serde::{Deserialize, Serialize};

use super::{
    error::{Result, VersionError},
    lock,
    log::LogEntry,
    objects::{self, Objects},
    version::Version,
};

/// Name of the store beside a dataset's folder.
pub(super) const STORE_FOLDER: &str = ".kidu-data";

const RECORD: &str = "store.json";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    format_version: u32,
}

/// A folder of versions: `objects/` with the contents, `versions/` with a JSON file for each, `tags/`, `log.jsonl`, and
/// `index/`, which only saves time.
#[derive(Debug)]
pub struct VersionStore {
    dir: PathBuf,
    pub(super) objects: Objects,
}

impl VersionStore {
    /// Where the store of a dataset is unless somebody says otherwise: `.kidu-data` beside the dataset's folder, archive
    /// or list.
    ///
    /// # Errors
    /// An I/O error for a path that does not exist or has nothing beside it.
    pub fn beside(data: &Path) -> Result<PathBuf> {
        let full = data.canonicalize().map_err(|e| VersionError::io("read", data, e))?;
        match full.parent() {
            // Of a list the folder is the dataset.
            Some(folder) if full.is_file() => Self::beside(folder),
            Some(parent) => Ok(parent.join(STORE_FOLDER)),
            None => {
                Err(VersionError::Source { path: data.into(), reason: "has nothing beside it; give --store".into() })
            }
        }
    }

    /// As [`VersionStore::beside`], for data that need not exist (yet, or any more).
    pub fn beside_name(data: &Path) -> PathBuf {
        Self::beside(data).unwrap_or_else(|_| files::parent_of(data).join(STORE_FOLDER))
    }

    /// Opens a store.
    ///
    /// # Errors
    /// [`VersionError::NoStore`], or [`VersionError::Store`] for another format.
    pub fn open(dir: &Path) -> Result<Self> {
        let record = dir.join(RECORD);
        if !record.is_file() {
            return Err(VersionError::NoStore { path: dir.into() });
        }
        let Record { format_version } = files::read_json(&record, "version store")?;
        if format_version != FORMAT {
            let reason = format!("its format version {format_version} is not {FORMAT}; use the Kidu that made it");
            return Err(VersionError::Store { path: dir.into(), reason });
        }
        let dir = dir.canonicalize().map_err(|e| VersionError::io("read", dir, e))?;
        Ok(Self { objects: Objects::new(&dir), dir })
    }

    /// Opens a store, which is made if the folder does not exist or is empty.
    ///
    /// # Errors
    /// [`VersionError::Store`] for a folder with something else in it.
    pub fn create(dir: &Path) -> Result<Self> {
        if !dir.join(RECORD).is_file() {
            let known = [".lock", ".gitignore", RECORD];
            let is_known = |p: &PathBuf| {
                let name = p.file_name().unwrap_or_default().to_string_lossy();
                known.iter().any(|k| *k == name) || name.starts_with(".tmp-")
            };
            if dir.is_file() || !objects::entries(dir)?.iter().all(is_known) {
                let reason = "something else is there; name another folder by --store".to_string();
                return Err(VersionError::Store { path: dir.into(), reason });
            }
            files::create_dir_all(dir)?;
            // The writes of another who makes it at the same moment are not to be taken for leftovers.
            let _held = lock::exclusive(dir, &Silent)?;
            if !dir.join(RECORD).is_file() {
                // A store is no matter of the repository that the data may lie in.
                files::write_atomic(&dir.join(".gitignore"), b"*\n")?;
                files::write_json(&dir.join(RECORD), &Record { format_version: FORMAT })?;
            }
        }
        Self::open(dir)
    }

    /// The folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads a version by its whole id.
    ///
    /// # Errors
    /// [`VersionError::Core`] if it is missing or damaged.
    pub fn load(&self, id: &Sha256Hex) -> Result<Version> {
        let path = self.version_file(id);
        let version = Version::load(&path)?;
        if version.id != *id {
            let reason = "holds another version than its name says; restore the file";
            return Err(kidu_core::Error::format(path, reason).into());
        }
        Ok(version)
    }

    /// Whether a version is there.
    pub fn has(&self, id: &Sha256Hex) -> bool {
        self.version_file(id).is_file()
    }

    /// The ids of all versions, sorted.
    ///
    /// # Errors
    /// An I/O error.
    pub fn ids(&self) -> Result<Vec<Sha256Hex>> {
        let files = objects::entries(&self.dir.join("versions"))?;
        let id = |p: &PathBuf| Sha256Hex::parse(p.file_name()?.to_str()?.strip_suffix(".json")?);
        let mut ids: Vec<_> = files.iter().filter_map(id).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether the store holds every content of a version, by name and size.
    ///
    /// # Errors
    /// [`VersionError::Object`] for the first that is missing.
    pub fn check_complete(&self, version: &Version) -> Result<()> {
        match version.files.iter().find(|f| !self.objects.has(&f.sha256, f.bytes)) {
            None => Ok(()),
            Some(file) => Err(VersionError::Object {
                object: self.objects.path(&file.sha256).display().to_string(),
                path: file.path.clone(),
                reason: "is missing or has another size",
            }),
        }
    }

    /// Where checkouts for training are kept, one folder for each version.
    pub(super) fn pinned_dir(&self, id: &Sha256Hex) -> PathBuf {
        self.dir.join("checkouts").join(id.short())
    }

    pub(super) fn version_file(&self, id: &Sha256Hex) -> PathBuf {
        self.dir.join("versions").join(format!("{id}.json"))
    }

    pub(super) fn tags_dir(&self) -> PathBuf {
        self.dir.join("tags")
    }

    pub(super) fn journal(&self) -> Journal<LogEntry> {
        Journal::new(self.dir.join("log.jsonl"))
    }

    /// Writes a version unless it is there; says whether it is new.
    pub(super) fn write(&self, version: &Version) -> Result<bool> {
        let path = self.version_file(&version.id);
        if path.is_file() {
            // One that a disk fault damaged is written anew: the id says that the content is the same.
            if Version::load(&path).is_ok() {
                return Ok(false);
            }
            objects::remove(&path)?;
        }
        let mut bytes = serde_json::to_vec(version).map_err(|e| kidu_core::Error::format(&path, e.to_string()))?;
        bytes.push(b'\n');
        Ok(files::create_atomic(&path, &bytes)?)
    }

    /// Removes what interrupted writes left. Only for the one who holds the store alone.
    pub(super) fn tidy(&self) -> Result<usize> {
        let mut removed = 0;
        for path in self.objects.leftovers()? {
            objects::remove(&path)?;
            removed += 1;
        }
        for folder in ["", "versions", "tags", "index"] {
            removed += files::remove_temporaries(&self.dir.join(folder))?.len();
        }
        Ok(removed)
    }

    /// Refuses a folder that lies in the store or holds it.
    pub(super) fn refuse_own(&self, dir: &Path) -> Result<()> {
        let full = fs::canonicalize(dir).unwrap_or_else(|_| dir.into());
        if full.starts_with(&self.dir) || self.dir.starts_with(&full) {
            let reason = format!("the version store {} lies in the way; name another folder", self.dir.display());
            return Err(VersionError::Target { dir: dir.into(), reason });
        }
        Ok(())
    }
}
