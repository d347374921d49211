//! Kidu's infrastructure, CDK-style: an app of stacks, stacks of constructs, constructs of typed resources. Synthesis
//! writes CloudFormation templates, a manifest and the SageMaker pipeline definition of the same pipeline value that
//! the local runner executes. It depends on its input alone: the same input gives the same bytes.
//!
//! Nothing here calls AWS.

pub mod aws;
pub mod constructs;
pub mod core;
pub mod deploy;
pub mod deploy_config;
pub mod diff;
pub mod error;
pub mod lint;
pub mod sagemaker;
pub mod stacks;

pub use error::{Error, Result};
pub use stacks::{Settings, synth};
