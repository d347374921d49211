//! Batches of inputs, loaded in parallel ahead of their use, in an order that no thread can change.

mod epoch;
mod images;
mod plan;

use std::sync::Arc;

use kidu_core::{DatasetManifest, ImageSpec, Split};
use kidu_image::{AugmentSettings, Augmenter, Limits, Preprocessor};

pub use self::{epoch::EpochIter, plan::BatchLimit};
use self::{images::Images, plan::Plan};
use crate::{
    error::{DataError, Result},
    settings::{DataSettings, OnBadImage, augmentation_error, resolve_workers},
};

/// How a split is loaded.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Images in a batch, at least 1.
    pub batch_size: usize,
    /// Another order in each epoch.
    pub shuffle: bool,
    /// Leave out a last batch with fewer images, unless it is the only one.
    pub drop_last: bool,
    /// Threads that load; 0 is one for each core.
    pub workers: usize,
    /// How an image becomes the network's input.
    pub spec: ImageSpec,
    /// Augmentation; allowed for the train split only.
    pub augment: Option<AugmentSettings>,
    /// Bounds on one image.
    pub limits: Limits,
    /// What is done about an image that cannot be read.
    pub on_bad_image: OnBadImage,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Compare each file with its recorded hash when it is read.
    pub verify_hash: bool,
    /// Use only a part of the batches. Unless shuffled, that part is a fixed random choice of images.
    pub limit: Option<BatchLimit>,
    /// If not 0: use the same so many batches in every epoch, to see whether a network can learn them by heart.
    pub overfit_batches: usize,
    /// Keep decoded images in memory up to so many bytes, so that later epochs need not decode them; 0 is off.
    pub cache_bytes: usize,
}

impl LoaderOptions {
    /// In order, everything, not augmented: how val and test are read.
    pub fn evaluation(settings: &DataSettings, spec: ImageSpec, seed: u64) -> Self {
        Self {
            batch_size: settings.batch_size,
            shuffle: false,
            drop_last: false,
            workers: settings.num_workers,
            spec,
            augment: None,
            limits: settings.limits(),
            on_bad_image: settings.on_bad_image,
            seed,
            verify_hash: false,
            limit: None,
            overfit_batches: 0,
            cache_bytes: 0,
        }
    }

    /// Shuffled and augmented as the settings say: how train is read.
    pub fn training(settings: &DataSettings, spec: ImageSpec, seed: u64) -> Self {
        let augment = Some(settings.augmentation.clone());
        Self { shuffle: true, augment, ..Self::evaluation(settings, spec, seed) }
    }
}

/// Loads one split of a dataset, epoch after epoch.
#[derive(Clone)]
pub struct Loader {
    images: Arc<Images>,
    plan: Plan,
    workers: usize,
    on_bad_image: OnBadImage,
}

/// Some images as a network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Position among the batches of the epoch; training resumed after this batch skips `number + 1` of them.
    pub number: usize,
    /// The values, normalised: `len` inputs of 3 channels, height rows and width columns.
    pub images: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<usize>,
    /// The position of each image among [`DatasetManifest::items_of`] the split.
    pub indices: Vec<usize>,
    /// Number of images; less than the batch size in a last batch and where bad images were skipped.
    pub len: usize,
}

impl Loader {
    /// Checks the options and takes the split's items from the manifest. No file is opened yet.
    ///
    /// # Errors
    /// [`DataError::AugmentedSplit`] for augmentation of val or test, [`DataError::EmptySplit`], or
    /// [`DataError::Setting`] for an option out of range.
    pub fn new(manifest: Arc<DatasetManifest>, split: Split, options: LoaderOptions) -> Result<Self> {
        let fail = |key: &str, reason| Err(DataError::Setting { key: key.into(), reason });
        // Settings that change nothing let resized pixels be kept instead of whole images.
        let augment = options.augment.as_ref().filter(|a| !a.is_none());
        if augment.is_some() && split != Split::Train {
            return Err(DataError::AugmentedSplit(split));
        }
        if options.batch_size == 0 {
            return fail("data.batch_size", "must be at least 1".into());
        }
        if let Some(Err(reason)) = options.limit.map(|l| l.validate()) {
            return fail("trainer.limit_*_batches", reason);
        }
        if let Err(reason) = options.spec.validate() {
            return fail("data.image_size, data.mean, data.std", reason);
        }
        let augmenter =
            augment.map(|a| Augmenter::new(a, &options.spec)).transpose().map_err(|e| augmentation_error(&e))?;
        let images = Images::new(&manifest, split, Preprocessor::new(&options.spec), augmenter, &options);
        if images.len() == 0 {
            return Err(DataError::EmptySplit(split));
        }
        let plan = Plan {
            images: images.len(),
            batch_size: options.batch_size,
            shuffle: options.shuffle,
            drop_last: options.drop_last,
            limit: options.limit,
            overfit_batches: options.overfit_batches,
            seed: options.seed,
        };
        let workers = resolve_workers(options.workers);
        Ok(Self { images: Arc::new(images), plan, workers, on_bad_image: options.on_bad_image })
    }

    /// The batches of an epoch, from batch `skip_batches` on. Nothing is read or decoded for the skipped ones, and the
    /// others are what they would be without skipping. Threads start here and end with the iterator.
    pub fn epoch(&self, epoch: u64, skip_batches: usize) -> EpochIter {
        EpochIter::start(self, epoch, skip_batches)
    }

    /// Number of batches of an epoch.
    pub fn num_batches(&self) -> usize {
        self.plan.num_batches()
    }

    /// Number of images of an epoch.
    pub fn num_images(&self) -> usize {
        self.plan.num_images()
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("plan", &self.plan).field("workers", &self.workers).finish_non_exhaustive()
    }
}
