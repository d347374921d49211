//! The inverted-residual family: MobileNetV2, SinglePath NAS and EfficientNet-Lite, keys as in timm.

use burn::{module::Module, tensor::Tensor};
use kidu_core::{Activation, BlockKind, BlockSpec, EfficientNetSpec, PadType};

use crate::{
    init::Initializer,
    layers::{BatchNorm2d, Conv2d, ConvShape, Linear, conv_norm_act, conv_norm_act_chain},
};

/// Depthwise 3x3 or 5x5, then a linear 1x1.
#[derive(Module, Debug)]
pub struct DepthwiseSeparable {
    conv_dw: Conv2d,
    bn1: BatchNorm2d,
    conv_pw: Conv2d,
    bn2: BatchNorm2d,
    #[module(skip)]
    spec: BlockSpec,
    #[module(skip)]
    activation: Activation,
}

/// 1x1 expansion, depthwise, linear 1x1 (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>).
#[derive(Module, Debug)]
pub struct InvertedResidual {
    conv_pw: Conv2d,
    bn1: BatchNorm2d,
    conv_dw: Conv2d,
    bn2: BatchNorm2d,
    conv_pwl: Conv2d,
    bn3: BatchNorm2d,
    #[module(skip)]
    spec: BlockSpec,
    #[module(skip)]
    activation: Activation,
}

/// Either kind of block.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "Burn's derive takes no boxes, and a network has about twenty blocks")]
pub enum Block {
    /// See [`DepthwiseSeparable`].
    DepthwiseSeparable(DepthwiseSeparable),
    /// See [`InvertedResidual`].
    InvertedResidual(InvertedResidual),
}

impl Block {
    fn new(block: BlockSpec, network: &EfficientNetSpec, key: &str, init: &Initializer) -> Self {
        let conv = |name: &str, input, output, kernel, stride, groups| {
            let shape = ConvShape { input, output, kernel, stride, groups, pad_type: network.pad_type };
            Conv2d::new(shape, &format!("{key}.{name}"), init)
        };
        let bn = |channels| BatchNorm2d::new(channels, network.bn_eps, 1.0, init);
        let BlockSpec { kind, kernel, stride, in_channels, mid_channels: mid, out_channels: out, .. } = block;
        let depthwise = conv("conv_dw", mid, mid, kernel, stride, mid);
        match kind {
            BlockKind::DepthwiseSeparable => Self::DepthwiseSeparable(DepthwiseSeparable {
                conv_dw: depthwise,
                bn1: bn(mid),
                conv_pw: conv("conv_pw", mid, out, 1, 1, 1),
                bn2: bn(out),
                spec: block,
                activation: network.activation,
            }),
            BlockKind::InvertedResidual => Self::InvertedResidual(InvertedResidual {
                conv_pw: conv("conv_pw", in_channels, mid, 1, 1, 1),
                bn1: bn(mid),
                conv_dw: depthwise,
                bn2: bn(mid),
                conv_pwl: conv("conv_pwl", mid, out, 1, 1, 1),
                bn3: bn(out),
                spec: block,
                activation: network.activation,
            }),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::DepthwiseSeparable(b) => {
                let shortcut = b.spec.skip.then(|| input.clone());
                let layers = [(&b.conv_dw, &b.bn1, Some(b.activation)), (&b.conv_pw, &b.bn2, None)];
                conv_norm_act_chain(&layers, input, shortcut)
            }
            Self::InvertedResidual(b) => {
                let shortcut = b.spec.skip.then(|| input.clone());
                let layers = [
                    (&b.conv_pw, &b.bn1, Some(b.activation)),
                    (&b.conv_dw, &b.bn2, Some(b.activation)),
                    (&b.conv_pwl, &b.bn3, None),
                ];
                conv_norm_act_chain(&layers, input, shortcut)
            }
        }
    }

    fn set_fixed(&mut self, fixed: bool) {
        match self {
            Self::DepthwiseSeparable(b) => [&mut b.bn1, &mut b.bn2].map(|bn| bn.set_fixed(fixed)).len(),
            Self::InvertedResidual(b) => [&mut b.bn1, &mut b.bn2, &mut b.bn3].map(|bn| bn.set_fixed(fixed)).len(),
        };
    }
}

/// A network of such blocks.
#[derive(Module, Debug)]
pub struct EfficientNet {
    conv_stem: Conv2d,
    bn1: BatchNorm2d,
    blocks: Vec<Vec<Block>>,
    conv_head: Conv2d,
    bn2: BatchNorm2d,
    pub(crate) classifier: Linear,
    #[module(skip)]
    activation: Activation,
}

impl EfficientNet {
    /// Builds the network with timm's initial weights.
    pub fn new(spec: &EfficientNetSpec, num_classes: usize, init: &Initializer) -> Self {
        let conv = |input, output, kernel, stride, pad_type, key| {
            Conv2d::new(ConvShape { input, output, kernel, stride, groups: 1, pad_type }, key, init)
        };
        let blocks = spec.stages.iter().enumerate().map(|(s, stage)| {
            let block = |(i, b): (usize, &BlockSpec)| Block::new(*b, spec, &format!("blocks.{s}.{i}"), init);
            stage.iter().enumerate().map(block).collect()
        });
        let last = spec.stages.iter().flatten().last().map_or(spec.stem_channels, |b| b.out_channels);
        // timm's _init_weight_goog: uniform on 1 / sqrt(fan_out), biases 0.
        let bound = 1.0 / (num_classes as f64).sqrt();
        Self {
            conv_stem: conv(3, spec.stem_channels, 3, 2, spec.pad_type, "conv_stem"),
            bn1: BatchNorm2d::new(spec.stem_channels, spec.bn_eps, 1.0, init),
            blocks: blocks.collect(),
            conv_head: conv(last, spec.head_channels, 1, 1, PadType::Symmetric, "conv_head"),
            bn2: BatchNorm2d::new(spec.head_channels, spec.bn_eps, 1.0, init),
            classifier: Linear::new(spec.head_channels, num_classes, (bound, 0.0), "classifier", init),
            activation: spec.activation,
        }
    }

    pub(crate) fn forward_stem(&self, x: Tensor<4>) -> Tensor<4> {
        conv_norm_act((&self.conv_stem, &self.bn1), x, None, Some(self.activation))
    }

    pub(crate) fn forward_stage(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        self.blocks[index].iter().fold(x, |x, block| block.forward(x))
    }

    pub(crate) fn forward_head(&self, x: Tensor<4>) -> Tensor<4> {
        conv_norm_act((&self.conv_head, &self.bn2), x, None, Some(self.activation))
    }

    pub(crate) fn set_fixed(&mut self, stem: bool, stage: impl Fn(usize) -> bool, head: bool) {
        self.bn1.set_fixed(stem);
        self.bn2.set_fixed(head);
        for (i, blocks) in self.blocks.iter_mut().enumerate() {
            blocks.iter_mut().for_each(|block| block.set_fixed(stage(i)));
        }
    }
}
