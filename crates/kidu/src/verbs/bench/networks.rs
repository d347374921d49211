//! Training steps and predictions of the networks.

use std::{collections::BTreeMap, path::Path};

use kidu_core::{Bundle, BundleManifest, ClassNames, ModelRecord, run::timestamp};
use kidu_models::{Accelerator, Network, StateDict};
use kidu_train::BenchmarkStep;
use rayon::ThreadPool;
use serde::Serialize;

use super::{
    CLASSES, SEED,
    peer::Peers,
    turns::{self, Measured, Rival, Rules, request},
};
use crate::Outcome;

/// Forward, and the gradients of inputs and of weights: three passes of about the same arithmetic.
const TRAINING_PASSES: f64 = 3.0;

/// One network, one batch, one number of threads.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    pub(super) model: &'static str,
    pub(super) batch: usize,
    pub(super) threads: usize,
    /// Arithmetic of the batch: products of all convolutions, times 2; for training three times that.
    pub(super) gflop: f64,
    /// What of it was done in a second.
    pub(super) gflops: f64,
    /// The same as a share of what the threads can do at most.
    pub(super) share_of_peak: f64,
    pub(super) images_per_second: f64,
    /// Seconds are those of one batch.
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// The threads that a case runs on.
pub(super) struct Place<'a> {
    pub(super) threads: usize,
    pub(super) pool: &'a ThreadPool,
    /// GFLOP/s.
    pub(super) peak: f64,
    pub(super) rounds: u32,
}

impl Place<'_> {
    fn case(&self, record: &ModelRecord, batch: usize, passes: f64, measured: Measured) -> Case {
        let (height, width) = (record.image.height as usize, record.image.width as usize);
        let gflop = 2.0 * record.architecture.products(height, width) as f64 * batch as f64 * passes / 1e9;
        let gflops = gflop / measured.kidu.seconds;
        Case {
            model: record.name,
            batch,
            threads: self.threads,
            gflop,
            gflops,
            share_of_peak: gflops / self.peak,
            images_per_second: batch as f64 / measured.kidu.seconds,
            measured,
        }
    }

    fn rules(&self) -> Rules {
        Rules { rounds: self.rounds, units: 1 }
    }
}

/// A training step of Kidu and of PyTorch.
pub(super) fn train(record: &'static ModelRecord, batch: usize, at: &Place<'_>, peers: &mut Peers) -> Outcome<Case> {
    let mut step = at.pool.install(|| new_step(record, batch))?;
    let mut run = || {
        step.run();
        Ok(())
    };
    let ask = |channels_last| request("train", record.name, batch, record.image.height, channels_last);
    let rivals =
        [Rival { name: "PyTorch", request: ask(false) }, Rival { name: "PyTorch, channels last", request: ask(true) }];
    let mut ours = |seconds| at.pool.install(|| turns::turn(seconds, &mut run));
    let measured = turns::in_turn(at.rules(), &mut ours, peers.at(at.threads)?, &rivals)?;
    Ok(at.case(record, batch, TRAINING_PASSES, measured))
}

/// The training step that is measured.
pub(super) fn new_step(record: &ModelRecord, batch: usize) -> Outcome<BenchmarkStep> {
    let step = BenchmarkStep::new(record, batch, CLASSES, SEED, Accelerator::Flex);
    Ok(step.map_err(anyhow::Error::from)?)
}

/// What predicts. Everything about the engine that is measured is here.
pub(super) struct Engine(kidu_engine::Predictor);

impl Engine {
    /// From a bundle, as everywhere.
    pub(super) fn open(bundle: &Bundle, threads: usize) -> Outcome<Self> {
        Ok(Self(kidu_engine::Predictor::open(bundle, threads).map_err(anyhow::Error::from)?))
    }

    fn predict(&self, images: &[f32]) -> Outcome {
        std::hint::black_box(self.0.logits(images).map_err(anyhow::Error::from)?);
        Ok(())
    }
}

/// A prediction of Kidu, PyTorch and ONNX Runtime.
pub(super) fn predict(
    (record, engine): (&'static ModelRecord, &Engine),
    batch: usize,
    at: &Place<'_>,
    peers: &mut Peers,
) -> Outcome<Case> {
    let images = noise(batch * record.image.values());
    let ask = |kind, channels_last| request(kind, record.name, batch, record.image.height, channels_last);
    let rivals = [
        Rival { name: "ONNX Runtime", request: ask("onnxruntime", false) },
        Rival { name: "PyTorch", request: ask("torch", false) },
        Rival { name: "PyTorch, channels last", request: ask("torch", true) },
    ];
    let mut run = || engine.predict(&images);
    let mut ours = |seconds| at.pool.install(|| turns::turn(seconds, &mut run));
    let measured = turns::in_turn(at.rules(), &mut ours, peers.at(at.threads)?, &rivals)?;
    Ok(at.case(record, batch, 1.0, measured))
}

/// A bundle of the network with random weights.
pub(super) fn bundle(record: &ModelRecord, dir: &Path) -> Outcome<Bundle> {
    let network = Network::new(&record.architecture, CLASSES, SEED, &Accelerator::Flex.device()?);
    let weights = StateDict::of(&network).to_safetensors(Some(0))?;
    let manifest = BundleManifest {
        format_version: BundleManifest::FORMAT,
        model: record.name.into(),
        pad_type: None,
        classes: ClassNames::new((0..CLASSES).map(|i| format!("class {i}")))?,
        image: record.image.clone(),
        temperature: 1.0,
        metrics: BTreeMap::new(),
        dataset_version: "none".into(),
        data_snapshot: None,
        config_hash: "none".into(),
        git_commit: None,
        initial_weights: "none".into(),
        created: timestamp(),
        kidu_version: env!("CARGO_PKG_VERSION").into(),
        files: BTreeMap::new(),
    };
    Ok(Bundle::create(&dir.join(record.name), manifest, &[(Bundle::WEIGHTS, &weights)])?)
}

/// Values in [-1, 1), the same in every run.
fn noise(len: usize) -> Vec<f32> {
    let mut state = SEED + 1;
    let next = || {
        // Steele and Vigna's constants for a 64-bit linear congruential generator.
        state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}
