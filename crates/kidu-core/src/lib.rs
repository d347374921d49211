//! What every room of Kidu agrees on: class names, preprocessing, model records, predictions, bundles, dataset
//! manifests, content hashes, run ids and the few file operations that must never lose data.
//!
//! This crate knows nothing of Burn, AWS or HTTP servers.

pub mod architecture;
pub mod bundle;
mod cost;
pub mod dataset;
pub mod error;
pub mod files;
pub mod hash;
pub mod image_spec;
pub mod journal;
pub mod labels;
pub mod markup;
pub mod model;
pub mod prediction;
pub mod progress;
pub mod rng;
pub mod run;
pub mod serving;
pub mod store;
pub mod suggest;

pub use architecture::{Activation, Architecture, BlockKind, BlockSpec, EfficientNetSpec, PadType, ResNetSpec};
pub use bundle::{Bundle, BundleManifest};
pub use dataset::{DatasetItem, DatasetManifest, Split};
pub use error::{Error, Result};
pub use hash::{ContentHasher, Sha256Hex};
pub use image_spec::{Crop, Filter, ImageSpec};
pub use labels::ClassNames;
pub use model::{ModelRecord, WeightsSource};
pub use prediction::Prediction;
pub use progress::Progress;
pub use store::{ObjectStore, ObjectUri};
