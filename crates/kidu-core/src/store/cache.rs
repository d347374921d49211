//! Local copies of what lies in a store, by version, for code that reads files.
//!
//! Each place has a folder of its own: `pool/` with one file for each version of an object, and for each state of the
//! place a folder of hard links to them. What was fetched once is not fetched again, however often a fetch is cut
//! short and however the rest of the place changes. The cache may be deleted at any time.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::{GetOptions, ObjectEntry, ObjectStore, ObjectUri, Result, StoreError, key::refused};
use crate::{
    error::Error,
    files,
    hash::{ContentHasher, Sha256Hex},
    progress::Progress,
};

/// Small objects come one round trip each.
const PARALLEL: usize = 16;
/// How folders begin that are not whole yet.
const STAGING: &str = ".tmp-";

/// Local copies below one folder. Several processes may share it; a place is fetched by one at a time.
#[derive(Clone, Debug)]
pub struct StoreCache {
    root: PathBuf,
}

/// A local copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The file of an object, or the folder of many.
    pub path: PathBuf,
    /// Names the state of the place: it changes with any object's name or content.
    pub version: String,
    /// Number of objects.
    pub objects: usize,
    /// Bytes of them all.
    pub bytes: u64,
    /// Bytes that had to be fetched this time.
    pub fetched: u64,
}

/// One state of a place, written when its copy is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    uri: String,
    version: String,
    objects: Vec<RecordedObject>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedObject {
    key: String,
    etag: String,
    bytes: u64,
    sha256: Sha256Hex,
}

/// The version that was fetched last.
#[derive(Debug, Serialize, Deserialize)]
struct Latest {
    uri: String,
    version: String,
    /// The object's file name; none for a folder.
    file: Option<String>,
}

impl StoreCache {
    /// A cache below a folder, which is made when needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The local copy of an object, under its own file name. One look at the store; bytes only if they are not here yet.
    ///
    /// # Errors
    /// [`StoreError`]; the copies that were here stay.
    pub fn object(&self, store: &dyn ObjectStore, key: &str, progress: &dyn Progress) -> Result<Cached> {
        let uri = store.uri_of(key);
        let info = store.head(key)?.ok_or_else(|| StoreError::NotFound { uri: uri.to_string() })?;
        let name = key.rsplit('/').next().unwrap_or(key).to_owned();
        let place = Place::open(self.place(&uri), &uri, progress)?;
        let wanted = Wanted { source: key.to_owned(), entry: ObjectEntry { key: name.clone(), info } };
        place.copy(store, &[wanted], Some(name), progress)
    }

    /// The local copy of all that lies in a store, as a folder. One listing of the store; bytes only of what is not here
    /// yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a place without objects, [`StoreError::Key`] for two objects that a folder cannot
    /// hold both; the copies that were here stay.
    pub fn tree(&self, store: &dyn ObjectStore, progress: &dyn Progress) -> Result<Cached> {
        let uri = store.location();
        let wanted: Vec<Wanted> = store
            .list("")
            .map(|entry| entry.map(|entry| Wanted { source: entry.key.clone(), entry }))
            .collect::<Result<_>>()?;
        if wanted.is_empty() {
            return Err(StoreError::NotFound { uri: format!("below {uri}") });
        }
        refuse_files_that_are_folders(uri, &wanted)?;
        Place::open(self.place(uri), uri, progress)?.copy(store, &wanted, None, progress)
    }

