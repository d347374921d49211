//! What can be wrong with weights and inputs.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, EngineError>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A tensor is missing or has another shape.
    #[error("the weights do not fit the network: '{key}' {problem}; use the weights that were trained with this model")]
    Weights {
        /// The state-dict key.
        key: String,
        /// What is wrong with it, as a clause.
        problem: String,
    },
    /// A weights file cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The input is not what the plan was made for.
    #[error("{0}")]
    Input(String),
    /// The bundle describes something that does not exist.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
}
