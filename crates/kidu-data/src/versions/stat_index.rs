//! What each file of a folder hashed to last time, so that unchanged files are not read again.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use kidu_core::{Sha256Hex, files};
use serde::{Deserialize, Serialize};

use super::{error::Result, tree::Stat};

/// File systems keep times with this precision at worst (FAT): a younger file may have changed again unseen.
const PRECISION: i64 = 2_000_000_000;

/// The index of one working folder. A cache: without it everything is hashed again, nothing is lost.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StatIndex {
    /// The folder, absolute.
    root: PathBuf,
    /// The version that the folder last was, by snapshot or checkout.
    pub(super) version: Option<Sha256Hex>,
    /// When the listing began, nanoseconds since 1970.
    taken: i64,
    entries: HashMap<String, (Stat, Sha256Hex)>,
}

impl StatIndex {
    /// The index that a store keeps of a folder (absolute, without links); an empty one if there is none to be read.
    pub(super) fn load(store: &Path, root: &Path) -> Self {
        let read = fs::read(Self::file(store, root)).ok();
        let index: Option<Self> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // Another folder with the same short hash, or one edited by hand.
        index.filter(|i| i.root == root).unwrap_or_else(|| Self { root: root.into(), ..Self::default() })
    }

    /// The index of files listed at `taken`.
    pub(super) fn new(
        root: &Path,
        version: Option<Sha256Hex>,
        taken: i64,
        entries: impl IntoIterator<Item = (String, Stat, Sha256Hex)>,
    ) -> Self {
        let entries = entries.into_iter().map(|(path, stat, hash)| (path, (stat, hash))).collect();
        Self { root: root.into(), version, taken, entries }
    }

    /// Replaces the store's index of the folder.
    pub(super) fn save(&self, store: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|e| kidu_core::Error::format(store, e.to_string()))?;
        Ok(files::write_atomic(&Self::file(store, &self.root), &bytes)?)
    }

    /// The hash of a file, if it is certain to be what it was. A file changed at the time of the listing or after it is
    /// not: it may have changed twice within the precision of the file system's clock.
    pub(super) fn hash_of(&self, path: &str, stat: &Stat) -> Option<&Sha256Hex> {
        let (known, hash) = self.entries.get(path)?;
        let settled = stat.modified.max(stat.changed).saturating_add(PRECISION) < self.taken;
        let usable = settled && known == stat && Sha256Hex::parse(hash.as_str()).is_some();
        usable.then_some(hash)
    }

    fn file(store: &Path, root: &Path) -> PathBuf {
        let name = Sha256Hex::of_bytes(root.as_os_str().as_encoded_bytes());
        store.join("index").join(format!("{}.json", &name.as_str()[..24]))
    }
}

/// The present time in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.ok().and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_settled_and_unchanged_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new("/data/photos");
        let second = 1_000_000_000;
        let stat = Stat { bytes: 3, modified: 10 * second, changed: 11 * second, inode: 7 };
        let hash = Sha256Hex::of_bytes(b"abc");
        let index = |taken| StatIndex::new(root, None, taken, [("a".to_string(), stat, hash.clone())]);
        index(20 * second).save(dir.path()).unwrap();
        let known = StatIndex::load(dir.path(), root);
        assert_eq!(known.hash_of("a", &stat), Some(&hash));
        assert_eq!(known.hash_of("b", &stat), None);
        for other in [
            Stat { bytes: 4, ..stat },
            Stat { modified: 1, ..stat },
            Stat { changed: 1, ..stat },
            Stat { inode: 8, ..stat },
        ] {
            assert_eq!(known.hash_of("a", &other), None);
        }
        // Changed a second before the listing: it might have changed again in the same tick.
        assert_eq!(index(12 * second).hash_of("a", &stat), None);
        assert!(StatIndex::load(dir.path(), Path::new("/other")).entries.is_empty());
        fs::write(StatIndex::file(dir.path(), root), "{").unwrap();
        assert!(StatIndex::load(dir.path(), root).entries.is_empty());
    }
}
