//! What can go wrong.

use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a tracker. None of them is a reason to stop training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the tracker cannot be used.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An atomic write or a read of a state file failed.
    #[error(transparent)]
    File(#[from] kidu_core::Error),
    /// A picture that is no PNG.
    #[error("the picture '{tag}' is no PNG; TensorBoard is given PNG only")]
    NotPng {
        /// The tag.
        tag: String,
    },
    /// An address that cannot be one of an MLflow server.
    #[error(
        "'{uri}' is no address of an MLflow server ({reason}); give one such as http://127.0.0.1:5000 in \
         logger.mlflow.tracking_uri or MLFLOW_TRACKING_URI"
    )]
    TrackingUri {
        /// As given, without credentials.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The spool is in use.
    #[error("{path} is in use by another process: that run is still under way; wait until it has ended")]
    Busy {
        /// The spool.
        path: PathBuf,
    },
    /// A folder without anything to send.
    #[error("{path} holds no {file}: nothing was recorded there for MLflow; name a run folder")]
    NoSpool {
        /// The folder.
        path: PathBuf,
        /// What is looked for.
        file: &'static str,
    },
    /// A line of the spool that is whole but no entry.
    #[error("{path}: an entry cannot be read ({reason}); mend or remove the line")]
    Entry {
        /// The spool.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An entry that JSON cannot hold.
    #[error("an entry cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}
