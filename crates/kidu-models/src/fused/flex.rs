//! The fused operations on slices, and their gradients.

use burn::backend::Flex;
use kidu_kernels::{
    ConvShape, Epilogue, Input, SLACK,
    adam::{self, AdamStep},
    conv, depthwise,
    norm::{self, Bounds, Mask, Moments, NormBackward, Normalised},
    pool, unfilled, unfilled_with_slack,
    winograd::{self, WinogradWeights},
};

use super::{
    ConvNormActSpec, FusedOps, Normed, Prologue, Shortcut, Stepped,
    layout::{Primitive, channels_last, dims, from_channels_last, from_values, values},
};

/// Everything that a backward pass of [`FusedOps::conv_norm_act`] needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    spec: ConvNormActSpec,
    shape: ConvShape,
    /// Channels-last, as all that follow.
    x: Primitive,
    prologue: Option<Applied>,
    weight: Primitive,
    /// The convolution's output.
    raw: Primitive,
    /// The activation's output, where it cannot be told from `raw`.
    output: Option<Primitive>,
    affine: Affine,
}

/// A normalisation as a product and a sum, with what it came from.
#[derive(Clone, Debug)]
struct Affine {
    mean: Vec<f32>,
    inverse_std: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    fn new(mean: &[f32], variance: &[f32], gamma: &[f32], beta: &[f32], eps: f64) -> Self {
        let inverse_std: Vec<f32> = variance.iter().map(|v| (1.0 / (f64::from(*v) + eps).sqrt()) as f32).collect();
        let scale: Vec<f32> = gamma.iter().zip(&inverse_std).map(|(g, r)| g * r).collect();
        let shift = beta.iter().zip(mean.iter().zip(&scale)).map(|(b, (m, s))| b - m * s).collect();
        Self { mean: mean.to_vec(), inverse_std, scale, shift }
    }
}

/// The scale and shift that the input still has to go through, and the activation.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) scale: Primitive,
    pub(super) shift: Primitive,
    pub(super) bounds: Bounds,
}

impl Applied {
    pub(super) fn new(prologue: Prologue<Flex>, bounds: Bounds) -> Option<Self> {
        match prologue {
            Prologue::None => None,
            Prologue::Apply(scale, shift) => Some(Self { scale, shift, bounds }),
        }
    }

    fn of_kernels(&self) -> kidu_kernels::Prologue<'_> {
        kidu_kernels::Prologue { scale: values(&self.scale), shift: values(&self.shift), bounds: self.bounds }
    }
}

/// The values of `x` after the prologue, in memory of their own.
fn apply(x: &[f32], prologue: &kidu_kernels::Prologue<'_>) -> Vec<f32> {
    let mut applied = unfilled(x.len());
    norm::apply(x, prologue.scale, prologue.shift, None, prologue.bounds, &mut applied);
    applied
}

/// Gradients, of what was asked for.
pub(super) struct Gradients {
    pub(super) x: Option<Primitive>,
    pub(super) weight: Option<Primitive>,
    pub(super) gamma: Primitive,
    pub(super) beta: Primitive,
    pub(super) shortcut: Option<Primitive>,
}

/// Which gradients to compute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) x: bool,
    pub(super) weight: bool,
    pub(super) shortcut: bool,
}

fn shape_of(x: &Primitive, outputs: usize, spec: &ConvNormActSpec) -> ConvShape {
    let [images, input, height, width] = dims(x);
    let ConvNormActSpec { kernel, stride, vertical, horizontal, .. } = *spec;
    ConvShape { images, height, width, input, output: outputs, kernel, stride, vertical, horizontal }
}

fn output_dims(shape: &ConvShape) -> [usize; 4] {
    [shape.images, shape.output, shape.out_height(), shape.out_width()]
}

/// The parameters and statistics of a batch norm, and what the convolution's input has to go through.
pub(super) struct NormInputs {
    pub(super) prologue: Option<Applied>,
    pub(super) gamma: Primitive,
    pub(super) beta: Primitive,
    pub(super) mean: Primitive,
    pub(super) variance: Primitive,
}

