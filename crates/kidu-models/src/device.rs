//! Where tensors live: chosen at run time among the backends that were compiled in.

use std::{fmt, str::FromStr};

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};

/// A backend by name, as in `trainer.accelerator`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Burn's pure-Rust CPU backend; always present.
    #[default]
    Flex,
    /// LibTorch 2.9 on the CPU (feature `tch`).
    Libtorch,
    /// NVIDIA GPUs through CubeCL (feature `cuda`).
    Cuda,
    /// GPUs through WebGPU, Vulkan or Metal (feature `wgpu`).
    Wgpu,
}

impl Accelerator {
    /// All names.
    pub const ALL: [Self; 4] = [Self::Flex, Self::Libtorch, Self::Cuda, Self::Wgpu];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Libtorch => "libtorch",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }

    /// Whether this build contains the backend.
    pub fn is_compiled(self) -> bool {
        match self {
            Self::Flex => true,
            Self::Libtorch => cfg!(feature = "tch"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }

    /// The device, without autodiff.
    ///
    /// # Errors
    /// [`ModelError::Device`] when this build does not contain the backend, with the command that builds it.
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "tch")]
            Self::Libtorch => Ok(Device::libtorch()),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
            other => Err(ModelError::Device(format!(
                "this build has no '{other}' backend; build it with `cargo build --release --features {}` (see \
                 docs/backends.md) or use trainer.accelerator=flex",
                if other == Self::Libtorch { "tch" } else { other.name() }
            ))),
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Accelerator {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|a| a.name() == text).ok_or_else(|| {
            let nearest = kidu_core::suggest::nearest(text, Self::ALL.map(Self::name));
            ModelError::Device(format!(
                "unknown accelerator '{text}'{}; use flex, libtorch, cuda or wgpu",
                kidu_core::suggest::did_you_mean(nearest)
            ))
        })
    }
}

/// Computes something small on a backend and checks the result.
///
/// # Errors
/// [`ModelError::Device`] when the backend is missing or computes something else.
pub fn try_out(accelerator: Accelerator) -> Result<()> {
    let device = accelerator.device()?;
    let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
    let values = x.clone().matmul(x).into_data().convert::<f32>().try_into_vec::<f32>();
    match values {
        Ok(v) if v == [7.0, 10.0, 15.0, 22.0] => Ok(()),
        other => Err(ModelError::Device(format!("the backend '{accelerator}' gives wrong numbers: {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_compiled_in_says_how_to_get_it() {
        assert!(try_out(Accelerator::Flex).is_ok());
        if !Accelerator::Cuda.is_compiled() {
            assert!(Accelerator::Cuda.device().unwrap_err().to_string().contains("--features cuda"));
        }
        assert!("flx".parse::<Accelerator>().unwrap_err().to_string().contains("'flex'"));
    }
}
