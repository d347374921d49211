//! Where a run is followed: TensorBoard's event files and MLflow's REST interface.
//!
//! [`tensorboard::EventWriter`] writes files that TensorBoard reads. [`mlflow::Recorder`] keeps everything in the run's
//! folder first and delivers it from a thread of its own, so that a server that is down never stops training.

pub mod error;
pub mod mlflow;
pub mod params;
pub mod tensorboard;

pub use error::{Error, Result};
pub use params::{ParamValue, flatten};
