//! Residual networks of basic blocks (He et al. 2015, <https://arxiv.org/abs/1512.03385>), keys as in timm.

use burn::{module::Module, tensor::Tensor};
use kidu_core::{Activation, PadType, ResNetSpec};

use crate::{
    init::Initializer,
    layers::{BatchNorm2d, Conv2d, ConvShape, Linear, conv_norm_act, max_pool_3x3},
};

/// Two 3x3 convolutions and the shortcut around them.
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    /// `downsample.0` and `downsample.1`, where the shape changes.
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl BasicBlock {
    fn new(input: usize, output: usize, stride: usize, eps: f64, key: &str, init: &Initializer) -> Self {
        let conv = |name: &str, input, kernel, stride| {
            let shape = ConvShape { input, output, kernel, stride, groups: 1, pad_type: PadType::Symmetric };
            Conv2d::new(shape, &format!("{key}.{name}"), init)
        };
        let downsample = (stride != 1 || input != output)
            .then(|| (conv("downsample.0", input, 1, stride), BatchNorm2d::new(output, eps, 1.0, init)));
        Self {
            conv1: conv("conv1", input, 3, stride),
            bn1: BatchNorm2d::new(output, eps, 1.0, init),
            conv2: conv("conv2", output, 3, 1),
            // timm's zero_init_last: a block begins as the identity.
            bn2: BatchNorm2d::new(output, eps, 0.0, init),
            downsample,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((conv, bn)) => conv_norm_act((conv, bn), x.clone(), None, None),
            None => x.clone(),
        };
        let x = conv_norm_act((&self.conv1, &self.bn1), x, None, Some(Activation::Relu));
        conv_norm_act((&self.conv2, &self.bn2), x, Some(shortcut), Some(Activation::Relu))
    }

    fn set_fixed(&mut self, fixed: bool) {
        self.bn1.set_fixed(fixed);
        self.bn2.set_fixed(fixed);
        if let Some((_, bn)) = &mut self.downsample {
            bn.set_fixed(fixed);
        }
    }
}

/// A residual network.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
    pub(crate) fc: Linear,
}

impl ResNet {
    /// Builds the network with timm's initial weights.
    pub fn new(spec: &ResNetSpec, num_classes: usize, init: &Initializer) -> Self {
        let eps = spec.bn_eps;
        let layer = |index: usize| {
            let input = if index == 0 { spec.stem_channels } else { spec.channels[index - 1] };
            let output = spec.channels[index];
            (0..spec.layers[index])
                .map(|i| {
                    let (input, stride) = if i == 0 { (input, 1 + usize::from(index > 0)) } else { (output, 1) };
                    BasicBlock::new(input, output, stride, eps, &format!("layer{}.{i}", index + 1), init)
                })
                .collect()
        };
        let stem = ConvShape {
            input: 3,
            output: spec.stem_channels,
            kernel: 7,
            stride: 2,
            groups: 1,
            pad_type: PadType::Symmetric,
        };
        let features = spec.channels[3];
        // torch.nn.Linear's default: both bounds are 1 / sqrt(fan_in).
        let bound = 1.0 / (features as f64).sqrt();
        Self {
            conv1: Conv2d::new(stem, "conv1", init),
            bn1: BatchNorm2d::new(spec.stem_channels, eps, 1.0, init),
            layer1: layer(0),
            layer2: layer(1),
            layer3: layer(2),
            layer4: layer(3),
            fc: Linear::new(features, num_classes, (bound, bound), "fc", init),
        }
    }

    pub(crate) fn forward_stem(&self, x: Tensor<4>) -> Tensor<4> {
        max_pool_3x3(conv_norm_act((&self.conv1, &self.bn1), x, None, Some(Activation::Relu)))
    }

    pub(crate) fn forward_stage(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4][index].iter().fold(x, |x, block| block.forward(x))
    }

    pub(crate) fn set_fixed(&mut self, stem: bool, stage: impl Fn(usize) -> bool) {
        self.bn1.set_fixed(stem);
        for (i, layer) in
            [&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4].into_iter().enumerate()
        {
            layer.iter_mut().for_each(|block| block.set_fixed(stage(i)));
        }
    }
}
