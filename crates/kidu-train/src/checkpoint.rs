//! Checkpoints: one safetensors file with weights, optimizer moments, averages and everything else a run needs to go
//! on as if it had not been interrupted.
//!
//! Tensors are named `net/KEY`, `ema/KEY` and `optimizer/SLOT/KEY`; the file's metadata hold one JSON text. Weights can
//! be taken out with any safetensors reader.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{ContentHasher, Sha256Hex, files};
use kidu_models::{Array, StateDict};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, TrainError},
    history::EpochRow,
    optimizer::OptimizerState,
    schedule::PlateauState,
    settings::OptimizerName,
    strategy::{EarlyStopping, TopK},
};

/// The key of the JSON text in the file's metadata.
const META: &str = "kidu_checkpoint";

/// Where a run stands, without the tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The epoch that is under way, from 0; the number of finished epochs.
    pub epoch: usize,
    /// Batches of it that have been trained on.
    pub batch: usize,
    /// Optimizer steps so far.
    pub step: u64,
    /// Sum of the losses of this epoch's images.
    pub loss_sum: f64,
    /// Correct ones of this epoch's images; a mixed image counts the share of the class that was predicted.
    pub correct: f64,
    /// Images of this epoch so far.
    pub images: usize,
    /// The rate of the last step.
    pub lr: f64,
    /// What the plateau schedule remembers.
    pub plateau: PlateauState,
    /// What early stopping remembers.
    pub early_stopping: EarlyStopping,
    /// The kept checkpoints.
    pub top_k: TopK,
    /// Files that this checkpoint made superfluous; deleted again on resuming, in case a crash came in between.
    pub superseded: Vec<String>,
    /// Updates of the weight average.
    pub ema_updates: u64,
    /// One row for each finished epoch.
    pub history: Vec<EpochRow>,
    /// Seconds of training so far, of all parts of the run together.
    pub elapsed: f64,
}

/// What stands beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointMeta {
    /// Version of this format, [`Checkpoint::FORMAT`].
    pub format_version: u32,
    /// Version of Kidu that wrote it.
    pub kidu_version: String,
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the configuration of the run.
    pub config_hash: String,
    /// The optimizer whose moments these are.
    pub optimizer: OptimizerName,
    /// Steps of each parameter.
    pub optimizer_steps: BTreeMap<String, u64>,
    /// Where the run stands.
    pub state: RunState,
    /// Hash of all tensors.
    pub tensors: Sha256Hex,
}

/// A checkpoint in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the configuration of the run.
    pub config_hash: String,
    /// The optimizer.
    pub optimizer_name: OptimizerName,
    /// Where the run stands.
    pub state: RunState,
    /// Parameters and running statistics.
    pub network: StateDict,
    /// Their averages, when averaging is on.
    pub ema: Option<StateDict>,
    /// The optimizer's moments.
    pub optimizer: OptimizerState,
}

impl Checkpoint {
    /// The version of the format that this code writes and reads.
    pub const FORMAT: u32 = 1;

