//! Convolution, batch norm and linear layer with PyTorch's field names, so that state-dict keys need no mapping.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use burn::{
    module::{Module, Param, RunningState},
    tensor::{
        Tensor, activation, module,
        ops::{ConvOptions, MaxPoolOptions},
    },
};
use kidu_core::{Activation, PadType};
use kidu_kernels::norm::Bounds;

use crate::{
    fused::{self, ConvNormActSpec},
    init::Initializer,
};

/// Momentum of the running statistics, as PyTorch counts it: the share of the new batch.
const BN_MOMENTUM: f64 = 0.1;

/// Shape of a square convolution without bias.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride on both axes.
    pub stride: usize,
    /// Groups; equal to the channels for a depthwise convolution.
    pub groups: usize,
    /// How it pads.
    pub pad_type: PadType,
}

impl ConvShape {
    /// Shape of the weight: [output, input / groups, kernel, kernel].
    pub fn weight(&self) -> [usize; 4] {
        [self.output, self.input / self.groups, self.kernel, self.kernel]
    }

    /// Fan-out of one group, as timm counts it.
    pub fn fan_out(&self) -> usize {
        self.kernel * self.kernel * self.output / self.groups
    }
}

/// A 2-D convolution without bias.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in / groups, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    #[module(skip)]
    shape: ConvShape,
}

impl Conv2d {
    /// Normal weights with variance 2 / fan_out.
    pub fn new(shape: ConvShape, key: &str, init: &Initializer) -> Self {
        let std = (2.0 / shape.fan_out() as f64).sqrt();
        Self { weight: Param::from_tensor(init.normal(&format!("{key}.weight"), shape.weight(), std)), shape }
    }

    /// [N, in, H, W] to [N, out, H', W'].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let ConvShape { kernel, stride, groups, pad_type, .. } = self.shape;
        let [_, _, height, width] = x.dims();
        let mut options = ConvOptions::new([stride; 2], [0; 2], [1; 2], groups);
        options.padding = [pad_type.padding(height, kernel, stride), pad_type.padding(width, kernel, stride)];
        module::conv2d(x, self.weight.val(), None, options)
    }
}

/// Batch norm over [N, C, H, W] (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>) with PyTorch's semantics:
/// the batch is normalised with its biased variance, the running variance takes the unbiased one.
#[derive(Module, Debug)]
pub struct BatchNorm2d {
    /// Scale.
    pub weight: Param<Tensor<1>>,
    /// Shift.
    pub bias: Param<Tensor<1>>,
    /// Mean used for prediction.
    pub running_mean: RunningState<Tensor<1>>,
    /// Variance used for prediction.
    pub running_var: RunningState<Tensor<1>>,
    #[module(skip)]
    eps: f64,
    #[module(skip)]
    fixed: bool,
    #[module(skip)]
    batches: Arc<AtomicU64>,
}

impl BatchNorm2d {
    /// Scale `gamma`, shift 0, running mean 0 and variance 1.
    pub fn new(channels: usize, eps: f64, gamma: f32, init: &Initializer) -> Self {
        Self {
            weight: Param::from_tensor(init.constant([channels], gamma)),
            bias: Param::from_tensor(init.constant([channels], 0.0)),
            running_mean: RunningState::new(init.constant([channels], 0.0)),
            running_var: RunningState::new(init.constant([channels], 1.0)),
            eps,
            fixed: false,
            batches: Arc::default(),
        }
    }

    /// When fixed, the running statistics are used and kept, also in training.
    pub fn set_fixed(&mut self, fixed: bool) {
        self.fixed = fixed;
    }

    /// How many batches the running statistics have seen since construction.
    pub fn batches_tracked(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Uses batch statistics on a device with autodiff (unless fixed), running statistics elsewhere.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if self.uses_batch(&x) { self.forward_train(x) } else { self.forward_eval(x) }
    }

    fn uses_batch(&self, x: &Tensor<4>) -> bool {
        x.device().is_autodiff() && !self.fixed
    }

    fn forward_eval(&self, x: Tensor<4>) -> Tensor<4> {
        let (mean, var) = (self.running_mean.value_sync(), self.running_var.value_sync());
        module::batch_norm(x, self.weight.val(), self.bias.val(), mean, var, self.eps)
    }

    fn forward_train(&self, x: Tensor<4>) -> Tensor<4> {
        let [n, _, height, width] = x.dims();
        let result = module::batch_norm_train(x, self.weight.val(), self.bias.val(), self.eps);
        self.track(n * height * width, result.mean, result.variance);
        result.output
    }

    /// Moves the running statistics towards those of a batch with `count` values of each channel.
    fn track(&self, count: usize, mean: Tensor<1>, variance: Tensor<1>) {
        let count = count as f64;
        // With a single value per channel PyTorch refuses; the biased variance (0) is then all there is.
        let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
        let mix = |old: Tensor<1>, new: Tensor<1>, scale: f64| {
            (old * (1.0 - BN_MOMENTUM) + new.detach() * (BN_MOMENTUM * scale)).detach()
        };
        self.running_mean.update(mix(self.running_mean.value_sync(), mean, 1.0));
        self.running_var.update(mix(self.running_var.value_sync(), variance, unbiased));
        // An update is kept per thread until it is asked for; asking now keeps state dicts current.
        drop((self.running_mean.value_sync(), self.running_var.value_sync()));
        self.batches.fetch_add(1, Ordering::Relaxed);
    }
}

