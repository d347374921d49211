//! What can go wrong between here and an object.

/// A result whose error is [`StoreError`].
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What can go wrong with stores, keys and URIs. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A string does not name a place for objects.
    #[error("'{uri}' is not a place for objects: {reason}")]
    Uri {
        /// What was given.
        uri: String,
        /// The broken rule and the remedy.
        reason: String,
    },
    /// A key breaks the rules, see [`check_key`](super::check_key).
    #[error("'{key}' in {location} is not a usable key: {reason}")]
    Key {
        /// The store.
        location: String,
        /// The key.
        key: String,
        /// The broken rule and the remedy.
        reason: String,
    },
    /// There is no such object.
    #[error("there is no object {uri}; check its name, and that it was written to this place")]
    NotFound {
        /// The object.
        uri: String,
    },
    /// There is no such bucket, or the store's folder cannot be one.
    #[error("there is no {location}: {reason}")]
    NoStore {
        /// The bucket or folder.
        location: String,
        /// Why, and the remedy.
        reason: String,
    },
    /// The store knows who asks, and refuses.
    #[error("not allowed to {action} {uri}: {reason}")]
    Denied {
        /// What was attempted, as a verb phrase ("read", "write").
        action: &'static str,
        /// The object or place.
        uri: String,
        /// The store's reason and the remedy.
        reason: String,
    },
    /// Credentials, region or endpoint are missing or wrong.
    #[error("cannot {action} {uri}: {reason}")]
    Setup {
        /// What was attempted.
        action: &'static str,
        /// The object or place.
        uri: String,
        /// What is missing and how to give it.
        reason: String,
    },
    /// An object is larger than the reader allows.
    #[error("{uri} has {size} bytes, more than the {limit} allowed here; is it the right object?")]
    TooLarge {
        /// The object.
        uri: String,
        /// Its size in bytes.
        size: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Content does not have the hash it must have.
    #[error(
        "{uri} does not match its checksum (expected {expected}, found {found}): the content was changed or \
             damaged; nothing was written. Write the object again from its source"
    )]
    Checksum {
        /// The object.
        uri: String,
        /// The hash it must have.
        expected: String,
        /// The hash of what was there.
        found: String,
    },
    /// An object was replaced while it was being read, or since the caller saw it.
    #[error("{uri} has changed meanwhile (it was version {expected}); start again to read the new one")]
    Changed {
        /// The object.
        uri: String,
        /// The etag that was asked for.
        expected: String,
    },
    /// A fault that passes by itself: connection, time-out, throttling, an outage. It was tried more than once.
    #[error("cannot {action} {uri} at present: {reason}; it was tried several times, try again later")]
    Transient {
        /// What was attempted.
        action: &'static str,
        /// The object or place.
        uri: String,
        /// The last fault.
        reason: String,
    },
    /// The store answered with a fault that fits nothing above.
    #[error("cannot {action} {uri}: {reason}")]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// The object or place.
        uri: String,
        /// The store's answer.
        reason: String,
    },
    /// A local file or folder could not be read or written.
    #[error(transparent)]
    Local(#[from] crate::Error),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
