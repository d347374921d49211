//! The pixel work of the transforms, with every parameter given: nothing here is random. Each function names the call
//! of OpenCV, albumentations or torchvision that it computes; `tests/peers/augment.py` compares them.
//!
//! All work on RGB with 8 bits a channel and give an image of their own.

#![allow(
    clippy::manual_clamp,
    clippy::needless_range_loop,
    reason = "written so that the compiler makes vectors of the loops"
)]

mod blur;
mod border;
mod clahe;
mod dihedral;
mod distortion;
mod erase;
mod filter;
mod hsv;
mod lab;
mod median;
mod noise;
pub(crate) mod pool;
mod remap;
mod simd;
mod table;
mod warp;

pub use self::{
    blur::{box_blur, gaussian_blur, gaussian_kernel},
    border::BorderMode,
    clahe::clahe,
    dihedral::Dihedral,
    distortion::{grid_axis, grid_distortion, optical_distortion, piecewise_affine},
    erase::{erase_noise, erase_value},
    filter::{emboss, motion_blur, motion_kernel, sharpen},
    hsv::shift_hsv,
    median::median_blur,
    noise::{NoiseTable, add_noise},
    table::brightness_contrast,
    warp::{rotation_matrix, warp_affine},
};
