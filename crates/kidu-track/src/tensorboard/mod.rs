//! TensorBoard's event files: scalars, pictures, texts and the hparams plugin.
//!
//! An event file is a sequence of records as TensorFlow's `TFRecord` frames them, each a protocol buffer `Event`.
//! Messages and field numbers are those of tensorboard's `compat/proto` and `plugins/hparams/*.proto`.

mod event;
mod hparams;
mod proto;
mod record;
mod writer;

pub use hparams::{Metric, SessionStatus};
pub use writer::{EventWriter, last_step};
