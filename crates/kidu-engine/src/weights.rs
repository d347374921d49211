//! Weights by state-dict key.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors};

use crate::error::{EngineError, Result};

/// Where a plan takes its weights from.
pub trait Weights {
    /// The tensor under a key: its shape, and its values in row-major order.
    fn tensor(&self, key: &str) -> Option<(&[usize], &[f32])>;

    /// The values of a tensor that must have this shape.
    ///
    /// # Errors
    /// [`EngineError::Weights`], naming the key.
    fn values(&self, key: &str, shape: &[usize]) -> Result<&[f32]> {
        let wrong = |problem: String| EngineError::Weights { key: key.to_string(), problem };
        let (found, values) = self.tensor(key).ok_or_else(|| wrong("is missing".into()))?;
        if found == shape { Ok(values) } else { Err(wrong(format!("has the shape {found:?} instead of {shape:?}"))) }
    }
}

/// Tensors read from a safetensors file.
#[derive(Clone, Debug, Default)]
pub struct TensorMap(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl TensorMap {
    /// Reads all float32 tensors of a safetensors file.
    ///
    /// # Errors
    /// [`EngineError::File`] when it cannot be read, is damaged, or holds another type.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |reason: String| EngineError::File { path: path.to_path_buf(), reason };
        let bytes = fs::read(path).map_err(|e| fail(format!("cannot be read ({e})")))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| fail(format!("is not a whole safetensors file ({e}); copy the bundle again")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
            if view.dtype() != Dtype::F32 {
                return Err(fail(format!("'{name}' has the type {:?}; a bundle holds float32", view.dtype())));
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
            tensors.insert(name.to_string(), (view.shape().to_vec(), values));
        }
        Ok(Self(tensors))
    }
}

impl Weights for TensorMap {
    fn tensor(&self, key: &str) -> Option<(&[usize], &[f32])> {
        self.0.get(key).map(|(shape, values)| (shape.as_slice(), values.as_slice()))
    }
}
