//! Why the backend does not start.

use std::{net::SocketAddr, path::PathBuf};

/// A result of this crate.
pub type Result<T, E = BackendError> = std::result::Result<T, E>;

/// Why the backend does not start, or cannot go on. What is wrong with a request or a task has types of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// An option is out of range or does not go with another one.
    #[error("{0}")]
    Setting(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another --host or --port (0 takes a free one)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another backend works in the same folder.
    #[error("{} is in use by another kidu-label-studio; stop it, or give each its own --state-dir", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The system refuses threads or signals.
    #[error("the system gives no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// A file of the state cannot be read or written.
    #[error(transparent)]
    State(#[from] kidu_core::Error),
    /// Images cannot be fetched as the options say.
    #[error(transparent)]
    Fetch(#[from] kidu_fetch::FetchError),
}

impl BackendError {
    /// Whether the command line or configuration is to blame: exit code 2.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Setting(_) | Self::Fetch(_))
    }
}
