//! Random changes to training images. They are applied to the training split only, which is the caller's part.

mod color;
mod crop;
pub mod functional;
mod geometry;
mod histogram;
pub mod pipeline;
pub mod randaugment;
pub mod settings;
pub mod zoo;

use image::{RgbImage, imageops};
use kidu_core::{ImageSpec, rng::ChaCha8Rng};
use rand::RngExt;

use self::{functional::pool, zoo::Canvas};
pub use self::{
    randaugment::Op,
    settings::{AugmentError, AugmentSettings, AugmentationPipeline, RandAugmentSettings, RandomResizedCropSettings},
    zoo::Transform,
};
use crate::preprocess::Preprocessor;

/// Applies [`AugmentSettings`] to one image after another. Pipeline 0: random resized crop (or plain resizing), horizontal
/// flip, RandAugment, then a list of one's own. Pipeline 1: plain resizing, then the list.
#[derive(Clone, Debug)]
pub struct Augmenter {
    settings: AugmentSettings,
    preprocessor: Preprocessor,
}

impl Augmenter {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`AugmentError`], naming the key and its range.
    pub fn new(settings: &AugmentSettings, spec: &ImageSpec) -> Result<Self, AugmentError> {
        settings.validate()?;
        spec.validate().map_err(AugmentError::ImageSpec)?;
        Ok(Self { settings: settings.canonical(), preprocessor: Preprocessor::new(spec) })
    }

    /// The settings in their canonical form.
    pub fn settings(&self) -> &AugmentSettings {
        &self.settings
    }

    /// What resizes and normalises; it is not random.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// One augmented copy of `image`, of exactly the specified size. The same image and the same state of `rng` give
    /// the same pixels.
    pub fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let list = self.settings.transforms.as_deref().unwrap_or_default();
        let mut canvas = match self.settings.pipeline {
            AugmentationPipeline::Albumentations => Canvas::of_original(image, &self.preprocessor),
            AugmentationPipeline::Standard | AugmentationPipeline::Off => {
                let changed = self.standard(image, rng);
                if list.is_empty() {
                    return changed;
                }
                Canvas::of_resized(changed, &self.preprocessor)
            }
        };
        canvas.run(list, rng);
        canvas.finish()
    }

    /// Takes back an image that is no longer needed: its memory serves a later [`Augmenter::apply`] on this thread.
    pub fn recycle(&self, image: RgbImage) {
        pool::recycle(image);
    }

    /// Crop, flip and RandAugment.
    fn standard(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let mut out = match &self.settings.random_resized_crop {
            Some(crop) => {
                let rect = crop::random_rect(image.width(), image.height(), crop, rng);
                self.preprocessor.resize_crop(image, rect)
            }
            None => self.preprocessor.resize(image),
        };
        if rng.random::<f64>() < self.settings.horizontal_flip {
            imageops::flip_horizontal_in_place(&mut out);
        }
        match &self.settings.randaugment {
            Some(settings) => randaugment::apply(out, settings, rng),
            None => out,
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kidu_core::{Crop, Filter, rng};

    use super::*;

    fn image() -> RgbImage {
        RgbImage::from_fn(60, 45, |x, y| Rgb([(x * 4) as u8, (y * 5) as u8, (x * y) as u8]))
    }

    fn full() -> AugmentSettings {
        let randaugment = Some(RandAugmentSettings { num_ops: 3, magnitude: 15 });
        AugmentSettings { randaugment, ..AugmentSettings::default() }
    }

    #[test]
    fn the_same_stream_gives_the_same_pixels() {
        let augmenter = Augmenter::new(&full(), &ImageSpec::imagenet(32, Filter::Bilinear)).unwrap();
        let copy = |key| augmenter.apply(&image(), &mut rng::stream(1, "augment", &[key]));
        let copies: Vec<_> = (0..20).map(copy).collect();
        assert!(copies.iter().all(|c| c.dimensions() == (32, 32)));
        assert!((0..20).all(|key| copy(key) == copies[key as usize]));
        assert!(copies.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn none_is_plain_resizing() {
        let mut spec = ImageSpec::imagenet(32, Filter::Bicubic);
        spec.crop = Crop::Center { pct: 0.875 };
        let augmenter = Augmenter::new(&AugmentSettings::none(), &spec).unwrap();
        let out = augmenter.apply(&image(), &mut rng::stream(1, "augment", &[]));
        assert_eq!(out, Preprocessor::new(&spec).resize(&image()));
    }

    #[test]
    fn a_sure_flip_mirrors_and_half_of_them_do() {
        let settings = |horizontal_flip| AugmentSettings {
            horizontal_flip,
            random_resized_crop: None,
            ..AugmentSettings::default()
        };
        let spec = ImageSpec::imagenet(32, Filter::Bilinear);
        let plain = Preprocessor::new(&spec).resize(&image());
        let mut rng = rng::stream(7, "augment", &[]);
        let mirrored = Augmenter::new(&settings(1.0), &spec).unwrap().apply(&image(), &mut rng);
        assert_eq!(mirrored, imageops::flip_horizontal(&plain));
        let half = Augmenter::new(&settings(0.5), &spec).unwrap();
        let flips = (0..400).filter(|_| half.apply(&image(), &mut rng) != plain).count();
        assert!((150..250).contains(&flips), "{flips}");
    }

    fn listed(transforms: Option<Vec<Transform>>) -> AugmentSettings {
        AugmentSettings { pipeline: AugmentationPipeline::Albumentations, transforms, ..AugmentSettings::default() }
    }

    #[test]
    fn pipeline_1_changes_images_keeps_their_size_and_repeats() {
        for (width, height) in [(32, 32), (40, 24)] {
            let spec = ImageSpec { width, height, ..ImageSpec::imagenet(32, Filter::Bilinear) };
            let augmenter = Augmenter::new(&listed(None), &spec).unwrap();
            let copy = |key| augmenter.apply(&image(), &mut rng::stream(1, "augment", &[key]));
            let copies: Vec<_> = (0..60).map(copy).collect();
            assert!(copies.iter().all(|c| c.dimensions() == (width, height)));
            assert!((0..60).all(|key| copy(key) == copies[key as usize]));
            let plain = Preprocessor::new(&spec).resize(&image());
            let unchanged = copies.iter().filter(|c| **c == plain).count();
            // None of the flips and turns, none of the rest: a few in a hundred.
            assert!(unchanged < 12, "{unchanged}");
        }
    }

    #[test]
    fn every_transform_works_on_any_size() {
        for (width, height) in [(8, 8), (9, 33), (224, 16)] {
            let spec = ImageSpec { width, height, ..ImageSpec::imagenet(32, Filter::Bilinear) };
            for transform in Transform::NAMES.iter().filter_map(|name| Transform::by_name(name)) {
                if matches!(transform, Transform::OneOf(_)) {
                    continue;
                }
                let name = transform.name();
                let augmenter = Augmenter::new(&listed(Some(vec![transform.with_p(1.0)])), &spec).unwrap();
                for source in [image(), RgbImage::from_pixel(1, 1, Rgb([9, 200, 30])), RgbImage::new(3, 400)] {
                    for key in 0..4 {
                        let out = augmenter.apply(&source, &mut rng::stream(1, "augment", &[key]));
                        assert_eq!(out.dimensions(), (width, height), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_list_of_pipeline_0_comes_after_the_rest() {
        let spec = ImageSpec::imagenet(32, Filter::Bilinear);
        let transpose = Transform::by_name("transpose").unwrap().with_p(1.0);
        let with = AugmentSettings { transforms: Some(vec![transpose]), ..full() };
        let copy =
            |settings| Augmenter::new(settings, &spec).unwrap().apply(&image(), &mut rng::stream(1, "augment", &[3]));
        assert_eq!(copy(&with), functional::Dihedral::TRANSPOSE.apply(&copy(&full())));
    }

    #[test]
    fn groups_choose_in_proportion_and_probabilities_hold() {
        let erase = |value| format!(r#"{{"random_erasing": {{"scale": 0.3, "value": {value}, "p": 0.1}}}}"#);
        let text = format!(
            r#"[{{"one_of": {{"p": 0.6, "transforms": [{}, {{"random_erasing": {{"scale": 0.3, "value": [0, 0, 255],
                "p": 0.3}}}}]}}}}]"#,
            erase(255)
        );
        let list: Vec<Transform> = serde_json::from_str(&text).unwrap();
        let spec = ImageSpec::imagenet(32, Filter::Bilinear);
        let augmenter = Augmenter::new(&listed(Some(list)), &spec).unwrap();
        let dim = RgbImage::from_pixel(32, 32, Rgb([50; 3]));
        let (mut white, mut blue) = (0, 0);
        for key in 0..2000 {
            let out = augmenter.apply(&dim, &mut rng::stream(1, "augment", &[key]));
            white += usize::from(out.pixels().any(|p| p.0 == [255; 3]));
            blue += usize::from(out.pixels().any(|p| p.0 == [0, 0, 255]));
        }
        // 0.6 of 2,000, a quarter of them white.
        assert!((240..360).contains(&white) && (820..980).contains(&blue), "{white} {blue}");
    }

    #[test]
    fn lists_survive_their_text_and_wrong_names_are_told() {
        let list: Vec<Transform> = Transform::NAMES.iter().filter_map(|name| Transform::by_name(name)).collect();
        assert_eq!(list.len(), Transform::NAMES.len());
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Transform>>(&text).unwrap(), list);
        let short: Vec<Transform> = serde_json::from_str(
            r#"["flip", {"transpose": null}, {"shift_scale_rotate": {"rotate_limit": 10}}, {"clahe": {"clip_limit": 2}}]"#,
        )
        .unwrap();
        assert_eq!(short[0], Transform::Flip(zoo::Flip { p: 0.5 }));
        assert!(matches!(&short[2], Transform::ShiftScaleRotate(t) if t.rotate_limit == [-10.0, 10.0]));
        assert!(matches!(&short[3], Transform::Clahe(t) if t.clip_limit == [1.0, 2.0]));
        for (text, part) in [
            (r#"["blurr"]"#, "blurr"),
            (r#"[{"blur": {"limit": 3}}]"#, "blur_limit"),
            (r#"[{"blur": {}, "p": 0.5}]"#, "{blur: {p: ...}}"),
            (r#"[{"blur": {"blur_limit": [3, 5, 7]}}]"#, "[least, greatest]"),
            ("[3]", "name of a transform"),
        ] {
            let error = serde_json::from_str::<Vec<Transform>>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn bad_settings_never_become_an_augmenter() {
        let spec = ImageSpec::imagenet(32, Filter::Bilinear);
        let settings = AugmentSettings { horizontal_flip: 1.5, ..AugmentSettings::default() };
        let error = Augmenter::new(&settings, &spec).unwrap_err();
        assert!(error.to_string().contains("data.augmentation.horizontal_flip"), "{error}");
        assert!(Augmenter::new(&full(), &ImageSpec::imagenet(0, Filter::Bilinear)).is_err());
    }
}
