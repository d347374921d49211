//! What can go wrong with versions.

use std::path::{Path, PathBuf};

use kidu_core::store::StoreError;

use crate::error::listed;

/// A result whose error is [`VersionError`].
pub type Result<T, E = VersionError> = std::result::Result<T, E>;

/// What can go wrong with version stores. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// A file or folder could not be read or written, or is not what it should be.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// A remote did not take or give an object.
    #[error(transparent)]
    Remote(#[from] StoreError),
    /// There is no store.
    #[error(
        "there is no version store at {}; make the first version with `kidu data snapshot PATH -m MESSAGE`, or name \
             the store by --store or data.store", path.display()
    )]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder cannot be taken as a store.
    #[error("{} cannot be used as a version store: {reason}", path.display())]
    Store {
        /// The folder.
        path: PathBuf,
        /// Why, and the remedy.
        reason: String,
    },
    /// A tree holds what a version cannot keep.
    #[error("{}: {reason}:\n  {}", root.display(), listed(entries, "\n  "))]
    Entries {
        /// The tree.
        root: PathBuf,
        /// Why they cannot be kept, and the remedy.
        reason: &'static str,
        /// The offenders, relative to the tree.
        entries: Vec<String>,
    },
    /// The path is nothing that can be snapshotted.
    #[error("{}: {reason}", path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// Why, and the remedy.
        reason: String,
    },
    /// A reference names no version.
    #[error("'{reference}' names no version in {}: {reason}", store.display())]
    Unknown {
        /// As given.
        reference: String,
        /// The store.
        store: PathBuf,
        /// What there is, and what can be given.
        reason: String,
    },
    /// A tag cannot be set or removed.
    #[error("tag '{name}': {reason}")]
    Tag {
        /// The tag.
        name: String,
        /// Why, and the remedy.
        reason: String,
    },
    /// A file was written to while it was being taken.
    #[error("{} changed while it was being read; take the snapshot when nobody writes to the folder", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A content is missing in the store or has changed.
    #[error(
        "the store's object {object} ({path}) {reason}; see `kidu data verify`, and take a snapshot of a folder \
             that still holds the file, which stores it again"
    )]
    Object {
        /// The object's file.
        object: String,
        /// A path that has this content.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A checkout would lose what is in the folder.
    #[error("{}: {reason}:\n  {}", dir.display(), listed(files, "\n  "))]
    WouldLose {
        /// The folder.
        dir: PathBuf,
        /// What would be lost, and the remedy.
        reason: String,
        /// The files, relative to the folder.
        files: Vec<String>,
    },
    /// A checkout cannot go where it is asked to.
    #[error("cannot check out into {}: {reason}", dir.display())]
    Target {
        /// The folder.
        dir: PathBuf,
        /// Why, and the remedy.
        reason: String,
    },
    /// A `.dvc` file or a `.dir` object does not have the expected shape.
    #[error("{place}: {reason}")]
    Dvc {
        /// The file or object.
        place: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A setting is out of its range.
    #[error("{key}: {reason}")]
    Setting {
        /// The option or key.
        key: String,
        /// The broken rule.
        reason: String,
    },
    /// Threads could not be started.
    #[error("cannot start worker threads: {0}")]
    Workers(String),
}

impl VersionError {
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        kidu_core::Error::io(action, path, source).into()
    }

    /// Whether the command was given wrongly, as against something that went wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoStore { .. } | Self::Unknown { .. } | Self::Tag { .. } | Self::Setting { .. })
            || matches!(self, Self::Remote(StoreError::Uri { .. }))
    }
}
