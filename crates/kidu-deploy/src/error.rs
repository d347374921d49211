//! What can go wrong with deployments.

use std::{net::SocketAddr, path::PathBuf};

/// A result of this crate.
pub type Result<T, E = DeployError> = std::result::Result<T, E>;

/// Why something was not deployed. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// A file or a bundle cannot be used.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// The registry or the pipeline cannot be used.
    #[error(transparent)]
    Pipeline(#[from] kidu_pipeline::Error),
    /// A setting is out of range.
    #[error("{key}: {reason}")]
    Setting {
        /// The key of the configuration.
        key: String,
        /// What is wrong and what is possible.
        reason: String,
    },
    /// It must not be done: the version is not approved, or a test said no.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done in this state.
    #[error("{0}")]
    State(String),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} for {what}: {source}; choose another port in the group deploy (0 takes a free one)"
    )]
    Bind {
        /// What was to listen.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another supervisor keeps the folder.
    #[error("another `kidu deploy up` keeps {}; end it with `kidu deploy stop`, or give another deploy.dir", dir.display())]
    Kept {
        /// The folder.
        dir: PathBuf,
    },
    /// Nobody keeps the folder.
    #[error("nobody keeps the deployments in {}; start it with `kidu deploy up`", dir.display())]
    NotRunning {
        /// The folder.
        dir: PathBuf,
    },
    /// A server cannot be asked.
    #[error("{url}: {reason}")]
    Http {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// A server did not answer in time.
    #[error("{url}: no answer in {seconds} s")]
    TimedOut {
        /// The address.
        url: String,
        /// How long was waited.
        seconds: f64,
    },
    /// The system refuses threads, signals or processes.
    #[error("the system gives no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
}