    /// What was fetched last from a place, without a look at the store; `None` if there is nothing or not all of it.
    ///
    /// # Errors
    /// [`StoreError::Local`].
    pub fn last(&self, uri: &ObjectUri) -> Result<Option<PathBuf>> {
        let dir = self.place(uri);
        let file = dir.join(Latest::FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let latest: Latest = files::read_json(&file, "record of a cached place")?;
        let place = Place { dir, uri: uri.clone(), _lock: None };
        Ok(place.whole_copy(&latest.version).map(|_| place.path_of(&latest.version, latest.file.as_deref())))
    }

    fn place(&self, uri: &ObjectUri) -> PathBuf {
        let text = uri.to_string();
        let name = ContentHasher::new("store cache").field("uri", text).finish();
        self.root.join(name.short())
    }
}

impl Latest {
    const FILE: &'static str = "latest.json";
}

/// An object to copy: its key in the store, and its key in the copy with what is known of it.
struct Wanted {
    source: String,
    entry: ObjectEntry,
}

impl Wanted {
    /// Names this version of the object in the pool.
    fn id(&self) -> String {
        let hasher = ContentHasher::new("object").field("key", &self.source).field("etag", &self.entry.info.etag);
        hasher.field("bytes", self.entry.info.size.to_le_bytes()).finish().as_str()[..32].to_owned()
    }
}

/// The folder of one place, locked while it is worked on.
struct Place {
    dir: PathBuf,
    uri: ObjectUri,
    _lock: Option<File>,
}

impl Place {
    fn open(dir: PathBuf, uri: &ObjectUri, progress: &dyn Progress) -> Result<Self> {
        files::create_dir_all(&dir.join("pool"))?;
        let path = dir.join(".lock");
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let lock = lock.map_err(|e| Error::io("open", &path, e))?;
        if lock.try_lock().is_err() {
            progress.note(&format!("another process fetches {uri}; waiting for it"));
            lock.lock().map_err(|e| Error::io("lock", &path, e))?;
        }
        remove_leftovers(&dir)?;
        Ok(Self { dir, uri: uri.clone(), _lock: Some(lock) })
    }

    fn copy(
        &self,
        store: &dyn ObjectStore,
        wanted: &[Wanted],
        file: Option<String>,
        progress: &dyn Progress,
    ) -> Result<Cached> {
        let version = version_of(wanted);
        let mut fetched = 0;
        if self.whole_copy(&version).is_none() {
            let (pool, bytes) = self.fill_pool(store, wanted, progress)?;
            fetched = bytes;
            self.link(&version, wanted, &pool)?;
        }
        let uri = self.uri.to_string();
        let path = self.path_of(&version, file.as_deref());
        files::write_json(&self.dir.join(Latest::FILE), &Latest { uri, version: version.clone(), file })?;
        let bytes = wanted.iter().map(|w| w.entry.info.size).sum();
        Ok(Cached { path, version, objects: wanted.len(), bytes, fetched })
    }

    fn path_of(&self, version: &str, file: Option<&str>) -> PathBuf {
        let folder = self.dir.join(version);
        file.map_or_else(|| folder.clone(), |file| folder.join(file))
    }

    /// The record of a version of which every file is here with its size.
    fn whole_copy(&self, version: &str) -> Option<Record> {
        let record: Record = files::read_json(&self.dir.join(format!("{version}.json")), "record of a copy").ok()?;
        let folder = self.dir.join(version);
        let whole = |object: &RecordedObject| {
            fs::symlink_metadata(folder.join(&object.key)).is_ok_and(|m| m.is_file() && m.len() == object.bytes)
        };
        record.objects.iter().all(whole).then_some(record)
    }

    /// Fetches what the pool lacks. The hash of each object's content by its id, and how many bytes came.
    fn fill_pool(
        &self,
        store: &dyn ObjectStore,
        wanted: &[Wanted],
        progress: &dyn Progress,
    ) -> Result<(BTreeMap<String, Sha256Hex>, u64)> {
        let mut pool = self.read_pool(wanted)?;
        let missing: Vec<&Wanted> = wanted.iter().filter(|w| !pool.contains_key(&w.id())).collect();
        let bytes = missing.iter().map(|w| w.entry.info.size).sum();
        if missing.is_empty() {
            return Ok((pool, 0));
        }
        let megabytes = Megabytes { progress, bytes: Mutex::new(0) };
        progress.begin(&format!("fetch {}", self.uri), "MB", Some(bytes / MEGABYTE));
        let fetched = self.fetch_all(store, &missing, &megabytes, progress);
        progress.end();
        pool.extend(fetched?);
        Ok((pool, bytes))
    }

