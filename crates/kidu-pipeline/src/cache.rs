//! The step cache: outputs of steps by the content of everything they depend on.
//!
//! `DIR/KEY/step.json` says what went in and what came out, `DIR/KEY/out/` holds the outputs. A step writes into
//! `DIR/.work-KEY/out/`, at the same depth, so that relative paths inside its files stay right; the folder gets its
//! final name in one rename, after `step.json` is in it. A crash therefore leaves no entry that looks whole.
//!
//! Who makes a key holds its locks, see [`crate::key_lock`].

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use kidu_core::{Sha256Hex, files, run::timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    fingerprint::Parts,
    graph::Step,
    key_lock::KeyLock,
    tree_hash::{TreeHash, hash_path},
};

/// Content of `step.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// Version of this format, [`CacheEntry::FORMAT`].
    pub format_version: u32,
    /// The pipeline that ran the step.
    pub pipeline: String,
    /// The step.
    pub step: String,
    /// Its key.
    pub key: Sha256Hex,
    /// What went into the key.
    pub parts: Parts,
    /// What came out, by output name.
    pub outputs: BTreeMap<String, CachedOutput>,
    /// When it started, RFC 3339.
    pub started: String,
    /// When it finished, RFC 3339.
    pub finished: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl CacheEntry {
    /// The version of the format that this code writes and reads.
    pub const FORMAT: u32 = 1;
}

/// One output of a cached step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedOutput {
    /// Relative to the step's folder.
    pub path: String,
    /// Its content.
    #[serde(flatten)]
    pub hash: TreeHash,
}

/// What the cache has for a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// The outputs, verified.
    Hit(Box<CacheEntry>),
    /// Nothing.
    Missing,
    /// Something that cannot be used, with the reason as a clause.
    Damaged(String),
}

/// The last use of a step, for telling what changed since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUse {
    /// Its key then.
    pub key: Sha256Hex,
    /// What went into it.
    pub parts: Parts,
}

/// A folder in which a step works before its outputs are known to be whole.
#[derive(Debug)]
pub struct Work {
    dir: PathBuf,
    /// Whether an earlier, unfinished attempt left something in it.
    pub resumed: bool,
}

impl Work {
    /// Where the step writes.
    pub fn folder(&self) -> PathBuf {
        self.dir.join("out")
    }
}

/// The cache in a folder; several runs may share it.
#[derive(Clone, Debug)]
pub struct StepCache {
    dir: PathBuf,
}

impl StepCache {
    /// The cache in that folder, which is made when needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder that holds a key's outputs.
    pub fn folder(&self, key: &Sha256Hex) -> PathBuf {
        self.dir.join(key.as_str()).join("out")
    }

    fn entry_file(&self, key: &Sha256Hex) -> PathBuf {
        self.dir.join(key.as_str()).join("step.json")
    }

    /// What there is for a key; every output is hashed again, since sizes and times prove nothing.
    pub fn lookup(&self, key: &Sha256Hex) -> Lookup {
        let path = self.entry_file(key);
        if !path.exists() {
            return Lookup::Missing;
        }
        match files::read_json::<CacheEntry>(&path, "step cache entry") {
            Err(error) => Lookup::Damaged(format!("its cache entry cannot be read ({error})")),
            Ok(entry) if entry.format_version != CacheEntry::FORMAT || entry.key != *key => {
                Lookup::Damaged(format!("its cache entry {} is of another kind", path.display()))
            }
            Ok(entry) => match self.damage(&entry) {
                None => Lookup::Hit(Box::new(entry)),
                Some(damage) => Lookup::Damaged(damage),
            },
        }
    }

    fn damage(&self, entry: &CacheEntry) -> Option<String> {
        let folder = self.folder(&entry.key);
        entry.outputs.iter().find_map(|(name, output)| {
            let path = folder.join(&output.path);
            match hash_path(&path) {
                Ok(found) if found == output.hash => None,
                Ok(_) => Some(format!("its cached output '{name}' was changed on disk ({})", path.display())),
                Err(error) => Some(format!("its cached output '{name}' cannot be read ({error})")),
            }
        })
    }

    /// Waits until no other run makes the same step and no step of a run that is gone is still at it. `waiting` is
    /// called once if there is one. `None` when `stop` was raised meanwhile.
    ///
    /// # Errors
    /// [`Error::Core`] if the lock file cannot be made.
    pub fn lock(&self, key: &Sha256Hex, stop: &AtomicBool, waiting: impl FnOnce()) -> Result<Option<KeyLock>> {
        KeyLock::take(&self.dir.join("locks"), key, stop, waiting)
    }

    /// The folder for making a key's outputs. What an unfinished attempt left is kept only with `resume`. Call it with
    /// the key locked.
    ///
    /// # Errors
    /// [`Error::Core`].
    pub fn begin(&self, key: &Sha256Hex, resume: bool) -> Result<Work> {
        let dir = self.dir.join(format!(".work-{key}"));
        if !resume {
            remove(&dir)?;
        }
        let work = Work { resumed: has_content(&dir.join("out")), dir };
        files::create_dir_all(&work.folder())?;
        Ok(work)
    }

