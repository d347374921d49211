//! The convolutions of a network, with their state-dict keys, before they are packed: what the inference plan and the
//! gradient plan are both built from.

use kidu_core::{Activation, Architecture, BlockKind, BlockSpec, EfficientNetSpec, PadType, ResNetSpec};
use kidu_kernels::{ConvShape, norm::Bounds};

use crate::{
    error::Result,
    fold::{Folded, fold},
    weights::Weights,
};

/// A convolution and the batch norm behind it, before its place is known.
pub(crate) struct ConvSpec {
    /// State-dict keys of the convolution and of the batch norm.
    keys: (String, String),
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) depthwise: bool,
    pad_type: PadType,
    eps: f64,
}

impl ConvSpec {
    /// Its shape on an image of `[channels, height, width]`.
    pub(crate) fn shape(&self, [channels, height, width]: [usize; 3]) -> ConvShape {
        ConvShape {
            images: 1,
            height,
            width,
            input: channels,
            output: self.output,
            kernel: self.kernel,
            stride: self.stride,
            vertical: self.pad_type.padding(height, self.kernel, self.stride),
            horizontal: self.pad_type.padding(width, self.kernel, self.stride),
        }
    }

    /// Its weight and bias for `input` channels, batch norm folded in.
    pub(crate) fn fold(&self, weights: &dyn Weights, input: usize) -> Result<Folded> {
        let per_output = if self.depthwise { 1 } else { input };
        fold(weights, (&self.keys.0, &self.keys.1), [self.output, per_output, self.kernel, self.kernel], self.eps)
    }
}

/// The activation as bounds.
pub(crate) fn bounds(activation: Activation) -> Bounds {
    match activation {
        Activation::Relu => Bounds::RELU,
        Activation::Relu6 => Bounds::RELU6,
    }
}

/// The first convolution, and its activation.
pub(crate) fn stem(architecture: &Architecture) -> (ConvSpec, Bounds) {
    match architecture {
        Architecture::ResNet(spec) => {
            (resnet_conv(spec, ("conv1".into(), "bn1".into()), spec.stem_channels, 7, 2), Bounds::RELU)
        }
        Architecture::EfficientNet(spec) => {
            let stem = ConvSpec {
                keys: ("conv_stem".into(), "bn1".into()),
                output: spec.stem_channels,
                kernel: 3,
                stride: 2,
                depthwise: false,
                pad_type: spec.pad_type,
                eps: spec.bn_eps,
            };
            (stem, bounds(spec.activation))
        }
    }
}

/// The last convolution of a mobile network.
pub(crate) fn head(spec: &EfficientNetSpec) -> ConvSpec {
    ConvSpec {
        keys: ("conv_head".into(), "bn2".into()),
        output: spec.head_channels,
        kernel: 1,
        stride: 1,
        depthwise: false,
        pad_type: PadType::Symmetric,
        eps: spec.bn_eps,
    }
}

/// The convolutions of a mobile network's block.
pub(crate) struct MobileBlock {
    pub(crate) expand: Option<ConvSpec>,
    pub(crate) depthwise: ConvSpec,
    pub(crate) project: ConvSpec,
}

/// Block `place.1` of stage `place.0`.
pub(crate) fn mobile_block(network: &EfficientNetSpec, block: &BlockSpec, place: (usize, usize)) -> MobileBlock {
    let BlockSpec { kernel, stride, mid_channels: mid, out_channels: out, .. } = *block;
    let conv = |names: (&str, &str), output, kernel, stride, depthwise| {
        let key = |name: &str| format!("blocks.{}.{}.{name}", place.0, place.1);
        let keys = (key(names.0), key(names.1));
        ConvSpec { keys, output, kernel, stride, depthwise, pad_type: network.pad_type, eps: network.bn_eps }
    };
    match block.kind {
        BlockKind::InvertedResidual => MobileBlock {
            expand: Some(conv(("conv_pw", "bn1"), mid, 1, 1, false)),
            depthwise: conv(("conv_dw", "bn2"), mid, kernel, stride, true),
            project: conv(("conv_pwl", "bn3"), out, 1, 1, false),
        },
        BlockKind::DepthwiseSeparable => MobileBlock {
            expand: None,
            depthwise: conv(("conv_dw", "bn1"), mid, kernel, stride, true),
            project: conv(("conv_pw", "bn2"), out, 1, 1, false),
        },
    }
}

/// The convolutions of a residual network's block.
pub(crate) struct BasicBlock {
    pub(crate) downsample: Option<ConvSpec>,
    pub(crate) first: ConvSpec,
    pub(crate) second: ConvSpec,
}

/// Block `block` of layer `layer`, counted from 0, whose input has `input` channels.
pub(crate) fn basic_block(spec: &ResNetSpec, (layer, block): (usize, usize), input: usize) -> BasicBlock {
    let output = spec.channels[layer];
    let stride = if block == 0 && layer > 0 { 2 } else { 1 };
    let conv = |names: (&str, &str), kernel, stride| {
        let key = |name: &str| format!("layer{}.{block}.{name}", layer + 1);
        resnet_conv(spec, (key(names.0), key(names.1)), output, kernel, stride)
    };
    BasicBlock {
        downsample: (stride != 1 || input != output).then(|| conv(("downsample.0", "downsample.1"), 1, stride)),
        first: conv(("conv1", "bn1"), 3, stride),
        second: conv(("conv2", "bn2"), 3, 1),
    }
}

fn resnet_conv(spec: &ResNetSpec, keys: (String, String), output: usize, kernel: usize, stride: usize) -> ConvSpec {
    ConvSpec { keys, output, kernel, stride, depthwise: false, pad_type: PadType::Symmetric, eps: spec.bn_eps }
}

/// A 3x3 max pooling at stride 2 over `[channels, height, width]`.
pub(crate) fn max_pool([channels, height, width]: [usize; 3]) -> ConvShape {
    ConvShape {
        images: 1,
        height,
        width,
        input: channels,
        output: channels,
        kernel: 3,
        stride: 2,
        vertical: (1, 1),
        horizontal: (1, 1),
    }
}

/// Channels and output pixels from which Winograd's transforms, and its four times larger weights, cost less than they
/// save.
const WINOGRAD_CHANNELS: usize = 32;
const WINOGRAD_PIXELS: usize = 100;

/// Whether a dense convolution is done by minimal filtering.
pub(crate) fn is_for_winograd(shape: &ConvShape) -> bool {
    let is_large = shape.out_pixels() >= WINOGRAD_PIXELS && shape.input.min(shape.output) >= WINOGRAD_CHANNELS;
    shape.kernel == 3 && shape.stride == 1 && is_large
}