    fn fetch_all(
        &self,
        store: &dyn ObjectStore,
        missing: &[&Wanted],
        megabytes: &Megabytes<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<(String, Sha256Hex)>> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done = Mutex::new(Vec::with_capacity(missing.len()));
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(missing.len()) {
                scope.spawn(|| {
                    while let Some(wanted) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        match self.fetch(store, wanted, megabytes) {
                            Ok(fetched) => {
                                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                                done.push(fetched);
                                progress.set_message(&format!("{} of {} objects", done.len(), missing.len()));
                            }
                            Err(e) => {
                                stop.store(true, Ordering::Relaxed);
                                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                            }
                        }
                    }
                });
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(e) => Err(e),
            None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// One object into the pool. The hash becomes part of its name when the content is whole.
    fn fetch(&self, store: &dyn ObjectStore, wanted: &Wanted, progress: &dyn Progress) -> Result<(String, Sha256Hex)> {
        let id = wanted.id();
        let arrived = self.dir.join("pool").join(&id);
        let options = GetOptions { sha256: None, etag: Some(&wanted.entry.info.etag), progress: Some(progress) };
        let info = store.get_to_file(&wanted.source, &arrived, &options)?;
        let sha256 = match info.sha256 {
            Some(sha256) => sha256,
            None => Sha256Hex::of_file(&arrived)?,
        };
        protect(&arrived)?;
        let place = self.pool_file(&id, &sha256);
        fs::rename(&arrived, &place).map_err(|e| Error::io("rename a file to", &place, e))?;
        Ok((id, sha256))
    }

    fn pool_file(&self, id: &str, sha256: &Sha256Hex) -> PathBuf {
        self.dir.join("pool").join(format!("{id}-{sha256}"))
    }

    /// What of the wanted objects is in the pool, whole.
    fn read_pool(&self, wanted: &[Wanted]) -> Result<BTreeMap<String, Sha256Hex>> {
        let dir = self.dir.join("pool");
        let sizes: BTreeMap<String, u64> = wanted.iter().map(|w| (w.id(), w.entry.info.size)).collect();
        let mut pool = BTreeMap::new();
        for entry in fs::read_dir(&dir).map_err(|e| Error::io("list", &dir, e))? {
            let entry = entry.map_err(|e| Error::io("list", &dir, e))?;
            let name = entry.file_name();
            let Some((id, sha256)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
            let (Some(size), Some(sha256)) = (sizes.get(id), Sha256Hex::parse(sha256)) else { continue };
            if entry.metadata().is_ok_and(|m| m.is_file() && m.len() == *size) {
                pool.insert(id.to_owned(), sha256);
            }
        }
        Ok(pool)
    }

    /// Makes the folder of a version, whole by a rename, and records it.
    fn link(&self, version: &str, wanted: &[Wanted], pool: &BTreeMap<String, Sha256Hex>) -> Result<()> {
        let folder = self.dir.join(version);
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(&self.dir)
            .map_err(|e| Error::io("create a folder in", &self.dir, e))?;
        let mut objects = Vec::with_capacity(wanted.len());
        for w in wanted {
            let (id, entry) = (w.id(), &w.entry);
            let uri = || self.uri.join(&entry.key).to_string();
            let sha256 = pool.get(&id).ok_or_else(|| StoreError::NotFound { uri: uri() })?;
            let to = staging.path().join(&entry.key);
            files::create_dir_all(&files::parent_of(&to))?;
            if to.exists() {
                let reason = "on this file system another object has the same name, perhaps in other case; rename it";
                return Err(refused(&self.uri, &entry.key, reason));
            }
            link_or_copy(&self.pool_file(&id, sha256), &to)?;
            let (key, etag) = (entry.key.clone(), entry.info.etag.clone());
            objects.push(RecordedObject { key, etag, bytes: entry.info.size, sha256: sha256.clone() });
        }
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &folder, e).into()),
            _ => {}
        }
        fs::rename(staging.path(), &folder).map_err(|e| Error::io("rename a folder to", &folder, e))?;
        // Renamed away: there is nothing left to remove.
        let _ = staging.keep();
        let record = Record { uri: self.uri.to_string(), version: version.to_owned(), objects };
        Ok(files::write_json(&self.dir.join(format!("{version}.json")), &record)?)
    }
}