/// The forward pass, with what the backward pass needs.
pub(super) fn forward(
    x: Primitive,
    weight: Primitive,
    norm: &NormInputs,
    shortcut: Option<Primitive>,
    spec: ConvNormActSpec,
) -> (Normed<Flex>, Saved) {
    let weight = weight.to_contiguous();
    let shape = shape_of(&x, dims(&weight)[0], &spec);
    let x = channels_last(x);
    let shortcut = shortcut.map(channels_last);
    let input = Input { values: values(&x), prologue: norm.prologue.as_ref().map(Applied::of_kernels) };
    let (raw, moments) = convolve(&shape, input, values(&weight), &spec);
    let [gamma, beta] = [&norm.gamma, &norm.beta].map(Primitive::to_contiguous);
    let (mean, variance) = if spec.batch {
        norm::combine(&moments, shape.output)
    } else {
        let [mean, variance] = [&norm.mean, &norm.variance].map(Primitive::to_contiguous);
        (values(&mean).to_vec(), values(&variance).to_vec())
    };
    let affine = Affine::new(&mean, &variance, values(&gamma), values(&beta), spec.eps);
    let raw = from_channels_last(raw, output_dims(&shape));
    let output = if spec.lazy {
        raw.clone()
    } else {
        let (raw, mut output) = (channels_last(raw.clone()), unfilled(shape.output_len()));
        let added = shortcut.as_ref().map(values);
        norm::apply(values(&raw), &affine.scale, &affine.shift, added, spec.bounds, &mut output);
        from_channels_last(output, output_dims(&shape))
    };
    let keep = shortcut.is_some() && spec.bounds != Bounds::NONE;
    let vector = |v: &[f32]| from_values(v.to_vec(), [shape.output]);
    let normed = Normed {
        mean: vector(&mean),
        variance: vector(&variance),
        scale: vector(&affine.scale),
        shift: vector(&affine.shift),
        output: output.clone(),
    };
    let saved = Saved {
        spec,
        shape,
        prologue: norm.prologue.clone(),
        x,
        weight,
        raw: channels_last(raw),
        output: keep.then_some(output),
        affine,
    };
    (normed, saved)
}

/// The convolution's output, and the moments of its chunks if the batch is to be normalised.
fn convolve(shape: &ConvShape, input: Input<'_>, weight: &[f32], spec: &ConvNormActSpec) -> (Vec<f32>, Vec<Moments>) {
    let mut raw = unfilled(shape.output_len());
    let count = match kind(shape, spec) {
        Kind::Depthwise => depthwise::bands(shape),
        Kind::Winograd => winograd::chunks(shape),
        Kind::Direct => conv::chunks(shape),
    };
    let moments = Slots::new(if spec.batch { count } else { 0 });
    let after = |number: usize, chunk: &[f32]| {
        if spec.batch {
            moments.set(number, Moments::of(chunk, shape.output));
        }
    };
    let applied = input.prologue.filter(|_| !reads_through_prologue(shape, spec)).map(|p| apply(input.values, &p));
    let input = applied.as_ref().map_or(input, Input::from);
    match kind(shape, spec) {
        Kind::Depthwise => {
            let packed = depthwise::pack_weight(shape, weight);
            depthwise::forward(shape, input, &packed, Epilogue::NONE, &mut raw, after);
        }
        Kind::Winograd => winograd::forward(shape, input.values, &WinogradWeights::new(shape, weight), &mut raw, after),
        Kind::Direct => {
            conv::forward(shape, input, &conv::pack_weight(shape, weight), Epilogue::NONE, &mut raw, after);
        }
    }
    (raw, moments.into_vec())
}

/// Channels, and output pixels of the batch, from which Winograd's transforms of data and weights cost less than they
/// save.
const WINOGRAD_CHANNELS: usize = 32;
const WINOGRAD_PIXELS: usize = 400;

/// How a convolution is computed.
enum Kind {
    Depthwise,
    Winograd,
    Direct,
}

fn kind(shape: &ConvShape, spec: &ConvNormActSpec) -> Kind {
    let is_large = shape.out_pixels() >= WINOGRAD_PIXELS && shape.input.min(shape.output) >= WINOGRAD_CHANNELS;
    if spec.depthwise {
        Kind::Depthwise
    } else if spec.kernel == 3 && spec.stride == 1 && is_large {
        Kind::Winograd
    } else {
        Kind::Direct
    }
}