/// A fully connected layer, weight [out, in] as PyTorch keeps it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Uniform weights on [-weight_bound, weight_bound], biases likewise.
    pub fn new(input: usize, output: usize, bounds: (f64, f64), key: &str, init: &Initializer) -> Self {
        Self {
            weight: Param::from_tensor(init.uniform(&format!("{key}.weight"), [output, input], bounds.0)),
            bias: Param::from_tensor(init.uniform(&format!("{key}.bias"), [output], bounds.1)),
        }
    }

    /// [N, in] to [N, out].
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze::<2>()
    }
}

/// A convolution, its normalisation and its activation.
pub type Layer<'a> = (&'a Conv2d, &'a BatchNorm2d, Option<Activation>);

/// activation(norm(conv(x)) + shortcut), in one operation where the device has it.
pub fn conv_norm_act(
    (conv, norm): (&Conv2d, &BatchNorm2d),
    x: Tensor<4>,
    shortcut: Option<Tensor<4>>,
    activation: Option<Activation>,
) -> Tensor<4> {
    conv_norm_act_chain(&[(conv, norm, activation)], x, shortcut)
}

/// One layer after the other; the shortcut is added before the last activation. Where the device has the fused
/// operation, each layer reads the convolution before it through its normalisation and activation, whose results are
/// never written.
pub fn conv_norm_act_chain(layers: &[Layer<'_>], mut x: Tensor<4>, mut shortcut: Option<Tensor<4>>) -> Tensor<4> {
    let fused = fused::supports(&x.device());
    let mut prologue = None;
    for (i, layer) in layers.iter().enumerate() {
        let is_last = i + 1 == layers.len();
        let added = if is_last { shortcut.take() } else { None };
        if fused {
            (x, prologue) = fused_layer(layer, x, prologue, added, !is_last);
        } else {
            x = plain_layer(layer, x, added);
        }
    }
    x
}

fn plain_layer((conv, norm, activation): &Layer<'_>, x: Tensor<4>, shortcut: Option<Tensor<4>>) -> Tensor<4> {
    let x = norm.forward(conv.forward(x));
    let x = match shortcut {
        Some(shortcut) => x + shortcut,
        None => x,
    };
    activation.map_or(x.clone(), |activation| activate(x, activation))
}

/// Scale, shift and activation that a layer's output is still to go through.
type Pending = (Tensor<1>, Tensor<1>, Bounds);

fn fused_layer(
    (conv, norm, activation): &Layer<'_>,
    x: Tensor<4>,
    prologue: Option<Pending>,
    shortcut: Option<Tensor<4>>,
    lazy: bool,
) -> (Tensor<4>, Option<Pending>) {
    let ConvShape { kernel, stride, groups, pad_type, .. } = conv.shape;
    let [_, _, height, width] = x.dims();
    let bounds = match activation {
        None => Bounds::NONE,
        Some(Activation::Relu) => Bounds::RELU,
        Some(Activation::Relu6) => Bounds::RELU6,
    };
    let spec = ConvNormActSpec {
        kernel,
        stride,
        depthwise: groups > 1,
        vertical: pad_type.padding(height, kernel, stride),
        horizontal: pad_type.padding(width, kernel, stride),
        eps: norm.eps,
        batch: norm.uses_batch(&x),
        bounds,
        input_bounds: prologue.as_ref().map_or(Bounds::NONE, |(_, _, bounds)| *bounds),
        lazy,
    };
    let affine = (norm.weight.val(), norm.bias.val());
    let running = (norm.running_mean.value_sync(), norm.running_var.value_sync());
    let prologue = prologue.map(|(scale, shift, _)| (scale, shift));
    let normed = fused::conv_norm_act(x, conv.weight.val(), affine, running, prologue, shortcut, spec);
    if spec.batch {
        let [n, _, height, width] = normed.output.dims();
        norm.track(n * height * width, normed.mean, normed.variance);
    }
    (normed.output, lazy.then_some((normed.scale, normed.shift, bounds)))
}

/// Applies an activation.
pub fn activate(x: Tensor<4>, activation: Activation) -> Tensor<4> {
    match activation {
        Activation::Relu => activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
    }
}

/// Max pooling over 3 x 3 windows at stride 2, padded by one.
pub fn max_pool_3x3(x: Tensor<4>) -> Tensor<4> {
    if fused::supports(&x.device()) {
        return fused::max_pool_3x3(x);
    }
    module::max_pool2d(x, MaxPoolOptions::new([3; 2]).with_stride([2; 2]).with_padding([1; 2]))
}

/// Mean over height and width, [N, C, 1, 1].
pub fn mean_pool(x: Tensor<4>) -> Tensor<4> {
    if fused::supports(&x.device()) { fused::mean_pool(x) } else { module::adaptive_avg_pool2d(x, [1, 1]) }
}
