//! Objects in buckets.

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