/// Whether the kernels of a convolution can apply a prologue while they read.
fn reads_through_prologue(shape: &ConvShape, spec: &ConvNormActSpec) -> bool {
    spec.depthwise || shape.is_pointwise()
}

/// Places that several threads fill, each one once.
struct Slots(Vec<std::sync::OnceLock<Moments>>);

impl Slots {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| std::sync::OnceLock::new()).collect())
    }

    fn set(&self, at: usize, moments: Moments) {
        let _ = self.0[at].set(moments);
    }

    fn into_vec(self) -> Vec<Moments> {
        self.0.into_iter().map(|slot| slot.into_inner().unwrap_or_default()).collect()
    }
}

/// The gradients from that of the output.
pub(super) fn backward(saved: Saved, gradient: Primitive, wanted: Wanted) -> Gradients {
    let Saved { spec, shape, prologue, x, weight, raw, output, affine } = saved;
    let gradient = channels_last(gradient);
    let output = output.map(channels_last);
    let mask = match &output {
        _ if spec.bounds == Bounds::NONE => Mask::All,
        Some(output) => Mask::Output(values(output), spec.bounds),
        None => Mask::Recompute(spec.bounds),
    };
    let shortcut = wanted.shortcut.then(|| match &output {
        Some(output) if spec.bounds != Bounds::NONE => {
            let mut masked = unfilled(shape.output_len());
            norm::mask_gradient(values(&gradient), values(output), spec.bounds, &mut masked);
            from_channels_last(masked, output_dims(&shape))
        }
        _ => from_layout(&gradient),
    });
    let pass = Normalised {
        input: values(&raw),
        scale: &affine.scale,
        shift: &affine.shift,
        mean: &affine.mean,
        inverse_std: &affine.inverse_std,
        batch: spec.batch,
        mask,
    };
    let norm = pass.prepare(values(&gradient));
    let input = Input { values: values(&x), prologue: prologue.as_ref().map(Applied::of_kernels) };
    let (x, weight) = convolution_gradients(&spec, &shape, input, values(&weight), &norm, wanted);
    let affine_gradient = norm.affine;
    let channels = [shape.output];
    Gradients {
        x,
        weight,
        gamma: from_values(affine_gradient.gamma, channels),
        beta: from_values(affine_gradient.beta, channels),
        shortcut,
    }
}

/// The gradients of a convolution's input and weight, of what is wanted.
fn convolution_gradients(
    spec: &ConvNormActSpec,
    shape: &ConvShape,
    x: Input<'_>,
    weight: &[f32],
    norm: &NormBackward<'_>,
    wanted: Wanted,
) -> (Option<Primitive>, Option<Primitive>) {
    let mut target = wanted.x.then(|| unfilled(shape.input_len()));
    let weight_gradient = match (kind(shape, spec), &mut target) {
        (Kind::Depthwise, Some(target)) if wanted.weight => {
            Some(depthwise::backward(shape, x, norm, &depthwise::pack_weight(shape, weight), target))
        }
        (Kind::Direct, target) if conv::has_joint_backward(shape, wanted.x) => {
            let packed = wanted.x.then(|| conv::pack_transposed(shape, weight));
            let input = packed.as_ref().zip(target.as_deref_mut());
            conv::backward(shape, x, norm, conv::Wanted { input, weight: wanted.weight })
        }
        (kind, target) => {
            let mut inner = unfilled_with_slack(shape.output_len(), SLACK);
            norm.write_all(&mut inner);
            if let Some(target) = target {
                input_gradient(&kind, shape, weight, &inner, target);
            }
            wanted.weight.then(|| {
                let applied = x.prologue.map(|prologue| apply(x.values, &prologue));
                let x = applied.as_deref().unwrap_or(x.values);
                match kind {
                    Kind::Depthwise => depthwise::backward_weight(shape, x, &inner),
                    Kind::Winograd | Kind::Direct => conv::backward_weight(shape, x, &inner),
                }
            })
        }
    };
    let per_output = if spec.depthwise { 1 } else { shape.input };
    (
        target.map(|target| from_channels_last(target, [shape.images, shape.input, shape.height, shape.width])),
        weight_gradient.map(|gradient| from_values(gradient, [shape.output, per_output, shape.kernel, shape.kernel])),
    )
}