    /// Hashes what the step declares to have written and makes it the entry of the key, in one rename.
    ///
    /// # Errors
    /// [`Error::MissingOutput`], or [`Error::Core`].
    pub fn commit(&self, work: Work, pipeline: &str, step: &Step, made: Made) -> Result<CacheEntry> {
        let mut outputs = BTreeMap::new();
        for output in &step.outputs {
            let path = work.folder().join(&output.path);
            if !path.exists() {
                return Err(Error::MissingOutput { step: step.name.clone(), output: output.name.clone(), path });
            }
            let hash = hash_path(&path)?;
            outputs.insert(output.name.clone(), CachedOutput { path: output.path.clone(), hash });
        }
        let entry = CacheEntry {
            format_version: CacheEntry::FORMAT,
            pipeline: pipeline.into(),
            step: step.name.clone(),
            key: made.key,
            parts: made.parts,
            outputs,
            started: made.started,
            finished: timestamp(),
            seconds: made.seconds,
        };
        files::write_json(&work.dir.join("step.json"), &entry)?;
        let place = self.dir.join(entry.key.as_str());
        // A damaged or forced entry makes way; a crash here costs a rerun, never a wrong hit.
        let old = self.dir.join(format!(".old-{}", entry.key));
        remove(&old)?;
        if place.exists() {
            rename(&place, &old)?;
        }
        rename(&work.dir, &place)?;
        sync_folder(&self.dir);
        remove(&old)?;
        Ok(entry)
    }

    /// Takes what a step left unfinished out of the cache, into `to`.
    ///
    /// # Errors
    /// [`Error::Core`].
    pub fn abandon(&self, work: Work, to: &Path) -> Result<()> {
        if has_content(&work.folder()) {
            files::create_dir_all(&files::parent_of(to))?;
            remove(to)?;
            rename(&work.folder(), to)?;
        }
        remove(&work.dir)
    }

    /// The last use of a step, if it is known.
    pub fn last_use(&self, pipeline: &str, step: &str) -> Option<LastUse> {
        files::read_json(&self.last_file(pipeline, step), "last use of a step").ok()
    }

    /// Notes the use of a step.
    ///
    /// # Errors
    /// [`Error::Core`].
    pub fn note_use(&self, entry: &CacheEntry, pipeline: &str) -> Result<()> {
        let last = LastUse { key: entry.key.clone(), parts: entry.parts.clone() };
        Ok(files::write_json(&self.last_file(pipeline, &entry.step), &last)?)
    }

    fn last_file(&self, pipeline: &str, step: &str) -> PathBuf {
        self.dir.join("last").join(format!("{pipeline}.{step}.json"))
    }
}

/// What is known of a step that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its key.
    pub key: Sha256Hex,
    /// What went into the key.
    pub parts: Parts,
    /// When it started, RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

fn has_content(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

pub(crate) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir, e)),
        _ => Ok(()),
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename to", to, e))
}

/// Makes renames in a folder durable. Best effort: some file systems refuse to sync a folder.
pub(crate) fn sync_folder(dir: &Path) {
    if let Ok(handle) = File::open(dir) {
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_pipeline;

    fn made(parts: &Parts) -> Made {
        Made { key: parts.key("preprocess"), parts: parts.clone(), started: timestamp(), seconds: 0.1 }
    }

    fn fill(cache: &StepCache, text: &str) -> Sha256Hex {
        let pipeline = build_pipeline();
        let step = pipeline.step("preprocess").unwrap();
        let parts = Parts::of_definition(step, "1");
        let made = made(&parts);
        let key = made.key.clone();
        let work = cache.begin(&key, false).unwrap();
        fs::write(work.folder().join("manifest.json"), text).unwrap();
        cache.commit(work, "p", step, made).unwrap();
        key
    }

    #[test]
    fn an_entry_is_found_until_its_bytes_change() {
        let dir = tempfile::tempdir().unwrap();
        let cache = StepCache::new(dir.path());
        let key = fill(&cache, "one");
        assert!(matches!(cache.lookup(&key), Lookup::Hit(e) if e.outputs["dataset"].hash.bytes == 3));
        // Same size, and the time put back: only the hash can tell.
        let file = cache.folder(&key).join("manifest.json");
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "eno").unwrap();
        File::options().append(true).open(&file).unwrap().set_modified(time).unwrap();
        assert!(matches!(cache.lookup(&key), Lookup::Damaged(why) if why.contains("changed on disk")));
        assert_eq!(fill(&cache, "one"), key);
        assert!(matches!(cache.lookup(&key), Lookup::Hit(_)));
    }

    #[test]
    fn half_written_folders_are_never_hits() {
        let dir = tempfile::tempdir().unwrap();
        let cache = StepCache::new(dir.path());
        let key = fill(&cache, "one");
        fs::write(cache.entry_file(&key), "{\"format_version\": 1, \"pip").unwrap();
        assert!(matches!(cache.lookup(&key), Lookup::Damaged(_)));
        fs::remove_file(cache.entry_file(&key)).unwrap();
        assert_eq!(cache.lookup(&key), Lookup::Missing);
        fill(&cache, "two");
        assert!(matches!(cache.lookup(&key), Lookup::Hit(_)));
    }

    #[test]
    fn an_unfinished_attempt_is_kept_only_to_resume() {
        let dir = tempfile::tempdir().unwrap();
        let cache = StepCache::new(dir.path());
        let key = Sha256Hex::of_bytes(b"k");
        let work = cache.begin(&key, true).unwrap();
        assert!(!work.resumed);
        fs::write(work.folder().join("checkpoint"), "half").unwrap();
        assert!(cache.begin(&key, true).unwrap().resumed);
        assert_eq!(cache.lookup(&key), Lookup::Missing);
        let fresh = cache.begin(&key, false).unwrap();
        assert!(!fresh.resumed && !fresh.folder().join("checkpoint").exists());
    }

    #[test]
    fn a_missing_output_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = StepCache::new(dir.path());
        let pipeline = build_pipeline();
        let step = pipeline.step("preprocess").unwrap();
        let made = made(&Parts::of_definition(step, "1"));
        let work = cache.begin(&made.key, false).unwrap();
        let error = cache.commit(work, "p", step, made).unwrap_err().to_string();
        assert!(error.contains("without writing its output 'dataset'"), "{error}");
    }
}
