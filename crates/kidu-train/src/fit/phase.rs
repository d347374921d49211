//! A stretch of epochs in which the same part of the network is frozen, and where its inputs come from.

use std::path::PathBuf;

use burn::{module::Module, tensor::Tensor};
use kidu_models::{Cut, Freeze, Inference, Network};

use super::{
    run::Run,
    setup::{Setup, without_single},
};
use crate::{
    error::Result,
    evaluate::image_tensor,
    feature_cache::{self, FeatureCache, MEMORY_BUDGET, Probe},
    mix::{self, Mixed},
    source::BatchSource,
};

/// What stands at a cut for the images of one batch, on the plain device.
pub(super) struct Input {
    /// Position in the epoch, from 0.
    pub(super) number: usize,
    pub(super) x: Tensor<4>,
    pub(super) at: Cut,
    pub(super) labels: Vec<usize>,
    /// The other labels, where images were mixed.
    pub(super) mixed: Option<Mixed>,
}

/// An iterator over the inputs of an epoch.
pub(super) type Inputs<'a> = Box<dyn Iterator<Item = Result<Input>> + 'a>;

/// See the module.
pub(super) struct Phase {
    pub(super) freeze: Freeze,
    /// The frozen part ends here.
    pub(super) cut: Cut,
    /// The network in prediction mode, for its frozen part.
    frozen: Option<Inference>,
    train: Option<FeatureCache>,
    val: Option<FeatureCache>,
}

impl Phase {
    /// Takes the frozen part of the run's network and computes features where that is wanted. `None` when the run was
    /// stopped meanwhile.
    pub(super) fn prepare(setup: &Setup<'_>, run: &mut Run, freeze: Freeze) -> Result<Option<Self>> {
        let cut = freeze.cut();
        let mut phase = Self { freeze, cut, frozen: None, train: None, val: None };
        if cut == Cut::Image {
            return Ok(Some(phase));
        }
        let network = run.network.valid();
        if setup.wants_cache() && !phase.fill(setup, run, &network)? {
            return Ok(None);
        }
        phase.frozen = Some(Inference::new(&network, setup.request.train.image_shape())?);
        Ok(Some(phase))
    }

    /// Fills the caches if they fit into memory. False when the run was stopped meanwhile.
    fn fill(&mut self, setup: &Setup<'_>, run: &mut Run, network: &Network) -> Result<bool> {
        let (request, progress) = (setup.request, setup.request.progress);
        let probe = Probe::new(network, self.cut, request.train.image_shape());
        let augmentation = request.train.augmentation();
        let views = if augmentation.horizontal_flip > 0.0 { 2 } else { 1 };
        let val = request.val.as_deref();
        let needed = probe.bytes(request.train.images(), views) + val.map_or(0, |v| probe.bytes(v.images(), 1));
        if needed > MEMORY_BUDGET {
            progress.note(&format!(
                "the features of the frozen part would take {:.1} GiB, more than {} GiB: it runs at every step instead \
                 (model.freeze=backbone needs far less)",
                needed as f64 / f64::from(1 << 30),
                MEMORY_BUDGET >> 30
            ));
            return Ok(true);
        }
        let others = [augmentation.others, request.model.mix().names()].concat();
        if !others.is_empty() {
            progress.note(&format!(
                "features of the frozen part are computed once for each image: {} cannot apply{}; \
                 trainer.cache_features=false brings it back, but trains much slower",
                others.join(" and "),
                if views > 1 { " (the horizontal flip does)" } else { "" }
            ));
        }
        let job = Job { setup, network, probe: &probe, cut: self.cut };
        self.train = job.features(run, request.train.as_ref(), views, "features of train")?;
        if self.train.is_none() {
            return Ok(false);
        }
        if let Some(source) = val {
            self.val = job.features(run, source, 1, "features of val")?;
            return Ok(self.val.is_some());
        }
        Ok(true)
    }

