//! Label Studio's ML backend: predictions of an endpoint for whole batches, and the loop from annotations to a new model.
//!
//! Label Studio asks for the model's version ([`server`]: `/setup`), sends tasks in batches (`/predict`) and tells of
//! annotations (`/webhook`). Images are fetched by `kidu-fetch`, predicted by an [`endpoint`] that answers Kidu's HTTP
//! contract, and kept in a [`cache`] by their content. What annotations change is written to a journal ([`training`]),
//! which decides when a build of a new model starts.
//!
//! This crate never compiles Burn: it asks an endpoint.

pub mod batch;
pub mod cache;
pub mod endpoint;
pub mod error;
pub mod event;
mod metrics;
pub mod options;
mod secrets;
pub mod server;
pub mod task;
pub mod training;
pub mod watch;

pub use error::{BackendError, Result};
pub use kidu_annotate::{form, result};
pub use options::Options;
