//! Objects by key, in a folder or in a bucket, behind one trait.
//!
//! A store is opened at a place, [`ObjectUri`]: a folder, or a bucket with a prefix. Keys are relative to it, with `/`
//! between their parts. [`FolderStore`] is here; S3 lives in its own crate, and this one knows nothing of AWS.

mod cache;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
mod folder;
mod key;
mod uri;

use std::path::Path;

pub use cache::{Cached, StoreCache};
pub use error::{Result, StoreError};
pub use folder::FolderStore;
pub use key::{MAX_KEY_BYTES, check_key, check_prefix};
pub use uri::ObjectUri;

use crate::{hash::Sha256Hex, progress::Progress};

/// What a store knows of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    /// Changes whenever the content does; means nothing else, and is not comparable between stores. Without quotes.
    pub etag: String,
    /// When it was last written, if the store tells.
    pub modified: Option<jiff::Timestamp>,
    /// The content's SHA-256, if the store has it recorded. A listing does not.
    pub sha256: Option<Sha256Hex>,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// The key, relative to the store.
    pub key: String,
    /// What is known of it.
    pub info: ObjectInfo,
}

/// A listing, fetched as it is consumed. It ends after its first error.
pub type Listing<'a> = Box<dyn Iterator<Item = Result<ObjectEntry>> + Send + 'a>;

/// How an object is read.
#[derive(Clone, Copy, Default)]
pub struct GetOptions<'a> {
    /// Refuse content with another SHA-256.
    pub sha256: Option<&'a Sha256Hex>,
    /// Refuse an object that has changed since it had this [`ObjectInfo::etag`].
    pub etag: Option<&'a str>,
    /// Is told of the bytes that have arrived ([`Progress::advance`] only: the caller begins and ends).
    pub progress: Option<&'a dyn Progress>,
}

/// How an object is written.
#[derive(Clone, Copy, Default)]
pub struct PutOptions<'a> {
    /// A media type such as `application/json`; `application/octet-stream` without.
    pub content_type: Option<&'a str>,
    /// The content's SHA-256, where it is known. Other content is refused and nothing is written.
    pub sha256: Option<&'a Sha256Hex>,
    /// Is told of the bytes that have left ([`Progress::advance`] only: the caller begins and ends).
    pub progress: Option<&'a dyn Progress>,
}

/// Objects by key below one place. Readers never see half an object; calls may come from several threads at once.
///
/// Every method answers [`StoreError::Key`] for a key that [`check_key`] refuses, and [`StoreError::Denied`],
/// [`StoreError::Setup`] or [`StoreError::Transient`] where the store is not to be had.
pub trait ObjectStore: Send + Sync {
    /// The place that keys are relative to.
    fn location(&self) -> &ObjectUri;

    /// What is known of an object; `None` if there is none.
    ///
    /// # Errors
    /// Those of every method.
    fn head(&self, key: &str) -> Result<Option<ObjectInfo>>;

    /// An object's bytes, for objects that fit in memory.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::TooLarge`] for more than `max_bytes`, before they are fetched.
    fn get(&self, key: &str, max_bytes: u64) -> Result<Vec<u8>>;

    /// Fetches an object of any size into a file, which is replaced whole or not at all. Missing folders are made.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Checksum`], [`StoreError::Changed`] as the options ask; the old file is
    /// then still in place.
    fn get_to_file(&self, key: &str, path: &Path, options: &GetOptions<'_>) -> Result<ObjectInfo>;

    /// Writes an object, over any of that key.
    ///
    /// # Errors
    /// [`StoreError::Checksum`] as the options ask.
    fn put_bytes(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<ObjectInfo>;

    /// Writes a file of any size as an object, over any of that key.
    ///
    /// # Errors
    /// [`StoreError::Checksum`] as the options ask; [`StoreError::Local`] if the file cannot be read.
    fn put_file(&self, key: &str, path: &Path, options: &PutOptions<'_>) -> Result<ObjectInfo>;

    /// Writes an object unless there is one of that key: of several writers one alone gets `true`.
    ///
    /// # Errors
    /// [`StoreError::Checksum`] as the options ask.
    fn put_if_absent(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<bool>;

    /// Removes an object. None of that key is no error.
    ///
    /// # Errors
    /// Those of every method.
    fn delete(&self, key: &str) -> Result<()>;

    /// The objects whose keys begin with `prefix` (any beginning, not only a folder; empty for all), in the order of
    /// their keys' bytes. Empty objects whose key ends in `/`, the folder marks of S3 consoles, are left out.
    fn list(&self, prefix: &str) -> Listing<'_>;

    /// A listing as a whole.
    ///
    /// # Errors
    /// The first of [`ObjectStore::list`].
    fn list_all(&self, prefix: &str) -> Result<Vec<ObjectEntry>> {
        self.list(prefix).collect()
    }

    /// The full name of an object, for messages and records.
    fn uri_of(&self, key: &str) -> ObjectUri {
        self.location().join(key)
    }
}