    /// The training inputs of an epoch, without the first `skip` batches.
    pub(super) fn train_inputs<'a>(&'a self, setup: &'a Setup<'a>, epoch: usize, skip: usize) -> Inputs<'a> {
        let source = setup.request.train.as_ref();
        let epoch = setup.source_epoch(epoch);
        let Some(cache) = &self.train else {
            return from_images(setup, source, source.epoch(epoch, skip), Some(epoch));
        };
        let order = cache.epoch(setup.request.seed, epoch, source.augmentation().horizontal_flip);
        self.cached_inputs(setup, cache, order, source.batch_size(), skip)
    }

    /// The validation inputs, in order.
    pub(super) fn val_inputs<'a>(&'a self, setup: &'a Setup<'a>, source: &'a dyn BatchSource) -> Inputs<'a> {
        let Some(cache) = &self.val else { return from_images(setup, source, source.epoch(0, 0), None) };
        let order = (0..cache.rows()).map(|row| (row, 0)).collect();
        self.cached_inputs(setup, cache, order, source.batch_size(), 0)
    }

    /// What stands at the end of the frozen part.
    pub(super) fn at_cut(&self, input: Tensor<4>, at: Cut) -> Result<Tensor<4>> {
        match &self.frozen {
            Some(inference) if at < self.cut => Ok(inference.between(input, at, self.cut)?),
            _ => Ok(input),
        }
    }

    /// Number of validation images, as far as it is known.
    pub(super) fn val_images(&self, source: &dyn BatchSource) -> usize {
        self.val.as_ref().map_or(source.images(), FeatureCache::rows)
    }

    /// Batches of a training epoch.
    pub(super) fn train_batches(&self, setup: &Setup<'_>) -> usize {
        let source = setup.request.train.as_ref();
        self.train.as_ref().map_or(setup.batches, |cache| {
            let batches = cache.rows().div_ceil(source.batch_size());
            without_single(cache.rows(), source.batch_size(), batches).min(setup.batches)
        })
    }

    fn cached_inputs<'a>(
        &self,
        setup: &'a Setup<'a>,
        cache: &'a FeatureCache,
        order: Vec<(usize, usize)>,
        batch_size: usize,
        skip: usize,
    ) -> Inputs<'a> {
        let cut = self.cut;
        let batches = order.len().div_ceil(batch_size);
        Box::new((skip..batches).map(move |number| {
            let rows = &order[number * batch_size..((number + 1) * batch_size).min(order.len())];
            let (x, labels) = cache.batch(rows, &setup.device);
            Ok(Input { number, x, at: cut, labels, mixed: None })
        }))
    }
}

/// Inputs of images. In training, `mixed_in` is the epoch of the source, and images are mixed if that is wanted.
fn from_images<'a>(
    setup: &'a Setup<'a>,
    source: &'a dyn BatchSource,
    batches: crate::source::Batches<'a>,
    mixed_in: Option<u64>,
) -> Inputs<'a> {
    let shape = source.image_shape();
    let (settings, seed) = (setup.request.model.mix(), setup.request.seed);
    Box::new(batches.map(move |batch| {
        let mut batch = batch?;
        let mixed = mixed_in.and_then(|epoch| mix::mix(&mut batch, shape, &settings, seed, epoch));
        let (number, labels) = (batch.number, batch.labels.clone());
        Ok(Input { number, x: image_tensor(batch, shape, &setup.device), at: Cut::Image, labels, mixed })
    }))
}

/// What the features of every split are computed with.
struct Job<'a> {
    setup: &'a Setup<'a>,
    network: &'a Network,
    probe: &'a Probe,
    cut: Cut,
}

impl Job<'_> {
    /// Features from a file, or computed and then kept as one. `None` when the run was stopped meanwhile.
    fn features(
        &self,
        run: &mut Run,
        source: &dyn BatchSource,
        views: usize,
        what: &str,
    ) -> Result<Option<FeatureCache>> {
        let (request, progress) = (self.setup.request, self.setup.request.progress);
        let key = feature_cache::key(self.network, self.probe, self.cut, source, views);
        let path: Option<PathBuf> = match (&request.cache_dir, &key) {
            (Some(dir), Some(key)) => Some(dir.join(format!("features-{}.bin", &key.as_str()[..24]))),
            _ => None,
        };
        if let (Some(path), Some(key)) = (&path, &key)
            && let Some(cache) = FeatureCache::load(path, key)
        {
            progress.note(&format!("{what}: reused from {}", path.display()));
            return Ok(Some(cache));
        }
        progress.begin(what, "images", Some(source.images() as u64));
        let (network, probe, cut) = (self.network, self.probe, self.cut);
        let reporters = (progress, request.stop.as_ref());
        let computed =
            run.profile.time("features", || FeatureCache::compute(network, probe, cut, source, views, key, reporters));
        progress.end();
        let Some(cache) = computed? else { return Ok(None) };
        if let Some(path) = path {
            match cache.save(&path) {
                Ok(()) => progress.note(&format!("{what}: kept in {}", path.display())),
                Err(e) => progress.note(&format!("{what}: not kept for the next run: {e}")),
            }
        }
        Ok(Some(cache))
    }
}
