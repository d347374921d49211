//! Why a network says what it says: Integrated Gradients, Grad-CAM and occlusion, how faithful such a map is, and
//! pictures of it.
//!
//! Names and conventions are captum's: an attribution has the shape of the input, `[3, height, width]`.

// Burn's module tree is deep.
#![recursion_limit = "256"]

pub mod error;
pub mod faithfulness;
pub mod grad_cam;
pub mod gradients;
pub mod heat;
pub mod integrated_gradients;
pub mod occlusion;
pub mod overlay;
pub mod quadrature;

pub use error::{ExplainError, Result};
pub use faithfulness::{Curve, faithfulness};
pub use gradients::Differentiable;
pub use heat::HeatMap;
pub use integrated_gradients::{Attribution, Baseline, IntegratedGradients};
pub use quadrature::Method;
