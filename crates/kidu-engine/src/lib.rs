//! The inference plan: from a bundle's weights to a forward pass without Burn, autodiff or allocation.
//!
//! [`Plan`] is built once from the description of a network ([`kidu_core::Architecture`]) and its weights: batch norm is
//! folded into the convolutions, weights are packed as the kernels read them, and the passes of a block are fused.
//! [`InputGradients`] is the way back, from a logit to the image. [`Predictor`] is a plan with the labels and the
//! preprocessing of a bundle.

mod error;
mod fold;
mod gradient;
mod layers;
mod order;
mod plan;
mod predictor;
mod steps;
mod weights;

pub use error::{EngineError, Result};
pub use gradient::{FeatureMap, InputGradients};
pub use plan::{Plan, Point};
pub use predictor::Predictor;
pub use weights::{TensorMap, Weights};
