//! The error type of this crate.

use std::path::PathBuf;

/// A result whose error is [`ModelError`].
pub type Result<T, E = ModelError> = std::result::Result<T, E>;

/// What can go wrong with networks, weights and devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A name, bundle or file error of the core.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// A weights file that cannot be read or is damaged.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Keys or shapes of a state dict do not fit the network.
    #[error(
        "the weights do not fit {model}: {}; use weights of the same architecture under timm's key names",
        describe(missing, unexpected, shapes)
    )]
    StateDict {
        /// The network.
        model: String,
        /// Keys that the network has and the weights lack.
        missing: Vec<String>,
        /// Keys that the weights have and the network lacks.
        unexpected: Vec<String>,
        /// Keys whose shapes differ, with both shapes.
        shapes: Vec<String>,
    },
    /// Weights that cannot be fetched.
    #[error("cannot fetch {url}: {reason}. Without a network, download it elsewhere, put it at {}, and run again, or \
             give the file itself: model.weights=FILE", place.display())]
    Hub {
        /// What was asked for.
        url: String,
        /// Why it failed.
        reason: String,
        /// Where the file would be looked for.
        place: PathBuf,
    },
    /// The accelerator is not part of this build or not present.
    #[error("{0}")]
    Device(String),
    /// A setting that does not fit the network.
    #[error("{0}")]
    Setting(String),
}

fn describe(missing: &[String], unexpected: &[String], shapes: &[String]) -> String {
    let list = |what: &str, keys: &[String]| match keys.len() {
        0 => None,
        n => {
            let shown = keys.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
            Some(format!("{n} {what} ({shown}{})", if n > 8 { ", ..." } else { "" }))
        }
    };
    [list("missing keys", missing), list("unexpected keys", unexpected), list("keys of another shape", shapes)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}
