//! The error type of this crate.

use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with names, manifests, bundles and files. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb phrase ("read", "create folder").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A JSON file does not have the expected shape.
    #[error("{} is not a valid {what}: {source}; write it again with the command that made it", path.display())]
    Json {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// A set of class names is unusable.
    #[error("bad class names: {0}")]
    Classes(String),
    /// No record of that name.
    #[error("unknown model '{name}'{}; known models: {known}", crate::suggest::did_you_mean(nearest.as_deref()))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The most similar known name.
        nearest: Option<String>,
        /// All known names, comma separated.
        known: String,
    },
    /// A file of a bundle or dataset does not have the recorded hash.
    #[error("{} does not match its recorded SHA-256 (recorded {expected}, found {found}): the file was changed or \
             damaged after it was written; restore it or build it again", path.display())]
    HashMismatch {
        /// The file.
        path: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the file's present content.
        found: String,
    },
    /// A bundle or manifest breaks a rule of its format.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// The broken rule and the remedy.
        reason: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was attempted and where.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// A broken rule of a file format.
    pub fn format(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }
}
