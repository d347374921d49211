//! Training: the fit loop with its optimizers, schedules, losses, weight averaging, checkpoints and trackers.
//!
//! [`fit`](fit::fit) is the entry. A run that is interrupted, or killed at any moment, and resumed from its last
//! checkpoint gives bit for bit what the uninterrupted run gives: weights, history and metric files.

// Burn's module tree is deep.
#![recursion_limit = "256"]

pub mod benchmark;
pub mod checkpoint;
pub mod ema;
pub mod error;
mod evaluate;
pub mod feature_cache;
pub mod fit;
pub mod history;
pub mod loader_source;
pub mod loss;
pub mod mix;
pub mod optimizer;
pub mod profile;
pub mod schedule;
pub mod settings;
pub mod source;
pub mod strategy;
pub mod tracker;
pub mod trackers;

pub use benchmark::BenchmarkStep;
pub use checkpoint::Checkpoint;
pub use error::{Result, TrainError};
pub use fit::{
    FitOutcome, FitRequest, Fitted, StopReason, fit,
    lr_finder::{LrFinderSettings, LrRangeTest, LrSuggestions, find_learning_rate},
};
pub use history::EpochRow;
pub use loader_source::LoaderSource;
pub use settings::{
    CallbackSettings, LearningRate, LoggerSettings, MlflowSettings, ModelSettings, OptimizerSettings, Problem,
    SchedulerSettings, TensorBoardSettings, TrainerSettings,
};
pub use source::{Augmentation, Batch, BatchSource};
pub use tracker::{RunEnd, RunResult, SharedTracker, StepRow, Tracker};
