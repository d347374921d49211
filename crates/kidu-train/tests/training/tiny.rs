//! A network of a few thousand weights, a problem it can learn, and a watcher that interrupts.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use burn::tensor::Device;
use kidu_core::{
    Activation, Architecture, BlockKind, BlockSpec, EfficientNetSpec, PadType, Progress, Sha256Hex, progress::Silent,
    rng,
};
use kidu_models::Network;
use kidu_train::{
    Augmentation, Batch, BatchSource, CallbackSettings, FitOutcome, FitRequest, Fitted, LoggerSettings, ModelSettings,
    Result, TrainError, TrainerSettings, source::Batches,
};
use rand::Rng;

pub(crate) const SIZE: usize = 16;
pub(crate) const CLASSES: usize = 3;

/// Two stages, 2 stages of one block each.
pub(crate) fn network(seed: u64) -> Network {
    let block = |kind, input, mid, output, stride| BlockSpec {
        kind,
        kernel: 3,
        stride,
        in_channels: input,
        mid_channels: mid,
        out_channels: output,
        skip: input == output && stride == 1,
    };
    let spec = EfficientNetSpec {
        stem_channels: 8,
        stages: vec![
            vec![block(BlockKind::DepthwiseSeparable, 8, 8, 8, 1)],
            vec![block(BlockKind::InvertedResidual, 8, 16, 12, 2)],
        ],
        head_channels: 24,
        activation: Activation::Relu6,
        bn_eps: 1e-3,
        pad_type: PadType::Same,
    };
    Network::new(&Architecture::EfficientNet(spec), CLASSES, seed, &Device::flex())
}

/// Images whose class is the direction of a stripe pattern, with noise and a random shift in training.
pub(crate) struct Stripes {
    pub(crate) count: usize,
    pub(crate) batch_size: usize,
    pub(crate) train: bool,
    pub(crate) augmentation: Augmentation,
    /// After so many batches the source fails: the power is cut.
    pub(crate) fails_after: Option<usize>,
    pub(crate) served: AtomicUsize,
}

impl Stripes {
    pub(crate) fn new(count: usize, batch_size: usize, train: bool) -> Self {
        let augmentation = Augmentation { horizontal_flip: if train { 0.5 } else { 0.0 }, others: Vec::new() };
        Self { count, batch_size, train, augmentation, fails_after: None, served: AtomicUsize::new(0) }
    }

    fn image(&self, index: usize, shift: usize) -> Vec<f32> {
        let mut rng = rng::stream(u64::from(self.train), "stripes", &[index as u64]);
        let mut values = Vec::with_capacity(3 * SIZE * SIZE);
        for channel in 0..3 {
            for y in 0..SIZE {
                for x in 0..SIZE {
                    let t = match index % CLASSES {
                        0 => x + shift,
                        1 => y + shift,
                        _ => x + y + shift,
                    };
                    let noise = (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32 - 0.5;
                    let wave = if (t / 2).is_multiple_of(2) { 0.7 } else { -0.7 };
                    values.push(wave * (1.0 + 0.1 * channel as f32) + noise);
                }
            }
        }
        values
    }

    fn batches(&self, order: Vec<usize>, shift: impl Fn(usize) -> usize + 'static, skip: usize) -> Batches<'_> {
        let chunks: Vec<Vec<usize>> = order.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        Box::new(chunks.into_iter().enumerate().skip(skip).map(move |(number, indices)| {
            if self.fails_after.is_some_and(|n| self.served.fetch_add(1, Ordering::Relaxed) >= n) {
                return Err(TrainError::NoData("the power was cut".into()));
            }
            let images = indices.iter().flat_map(|i| self.image(*i, shift(*i))).collect();
            Ok(Batch { number, images, labels: indices.iter().map(|i| i % CLASSES).collect(), indices })
        }))
    }
}

impl BatchSource for Stripes {
    fn images(&self) -> usize {
        self.count
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn image_shape(&self) -> [usize; 3] {
        [3, SIZE, SIZE]
    }

    fn epoch(&self, epoch: u64, skip: usize) -> Batches<'_> {
        let mut order: Vec<usize> = (0..self.count).collect();
        if !self.train {
            return self.batches(order, |_| 0, skip);
        }
        let mut rng = rng::stream(5, "order", &[epoch]);
        for last in (1..order.len()).rev() {
            order.swap(last, rng.next_u64() as usize % (last + 1));
        }
        self.batches(order, move |i| (i * 7 + epoch as usize) % 4, skip)
    }

    fn plain(&self) -> Batches<'_> {
        self.batches((0..self.count).collect(), |_| 0, 0)
    }

    fn augmentation(&self) -> Augmentation {
        self.augmentation.clone()
    }

    fn identity(&self) -> Option<Sha256Hex> {
        Some(Sha256Hex::of_bytes(format!("{} {}", self.train, self.count).as_bytes()))
    }
}

/// Notes what it is told and sets the stop flag when the work has advanced so many times.
#[derive(Default)]
pub(crate) struct Watcher {
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) stop_after: Option<usize>,
    pub(crate) advanced: AtomicUsize,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Watcher {
    pub(crate) fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

impl Progress for Watcher {
    fn begin(&self, what: &str, _: &str, _: Option<u64>) {
        self.notes.lock().unwrap().push(format!("begin {what}"));
    }
    fn advance(&self, _: u64) {
        let advanced = self.advanced.fetch_add(1, Ordering::Relaxed) + 1;
        if self.stop_after == Some(advanced) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    fn set_message(&self, _: &str) {}
    fn end(&self) {}
    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_string());
    }
}

pub(crate) fn request<'a>(run_dir: &Path, progress: Option<&'a Watcher>) -> FitRequest<'a> {
    FitRequest {
        network: network(1),
        model: ModelSettings { learning_rate: 0.01.into(), ..Default::default() },
        trainer: TrainerSettings { max_epochs: 2, ..Default::default() },
        callbacks: CallbackSettings::default(),
        logger: LoggerSettings::default(),
        seed: 11,
        train: Box::new(Stripes::new(22, 4, true)),
        val: Some(Box::new(Stripes::new(9, 4, false))),
        class_counts: vec![8, 7, 7],
        run_dir: run_dir.to_path_buf(),
        cache_dir: None,
        config_hash: "config".into(),
        resume: None,
        stop: progress.map_or_else(Arc::default, |w| Arc::clone(&w.stop)),
        progress: progress.map_or(&Silent as &dyn Progress, |w| w),
        trackers: Vec::new(),
    }
}

pub(crate) fn finished(outcome: Result<FitOutcome>) -> Fitted {
    match outcome.unwrap() {
        FitOutcome::Finished(fitted) => *fitted,
        FitOutcome::Interrupted { epoch, step, .. } => panic!("interrupted in epoch {epoch} at step {step}"),
    }
}
