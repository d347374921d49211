//! SageMaker: jobs that train and tune, pipelines, and the model registry.
//!
//! [`SageMaker`] makes synchronous calls; [`ModelPackages`] is a group of the registry behind
//! [`ModelRegistry`](kidu_pipeline::ModelRegistry). No type of the SDK is public. Passing faults and throttling are tried
//! again by the SDK; what remains is a [`SageMakerError`] that says which permission, role, quota or object is missing.

mod client;
mod error;
mod jobs;
mod packages;
mod pipelines;
mod tuning;

pub use client::SageMaker;
pub use error::SageMakerError;
pub use jobs::{Channel, JobLog, Metric, Spot, TrainingJob, TrainingStatus};
pub use packages::{ModelPackages, Publication};
pub use pipelines::{Execution, ExecutionStep, PipelineDefinition, StartExecution, Upserted};
pub use tuning::{Range, Strategy, TuningJob, TuningStatus, Values};

/// A result whose error is [`SageMakerError`].
pub type Result<T, E = SageMakerError> = std::result::Result<T, E>;
