//! Vectorised CPU kernels on channels-last data: convolutions forward and backward, depthwise convolutions, batch norm
//! with activation, pooling, Adam. AVX-512, AVX2 and NEON are chosen at run time, with a portable form for everything else.
//!
//! Tensors are plain slices of `f32`, `[images, height, width, channels]`. Results do not depend on the number of
//! threads; between instruction sets they differ by rounding.

pub mod adam;
mod alloc;
pub mod block;
mod buffer;
pub mod conv;
pub mod depthwise;
mod input;
mod matmul;
pub mod norm;
mod pack;
pub mod pool;
pub mod roofline;
mod simd;
pub mod stem;
pub mod team;
pub mod winograd;

pub use alloc::CacheAligned;
pub use buffer::{SLACK, unfilled, unfilled_with_slack};
pub use conv::{ConvShape, Epilogue};
pub use input::{Input, Prologue};
pub use pack::Packed;
pub use simd::Level;
