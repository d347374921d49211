//! The error type of this crate.

use std::path::PathBuf;

use crate::settings::Problem;

/// A result whose error is [`TrainError`].
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// What can stop a training run. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file error of the core.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// A network, weights or device error.
    #[error(transparent)]
    Model(#[from] kidu_models::ModelError),
    /// The data could not be read.
    #[error(transparent)]
    Data(Box<dyn std::error::Error + Send + Sync>),
    /// Settings outside their ranges, all of them at once.
    #[error("{}", list(.0))]
    Settings(Vec<Problem>),
    /// A checkpoint that cannot be used.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A checkpoint that cannot be written: training stops rather than go on without a way back.
    #[error("cannot write the checkpoint: {source}. {}", keep(kept))]
    Save {
        /// The operating system's reason, with the path.
        source: kidu_core::Error,
        /// The last whole checkpoint.
        kept: Option<PathBuf>,
    },
    /// The loss is infinite or not a number.
    #[error(
        "the {what} loss is {value} at epoch {epoch}, step {step}: training has diverged. Lower \
             model.learning_rate, set trainer.gradient_clip_val=1.0, or check the data and the initial weights. {}",
        keep(kept)
    )]
    NonFinite {
        /// `training` or `validation`.
        what: &'static str,
        /// The value.
        value: f64,
        /// Epoch, from 0.
        epoch: usize,
        /// Optimizer steps before it.
        step: u64,
        /// The last whole checkpoint.
        kept: Option<PathBuf>,
    },
    /// There is nothing to train or judge on.
    #[error("{0}")]
    NoData(String),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|(key, message)| format!("{key}: {message}")).collect::<Vec<_>>().join("\n")
}

fn keep(kept: &Option<PathBuf>) -> String {
    match kept {
        Some(path) => format!("The last whole checkpoint is {}; resume with ckpt_path={0}", path.display()),
        None => "There is no earlier checkpoint of this run".into(),
    }
}
