//! The models Kidu knows, one record each: name, blocks, preprocessing and where weights come from.

use std::sync::LazyLock;

use crate::{
    architecture::{Activation, Architecture, EfficientNetSpec, PadType, ResNetSpec, Row, expand_stages},
    error::{Error, Result},
    image_spec::{Crop, Filter, IMAGENET_MEAN, IMAGENET_STD, INCEPTION_MEAN, INCEPTION_STD, ImageSpec},
    suggest,
};

/// A model under its timm name. One record drives training, evaluation and serving.
#[derive(Clone, Debug)]
pub struct ModelRecord {
    /// timm's name of the architecture.
    pub name: &'static str,
    /// The blocks.
    pub architecture: Architecture,
    /// Preprocessing that the default weights were trained with; `crop` is [`Crop::Squash`].
    pub image: ImageSpec,
    /// Share kept by timm's own evaluation crop, for those who want it (`data.crop=center`).
    pub crop_pct: f32,
    /// Parameters with 1000 classes, running statistics not counted.
    pub parameters: usize,
    /// Published weights; the first is timm's default.
    pub weights: Vec<WeightsSource>,
}

/// Published ImageNet weights.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsSource {
    /// timm's tag: `a1_in1k` in `resnet18.a1_in1k`.
    pub tag: &'static str,
    /// Repository on the Hugging Face hub; its file is `model.safetensors`.
    pub hub: &'static str,
    /// The original `.pth` file. Its name ends in the first 8 digits of its SHA-256.
    pub url: &'static str,
    /// Licence as stated by timm (SPDX).
    pub license: &'static str,
    /// Filter the weights were trained with.
    pub filter: Filter,
    /// Input side in pixels that the weights were trained with.
    pub size: u32,
}

impl ModelRecord {
    /// The weights with a tag, or the default ones.
    pub fn weights(&self, tag: Option<&str>) -> Option<&WeightsSource> {
        match tag {
            Some(tag) => self.weights.iter().find(|w| w.tag == tag),
            None => self.weights.first(),
        }
    }
}

/// All records, in the order of the documentation.
pub fn records() -> &'static [ModelRecord] {
    static RECORDS: LazyLock<Vec<ModelRecord>> = LazyLock::new(|| {
        vec![resnet18(), mobilenetv2_100(), spnasnet_100(), efficientnet_lite0(), tf_efficientnet_lite0()]
    });
    &RECORDS
}

/// The record of a timm name. A tag after a dot (`resnet18.a1_in1k`) is ignored here.
///
/// # Errors
/// [`Error::UnknownModel`], naming the nearest known model.
pub fn find(name: &str) -> Result<&'static ModelRecord> {
    let base = name.split('.').next().unwrap_or(name);
    let names = || records().iter().map(|r| r.name);
    records().iter().find(|r| r.name == base).ok_or_else(|| Error::UnknownModel {
        name: name.to_string(),
        nearest: suggest::nearest(base, names()).map(str::to_string),
        known: names().collect::<Vec<_>>().join(", "),
    })
}

const RELEASES: &str = "https://github.com/huggingface/pytorch-image-models/releases/download/";

macro_rules! source {
    ($hub:literal, $tag:literal, $url:expr, $license:literal, $filter:ident, $size:literal) => {
        WeightsSource {
            tag: $tag,
            hub: concat!("timm/", $hub, ".", $tag),
            url: $url,
            license: $license,
            filter: Filter::$filter,
            size: $size,
        }
    };
}

macro_rules! release {
    ($path:literal) => {
        concat!("https://github.com/huggingface/pytorch-image-models/releases/download/", $path)
    };
}

fn imagenet(filter: Filter) -> ImageSpec {
    ImageSpec { width: 224, height: 224, filter, crop: Crop::Squash, mean: IMAGENET_MEAN, std: IMAGENET_STD }
}

fn resnet18() -> ModelRecord {
    debug_assert!(release!("").starts_with(RELEASES));
    ModelRecord {
        name: "resnet18",
        architecture: Architecture::ResNet(ResNetSpec {
            stem_channels: 64,
            layers: [2; 4],
            channels: [64, 128, 256, 512],
            bn_eps: 1e-5,
        }),
        image: imagenet(Filter::Bicubic),
        crop_pct: 0.95,
        parameters: 11_689_512,
        weights: vec![
            source!(
                "resnet18",
                "a1_in1k",
                release!("v0.1-rsb-weights/resnet18_a1_0-d63eafa0.pth"),
                "Apache-2.0",
                Bicubic,
                224
            ),
            source!(
                "resnet18",
                "a2_in1k",
                release!("v0.1-rsb-weights/resnet18_a2_0-b61bd467.pth"),
                "Apache-2.0",
                Bicubic,
                224
            ),
            source!(
                "resnet18",
                "a3_in1k",
                release!("v0.1-rsb-weights/resnet18_a3_0-40c531c8.pth"),
                "Apache-2.0",
                Bicubic,
                160
            ),
            source!(
                "resnet18",
                "tv_in1k",
                "https://download.pytorch.org/models/resnet18-f37072fd.pth",
                "BSD-3-Clause",
                Bilinear,
                224
            ),
        ],
    }
}

