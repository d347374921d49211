//! From a path to batches: index, archives, checks, splits, loading.
//!
//! [`prepare()`] turns a folder, an archive or a CSV list into a frozen [`kidu_core::DatasetManifest`]; a [`Loader`] reads
//! its images as a network's input. Decoding, resizing and normalising are those of `kidu-image`, nothing else.

pub mod archive;
pub mod check;
mod decoded;
pub mod duplicates;
pub mod error;
mod image_file;
pub mod index;
mod leakage;
pub mod loader;
pub mod materialize;
mod order;
pub mod prepare;
pub mod settings;
pub mod split;
pub mod synth;
pub mod versions;
mod working_copy;

pub use archive::ArchiveLimits;
pub use decoded::Decoded;
pub use error::{DataError, Result};
pub use image_file::load_one;
pub use index::Index;
pub use loader::{Batch, BatchLimit, EpochIter, Loader, LoaderOptions};
pub use materialize::materialize;
pub use prepare::{Prepared, Report, SummaryRow, prepare, prepare_decoded, summary};
pub use settings::{CropMode, DataSettings, OnBadImage, OnDuplicate, OnNearDuplicate};
pub use working_copy::working_copy;
