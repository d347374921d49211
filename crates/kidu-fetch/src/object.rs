//! Objects in buckets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kidu_core::store::{ObjectStore, ObjectUri, StoreError};

use crate::error::{FetchError, Result};

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The whole key.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

/// Reads objects of any bucket that it has access to. Called from several threads, may block.
pub trait Buckets: Send + Sync {
    /// An object's bytes, at most `max_bytes`.
    ///
    /// # Errors
    /// [`FetchError::NotFound`], [`FetchError::TooLarge`], [`FetchError::Store`].
    fn get(&self, bucket: &str, key: &str, max_bytes: u64) -> Result<Vec<u8>>;

    /// The objects whose keys begin with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// [`FetchError::Store`].
    fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectName>>;
}

/// The answer where no store is at hand.
pub(crate) fn no_store(address: String) -> FetchError {
    let reason = "objects cannot be read here: neither an object store nor a Label Studio that has the bucket is known; \
                  give --label-studio URL, or copy the objects to a folder and give that by --images";
    FetchError::NoStore { address, reason: reason.into() }
}

/// Opens the store of a bucket, or says why not.
type Open = dyn Fn(&ObjectUri) -> Result<Box<dyn ObjectStore>, String> + Send + Sync;

/// The buckets of Kidu's object stores, each opened when it is first asked for.
pub struct StoreBuckets {
    open: Box<Open>,
    opened: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl StoreBuckets {
    /// Buckets that `open` opens; its error is a reason with the remedy.
    pub fn new(open: impl Fn(&ObjectUri) -> Result<Box<dyn ObjectStore>, String> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), opened: Mutex::default() }
    }

    fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(bucket) {
            return Ok(store.clone());
        }
        let address = format!("s3://{bucket}");
        let uri = ObjectUri::parse(&address).map_err(|e| failed(&address, &e))?;
        let store = (self.open)(&uri).map_err(|reason| FetchError::NoStore { address, reason })?;
        let store: Arc<dyn ObjectStore> = store.into();
        opened.insert(bucket.into(), store.clone());
        Ok(store)
    }
}

impl Buckets for StoreBuckets {
    fn get(&self, bucket: &str, key: &str, max_bytes: u64) -> Result<Vec<u8>> {
        self.store(bucket)?.get(key, max_bytes).map_err(|e| failed(&format!("s3://{bucket}/{key}"), &e))
    }

    fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectName>> {
        let listed =
            self.store(bucket)?.list_all(prefix).map_err(|e| failed(&format!("s3://{bucket}/{prefix}"), &e))?;
        Ok(listed.into_iter().map(|o| ObjectName { key: o.key, size: o.info.size }).collect())
    }
}

fn failed(address: &str, error: &StoreError) -> FetchError {
    let address = address.to_string();
    match error {
        StoreError::NotFound { .. } => FetchError::NotFound { address, place: String::new() },
        StoreError::TooLarge { limit, .. } => FetchError::TooLarge { address, limit: *limit },
        // The store has tried several times by itself.
        other => FetchError::Store { address, reason: other.to_string(), transient: false },
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::store::{FolderStore, PutOptions};

    use super::*;

    #[test]
    fn a_store_is_read_as_buckets() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        for (bucket, key) in [("one", "a/1.jpg"), ("one", "a/2.jpg"), ("one", "b/3.jpg")] {
            let store = FolderStore::open(root.join(bucket)).unwrap();
            store.put_bytes(key, key.as_bytes(), &PutOptions::default()).unwrap();
        }
        let buckets = StoreBuckets::new(move |uri| match uri {
            ObjectUri::S3 { bucket, .. } if bucket == "one" => {
                FolderStore::open(root.join(bucket)).map(|s| Box::new(s) as _).map_err(|e| e.to_string())
            }
            other => Err(format!("{other} is not ours")),
        });
        assert_eq!(buckets.get("one", "a/1.jpg", 100).unwrap(), b"a/1.jpg");
        let keys: Vec<String> = buckets.list("one", "a/").unwrap().into_iter().map(|o| o.key).collect();
        assert_eq!(keys, ["a/1.jpg", "a/2.jpg"]);
        assert!(matches!(buckets.get("one", "none.jpg", 9), Err(FetchError::NotFound { .. })));
        assert!(matches!(buckets.get("one", "a/1.jpg", 3), Err(FetchError::TooLarge { limit: 3, .. })));
        assert!(matches!(buckets.get("two", "x", 3), Err(FetchError::NoStore { .. })));
    }
}
