//! Predictions by the content of the image and the version of the model: bounded, and there after a restart.
//!
//! Two generations: what is new or asked for again goes into the young one; when that is full it becomes the old one, and
//! the old one is forgotten. So the least recently used half goes first, files are only ever appended to, and the whole
//! never has more bytes than were allowed.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use kidu_core::{Prediction, Sha256Hex, files};
use serde::{Deserialize, Serialize};

/// The key of a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The image's content.
    pub image: Sha256Hex,
    /// The model that predicted it, `name@version`.
    pub model: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    key: Key,
    prediction: Prediction,
}

/// A cache on disk, with all of it in memory. A cache that cannot be written works on in memory.
#[derive(Debug)]
pub struct PredictionCache {
    /// `None`: nothing is kept.
    inner: Option<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// Of one generation.
    max_bytes: u64,
    young: Generation,
    old: HashMap<Key, Prediction>,
    failed: bool,
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<Key, Prediction>,
    file: Option<File>,
    bytes: u64,
}

impl PredictionCache {
    /// A cache that keeps nothing.
    pub fn disabled() -> Self {
        Self { inner: None }
    }

    /// Opens the cache of a folder, or makes it. `max_bytes` bounds its files; 0 keeps nothing. Lines that cannot be read
    /// are left out: what they held is predicted again.
    ///
    /// # Errors
    /// [`kidu_core::Error::Io`] if the folder cannot be made or read.
    pub fn open(dir: &Path, max_bytes: u64) -> kidu_core::Result<Self> {
        if max_bytes == 0 {
            return Ok(Self::disabled());
        }
        files::create_dir_all(dir)?;
        let max_bytes = max_bytes / 2;
        let (entries, bytes, whole) = read(&young(dir), max_bytes)?;
        if !whole {
            // A torn tail would swallow the line that is written next.
            let lines: Vec<u8> = entries.iter().filter_map(|(k, p)| line(k, p)).flatten().collect();
            files::write_atomic(&young(dir), &lines)?;
        }
        let (old, ..) = read(&old(dir), max_bytes)?;
        let young = Generation { entries, file: None, bytes };
        let inner = Inner { dir: dir.into(), max_bytes, young, old, failed: false };
        Ok(Self { inner: Some(Mutex::new(inner)) })
    }

    /// What was predicted.
    pub fn get(&self, key: &Key) -> Option<Prediction> {
        let mut inner = self.inner.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = inner.young.entries.get(key) {
            return Some(found.clone());
        }
        let found = inner.old.get(key)?.clone();
        inner.insert(key.clone(), found.clone());
        Some(found)
    }

    /// Keeps a prediction.
    pub fn put(&self, key: Key, prediction: Prediction) {
        if let Some(inner) = &self.inner {
            inner.lock().unwrap_or_else(PoisonError::into_inner).insert(key, prediction);
        }
    }

    /// How many predictions it holds.
    pub fn len(&self) -> usize {
        let Some(inner) = &self.inner else { return 0 };
        let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.young.entries.len() + inner.old.keys().filter(|k| !inner.young.entries.contains_key(k)).count()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn insert(&mut self, key: Key, prediction: Prediction) {
        if self.young.entries.contains_key(&key) {
            return;
        }
        let Some(line) = line(&key, &prediction).filter(|l| l.len() as u64 <= self.max_bytes) else { return };
        if self.young.bytes + line.len() as u64 > self.max_bytes {
            self.age();
        }
        if let Err(error) = self.append(&line) {
            // The disk is full, or gone. Memory is bounded all the same.
            if !std::mem::replace(&mut self.failed, true) {
                tracing::warn!(%error, dir = %self.dir.display(), "predictions are not kept on disk");
            }
        } else {
            self.failed = false;
        }
        self.young.bytes += line.len() as u64;
        self.young.entries.insert(key, prediction);
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        let file = match &mut self.young.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().create(true).append(true).open(young(&self.dir))?),
        };
        file.write_all(line)
    }

    fn age(&mut self) {
        let young_file = young(&self.dir);
        let moved = fs::rename(&young_file, old(&self.dir));
        if let Err(error) = moved.or_else(|_| fs::remove_file(&young_file))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, dir = %self.dir.display(), "the cache of predictions cannot be renewed on disk");
        }
        self.old = std::mem::take(&mut self.young).entries;
    }
}

