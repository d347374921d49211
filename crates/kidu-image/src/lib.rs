//! The only way from bytes to a network's input, for training, evaluation and serving alike:
//! [`decode()`](decode::decode) → [`Preprocessor::resize`] → [`Preprocessor::normalize_into`]. Augmentation of the
//! training split lives here too.
//!
//! This crate knows neither files nor networks; it holds no state but tables that follow from its settings.
//!
//! ```
//! use kidu_core::{Filter, ImageSpec};
//! use kidu_image::{Limits, Preprocessor};
//!
//! let preprocessor = Preprocessor::new(&ImageSpec::imagenet(224, Filter::Bilinear));
//! let error = preprocessor.preprocess(b"not an image", &Limits::default()).unwrap_err();
//! assert_eq!(error.code(), "unsupported_format");
//! ```

pub mod augment;
pub mod corrupt;
pub mod decode;
#[cfg(target_arch = "x86_64")]
mod enlarge;
pub mod error;
pub mod inspect;
mod intact;
pub mod jpeg_scan;
pub mod limits;
pub mod preprocess;
pub mod resize;

pub use augment::{AugmentError, AugmentSettings, Augmenter};
pub use corrupt::{Corruption, Severity};
pub use decode::{Format, ImageInfo, decode, probe};
pub use error::DecodeError;
pub use image::RgbImage;
pub use inspect::{Traits, inspect};
pub use limits::Limits;
pub use preprocess::{Layout, Preprocessor};
pub use resize::Rect;
