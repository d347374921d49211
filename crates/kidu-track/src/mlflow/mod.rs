//! MLflow, over its REST interface and never in training's way.
//!
//! Everything is first appended to a spool in the run's folder; a thread delivers it in order, in batches within
//! MLflow's limits, and notes how far it came. Delivery may repeat after a crash, never lose: MLflow takes the same
//! parameter, metric or artifact twice without harm, and a run is found again by a tag before another one is made.

mod client;
mod delivery;
mod entry;
mod recorder;
mod spool;

pub use client::{Credentials, Server};
pub use delivery::Report;
pub use entry::{Metric, RunStatus};
pub use recorder::{Recorder, RunIdentity, SPOOL, STATE, STEP_PREFIX, now_ms, send};