    /// The weights to predict with: the averages if there are any.
    pub fn weights(&self) -> &StateDict {
        self.ema.as_ref().unwrap_or(&self.network)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] if the format refuses, which valid shapes rule out.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |reason: String| TrainError::Checkpoint { path: "checkpoint".into(), reason };
        let tensors = self.tensors();
        let hash = tensors
            .iter()
            .fold(ContentHasher::new("kidu checkpoint"), |h, (name, _, bytes)| h.field(name, bytes))
            .finish();
        let meta = CheckpointMeta {
            format_version: Self::FORMAT,
            kidu_version: env!("CARGO_PKG_VERSION").into(),
            seed: self.seed,
            config_hash: self.config_hash.clone(),
            optimizer: self.optimizer_name,
            optimizer_steps: self.optimizer.steps.clone(),
            state: self.state.clone(),
            tensors: hash,
        };
        let meta = serde_json::to_string(&meta).map_err(|e| fail(format!("cannot be written: {e}")))?;
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| fail(format!("cannot be written: {e}")))?;
        safetensors::serialize(views, Some(HashMap::from([(META.to_string(), meta)])))
            .map_err(|e| fail(format!("cannot be written: {e}")))
    }

    /// Reads and checks a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] for a missing, damaged or foreign file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| {
            let hint = "give the checkpoint that the run wrote (checkpoints/last.ckpt)";
            TrainError::Checkpoint { path: path.into(), reason: format!("cannot be read ({e}); {hint}") }
        })?;
        Self::from_bytes(&bytes).map_err(|reason| TrainError::Checkpoint { path: path.into(), reason })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let damaged = |e: String| format!("is not a whole checkpoint ({e}); use another one of the run");
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(META)).ok_or(
            "is a safetensors file but no checkpoint of a training run; to start from weights use model.weights=FILE",
        )?;
        let version = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|v| v["format_version"].as_u64());
        if version != Some(u64::from(Self::FORMAT)) {
            let found = version.map_or("an unknown one".to_string(), |v| v.to_string());
            return Err(format!(
                "has checkpoint format {found}, this version reads {}; resume with the version that wrote it",
                Self::FORMAT
            ));
        }
        let meta: CheckpointMeta = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        let names: std::collections::BTreeSet<&str> = file.names().into_iter().collect();
        let mut hasher = ContentHasher::new("kidu checkpoint");
        let (mut network, mut ema, mut moments) = (StateDict::default(), StateDict::default(), BTreeMap::new());
        for name in names {
            let view = file.tensor(name).map_err(|e| damaged(e.to_string()))?;
            hasher = hasher.field(name, view.data());
            let (chunks, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
            let array = || Array { shape: view.shape().to_vec(), values: values.clone() };
            match name.split_once('/') {
                Some(("net", key)) => drop(network.0.insert(key.into(), array())),
                Some(("ema", key)) => drop(ema.0.insert(key.into(), array())),
                Some(("optimizer", key)) => drop(moments.insert(key.to_string(), values)),
                _ => return Err(damaged(format!("unknown tensor '{name}'"))),
            }
        }
        if hasher.finish() != meta.tensors {
            return Err(damaged("its tensors do not match their hash".into()));
        }
        Ok(Self {
            seed: meta.seed,
            config_hash: meta.config_hash,
            optimizer_name: meta.optimizer,
            state: meta.state,
            network,
            ema: (!ema.0.is_empty()).then_some(ema),
            optimizer: OptimizerState { steps: meta.optimizer_steps, moments },
        })
    }

    /// All tensors by name, sorted: name, shape, little-endian bytes.
    fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let named = |prefix: &'static str, state: &StateDict| -> Vec<_> {
            let entry = |(k, a): (&String, &Array)| (format!("{prefix}/{k}"), a.shape.clone(), le_bytes(&a.values));
            state.0.iter().map(entry).collect()
        };
        let mut tensors = named("net", &self.network);
        if let Some(ema) = &self.ema {
            tensors.extend(named("ema", ema));
        }
        let moments = self.optimizer.moments.iter();
        tensors.extend(moments.map(|(k, v)| (format!("optimizer/{k}"), vec![v.len()], le_bytes(v))));
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    }
}

fn le_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * values.len());
    values.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
    bytes
}

/// The folder with a run's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointDir(PathBuf);

impl CheckpointDir {
    /// Name of the newest checkpoint.
    pub const LAST: &'static str = "last.ckpt";
    /// Name of the best checkpoint.
    pub const BEST: &'static str = "best.ckpt";

    /// The folder `checkpoints` of a run folder; made by the first write.
    pub fn of_run(run_dir: &Path) -> Self {
        Self(run_dir.join("checkpoints"))
    }

    /// Path of a checkpoint.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Path of a checkpoint that exists.
    pub fn existing(&self, name: &str) -> Option<PathBuf> {
        Some(self.path(name)).filter(|p| p.is_file())
    }

