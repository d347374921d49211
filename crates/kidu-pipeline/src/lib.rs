//! Pipelines as values: a typed graph of steps, each step a verb of the `kidu` command. One value, several
//! interpreters: the local runner is here, with its content-keyed cache, the lineage of what it makes and the local
//! model registry; other crates read the same value to write a cloud's pipeline definition.
//!
//! This crate knows neither the cloud nor the networks: the [`runner`] executes steps through
//! [`StepExecutor`] and tells of them through [`RunObserver`].

pub mod arg;
pub mod build_pipeline;
pub mod cache;
pub mod config_keys;
pub mod deploy_pipeline;
pub mod error;
pub mod executor;
pub mod fingerprint;
pub mod graph;
pub mod key_lock;
pub mod ledger;
pub mod lineage;
pub mod model_registry;
pub mod parameter;
pub mod registry;
pub mod render;
pub mod resolve;
pub mod run;
pub mod runner;
mod step_run;
pub mod text;
pub mod tree_hash;
pub mod validate;

pub use arg::{Arg, Part, PipelineVariable};
pub use build_pipeline::build_pipeline;
pub use cache::StepCache;
pub use config_keys::ConfigKeys;
pub use deploy_pipeline::deploy_pipeline;
pub use error::{Error, Result};
pub use executor::{BoxError, External, RunEvent, RunObserver, StepContext, StepExecutor, StepOutcome, Unobserved};
pub use graph::{Input, InputSource, Output, OutputRef, Pipeline, Step, StepKind};
pub use ledger::{LedgerEntry, ModelVersion, Status, Transition};
pub use lineage::Lineage;
pub use model_registry::{ModelRecord, ModelRegistry};
pub use parameter::{Parameter, ParameterKind};
pub use registry::Registry;
pub use resolve::ResolvedStep;
pub use run::{RunRecord, RunStatus, StepRecord, StepStatus};
pub use runner::{Force, RunRequest, Runner};
