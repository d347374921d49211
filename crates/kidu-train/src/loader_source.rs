//! A split of a dataset manifest as a source of batches.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kidu_core::{ContentHasher, DatasetManifest, ImageSpec, Sha256Hex, Split};
use kidu_data::{DataSettings, EpochIter, Loader, LoaderOptions};
use kidu_image::augment::AugmentationPipeline;

use crate::{
    error::{Result, TrainError},
    settings::TrainerSettings,
    source::{Augmentation, Batch, BatchSource, Batches},
};

/// Memory for decoded images of one split, in bytes: later epochs need not decode them.
const IMAGE_CACHE: usize = 1 << 30;

/// Reads one split through [`Loader`], with the limits of the trainer's settings.
pub struct LoaderSource {
    loader: Loader,
    /// The whole split in order and without augmentation.
    plain: Loader,
    batch_size: usize,
    image_shape: [usize; 3],
    augmentation: Augmentation,
    identity: Option<Sha256Hex>,
    skipped: Mutex<BTreeMap<PathBuf, String>>,
}

impl LoaderSource {
    /// A split: train is shuffled and augmented, val and test are not. `trainer` gives the limits.
    ///
    /// # Errors
    /// [`TrainError::Data`] for an empty split or settings out of range.
    pub fn new(
        manifest: &Arc<DatasetManifest>,
        split: Split,
        data: &DataSettings,
        trainer: &TrainerSettings,
        spec: &ImageSpec,
        seed: u64,
    ) -> Result<Self> {
        let evaluation = LoaderOptions::evaluation(data, spec.clone(), seed);
        let base = match split {
            Split::Train => LoaderOptions::training(data, spec.clone(), seed),
            Split::Val | Split::Test => evaluation.clone(),
        };
        let (limit, overfit_batches) = match split {
            Split::Train => (trainer.limit_train_batches, trainer.overfit_batches),
            Split::Val => (trainer.limit_val_batches, 0),
            Split::Test => (trainer.limit_test_batches, 0),
        };
        let augmentation = base.augment.as_ref().map(summary).unwrap_or_default();
        let options = LoaderOptions { limit, overfit_batches, cache_bytes: IMAGE_CACHE, ..base };
        let open = |options| Loader::new(Arc::clone(manifest), split, options).map_err(data_error);
        Ok(Self {
            loader: open(options)?,
            plain: open(evaluation)?,
            batch_size: data.batch_size,
            image_shape: [3, spec.height as usize, spec.width as usize],
            augmentation,
            identity: identity(manifest, split, data, spec),
            skipped: Mutex::default(),
        })
    }

    /// Files that could not be read and were left out so far, with the reason.
    pub fn skipped_files(&self) -> BTreeMap<PathBuf, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, String>> {
        // A list of files is whole whatever panicked while it was held.
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batches_of(&self, iter: EpochIter) -> Batches<'_> {
        Box::new(Recording { iter, source: self })
    }
}

impl BatchSource for LoaderSource {
    fn images(&self) -> usize {
        self.loader.num_images()
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn epoch(&self, epoch: u64, skip: usize) -> Batches<'_> {
        self.batches_of(self.loader.epoch(epoch, skip))
    }

    fn plain(&self) -> Batches<'_> {
        self.batches_of(self.plain.epoch(0, 0))
    }

    fn augmentation(&self) -> Augmentation {
        self.augmentation.clone()
    }

    fn identity(&self) -> Option<Sha256Hex> {
        self.identity.clone()
    }

    fn skipped(&self) -> Vec<String> {
        let line = |(path, reason): (&PathBuf, &String)| format!("{}: {reason}", Path::new(path).display());
        self.lock().iter().map(line).collect()
    }

    fn batches(&self) -> usize {
        self.loader.num_batches()
    }
}

/// Converts batches and keeps account of skipped files.
struct Recording<'a> {
    iter: EpochIter,
    source: &'a LoaderSource,
}

impl Iterator for Recording<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let next = self.iter.next();
        if !self.iter.skipped().is_empty() {
            self.source.lock().extend(self.iter.skipped().iter().cloned());
        }
        Some(next?.map_err(data_error).map(|b| {
            let kidu_data::Batch { number, images, labels, indices, .. } = b;
            Batch { number, images, labels, indices }
        }))
    }
}

fn data_error(error: kidu_data::DataError) -> TrainError {
    TrainError::Data(Box::new(error))
}

fn summary(settings: &kidu_image::AugmentSettings) -> Augmentation {
    let settings = settings.canonical();
    let crop = settings.random_resized_crop.is_some().then(|| "random_resized_crop".to_string());
    let randaugment = settings.randaugment.is_some().then(|| "randaugment".to_string());
    let list = settings.transforms.is_some().then(|| match settings.pipeline {
        AugmentationPipeline::Albumentations => "the list of pipeline 1".to_string(),
        AugmentationPipeline::Standard | AugmentationPipeline::Off => "data.augmentation.transforms".to_string(),
    });
    let others = crop.into_iter().chain(randaugment).chain(list).collect();
    Augmentation { horizontal_flip: settings.horizontal_flip, others }
}

/// Everything that decides the plain images of a split and which of them are skipped. The version stands for the code
/// that decodes and resizes.
fn identity(manifest: &DatasetManifest, split: Split, data: &DataSettings, spec: &ImageSpec) -> Option<Sha256Hex> {
    let rows: Vec<String> = manifest.items_of(split).map(|i| format!("{}\t{}", i.label, i.sha256)).collect();
    let hasher = ContentHasher::new("kidu plain images 1").field("version", env!("CARGO_PKG_VERSION"));
    let hasher = hasher.json("spec", spec).ok()?.json("limits", &(data.limits(), data.on_bad_image)).ok()?;
    Some(hasher.field("items", rows.join("\n")).finish())
}
