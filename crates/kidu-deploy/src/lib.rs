//! From an approved model version to production, on one machine: the interpreter of
//! [`kidu_pipeline::deploy_pipeline()`] whose environments are servers of this machine behind a weighted front.
//!
//! What happens next is decided by pure functions ([`machine`], [`canary`]); the [`supervisor`] does it. Its state is a
//! file ([`store`]), from which it goes on however it ended; each transition is an entry of the registry's ledger.
//!
//! This crate knows neither networks nor the cloud, and of predictions only the HTTP contract.

pub mod canary;
pub mod client;
pub mod control;
pub mod environment;
pub mod error;
pub mod front;
pub mod machine;
pub mod package;
pub mod settings;
pub mod smoke;
pub mod state;
pub mod status;
mod steps;
pub mod store;
pub mod supervisor;

pub use error::{DeployError, Result};
pub use machine::Machine;
pub use settings::DeploySettings;
pub use state::State;
pub use supervisor::{Supervision, run};
