//! Predictions in AWS Lambda.
//!
//! An [`event`] becomes a request of the contract of [`kidu_serve`], its answer becomes what the sender of the event
//! expects. The [`source`] of the bundle is a folder of the package or a layer, or S3. Logs and metrics ([`kidu_serve::emf`]) go to
//! standard output, from where Lambda takes them to CloudWatch.

mod error;
pub mod event;
mod function;
pub mod logs;
pub mod source;

pub use error::{LambdaError, Result};
pub use function::Function;
