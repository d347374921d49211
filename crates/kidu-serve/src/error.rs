//! What can be wrong before a request is answered.

use std::{net::SocketAddr, path::PathBuf};

/// A result of this crate.
pub type Result<T, E = ServeError> = std::result::Result<T, E>;

/// Why a server does not start, a bundle is not taken into service or a package is not made. What is wrong with a
/// request is a [`Problem`](crate::contract::Problem).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The bundle cannot be opened.
    #[error(transparent)]
    Bundle(#[from] kidu_core::Error),
    /// The bundle's weights are not its network's.
    #[error("the bundle {}: {source}", path.display())]
    Engine {
        /// The bundle's folder.
        path: PathBuf,
        /// The engine's reason.
        source: kidu_engine::EngineError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another --host or --port (0 takes a free one)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A setting is out of range or does not go with another one.
    #[error("{0}")]
    Setting(String),
    /// The system refuses threads, signals or sockets.
    #[error("the system gives no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// A package for Lambda cannot be made.
    #[error("{}: {reason}", path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}