/// The gradient of a convolution's input from that of its output.
fn input_gradient(kind: &Kind, shape: &ConvShape, weight: &[f32], gradient: &[f32], target: &mut [f32]) {
    match kind {
        Kind::Depthwise => {
            depthwise::backward_input(shape, gradient, &depthwise::pack_weight(shape, weight), target);
        }
        Kind::Winograd => {
            winograd::backward_input(shape, gradient, &WinogradWeights::transposed(shape, weight), target);
        }
        Kind::Direct => conv::backward_input(shape, gradient, &conv::pack_transposed(shape, weight), target),
    }
}

/// A channels-last tensor under its logical `[N, C, H, W]` again.
fn from_layout(x: &Primitive) -> Primitive {
    let layout = x.layout().permute(&[0, 3, 1, 2]);
    x.clone().with_layout(layout)
}

fn pool_shape(x: &Primitive) -> ConvShape {
    let [images, channels, height, width] = dims(x);
    ConvShape {
        images,
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

/// Max pooling, with the places of the largest values.
pub(super) fn max_pool_forward(x: Primitive) -> (Primitive, (ConvShape, Vec<u8>)) {
    let shape = pool_shape(&x);
    let (mut output, mut places) = (unfilled(shape.output_len()), vec![0; shape.output_len()]);
    pool::max_forward(&shape, values(&channels_last(x)), &mut output, &mut places);
    (from_channels_last(output, output_dims(&shape)), (shape, places))
}

pub(super) fn max_pool_backward((shape, places): (ConvShape, Vec<u8>), gradient: Primitive) -> Primitive {
    let mut input = unfilled(shape.input_len());
    pool::max_backward(&shape, values(&channels_last(gradient)), &places, &mut input);
    from_channels_last(input, [shape.images, shape.input, shape.height, shape.width])
}

/// Mean over the pixels.
pub(super) fn mean_pool_forward(x: Primitive) -> Primitive {
    let [images, channels, height, width] = dims(&x);
    let means = pool::mean_forward(values(&channels_last(x)), channels, height * width);
    from_values(means, [images, channels, 1, 1])
}

pub(super) fn mean_pool_backward(dims: [usize; 4], gradient: &Primitive) -> Primitive {
    let [images, channels, height, width] = dims;
    let mut input = unfilled(images * channels * height * width);
    pool::mean_backward(values(&gradient.to_contiguous()), channels, height * width, &mut input);
    from_channels_last(input, dims)
}

impl FusedOps for Flex {
    fn conv_norm_act(
        x: Primitive,
        weight: Primitive,
        gamma: Primitive,
        beta: Primitive,
        mean: Primitive,
        variance: Primitive,
        prologue: Prologue<Self>,
        shortcut: Shortcut<Self>,
        spec: ConvNormActSpec,
    ) -> Normed<Self> {
        let shortcut = match shortcut {
            Shortcut::None => None,
            Shortcut::Add(shortcut) => Some(shortcut),
        };
        let prologue = Applied::new(prologue, spec.input_bounds);
        forward(x, weight, &NormInputs { prologue, gamma, beta, mean, variance }, shortcut, spec).0
    }

    fn max_pool_3x3(x: Primitive) -> Primitive {
        max_pool_forward(x).0
    }

    fn mean_pool(x: Primitive) -> Primitive {
        mean_pool_forward(x)
    }

    fn adam_step(
        value: Primitive,
        gradient: Primitive,
        first: Primitive,
        second: Primitive,
        step: AdamStep,
    ) -> Stepped<Self> {
        let len = [values(&value).len()];
        let [mut new, mut m, mut v] = [value, first, second].map(|x| values(&x.to_contiguous()).to_vec());
        adam::step(&mut new, values(&gradient.to_contiguous()), &mut m, &mut v, &step);
        Stepped { value: from_values(new, len), first: from_values(m, len), second: from_values(v, len) }
    }
}
