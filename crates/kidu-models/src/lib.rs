//! The networks, as Burn modules under timm's state-dict keys; weights in and out; the choice of a device.
//!
//! A network is described once, as data ([`kidu_core::Architecture`]), and built here for training.

// Burn's module tree is deep.
#![recursion_limit = "256"]

pub mod device;
pub mod efficientnet;
pub mod error;
pub mod freeze;
pub mod fused;
pub mod hub;
pub mod inference;
pub mod init;
pub mod layers;
pub mod network;
pub mod parameters;
pub mod predictor;
pub mod resnet;
pub mod state_dict;
pub mod weights;

pub use device::Accelerator;
pub use error::{ModelError, Result};
pub use freeze::Freeze;
pub use inference::Inference;
pub use network::{Cut, Network};
pub use predictor::Predictor;
pub use state_dict::{Array, StateDict};
pub use weights::{LoadReport, WeightsSpec};