/// What a killed fetch left half done. Nobody else works here: the place is locked.
fn remove_leftovers(dir: &Path) -> Result<()> {
    files::remove_temporaries(&dir.join("pool"))?;
    for entry in fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))?.flatten() {
        let staging = entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGING));
        if staging && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(entry.path()).map_err(|e| Error::io("remove", entry.path(), e))?;
        }
    }
    Ok(())
}

/// Changes with any object's name or content.
fn version_of(wanted: &[Wanted]) -> String {
    let hasher = wanted.iter().fold(ContentHasher::new("version"), |hasher, w| {
        let info = &w.entry.info;
        hasher.field(&w.entry.key, &info.etag).field("bytes", info.size.to_le_bytes())
    });
    hasher.finish().as_str()[..16].to_owned()
}

fn refuse_files_that_are_folders(uri: &ObjectUri, wanted: &[Wanted]) -> Result<()> {
    let mut folders = HashSet::new();
    for key in wanted.iter().map(|w| w.entry.key.as_str()) {
        folders.extend(key.match_indices('/').map(|(at, _)| &key[..at]));
    }
    match wanted.iter().find(|w| folders.contains(w.entry.key.as_str())) {
        Some(w) => {
            let reason = "others lie below it, and in a folder a file has nothing below it; rename or remove it";
            Err(refused(uri, &w.entry.key, reason))
        }
        None => Ok(()),
    }
}

/// The copies are hard links: who changes one would change them all.
fn protect(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let mut permissions = fs::metadata(path).map_err(|e| Error::io("look at", path, e))?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(path, permissions).map_err(|e| Error::io("protect", path, e))?;
    }
    Ok(())
}

fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).map_err(|e| Error::io("write", to, e))?;
    }
    Ok(())
}

const MEGABYTE: u64 = 1_000_000;

/// Tells bytes as whole megabytes.
struct Megabytes<'a> {
    progress: &'a dyn Progress,
    bytes: Mutex<u64>,
}

