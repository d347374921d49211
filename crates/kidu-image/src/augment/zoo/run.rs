//! Running a list on one image.

use image::RgbImage;
use kidu_core::{Crop, rng::ChaCha8Rng};
use rand::RngExt;

use super::{Change, Kind, Transform, draw};
use crate::{
    augment::{
        crop,
        functional::{Dihedral, pool},
        settings::RandomResizedCropSettings,
    },
    preprocess::Preprocessor,
    resize::{self, Rect},
};

/// An image on its way through a list. It is resized to the network's input when the first transform asks for pixels;
/// turns and mirror images wait and are done at once.
pub(in super::super) struct Canvas<'a> {
    preprocessor: &'a Preprocessor,
    pixels: Pixels<'a>,
    waiting: Dihedral,
}

enum Pixels<'a> {
    /// As decoded.
    Original(&'a RgbImage),
    /// At the network's size, but perhaps lying on its side.
    Resized(RgbImage),
}

impl<'a> Canvas<'a> {
    /// A decoded image.
    pub(in super::super) fn of_original(image: &'a RgbImage, preprocessor: &'a Preprocessor) -> Self {
        Self { preprocessor, pixels: Pixels::Original(image), waiting: Dihedral::IDENTITY }
    }

    /// An image that has the network's size.
    pub(in super::super) fn of_resized(image: RgbImage, preprocessor: &'a Preprocessor) -> Self {
        Self { preprocessor, pixels: Pixels::Resized(image), waiting: Dihedral::IDENTITY }
    }

    /// Runs a list, each transform with its own probability.
    pub(in super::super) fn run(&mut self, transforms: &[Transform], rng: &mut ChaCha8Rng) {
        for transform in transforms {
            if draw::happens(transform.p(), rng) {
                self.apply(transform, rng);
            }
        }
    }

    /// The image at the network's size.
    pub(in super::super) fn finish(mut self) -> RgbImage {
        let image = self.resized();
        let spec = self.preprocessor.spec();
        if image.dimensions() == (spec.width, spec.height) {
            return image;
        }
        let out = resize::resize_rect(&image, Rect::of(&image), spec.width, spec.height, spec.filter);
        pool::recycle(image);
        out
    }

    /// Applies a transform surely.
    fn apply(&mut self, transform: &Transform, rng: &mut ChaCha8Rng) {
        transform.kind(|kind| match kind {
            Kind::Move(drawn) => self.waiting = self.waiting.then(drawn(rng)),
            Kind::Crop(settings) => self.crop(settings, rng),
            Kind::Change(change) => self.change(change, rng),
            Kind::OneOf(group) => {
                if let Some(chosen) = choose(&group.transforms, rng) {
                    self.apply(chosen, rng);
                }
            }
            Kind::Sequential(group) => self.run(&group.transforms, rng),
        });
    }

    fn change(&mut self, change: &dyn Change, rng: &mut ChaCha8Rng) {
        let image = self.resized();
        self.pixels = Pixels::Resized(change.apply(&image, rng));
        pool::recycle(image);
    }

    /// A random part, from the decoded image if nothing has changed its pixels.
    fn crop(&mut self, settings: &RandomResizedCropSettings, rng: &mut ChaCha8Rng) {
        let waiting = std::mem::take(&mut self.waiting);
        let part = |image: &RgbImage, rng: &mut ChaCha8Rng| {
            let rect = crop::random_rect(image.width(), image.height(), settings, rng);
            self.preprocessor.resize_crop(image, rect)
        };
        let cropped = match &self.pixels {
            Pixels::Original(image) if waiting == Dihedral::IDENTITY => part(image, rng),
            Pixels::Original(image) => part(&waiting.apply(image), rng),
            Pixels::Resized(image) => part(&waiting.apply(image), rng),
        };
        self.pixels = Pixels::Resized(cropped);
    }

    /// Takes the image, with all that waited done.
    fn resized(&mut self) -> RgbImage {
        let waiting = std::mem::take(&mut self.waiting);
        match std::mem::replace(&mut self.pixels, Pixels::Resized(RgbImage::default())) {
            Pixels::Resized(image) => turned(image, waiting),
            Pixels::Original(image) if waiting != Dihedral::IDENTITY && self.turns_first(image, waiting) => {
                let image = waiting.apply(image);
                let resized = self.preprocessor.resize(&image);
                pool::recycle(image);
                resized
            }
            Pixels::Original(image) => turned(self.preprocessor.resize(image), waiting),
        }
    }

    /// Whether the image is turned before it is resized: where it is smaller, or would end lying on its side.
    fn turns_first(&self, image: &RgbImage, waiting: Dihedral) -> bool {
        let spec = self.preprocessor.spec();
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let smaller = area(image.dimensions()) < area((spec.width, spec.height)) && spec.crop == Crop::Squash;
        smaller || (waiting.swaps_sides() && spec.width != spec.height)
    }
}

fn turned(image: RgbImage, waiting: Dihedral) -> RgbImage {
    if waiting == Dihedral::IDENTITY {
        return image;
    }
    let out = waiting.apply(&image);
    pool::recycle(image);
    out
}

/// One of them, with a probability in proportion to its `p`.
fn choose<'t>(transforms: &'t [Transform], rng: &mut ChaCha8Rng) -> Option<&'t Transform> {
    let sum: f64 = transforms.iter().map(Transform::p).sum();
    let mut left = rng.random::<f64>() * sum;
    let chosen = transforms.iter().find(|transform| {
        left -= transform.p();
        left < 0.0
    });
    // Rounding may leave a little at the end.
    chosen.or_else(|| transforms.iter().rfind(|transform| transform.p() > 0.0))
}