fn young(dir: &Path) -> PathBuf {
    dir.join("young.jsonl")
}

fn old(dir: &Path) -> PathBuf {
    dir.join("old.jsonl")
}

fn line(key: &Key, prediction: &Prediction) -> Option<Vec<u8>> {
    let line = Line { key: key.clone(), prediction: prediction.clone() };
    let mut text = serde_json::to_vec(&line).ok()?;
    text.push(b'\n');
    Some(text)
}

type Read = (HashMap<Key, Prediction>, u64, bool);

/// The entries of a file, its length, and whether each of its lines was whole.
fn read(path: &Path, max_bytes: u64) -> kidu_core::Result<Read> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((HashMap::new(), 0, true)),
        Err(e) => return Err(kidu_core::Error::io("read", path, e)),
    };
    let (mut entries, mut bytes, mut whole, mut text) = (HashMap::new(), 0u64, true, Vec::new());
    let mut reader = BufReader::new(file);
    loop {
        text.clear();
        // One line is never longer than a generation; a file that was allowed more before is cut here.
        let limit = (max_bytes + 1).saturating_sub(bytes);
        let n = std::io::Read::take(&mut reader, limit).read_until(b'\n', &mut text);
        match n.map_err(|e| kidu_core::Error::io("read", path, e))? {
            0 => return Ok((entries, bytes, whole && limit > 0)),
            n => bytes += n as u64,
        }
        match serde_json::from_slice::<Line>(&text) {
            Ok(line) if text.ends_with(b"\n") => drop(entries.insert(line.key, line.prediction)),
            _ => whole = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        Key { image: Sha256Hex::of_bytes(&n.to_le_bytes()), model: "m@1".into() }
    }

    fn prediction(n: usize) -> Prediction {
        let score = (n % 100) as f32 / 100.0;
        Prediction {
            label: "sea".into(),
            score,
            probabilities: vec![("sea".into(), score), ("forest".into(), 1.0 - score)],
        }
    }

    fn bytes_in(dir: &Path) -> u64 {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn predictions_survive_a_restart_and_other_models_do_not_see_them() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PredictionCache::open(dir.path(), 1 << 20).unwrap();
        cache.put(key(1), prediction(75));
        drop(cache);
        let cache = PredictionCache::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(cache.get(&key(1)), Some(prediction(75)));
        assert_eq!(cache.get(&Key { model: "m@2".into(), ..key(1) }), None);
        assert_eq!(cache.get(&key(2)), None);
        let disabled = PredictionCache::open(dir.path(), 0).unwrap();
        disabled.put(key(3), prediction(3));
        assert!(disabled.is_empty());
    }

    #[test]
    fn it_stays_within_its_bytes_and_keeps_what_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PredictionCache::open(dir.path(), 20_000).unwrap();
        for n in 0..500 {
            cache.put(key(n), prediction(n));
            assert_eq!(cache.get(&key(n)), Some(prediction(n)));
            assert!(cache.get(&key(0)).is_some(), "used each time, so never the oldest ({n})");
        }
        assert!(bytes_in(dir.path()) <= 20_000 && bytes_in(dir.path()) > 5_000, "{}", bytes_in(dir.path()));
        assert!(cache.get(&key(1)).is_none());
        let (len, again) = (cache.len(), PredictionCache::open(dir.path(), 20_000).unwrap());
        assert_eq!(again.len(), len);
        assert!(PredictionCache::open(dir.path(), 2_000).unwrap().len() < len, "a smaller bound holds at once");
    }

    #[test]
    fn damage_costs_only_what_it_hit() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PredictionCache::open(dir.path(), 1 << 20).unwrap();
        (0..3).for_each(|n| cache.put(key(n), prediction(n)));
        drop(cache);
        let file = young(dir.path());
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(&file, format!("{}\n{{broken\n{}\n{}", lines[0], lines[1], &lines[2][..40])).unwrap();
        let cache = PredictionCache::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(cache.len(), 2);
        cache.put(key(9), prediction(9));
        drop(cache);
        let cache = PredictionCache::open(dir.path(), 1 << 20).unwrap();
        assert!((cache.len() == 3) && cache.get(&key(9)).is_some());
    }
}
