//! Initial weights: none, a file, or the Hugging Face hub.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use kidu_core::{ModelRecord, Sha256Hex};
use pytorch_reader::{DType, PytorchReader};

use crate::{
    error::{ModelError, Result},
    hub,
    network::Network,
    state_dict::{Array, StateDict, floats},
};

/// Standard deviation of a fresh classifier over pretrained features (Goyal et al. 2017, arXiv 1706.02677, 5.1). Its
/// first predictions are near uniform; timm's own initial range for few classes is forty times as wide and costs
/// several points of accuracy on small data.
const FRESH_HEAD_STD: f64 = 0.01;

/// Where initial weights come from, as in `model.weights`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WeightsSpec {
    /// Random, as timm initialises.
    #[default]
    None,
    /// A `.safetensors` or `.pth` file under timm's keys.
    File(PathBuf),
    /// timm's weights on the Hugging Face hub, the default ones or those with a tag.
    Hub(Option<String>),
}

impl FromStr for WeightsSpec {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "" | "none" => Self::None,
            "hub" => Self::Hub(None),
            _ => match text.strip_prefix("hub:") {
                Some(tag) => Self::Hub(Some(tag.to_string())),
                None => Self::File(text.strip_prefix("file:").unwrap_or(text).into()),
            },
        })
    }
}

impl fmt::Display for WeightsSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Hub(None) => f.write_str("hub"),
            Self::Hub(Some(tag)) => write!(f, "hub:{tag}"),
        }
    }
}

/// What loading did, for the log and the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// `none`, or the file's name and the first digits of its SHA-256.
    pub source: String,
    /// Whether the classifier kept its random initial weights because the numbers of classes differ.
    pub head_reinitialised: Option<String>,
}

/// Loads initial weights into a network.
///
/// A classifier of another size keeps its random weights, and the report says so; every other difference of keys or
/// shapes is an error.
///
/// # Errors
/// [`ModelError::Weights`], [`ModelError::StateDict`] or [`ModelError::Hub`].
pub fn load(network: Network, record: &ModelRecord, spec: &WeightsSpec) -> Result<(Network, LoadReport)> {
    let path = match spec {
        WeightsSpec::None => {
            return Ok((network, LoadReport { source: "none".into(), head_reinitialised: None }));
        }
        WeightsSpec::File(path) => path.clone(),
        WeightsSpec::Hub(tag) => hub::fetch(record, tag.as_deref(), &hub::cache_dir())?,
    };
    let mut state = read(&path)?;
    let head_reinitialised = keep_random_head(&mut state, &network, record.architecture.classifier_name());
    let network = state.apply(network, record.name).map_err(|e| match e {
        ModelError::StateDict { missing, unexpected, shapes, .. } => ModelError::StateDict {
            model: format!("{} ({})", record.name, path.display()),
            missing,
            unexpected,
            shapes,
        },
        other => other,
    })?;
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let source = format!("{name} sha256:{}", Sha256Hex::of_file(&path)?);
    Ok((network, LoadReport { source, head_reinitialised }))
}

/// Reads a weights file by its extension.
///
/// # Errors
/// [`ModelError::Weights`] when it is missing, damaged or of another kind.
pub fn read(path: &Path) -> Result<StateDict> {
    let fail = |reason: String| ModelError::Weights { path: path.to_path_buf(), reason };
    if !path.is_file() {
        return Err(fail("there is no such weights file; check model.weights".into()));
    }
    match path.extension().and_then(|e| e.to_str()) {
        Some("safetensors") => {
            let bytes = fs::read(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
            StateDict::from_safetensors(&bytes, path)
        }
        Some("pth" | "pt" | "bin") => read_pytorch(path),
        _ => Err(fail("is neither .safetensors nor .pth; convert it, or check model.weights".into())),
    }
}

/// Reads a PyTorch checkpoint; tensors may lie under `state_dict` or `model`, and carry DataParallel's `module.`.
fn read_pytorch(path: &Path) -> Result<StateDict> {
    let fail = |reason: String| ModelError::Weights { path: path.to_path_buf(), reason };
    let reader = PytorchReader::new(path)
        .map_err(|e| fail(format!("is not a readable PyTorch checkpoint ({e}); save its state_dict again")))?;
    let mut state = StateDict::default();
    for (name, tensor) in reader.tensors() {
        let key = ["state_dict.", "model.", "module."]
            .iter()
            .fold(name.as_str(), |key, prefix| key.strip_prefix(prefix).unwrap_or(key));
        let dtype = match tensor.dtype() {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            _ if key.ends_with("num_batches_tracked") => continue,
            other => return Err(fail(format!("'{name}' has the type {other:?}; only floats are read"))),
        };
        let bytes = tensor.read().map_err(|e| fail(format!("'{name}' cannot be read: {e}")))?;
        let values = floats(&bytes, dtype).ok_or_else(|| fail(format!("'{name}' is cut short")))?;
        state.0.insert(key.to_string(), Array { shape: tensor.shape().to_vec(), values });
    }
    Ok(state)
}

/// When the classifier's sizes differ, replaces the file's by the network's own and says so.
fn keep_random_head(state: &mut StateDict, network: &Network, classifier: &str) -> Option<String> {
    let (weight, bias) = (format!("{classifier}.weight"), format!("{classifier}.bias"));
    let found = state.0.get(&weight)?.shape.clone();
    let wanted = vec![network.num_classes(), network.num_features()];
    if found == wanted || found.get(1) != wanted.get(1) {
        return None;
    }
    let own = StateDict::of(network).0;
    let mut fresh = own.get(&weight)?.clone();
    let n = fresh.values.len().max(1) as f64;
    let std = (fresh.values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n).sqrt().max(f64::MIN_POSITIVE);
    fresh.values.iter_mut().for_each(|v| *v = (f64::from(*v) * FRESH_HEAD_STD / std) as f32);
    state.0.insert(weight, fresh);
    state.0.insert(bias, Array { shape: vec![network.num_classes()], values: vec![0.0; network.num_classes()] });
    Some(format!(
        "the weights have {} classes, the data {}: '{classifier}' starts from small random weights",
        found[0], wanted[0]
    ))
}
