//! Weights on the host, under timm's keys, and the safetensors format.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::{Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{
    error::{ModelError, Result},
    network::Network,
    parameters,
};

/// A float32 array in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

/// Arrays by key, sorted. `num_batches_tracked` is left out: it plays no part in the arithmetic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict(pub BTreeMap<String, Array>);

impl StateDict {
    /// Copies a network's parameters and running statistics.
    pub fn of(network: &Network) -> Self {
        let mut arrays = BTreeMap::new();
        parameters::visit(network, |info, value| {
            arrays.insert(info.key.clone(), Array { shape: info.shape.clone(), values: to_host(value) });
        });
        Self(arrays)
    }

    /// Puts the arrays into a network; keys and shapes must be exactly the network's.
    ///
    /// # Errors
    /// [`ModelError::StateDict`] with the keys that are missing, unexpected or of another shape.
    pub fn apply(&self, network: Network, model: &str) -> Result<Network> {
        let infos = parameters::infos(&network);
        let missing = infos.iter().filter(|i| !self.0.contains_key(&i.key)).map(|i| i.key.clone()).collect::<Vec<_>>();
        let unexpected: Vec<_> = self.0.keys().filter(|k| !infos.iter().any(|i| i.key == **k)).cloned().collect();
        let shapes: Vec<_> = infos
            .iter()
            .filter_map(|i| self.0.get(&i.key).map(|a| (i, a)))
            .filter(|(i, a)| i.shape != a.shape)
            .map(|(i, a)| format!("{}: {:?} in the weights, {:?} in the network", i.key, a.shape, i.shape))
            .collect();
        if !(missing.is_empty() && unexpected.is_empty() && shapes.is_empty()) {
            return Err(ModelError::StateDict { model: model.to_string(), missing, unexpected, shapes });
        }
        Ok(parameters::map(network, |info, old| self.0.get(&info.key).map(|array| from_host(&array.values, &old))))
    }

    /// As the bytes of a safetensors file. With `batches_tracked`, PyTorch's counter stands beside every batch norm, so
    /// that the keys are exactly timm's.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if the format refuses (never for arrays whose shape and length agree).
    pub fn to_safetensors(&self, batches_tracked: Option<u64>) -> Result<Vec<u8>> {
        let fail = |e: safetensors::SafeTensorError| ModelError::Weights {
            path: "weights.safetensors".into(),
            reason: format!("cannot be written: {e}"),
        };
        let counter = (batches_tracked.unwrap_or(0) as i64).to_le_bytes();
        let floats: Vec<(&String, Vec<u8>)> =
            self.0.iter().map(|(k, a)| (k, a.values.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
        let mut views = Vec::new();
        for (key, bytes) in &floats {
            views.push(((*key).clone(), TensorView::new(Dtype::F32, self.0[*key].shape.clone(), bytes).map_err(fail)?));
            if let Some(norm) = key.strip_suffix("running_var").filter(|_| batches_tracked.is_some()) {
                let view = TensorView::new(Dtype::I64, Vec::new(), &counter).map_err(fail)?;
                views.push((format!("{norm}num_batches_tracked"), view));
            }
        }
        safetensors::serialize(views, None).map_err(fail)
    }

    /// Reads a safetensors file's bytes; float16 and bfloat16 become float32.
    ///
    /// # Errors
    /// [`ModelError::Weights`] naming `path` when the bytes are damaged or hold another type.
    pub fn from_safetensors(bytes: &[u8], path: &Path) -> Result<Self> {
        let fail = |reason: String| ModelError::Weights { path: path.to_path_buf(), reason };
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| fail(format!("is not a readable safetensors file ({e}); fetch or write it again")))?;
        let mut arrays = BTreeMap::new();
        for (key, view) in file.tensors() {
            if key.ends_with("num_batches_tracked") {
                continue;
            }
            let values = floats(view.data(), dtype_name(view.dtype()))
                .ok_or_else(|| fail(format!("'{key}' has the type {:?}; only floats are read", view.dtype())))?;
            arrays.insert(key, Array { shape: view.shape().to_vec(), values });
        }
        Ok(Self(arrays))
    }
}

fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::F64 => "f64",
        Dtype::F16 => "f16",
        Dtype::BF16 => "bf16",
        _ => "other",
    }
}

/// Little-endian floats of a type, as float32.
pub(crate) fn floats(bytes: &[u8], dtype: &str) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| chunks.iter().map(|c| convert(*c)).collect())
    }
    match dtype {
        "f32" => each(bytes, f32::from_le_bytes),
        "f64" => each(bytes, |b| f64::from_le_bytes(b) as f32),
        "f16" => each(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
        "bf16" => each(bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
        _ => None,
    }
}

/// Copies a tensor to the host.
#[allow(clippy::expect_used, reason = "tensors are float32 on every backend that is offered")]
pub fn to_host<const D: usize>(value: Tensor<D>) -> Vec<f32> {
    value.into_data().convert::<f32>().try_into_vec::<f32>().expect("float32 data")
}

/// Copies values from the host to the device of `like`.
pub fn from_host(values: &[f32], like: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &like.device())
}
