//! Predictions over HTTP.
//!
//! - [`contract`]: what is asked and answered, as a pure function of method, path, headers and body.
//! - [`Service`]: the contract over a [`Model`] that can be exchanged while it runs, with a bounded queue that predicts
//!   several requests together ([`queue`]), and its [`metrics`].
//! - `server` (feature `server`): sockets, time-outs, limits on memory and connections, signals, and logs around it.
//!
//! The Lambda binary uses the first two without the third.

pub mod contract;
pub mod emf;
mod error;
mod explain;
pub mod metrics;
mod model;
pub mod pages;
pub mod queue;
#[cfg(feature = "server")]
pub mod server;
mod service;

pub use error::{Result, ServeError};
pub use explain::Explanation;
pub use model::{Classifier, Model};
pub use service::{Loader, Service, ServiceSettings, Step, Ticket};