fn mobilenetv2_100() -> ModelRecord {
    let stages: &[&[Row]] = &[
        &[Row(1, 3, 1, 0, 16, true)],
        &[Row(2, 3, 2, 6, 24, true)],
        &[Row(3, 3, 2, 6, 32, true)],
        &[Row(4, 3, 2, 6, 64, true)],
        &[Row(3, 3, 1, 6, 96, true)],
        &[Row(3, 3, 2, 6, 160, true)],
        &[Row(1, 3, 1, 6, 320, true)],
    ];
    ModelRecord {
        name: "mobilenetv2_100",
        architecture: mobile(stages, Activation::Relu6, 1e-5, PadType::Symmetric),
        image: imagenet(Filter::Bicubic),
        crop_pct: 0.875,
        parameters: 3_504_872,
        weights: vec![source!(
            "mobilenetv2_100",
            "ra_in1k",
            release!("v0.1-weights/mobilenetv2_100_ra-b33bc2c4.pth"),
            "Apache-2.0",
            Bicubic,
            224
        )],
    }
}

fn spnasnet_100() -> ModelRecord {
    let stages: &[&[Row]] = &[
        &[Row(1, 3, 1, 0, 16, false)],
        &[Row(3, 3, 2, 3, 24, true)],
        &[Row(1, 5, 2, 6, 40, true), Row(3, 3, 1, 3, 40, true)],
        &[Row(1, 5, 2, 6, 80, true), Row(3, 3, 1, 3, 80, true)],
        &[Row(1, 5, 1, 6, 96, true), Row(3, 5, 1, 3, 96, true)],
        &[Row(4, 5, 2, 6, 192, true)],
        &[Row(1, 3, 1, 6, 320, false)],
    ];
    ModelRecord {
        name: "spnasnet_100",
        architecture: mobile(stages, Activation::Relu, 1e-5, PadType::Symmetric),
        image: imagenet(Filter::Bilinear),
        crop_pct: 0.875,
        parameters: 4_421_616,
        weights: vec![source!(
            "spnasnet_100",
            "rmsp_in1k",
            release!("v0.1-weights/spnasnet_100-048bc3f4.pth"),
            "Apache-2.0",
            Bilinear,
            224
        )],
    }
}

fn lite0_stages() -> &'static [&'static [Row]] {
    &[
        &[Row(1, 3, 1, 0, 16, true)],
        &[Row(2, 3, 2, 6, 24, true)],
        &[Row(2, 5, 2, 6, 40, true)],
        &[Row(3, 3, 2, 6, 80, true)],
        &[Row(3, 5, 1, 6, 112, true)],
        &[Row(4, 5, 2, 6, 192, true)],
        &[Row(1, 3, 1, 6, 320, true)],
    ]
}

fn efficientnet_lite0() -> ModelRecord {
    ModelRecord {
        name: "efficientnet_lite0",
        architecture: mobile(lite0_stages(), Activation::Relu6, 1e-5, PadType::Symmetric),
        image: imagenet(Filter::Bicubic),
        crop_pct: 0.875,
        parameters: 4_652_008,
        weights: vec![source!(
            "efficientnet_lite0",
            "ra_in1k",
            release!("v0.1-weights/efficientnet_lite0_ra-37913777.pth"),
            "Apache-2.0",
            Bicubic,
            224
        )],
    }
}

fn tf_efficientnet_lite0() -> ModelRecord {
    ModelRecord {
        name: "tf_efficientnet_lite0",
        architecture: mobile(lite0_stages(), Activation::Relu6, 1e-3, PadType::Same),
        image: ImageSpec { mean: INCEPTION_MEAN, std: INCEPTION_STD, ..imagenet(Filter::Bicubic) },
        crop_pct: 0.875,
        parameters: 4_652_008,
        weights: vec![source!(
            "tf_efficientnet_lite0",
            "in1k",
            release!("v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth"),
            "Apache-2.0",
            Bicubic,
            224
        )],
    }
}

/// The mobile networks share a stem of 32 and a head of 1280 channels.
fn mobile(stages: &[&[Row]], activation: Activation, bn_eps: f64, pad_type: PadType) -> Architecture {
    Architecture::EfficientNet(EfficientNetSpec {
        stem_channels: 32,
        stages: expand_stages(32, stages),
        head_channels: 1280,
        activation,
        bn_eps,
        pad_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_names_the_nearest_model() {
        let message = find("resnet81").unwrap_err().to_string();
        assert!(message.contains("did you mean 'resnet18'"), "{message}");
        assert_eq!(find("resnet18.a1_in1k").unwrap().name, "resnet18");
    }

    #[test]
    fn blocks_chain_and_end_where_the_head_begins() {
        for record in records() {
            let Architecture::EfficientNet(spec) = &record.architecture else { continue };
            let mut channels = spec.stem_channels;
            for block in spec.stages.iter().flatten() {
                assert_eq!(block.in_channels, channels, "{}", record.name);
                assert!(!block.skip || (block.stride == 1 && block.in_channels == block.out_channels));
                channels = block.out_channels;
            }
            assert_eq!(channels, 320);
            assert!(record.image.validate().is_ok());
        }
    }
}
