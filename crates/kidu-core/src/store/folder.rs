//! A folder as an object store.

use std::{
    fs::{self, File, Metadata},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    GetOptions, Listing, ObjectEntry, ObjectInfo, ObjectStore, ObjectUri, PutOptions, Result, StoreError, check_key,
    check_prefix, key::refused,
};
use crate::{
    error::Error,
    files,
    hash::{Sha256Hex, Sha256Stream},
};

const BLOCK: usize = 1 << 18;

/// A folder whose files are objects. It need not exist before the first write.
///
/// Symbolic links below the folder are refused, so that no key reaches outside. Since a file cannot also be a folder,
/// `a` and `a/b` exclude each other here, unlike in S3. Temporary files of writes under way are not objects.
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
    location: ObjectUri,
}

impl FolderStore {
    /// The store at a folder.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] if something other than a folder is there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let location = ObjectUri::Path(root.clone());
        match fs::metadata(&root) {
            Ok(found) if !found.is_dir() => Err(StoreError::NoStore {
                location: location.to_string(),
                reason: "a file is there, not a folder; name the folder that holds it".into(),
            }),
            Ok(_) => Ok(Self { root, location }),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self { root, location }),
            Err(e) => Err(Error::io("open folder", &root, e).into()),
        }
    }

    /// The file of a key, once no link is on the way to it; and what is there.
    fn resolve(&self, key: &str) -> Result<(PathBuf, Option<Metadata>)> {
        check_key(&self.location, key)?;
        self.walk(key)
    }

    fn walk(&self, key: &str) -> Result<(PathBuf, Option<Metadata>)> {
        let mut path = self.root.clone();
        let mut found = None;
        for part in key.split('/') {
            // On Windows a part such as `C:` would start anew elsewhere.
            let plain = Path::new(part).components().all(|c| matches!(c, std::path::Component::Normal(_)));
            if !plain || files::is_temporary(part) {
                let reason = format!("no file may be called '{part}' here; give it another name");
                return Err(refused(&self.location, key, reason));
            }
            path.push(part);
            found = match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_symlink() => return Err(self.link_refused(key, &path)),
                Ok(metadata) => Some(metadata),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
                Err(e) => return Err(denied_or_local("look at", &path, e)),
            };
        }
        Ok((path, found))
    }

    fn link_refused(&self, key: &str, path: &Path) -> StoreError {
        let reason =
            format!("{} is a symbolic link, which may lead elsewhere; put the file itself there", path.display());
        refused(&self.location, key, reason)
    }

    /// An object's file, which is there.
    fn open_object(&self, key: &str) -> Result<(File, ObjectInfo)> {
        let (path, found) = self.resolve(key)?;
        if !found.is_some_and(|metadata| metadata.is_file()) {
            return Err(StoreError::NotFound { uri: self.uri_of(key).to_string() });
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(StoreError::NotFound { uri: self.uri_of(key).to_string() });
            }
            Err(e) => return Err(denied_or_local("read", &path, e)),
        };
        let metadata = file.metadata().map_err(|e| Error::io("read", &path, e))?;
        Ok((file, info_of(&metadata)))
    }

    /// The file to write, with nothing but folders above it and no folder in its place.
    fn resolve_for_write(&self, key: &str) -> Result<PathBuf> {
        let (path, found) = self.resolve(key)?;
        if found.is_some_and(|metadata| metadata.is_dir()) {
            return Err(refused(&self.location, key, "a folder of that name is there; give it another name"));
        }
        let mut above = self.root.clone();
        let folders = key.rsplit_once('/').map_or("", |(folders, _)| folders);
        for part in folders.split('/') {
            above.push(part);
            if fs::symlink_metadata(&above).is_ok_and(|metadata| metadata.is_file()) {
                let reason = format!("{} is a file, so nothing lies below it; give it another name", above.display());
                return Err(refused(&self.location, key, reason));
            }
        }
        Ok(path)
    }

    fn check_sha256(&self, key: &str, expected: Option<&Sha256Hex>, found: &Sha256Hex) -> Result<()> {
        match expected {
            Some(expected) if expected != found => Err(StoreError::Checksum {
                uri: self.uri_of(key).to_string(),
                expected: expected.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn written(&self, path: &Path, sha256: Sha256Hex) -> Result<ObjectInfo> {
        let metadata = fs::metadata(path).map_err(|e| Error::io("look at", path, e))?;
        Ok(ObjectInfo { sha256: Some(sha256), ..info_of(&metadata) })
    }

    /// Copies to a file whole or not at all; nothing of content with another hash than the expected one.
    fn copy(
        &self,
        key: &str,
        mut from: File,
        from_path: &Path,
        to: &Path,
        options: &GetOptions<'_>,
    ) -> Result<Sha256Hex> {
        let mut refusal = None;
        let mut hash = None;
        let copied = files::write_atomic_with(to, |file| {
            let mut stream = Sha256Stream::default();
            let mut block = vec![0; BLOCK];
            loop {
                let n = match from.read(&mut block) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                    Err(e) => {
                        let kind = e.kind();
                        refusal = Some(Error::io("read", from_path, e).into());
                        return Err(kind.into());
                    }
                };
                file.write_all(&block[..n])?;
                stream.update(&block[..n]);
                if let Some(progress) = options.progress {
                    progress.advance(n as u64);
                }
            }
            let found = stream.finish();
            if let Err(e) = self.check_sha256(key, options.sha256, &found) {
                refusal = Some(e);
                return Err(ErrorKind::InvalidData.into());
            }
            hash = Some(found);
            Ok(())
        });
        match (copied, refusal, hash) {
            (_, Some(refusal), _) => Err(refusal),
            (Err(e), None, _) => Err(e.into()),
            (Ok(()), None, Some(hash)) => Ok(hash),
            (Ok(()), None, None) => Sha256Hex::of_file(to).map_err(Into::into),
        }
    }
}

impl ObjectStore for FolderStore {
    fn location(&self) -> &ObjectUri {
        &self.location
    }

    fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let (_, found) = self.resolve(key)?;
        Ok(found.filter(Metadata::is_file).map(|metadata| info_of(&metadata)))
    }

    fn get(&self, key: &str, max_bytes: u64) -> Result<Vec<u8>> {
        let (file, info) = self.open_object(key)?;
        let too_large = |size| StoreError::TooLarge { uri: self.uri_of(key).to_string(), size, limit: max_bytes };
        if info.size > max_bytes {
            return Err(too_large(info.size));
        }
        let mut bytes = Vec::new();
        // Not beyond the limit even if the file grows meanwhile.
        file.take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io("read", self.root.join(key), e))?;
        if bytes.len() as u64 > max_bytes { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
    }

    fn get_to_file(&self, key: &str, path: &Path, options: &GetOptions<'_>) -> Result<ObjectInfo> {
        let (file, info) = self.open_object(key)?;
        if let Some(expected) = options.etag.filter(|etag| *etag != info.etag) {
            let uri = self.uri_of(key).to_string();
            return Err(StoreError::Changed { uri, expected: expected.to_owned() });
        }
        let sha256 = self.copy(key, file, &self.root.join(key), path, options)?;
        Ok(ObjectInfo { sha256: Some(sha256), ..info })
    }

    fn put_bytes(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<ObjectInfo> {
        let path = self.resolve_for_write(key)?;
        let sha256 = Sha256Hex::of_bytes(bytes);
        self.check_sha256(key, options.sha256, &sha256)?;
        files::write_atomic(&path, bytes)?;
        if let Some(progress) = options.progress {
            progress.advance(bytes.len() as u64);
        }
        self.written(&path, sha256)
    }

    fn put_file(&self, key: &str, path: &Path, options: &PutOptions<'_>) -> Result<ObjectInfo> {
        let to = self.resolve_for_write(key)?;
        let from = File::open(path).map_err(|e| Error::io("read", path, e))?;
        let options = GetOptions { sha256: options.sha256, etag: None, progress: options.progress };
        let sha256 = self.copy(key, from, path, &to, &options)?;
        self.written(&to, sha256)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<bool> {
        let path = self.resolve_for_write(key)?;
        self.check_sha256(key, options.sha256, &Sha256Hex::of_bytes(bytes))?;
        let created = files::create_atomic(&path, bytes)?;
        if let Some(progress) = options.progress.filter(|_| created) {
            progress.advance(bytes.len() as u64);
        }
        Ok(created)
    }

    fn delete(&self, key: &str) -> Result<()> {
        let (path, found) = self.resolve(key)?;
        if !found.is_some_and(|metadata| metadata.is_file()) {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(denied_or_local("remove", &path, e)),
            _ => Ok(()),
        }
    }

    fn list(&self, prefix: &str) -> Listing<'_> {
        match self.first_folder(prefix) {
            Ok(waiting) => Box::new(Walk { store: self, waiting, failed: false }),
            Err(e) => Box::new(std::iter::once(Err(e))),
        }
    }
}

impl FolderStore {
    /// What the folder of a prefix holds that begins with it.
    fn first_folder(&self, prefix: &str) -> Result<Vec<Found>> {
        check_prefix(&self.location, prefix)?;
        let (path, folder) = match prefix.rsplit_once('/') {
            None => (self.root.clone(), String::new()),
            Some((folder, _)) => match self.walk(folder)? {
                (path, Some(metadata)) if metadata.is_dir() => (path, format!("{folder}/")),
                _ => return Ok(Vec::new()),
            },
        };
        let mut found = self.read_folder(&path, &folder)?;
        found.retain(|entry| entry.order.starts_with(prefix));
        Ok(found)
    }

    /// What a folder holds, last key first.
    fn read_folder(&self, path: &Path, folder: &str) -> Result<Vec<Found>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(denied_or_local("list", path, e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", path, e))?;
            let kind = entry.file_type().map_err(|e| Error::io("look at", entry.path(), e))?;
            let name = entry.file_name().into_string().map_err(|name| {
                refused(&self.location, &name.to_string_lossy(), "the file's name is not UTF-8; rename it")
            })?;
            if kind.is_file() && files::is_temporary(&name) {
                continue;
            }
            let slash = if kind.is_dir() { "/" } else { "" };
            found.push(Found { order: format!("{folder}{name}{slash}"), path: entry.path(), kind });
        }
        found.sort_unstable_by(|a, b| b.order.cmp(&a.order));
        Ok(found)
    }
}

/// An entry of a folder. A folder ends in `/`, so that its content sorts where its keys do: `a-b` before `a/b`.
struct Found {
    order: String,
    path: PathBuf,
    kind: fs::FileType,
}

/// A walk in the order of the keys that holds one listing for each depth.
struct Walk<'a> {
    store: &'a FolderStore,
    waiting: Vec<Found>,
    failed: bool,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<ObjectEntry>> {
        while let Some(found) = self.waiting.pop() {
            if found.kind.is_dir() {
                self.waiting.extend(self.store.read_folder(&found.path, &found.order)?);
                continue;
            }
            check_key(&self.store.location, &found.order)?;
            if found.kind.is_symlink() {
                return Err(self.store.link_refused(&found.order, &found.path));
            }
            match fs::symlink_metadata(&found.path) {
                Ok(metadata) if metadata.is_file() => {
                    return Ok(Some(ObjectEntry { key: found.order, info: info_of(&metadata) }));
                }
                // A socket or device is no object.
                Ok(_) => {}
                // Removed since its folder was read.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(denied_or_local("look at", &found.path, e)),
            }
        }
        Ok(None)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<ObjectEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

/// A file's etag: what an atomic write always changes, without reading the content.
fn info_of(metadata: &Metadata) -> ObjectInfo {
    let modified = metadata.modified().ok();
    let nanoseconds =
        modified.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
    ObjectInfo {
        size: metadata.len(),
        etag: format!("{:x}-{nanoseconds:x}-{:x}", file_number(metadata), metadata.len()),
        modified: modified.and_then(|t| jiff::Timestamp::try_from(t).ok()),
        sha256: None,
    }
}

#[cfg(unix)]
fn file_number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_number(_: &Metadata) -> u64 {
    0
}

fn denied_or_local(action: &'static str, path: &Path, e: std::io::Error) -> StoreError {
    if e.kind() == ErrorKind::PermissionDenied {
        StoreError::Denied {
            action,
            uri: path.display().to_string(),
            reason: format!("{e}; run as a user who may, or change its permissions"),
        }
    } else {
        Error::io(action, path, e).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[test]
    fn a_folder_is_an_object_store() {
        let dir = tempfile::tempdir().unwrap();
        conformance::check(&FolderStore::open(dir.path().join("new/folder")).unwrap());
    }

    #[test]
    fn a_file_is_not_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        assert!(matches!(FolderStore::open(&path), Err(StoreError::NoStore { .. })));
    }

    #[test]
    fn a_file_and_a_folder_of_one_name_exclude_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = FolderStore::open(dir.path()).unwrap();
        store.put_bytes("a/b", b"1", &PutOptions::default()).unwrap();
        for (key, expected) in [("a", "a folder of that name"), ("a/b/c", "is a file")] {
            let message = store.put_bytes(key, b"2", &PutOptions::default()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!(store.get("a/b", 9).unwrap(), b"1");
        assert_eq!(store.head("a").unwrap(), None);
        assert_eq!(store.head("a/b/c").unwrap(), None);
        store.delete("a").unwrap();
        assert!(store.head("a/b").unwrap().is_some());
    }

    #[test]
    fn temporary_files_are_no_objects() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".tmp-abc123"), "half").unwrap();
        let store = FolderStore::open(dir.path()).unwrap();
        assert_eq!(store.list_all("").unwrap(), []);
        assert!(matches!(store.put_bytes(".tmp-abc123", b"", &PutOptions::default()), Err(StoreError::Key { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("dir")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), root.join("file")).unwrap();
        let store = FolderStore::open(&root).unwrap();
        let none = PutOptions::default();
        for key in ["dir/secret", "file", "dir/new"] {
            for outcome in [
                store.get(key, 9).map(drop),
                store.head(key).map(drop),
                store.put_bytes(key, b"x", &none).map(drop),
                store.put_if_absent(key, b"x", &none).map(drop),
                store.delete(key),
            ] {
                assert!(matches!(outcome, Err(StoreError::Key { .. })), "{key}: {outcome:?}");
            }
        }
        assert!(store.list_all("dir/").is_err());
        assert!(store.list_all("").unwrap_err().to_string().contains("symbolic link"));
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"s");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn an_unreadable_name_is_reported_not_skipped() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), "x").unwrap();
        let store = FolderStore::open(dir.path()).unwrap();
        assert!(store.list_all("").unwrap_err().to_string().contains("not UTF-8"));
    }
}
