//! Where images come from, as the fit loop sees it.

use kidu_core::Sha256Hex;

use crate::error::Result;

/// Images ready for the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Position in its epoch, from 0; to go on after this batch, skip `number + 1`.
    pub number: usize,
    /// Normalised pixels, [N, 3, H, W] in row-major order.
    pub images: Vec<f32>,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Index of each image in the split.
    pub indices: Vec<usize>,
}

/// What a source does to training images at random.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// Probability of a horizontal flip, in [0, 1].
    pub horizontal_flip: f64,
    /// Names of everything else (`random_resized_crop`); it needs pixels, so it cannot apply to cached features.
    pub others: Vec<String>,
}

impl Augmentation {
    /// Whether images are left as they are.
    pub fn is_none(&self) -> bool {
        self.horizontal_flip <= 0.0 && self.others.is_empty()
    }
}

/// An iterator over the batches of an epoch.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch>> + 'a>;

/// One split of a dataset. Everything is a function of its own seed and the arguments, never of what was asked before.
pub trait BatchSource: Send + Sync {
    /// Number of images of an epoch.
    fn images(&self) -> usize;

    /// Images of a full batch, at least 1.
    fn batch_size(&self) -> usize;

    /// [3, height, width].
    fn image_shape(&self) -> [usize; 3];

    /// The batches of an epoch, without the first `skip`. A training split is shuffled and augmented anew in every
    /// epoch, others are not.
    fn epoch(&self, epoch: u64, skip: usize) -> Batches<'_>;

    /// All images once, neither shuffled nor augmented.
    fn plain(&self) -> Batches<'_>;

    /// What happens to images at random in [`BatchSource::epoch`].
    fn augmentation(&self) -> Augmentation {
        Augmentation::default()
    }

    /// Changes whenever [`BatchSource::plain`] would give other numbers or labels: a hash of the preprocessing and of
    /// each file's hash and label, in order. `None` when unknown: features are then kept in memory only.
    fn identity(&self) -> Option<Sha256Hex> {
        None
    }

    /// Images that had to be left out so far, each once, as `path: reason`.
    fn skipped(&self) -> Vec<String> {
        Vec::new()
    }

    /// Batches of an epoch.
    fn batches(&self) -> usize {
        self.images().div_ceil(self.batch_size().max(1))
    }
}