    /// Writes the same checkpoint under several names, in that order, each atomically. The bytes are written once
    /// where the file system has hard links: files are replaced as a whole and never changed, so links are safe.
    ///
    /// # Errors
    /// [`TrainError::Save`]; checkpoints under other names, and the old ones under these, stay whole.
    pub fn write(&self, checkpoint: &Checkpoint, names: &[&str]) -> Result<()> {
        let Some((first, others)) = names.split_first() else { return Ok(()) };
        let bytes = checkpoint.to_bytes()?;
        let failed = |source| TrainError::Save { source, kept: self.existing(Self::LAST) };
        let first = self.path(first);
        files::write_atomic(&first, &bytes).map_err(failed)?;
        for name in others {
            let path = self.path(name);
            if !replace_by_link(&first, &path) {
                files::write_atomic(&path, &bytes).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes the temporary links that a killed run left: they would keep a deleted checkpoint's bytes on the disk.
    /// Best effort; call it while nobody else writes checkpoints here.
    pub fn remove_links(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(LINK) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Deletes checkpoints; those that are gone already are fine. Returns what could not be deleted.
    pub fn delete(&self, names: &[String]) -> Vec<String> {
        let gone = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        let failed = names.iter().filter_map(|name| match fs::remove_file(self.path(name)) {
            Err(e) if !gone(&e) => Some(format!("cannot delete the superseded checkpoint {name}: {e}")),
            _ => None,
        });
        failed.collect()
    }
}

/// What a temporary link is named before the name that it will have.
const LINK: &str = ".link-";

/// Makes `path` a hard link to `source` by way of a temporary name. False where that is not possible.
fn replace_by_link(source: &Path, path: &Path) -> bool {
    let mut name = std::ffi::OsString::from(LINK);
    name.push(path.file_name().unwrap_or_default());
    let temporary = files::parent_of(path).join(name);
    let _ = fs::remove_file(&temporary);
    let linked = fs::hard_link(source, &temporary).is_ok() && fs::rename(&temporary, path).is_ok();
    // Renaming onto another link of the same file does nothing and leaves the temporary name.
    let _ = fs::remove_file(&temporary);
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        let array = |v: f32| Array { shape: vec![2, 1], values: vec![v, f32::MIN_POSITIVE / 2.0] };
        let row = EpochRow { epoch: 0, step, metrics: [("val/acc".to_string(), 0.1 + 0.2)].into() };
        Checkpoint {
            seed: 7,
            config_hash: "abc".into(),
            optimizer_name: OptimizerName::Adam,
            state: RunState { step, elapsed: 1.25, history: vec![row], ..Default::default() },
            network: StateDict([("fc.weight".to_string(), array(1.0))].into()),
            ema: Some(StateDict([("fc.weight".to_string(), array(-0.0))].into())),
            optimizer: OptimizerState {
                steps: [("fc.weight".to_string(), step)].into(),
                moments: [("exp_avg/fc.weight".to_string(), vec![0.1, 0.2])].into(),
            },
        }
    }

    #[test]
    fn round_trips_bit_for_bit_under_several_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointDir::of_run(dir.path());
        for step in [3, 4] {
            store.write(&checkpoint(step), &["epoch=000.ckpt", CheckpointDir::BEST, CheckpointDir::LAST]).unwrap();
            for name in ["epoch=000.ckpt", "best.ckpt", "last.ckpt"] {
                let back = Checkpoint::load(&store.path(name)).unwrap();
                assert_eq!(back, checkpoint(step));
                assert_eq!(back.to_bytes().unwrap(), checkpoint(step).to_bytes().unwrap());
            }
        }
        // A new last checkpoint leaves the best one, though they were one file.
        store.write(&checkpoint(5), &[CheckpointDir::LAST]).unwrap();
        assert_eq!(Checkpoint::load(&store.path("best.ckpt")).unwrap().state.step, 4);
        assert!(store.delete(&["epoch=000.ckpt".into(), "gone.ckpt".into()]).is_empty());
        fs::hard_link(store.path("best.ckpt"), store.path(".link-best.ckpt")).unwrap();
        store.remove_links();
        assert_eq!(fs::read_dir(dir.path().join("checkpoints")).unwrap().count(), 2);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = checkpoint(1).to_bytes().unwrap();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let weights = checkpoint(1).network.to_safetensors(None).unwrap();
        for (name, content, words) in [
            ("cut.ckpt", &bytes[..bytes.len() - 5], "not a whole checkpoint"),
            ("flipped.ckpt", &flipped, "do not match their hash"),
            ("text.ckpt", b"hello", "not a whole checkpoint"),
            ("empty.ckpt", b"", "not a whole checkpoint"),
            ("weights.ckpt", &weights, "no checkpoint of a training run"),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            let message = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(message.contains(words) && message.contains(name), "{message}");
        }
        let message = Checkpoint::load(&dir.path().join("none.ckpt")).unwrap_err().to_string();
        assert!(message.contains("cannot be read") && message.contains("none.ckpt"), "{message}");
    }

    #[test]
    fn a_failed_write_names_the_checkpoint_that_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointDir::of_run(dir.path());
        store.write(&checkpoint(1), &[CheckpointDir::LAST]).unwrap();
        // A folder in the way stands for a disk that takes no more.
        fs::create_dir(store.path("epoch=001.ckpt")).unwrap();
        let message = store.write(&checkpoint(2), &["epoch=001.ckpt", CheckpointDir::LAST]).unwrap_err().to_string();
        assert!(message.contains("last.ckpt; resume with"), "{message}");
        assert_eq!(Checkpoint::load(&store.path("last.ckpt")).unwrap(), checkpoint(1));
    }
}
