//! Why the function does not start.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, LambdaError>;

/// Why the function does not start. What is wrong with an event is an answer, never an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LambdaError {
    /// The bundle cannot be taken into service.
    #[error(transparent)]
    Serve(#[from] kidu_serve::ServeError),
    /// The bundle from S3 is not whole.
    #[error(transparent)]
    Bundle(#[from] kidu_core::Error),
    /// S3 does not give the bundle.
    #[error("MODEL_S3_URI: {0}")]
    Store(#[from] kidu_core::store::StoreError),
    /// An environment variable cannot be used.
    #[error("{name}={value}: {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// There is no bundle anywhere.
    #[error(
        "there is no bundle in {}; set KIDU_BUNDLE to its folder or MODEL_S3_URI to its model.tar.gz",
        looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" or ")
    )]
    NoBundle {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// The bundle is not the one that was evaluated.
    #[error(
        "the bundle in {} is not the one that was evaluated: its bundle.json has the SHA-256 {found}, and KIDU_BUNDLE_SHA256 is \
         {wanted}; deploy the bundle that was evaluated, or evaluate this one and register it",
        folder.display()
    )]
    NotEvaluated {
        /// Its folder.
        folder: PathBuf,
        /// What was evaluated.
        wanted: kidu_core::Sha256Hex,
        /// What is there.
        found: kidu_core::Sha256Hex,
    },
}
