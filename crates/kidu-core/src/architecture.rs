//! Networks as data: the one description from which the Burn module (to train) and the inference plan (to predict)
//! are both built.

use serde::{Deserialize, Serialize};

/// The shape of a network, without weights.
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// Residual networks of basic blocks (He et al. 2015, <https://arxiv.org/abs/1512.03385>).
    ResNet(ResNetSpec),
    /// The inverted-residual family: MobileNetV2, SinglePath NAS, EfficientNet-Lite.
    EfficientNet(EfficientNetSpec),
}

/// A residual network with basic blocks (two 3x3 convolutions each).
#[derive(Clone, Debug, PartialEq)]
pub struct ResNetSpec {
    /// Channels after the 7x7 stem.
    pub stem_channels: usize,
    /// Blocks in each of the four layers.
    pub layers: [usize; 4],
    /// Channels of each of the four layers.
    pub channels: [usize; 4],
    /// Epsilon of batch norm.
    pub bn_eps: f64,
}

/// A network of depthwise-separable and inverted-residual blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct EfficientNetSpec {
    /// Channels after the 3x3 stride-2 stem.
    pub stem_channels: usize,
    /// The stages, `blocks.N` in the state dict; the blocks of a stage are `blocks.N.M`.
    pub stages: Vec<Vec<BlockSpec>>,
    /// Channels after the last 1x1 convolution: the number of features.
    pub head_channels: usize,
    /// Activation after every batch norm except the last of a block.
    pub activation: Activation,
    /// Epsilon of batch norm.
    pub bn_eps: f64,
    /// How convolutions pad.
    pub pad_type: PadType,
}

/// One block of an [`EfficientNetSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    /// Which convolutions the block has.
    pub kind: BlockKind,
    /// Side of the depthwise kernel, 3 or 5.
    pub kernel: usize,
    /// Stride of the depthwise convolution, 1 or 2.
    pub stride: usize,
    /// Channels in.
    pub in_channels: usize,
    /// Channels of the depthwise convolution.
    pub mid_channels: usize,
    /// Channels out.
    pub out_channels: usize,
    /// Whether the input is added to the output.
    pub skip: bool,
}

/// The two kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Depthwise, then a linear 1x1 (Howard et al. 2017, <https://arxiv.org/abs/1704.04861>).
    DepthwiseSeparable,
    /// 1x1 expansion, depthwise, linear 1x1 (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>).
    InvertedResidual,
}

/// The activation between convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

/// How a convolution pads (timm's `pad_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadType {
    /// Symmetric, (kernel - 1) / 2 on each side: PyTorch's usual padding.
    #[default]
    Symmetric,
    /// TensorFlow's SAME: the output has ceil(input / stride) pixels, the odd pixel of padding at the right and bottom.
    Same,
}

impl PadType {
    /// Padding (before, after) along one axis of `input` pixels.
    ///
    /// ```
    /// # use kidu_core::PadType;
    /// assert_eq!(PadType::Symmetric.padding(224, 3, 2), (1, 1));
    /// assert_eq!(PadType::Same.padding(224, 3, 2), (0, 1));
    /// assert_eq!(PadType::Same.padding(7, 5, 1), (2, 2));
    /// ```
    pub fn padding(self, input: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Symmetric => ((kernel - 1) / 2, (kernel - 1) / 2),
            Self::Same => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride + kernel).saturating_sub(input);
                (total / 2, total - total / 2)
            }
        }
    }
}

impl Architecture {
    /// Number of features that the classifier sees.
    pub fn num_features(&self) -> usize {
        match self {
            Self::ResNet(spec) => spec.channels[3],
            Self::EfficientNet(spec) => spec.head_channels,
        }
    }

    /// The name under which timm keeps the classifier: `fc` or `classifier`.
    pub fn classifier_name(&self) -> &'static str {
        match self {
            Self::ResNet(_) => "fc",
            Self::EfficientNet(_) => "classifier",
        }
    }

    /// Number of stages into which the backbone can be cut (for freezing): the stem is not counted.
    pub fn num_stages(&self) -> usize {
        match self {
            Self::ResNet(_) => 4,
            Self::EfficientNet(spec) => spec.stages.len(),
        }
    }

    /// The same network with another padding.
    ///
    /// # Errors
    /// A sentence, for a residual network with `pad_type=same`, which timm does not have.
    pub fn with_pad_type(mut self, pad_type: PadType) -> Result<Self, String> {
        match (&mut self, pad_type) {
            (Self::EfficientNet(spec), p) => spec.pad_type = p,
            (Self::ResNet(_), PadType::Symmetric) => {}
            (Self::ResNet(_), PadType::Same) => {
                return Err("pad_type=same is defined for the mobile networks only, not for resnet18".into());
            }
        }
        Ok(self)
    }
}

/// One row of a stage table: repeats, kernel, stride of the first block, expansion, channels out, skip allowed.
pub(crate) struct Row(
    pub(crate) usize,
    pub(crate) usize,
    pub(crate) usize,
    pub(crate) usize,
    pub(crate) usize,
    pub(crate) bool,
);

/// Expands stage tables to blocks. An expansion of 0 stands for a depthwise-separable block.
pub(crate) fn expand_stages(stem_channels: usize, stages: &[&[Row]]) -> Vec<Vec<BlockSpec>> {
    let mut channels = stem_channels;
    let mut expand = |row: &Row| {
        let Row(repeats, kernel, stride, expansion, out, skip) = *row;
        (0..repeats)
            .map(|i| {
                let stride = if i == 0 { stride } else { 1 };
                let block = BlockSpec {
                    kind: if expansion == 0 { BlockKind::DepthwiseSeparable } else { BlockKind::InvertedResidual },
                    kernel,
                    stride,
                    in_channels: channels,
                    mid_channels: channels * expansion.max(1),
                    out_channels: out,
                    skip: skip && stride == 1 && channels == out,
                };
                channels = out;
                block
            })
            .collect::<Vec<_>>()
    };
    stages.iter().map(|rows| rows.iter().flat_map(&mut expand).collect()).collect()
}
