//! The images of one split: from an index to the values of one input, with what is decoded kept in memory.

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use kidu_core::{DatasetManifest, Sha256Hex, Split, rng};
use kidu_image::{Augmenter, Layout, Limits, Preprocessor, RgbImage, decode};

use super::LoaderOptions;
use crate::{
    error::{DataError, Result},
    image_file,
};

/// One image of the split.
struct Item {
    path: PathBuf,
    label: usize,
    sha256: Sha256Hex,
}

/// Everything the workers share.
pub(super) struct Images {
    items: Vec<Item>,
    preprocessor: Preprocessor,
    augmenter: Option<Augmenter>,
    limits: Limits,
    verify_hash: bool,
    seed: u64,
    cache: Cache,
}

/// Why an image has no values.
pub(super) enum Failure {
    /// The file is no image that can be used; skipped if so wished.
    Bad(String),
    /// The file is not what it was: always an error.
    Changed(DataError),
}

impl Images {
    pub(super) fn new(
        manifest: &DatasetManifest,
        split: Split,
        preprocessor: Preprocessor,
        augmenter: Option<Augmenter>,
        options: &LoaderOptions,
    ) -> Self {
        let LoaderOptions { limits, verify_hash, seed, cache_bytes, .. } = *options;
        let item =
            |i: &kidu_core::DatasetItem| Item { path: manifest.file_of(i), label: i.label, sha256: i.sha256.clone() };
        let items: Vec<Item> = manifest.items_of(split).map(item).collect();
        let cache = Cache::new(items.len(), cache_bytes);
        Self { items, preprocessor, augmenter, limits, verify_hash, seed, cache }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn label(&self, index: usize) -> usize {
        self.items[index].label
    }

    pub(super) fn path(&self, index: usize) -> &PathBuf {
        &self.items[index].path
    }

    /// Number of values of one input.
    pub(super) fn values(&self) -> usize {
        self.preprocessor.spec().values()
    }

    /// Writes the input of one image. The random numbers of its augmentation depend on seed, epoch and index only.
    pub(super) fn write(&self, index: usize, epoch: u64, out: &mut [f32]) -> Result<(), Failure> {
        if let Some(image) = self.cache.get(index) {
            self.finish(image, index, epoch, out);
            return Ok(());
        }
        match self.cache.offer(index, self.load(index)?) {
            Ok(kept) => self.finish(kept, index, epoch, out),
            Err(image) => self.finish(&image, index, epoch, out),
        }
        Ok(())
    }

    /// What does not change from epoch to epoch: the decoded image, resized unless an augmentation follows.
    fn load(&self, index: usize) -> Result<RgbImage, Failure> {
        let item = &self.items[index];
        let bytes = image_file::read_bounded(&item.path, &self.limits).map_err(Failure::Bad)?;
        if self.verify_hash {
            let found = Sha256Hex::of_bytes(&bytes);
            if found != item.sha256 {
                let (expected, found) = (item.sha256.to_string(), found.to_string());
                let error = kidu_core::Error::HashMismatch { path: item.path.clone(), expected, found };
                return Err(Failure::Changed(error.into()));
            }
        }
        let image = decode(&bytes, &self.limits).map_err(|e| Failure::Bad(image_file::explain(&e)))?;
        Ok(if self.augmenter.is_some() { image } else { self.preprocessor.resize(&image) })
    }

    fn finish(&self, image: &RgbImage, index: usize, epoch: u64, out: &mut [f32]) {
        match &self.augmenter {
            Some(augmenter) => {
                let mut rng = rng::stream(self.seed, "augment", &[epoch, index as u64]);
                let augmented = augmenter.apply(image, &mut rng);
                self.preprocessor.normalize_into(&augmented, Layout::Chw, out);
                augmenter.recycle(augmented);
            }
            None => self.preprocessor.normalize_into(image, Layout::Chw, out),
        }
    }
}

/// Decoded images up to a number of bytes; first come, first kept. What is kept has no influence on the values.
struct Cache {
    slots: Vec<OnceLock<RgbImage>>,
    left: AtomicUsize,
}

impl Cache {
    fn new(images: usize, bytes: usize) -> Self {
        let slots = if bytes == 0 { 0 } else { images };
        Self { slots: std::iter::repeat_with(OnceLock::new).take(slots).collect(), left: AtomicUsize::new(bytes) }
    }

    fn get(&self, index: usize) -> Option<&RgbImage> {
        self.slots.get(index)?.get()
    }

    /// Keeps the image if there is room, or gives it back.
    fn offer(&self, index: usize, image: RgbImage) -> Result<&RgbImage, RgbImage> {
        let Some(slot) = self.slots.get(index) else { return Err(image) };
        let size = image.as_raw().len();
        let room = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
        if room.is_err() { Err(image) } else { Ok(slot.get_or_init(|| image)) }
    }
}
