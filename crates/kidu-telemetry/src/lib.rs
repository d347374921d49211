//! Logs and metrics as all of Kidu's servers write them: the predictions' server, the deployment's front, the annotation
//! backend.

#[cfg(feature = "logs")]
pub mod logs;
pub mod metrics;