impl Progress for Megabytes<'_> {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, bytes: u64) {
        let mut total = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *total / MEGABYTE;
        *total += bytes;
        if *total / MEGABYTE > before {
            self.progress.advance(*total / MEGABYTE - before);
        }
    }
    fn set_message(&self, _: &str) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        progress::Silent,
        store::{FolderStore, PutOptions},
    };

    struct Setup {
        dir: tempfile::TempDir,
        store: FolderStore,
        cache: StoreCache,
    }

    fn setup(objects: &[(&str, &str)]) -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let store = FolderStore::open(dir.path().join("store")).unwrap();
        for (key, text) in objects {
            store.put_bytes(key, text.as_bytes(), &PutOptions::default()).unwrap();
        }
        let cache = StoreCache::new(dir.path().join("cache"));
        Setup { dir, store, cache }
    }

    impl Setup {
        fn tree(&self) -> Cached {
            self.cache.tree(&self.store, &Silent).unwrap()
        }

        fn put(&self, key: &str, text: &str) {
            self.store.put_bytes(key, text.as_bytes(), &PutOptions::default()).unwrap();
        }
    }

    #[test]
    fn only_what_changed_is_fetched_and_older_versions_stay() {
        let s = setup(&[("a/1", "one"), ("a/2", "two"), ("b", "three")]);
        let first = s.tree();
        assert_eq!((first.objects, first.bytes, first.fetched), (3, 11, 11));
        assert_eq!(fs::read(first.path.join("a/2")).unwrap(), b"two");
        let again = s.tree();
        assert_eq!((again.fetched, &again.path), (0, &first.path));
        s.put("a/2", "second");
        s.store.delete("b").unwrap();
        let changed = s.tree();
        assert_eq!((changed.objects, changed.fetched), (2, 6));
        assert_ne!(changed.version, first.version);
        assert_eq!(fs::read(changed.path.join("a/2")).unwrap(), b"second");
        assert!(!changed.path.join("b").exists());
        assert_eq!(fs::read(first.path.join("a/2")).unwrap(), b"two");
        let record: Record = files::read_json(&changed.path.with_extension("json"), "record").unwrap();
        assert_eq!(record.objects[1].sha256, Sha256Hex::of_bytes(b"second"));
    }

    #[test]
    fn a_copy_that_somebody_damaged_is_made_again() {
        let s = setup(&[("a/1", "one"), ("a/2", "two")]);
        let first = s.tree();
        fs::remove_file(first.path.join("a/1")).unwrap();
        let again = s.tree();
        assert_eq!((again.fetched, &again.path), (0, &first.path));
        assert_eq!(fs::read(first.path.join("a/1")).unwrap(), b"one");
        let pool = first.path.parent().unwrap().join("pool");
        fs::remove_dir_all(&first.path).unwrap();
        fs::remove_dir_all(&pool).unwrap();
        assert_eq!(s.tree().fetched, 6);
    }

    #[test]
    fn a_fetch_that_was_cut_short_goes_on() {
        let s = setup(&[("a", "one"), ("b", "two")]);
        let whole = s.tree();
        let place = whole.path.parent().unwrap();
        // As a kill would leave it: one object in the pool, another arrived but not yet named, no version.
        fs::remove_dir_all(&whole.path).unwrap();
        fs::remove_file(whole.path.with_extension("json")).unwrap();
        let kept = fs::read_dir(place.join("pool")).unwrap().flatten().next().unwrap().path();
        let other = fs::read_dir(place.join("pool")).unwrap().flatten().map(|e| e.path()).find(|p| *p != kept).unwrap();
        let (id, _) = other.file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
        fs::rename(&other, place.join("pool").join(id)).unwrap();
        fs::create_dir(place.join(".tmp-half")).unwrap();
        let again = s.tree();
        assert_eq!((again.fetched, again.version), (3, whole.version));
        assert!(!place.join(".tmp-half").exists());
        assert_eq!(fs::read(again.path.join("b")).unwrap(), b"two");
    }

    #[test]
    fn an_object_keeps_its_name_and_is_found_without_the_store() {
        let s = setup(&[("deep/data.zip", "zip")]);
        let uri = s.store.uri_of("deep/data.zip");
        assert_eq!(s.cache.last(&uri).unwrap(), None);
        let first = s.cache.object(&s.store, "deep/data.zip", &Silent).unwrap();
        assert!(first.path.ends_with("data.zip"));
        assert_eq!((first.fetched, fs::read(&first.path).unwrap().as_slice()), (3, b"zip".as_slice()));
        assert_eq!(s.cache.object(&s.store, "deep/data.zip", &Silent).unwrap().fetched, 0);
        fs::remove_dir_all(s.dir.path().join("store")).unwrap();
        assert_eq!(s.cache.last(&uri).unwrap(), Some(first.path.clone()));
        fs::remove_file(&first.path).unwrap();
        assert_eq!(s.cache.last(&uri).unwrap(), None);
        assert!(s.cache.object(&s.store, "deep/data.zip", &Silent).unwrap_err().is_not_found());
    }

    #[test]
    fn nothing_and_impossible_trees_are_refused() {
        let s = setup(&[]);
        assert!(s.cache.tree(&s.store, &Silent).unwrap_err().is_not_found());
        let entry = |key: &str| ObjectEntry {
            key: key.into(),
            info: super::super::ObjectInfo { size: 0, etag: String::new(), modified: None, sha256: None },
        };
        let wanted = ["a", "a-b", "a/b"].map(|key| Wanted { source: key.into(), entry: entry(key) });
        let message = refuse_files_that_are_folders(s.store.location(), &wanted).unwrap_err().to_string();
        assert!(message.contains("'a'"), "{message}");
    }

    #[test]
    fn fetches_of_one_place_at_once_agree() {
        let objects: Vec<_> = (0..50).map(|i| (format!("d/{i}"), format!("text {i}"))).collect();
        let objects: Vec<_> = objects.iter().map(|(k, t)| (k.as_str(), t.as_str())).collect();
        let s = setup(&objects);
        let copies: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| s.tree())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(copies.iter().filter(|c| c.fetched > 0).count(), 1);
        assert!(copies.iter().all(|c| c.path == copies[0].path));
        assert_eq!(fs::read(copies[0].path.join("d/7")).unwrap(), b"text 7");
    }
}
