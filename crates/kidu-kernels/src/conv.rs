//! Dense convolutions on channels-last data: `[images, height, width, channels]`.
//!
//! A 1x1 convolution is a matrix product as it stands. Others gather the input of a few hundred output pixels
//! (`[pixels, kernel * kernel * channels]`) into memory that stays in the cache, and are a product then. Work is cut by
//! shape, never by the number of threads, and each sum has one fixed order: results do not depend on the threads.

use rayon::prelude::*;

use crate::{
    buffer::{SLACK, with_scratch},
    input::{Input, Prologue},
    matmul::{Finish, MatMul, Right, Start},
    norm::NormBackward,
    pack::Packed,
    simd::Level,
};

/// Pixels that a weight gradient sums up before the sums go back to memory.
const REDUCE_ROWS: usize = 256;

/// Above this size there is one copy of a weight gradient, made in slices; below it there is one for each part of the
/// batch.
const LARGE_WEIGHT: usize = 256 * 1024;

/// Slices that a large weight gradient is made in.
const SLICES: usize = 8;

/// Floats of partial sums of a weight gradient, about.
const PARTS_FLOATS: usize = 512 * 1024;

/// Floats of input and output gradient that [`backward`] handles together.
const JOINT_FLOATS: usize = 128 * 1024;

/// Floats of input that a prologue is applied to at a time.
const PROLOGUE_FLOATS: usize = 32 * 1024;

/// Floats of partial sums that a thread adds up at a time.
const SUM_FLOATS: usize = 8 * 1024;

/// The shape of a convolution of a batch, square kernel, without dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images in the batch.
    pub images: usize,
    /// Rows of an input image.
    pub height: usize,
    /// Columns of an input image.
    pub width: usize,
    /// Channels in.
    pub input: usize,
    /// Channels out; equal to `input` for a depthwise convolution.
    pub output: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride on both axes.
    pub stride: usize,
    /// Padding above and below.
    pub vertical: (usize, usize),
    /// Padding left and right.
    pub horizontal: (usize, usize),
}

impl ConvShape {
    /// Rows of an output image.
    pub fn out_height(&self) -> usize {
        (self.height + self.vertical.0 + self.vertical.1 - self.kernel) / self.stride + 1
    }

    /// Columns of an output image.
    pub fn out_width(&self) -> usize {
        (self.width + self.horizontal.0 + self.horizontal.1 - self.kernel) / self.stride + 1
    }

    /// Output pixels of the whole batch.
    pub fn out_pixels(&self) -> usize {
        self.images * self.out_height() * self.out_width()
    }

    /// Values of the input.
    pub fn input_len(&self) -> usize {
        self.images * self.height * self.width * self.input
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        self.out_pixels() * self.output
    }

    /// Values that one output value is summed from.
    pub fn depth(&self) -> usize {
        self.kernel * self.kernel * self.input
    }

    /// Whether it is a plain product of pixels and weights.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.vertical == (0, 0) && self.horizontal == (0, 0)
    }

    /// Multiplications of a forward pass.
    pub fn products(&self) -> usize {
        self.output_len() * self.depth()
    }

    /// The convolution that takes the output's gradient to the input's, for stride 1.
    pub(crate) fn transposed(&self) -> Self {
        let flip = |(before, after): (usize, usize)| (self.kernel - 1 - before, self.kernel - 1 - after);
        Self {
            images: self.images,
            height: self.out_height(),
            width: self.out_width(),
            input: self.output,
            output: self.input,
            kernel: self.kernel,
            stride: 1,
            vertical: flip(self.vertical),
            horizontal: flip(self.horizontal),
        }
    }

    /// Output pixels that are made together.
    pub(crate) fn chunk(&self) -> usize {
        if self.is_pointwise() {
            (65_536 / self.output).clamp(56, 4096)
        } else {
            (196_608 / self.depth()).clamp(112, 1024)
        }
    }

    /// The valid part of the kernel at an output position, and where it begins in the input.
    pub(crate) fn window(&self, at: usize, before: usize, size: usize) -> (usize, usize, usize) {
        let start = at * self.stride;
        let from = before.saturating_sub(start);
        let to = self.kernel.min((size + before).saturating_sub(start));
        (from, to.max(from), (start + from).saturating_sub(before))
    }
}

/// Packs a weight in PyTorch's order, `[out, in, kernel, kernel]`, for [`forward`].
pub fn pack_weight(shape: &ConvShape, weight: &[f32]) -> Packed {
    assert_eq!(weight.len(), shape.depth() * shape.output, "weight of another shape");
    let columns: Vec<usize> = (0..shape.output).map(|o| o * shape.depth()).collect();
    Packed::new(weight, &taps_of_inputs(shape), &columns)
}

/// Packs a weight for [`backward_input`].
pub fn pack_transposed(shape: &ConvShape, weight: &[f32]) -> Packed {
    assert_eq!(weight.len(), shape.depth() * shape.output, "weight of another shape");
    let taps = shape.kernel * shape.kernel;
    if shape.stride == 1 {
        let row = |tap: usize| (0..shape.output).map(move |o| o * shape.depth() + taps - 1 - tap);
        let rows: Vec<usize> = (0..taps).flat_map(row).collect();
        let columns: Vec<usize> = (0..shape.input).map(|i| i * taps).collect();
        Packed::new(weight, &rows, &columns)
    } else {
        let rows: Vec<usize> = (0..shape.output).map(|o| o * shape.depth()).collect();
        Packed::new(weight, &rows, &taps_of_inputs(shape))
    }
}

/// Places, within the weights of one channel out, of `[kernel, kernel, in]`.
fn taps_of_inputs(shape: &ConvShape) -> Vec<usize> {
    let taps = shape.kernel * shape.kernel;
    (0..taps).flat_map(|tap| (0..shape.input).map(move |i| i * taps + tap)).collect()
}

/// What a convolution does to a sum before it stores it.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// One value for each channel out.
    pub bias: Option<&'a [f32]>,
    /// Added, laid out as the output is.
    pub residual: Option<&'a [f32]>,
    /// Lower bound.
    pub low: f32,
    /// Upper bound.
    pub high: f32,
}

impl Epilogue<'_> {
    /// Stores the sums as they are.
    pub const NONE: Self = Epilogue { bias: None, residual: None, low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// The convolution. `after` sees each finished chunk while it is in the cache, with its number.
///
/// # Panics
/// When a slice does not fit the shape, or for an input with a prologue unless the convolution is pointwise.
pub fn forward<'a>(
    shape: &ConvShape,
    input: impl Into<Input<'a>>,
    weight: &Packed,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
    after: impl Fn(usize, &[f32]) + Sync,
) {
    let Input { values: input, prologue } = input.into();
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    assert_eq!(output.len(), shape.output_len(), "output of another shape");
    assert_eq!((weight.depth(), weight.columns()), (shape.depth(), shape.output), "weight of another shape");
    assert!(epilogue.residual.is_none_or(|r| r.len() == output.len()), "residual of another shape");
    assert!(prologue.is_none() || shape.is_pointwise(), "a prologue needs a pointwise convolution");
    let (chunk, depth) = (shape.chunk(), shape.depth());
    output.par_chunks_mut(chunk * shape.output).enumerate().for_each(|(number, output)| {
        let first = number * chunk;
        let residual = epilogue.residual.map(|r| &r[first * shape.output..]);
        let epilogue = Epilogue { residual, ..epilogue };
        if let Some(prologue) = prologue {
            product_of(&prologue, &input[first * depth..], weight, epilogue, output);
        } else if shape.is_pointwise() {
            product(&input[first * depth..], weight, epilogue, output);
        } else {
            with_scratch(output.len() / shape.output * depth, |columns| {
                gather(shape, input, first, 0..depth, columns);
                product(columns, weight, epilogue, output);
            });
        }
        after(number, output);
    });
}

/// [`product`] of an input with a prologue, some rows at a time that stay in the cache.
fn product_of(prologue: &Prologue<'_>, left: &[f32], weight: &Packed, epilogue: Epilogue<'_>, output: &mut [f32]) {
    let (depth, columns) = (weight.depth(), weight.columns());
    let rows = (PROLOGUE_FLOATS / depth).max(56);
    with_scratch(rows * depth, |scratch| {
        for (number, output) in output.chunks_mut(rows * columns).enumerate() {
            let (at, rows) = (number * rows, output.len() / columns);
            let scratch = &mut scratch[..rows * depth];
            prologue.write(&left[at * depth..][..rows * depth], scratch);
            let residual = epilogue.residual.map(|r| &r[at * columns..]);
            product(scratch, weight, Epilogue { residual, ..epilogue }, output);
        }
    });
}

/// Output pixels `first..` of a convolution, counted over the whole batch, on this thread; as many as `output` holds.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward_pixels(
    shape: &ConvShape,
    input: &[f32],
    weight: &Packed,
    epilogue: Epilogue<'_>,
    first: usize,
    output: &mut [f32],
) {
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    let depth = shape.depth();
    if shape.is_pointwise() {
        return product(&input[first * depth..], weight, epilogue, output);
    }
    let chunk = shape.chunk();
    for (number, output) in output.chunks_mut(chunk * shape.output).enumerate() {
        let (at, rows) = (number * chunk, output.len() / shape.output);
        let residual = epilogue.residual.map(|r| &r[at * shape.output..]);
        with_scratch(rows * depth, |columns| {
            gather(shape, input, first + at, 0..depth, columns);
            product(columns, weight, Epilogue { residual, ..epilogue }, output);
        });
    }
}

/// Rows of a matrix times a packed weight, on this thread; as many as `output` holds. `epilogue.residual` begins with
/// the first of them.
///
/// # Panics
/// When a slice does not fit.
pub fn product(left: &[f32], weight: &Packed, epilogue: Epilogue<'_>, output: &mut [f32]) {
    MatMul {
        rows: output.len() / weight.columns(),
        depth: weight.depth(),
        runs: 1,
        left_run: 0,
        columns: weight.columns(),
        left,
        left_row: weight.depth(),
        left_column: 1,
        right: weight.right(),
        output,
        output_row: weight.columns(),
        start: epilogue.bias.map_or(Start::Zero, Start::Bias),
        finish: Finish { residual: epilogue.residual, low: epilogue.low, high: epilogue.high },
    }
    .run(weight.level());
}

/// How many chunks [`forward`] makes.
pub fn chunks(shape: &ConvShape) -> usize {
    shape.out_pixels().div_ceil(shape.chunk())
}

/// Copies the input values of some output pixels: row i holds those of pixel `first + i`, the part `slice` of the depth.
pub(crate) fn gather(
    shape: &ConvShape,
    input: &[f32],
    first: usize,
    slice: std::ops::Range<usize>,
    columns: &mut [f32],
) {
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let run = shape.kernel * shape.input;
    for (i, row) in columns.chunks_exact_mut(slice.len()).enumerate() {
        let pixel = first + i;
        let (image, y, x) = (pixel / (out_height * out_width), pixel / out_width % out_height, pixel % out_width);
        let (left, right, column) = shape.window(x, shape.horizontal.0, shape.width);
        for ky in slice.start / run..slice.end.div_ceil(run) {
            // The part of this kernel row that lies in the slice, in channels from the row's left end.
            let from = slice.start.saturating_sub(ky * run);
            let to = run.min(slice.end - ky * run);
            let target = &mut row[ky * run + from - slice.start..ky * run + to - slice.start];
            let line = (y * shape.stride + ky).checked_sub(shape.vertical.0).filter(|l| *l < shape.height);
            let Some(line) = line else {
                target.fill(0.0);
                continue;
            };
            let (valid_from, valid_to) = ((left * shape.input).clamp(from, to), (right * shape.input).clamp(from, to));
            target[..valid_from - from].fill(0.0);
            target[valid_to - from..].fill(0.0);
            if valid_from < valid_to {
                let base = ((image * shape.height + line) * shape.width + column) * shape.input;
                let at = base + valid_from - left * shape.input;
                target[valid_from - from..valid_to - from].copy_from_slice(&input[at..at + valid_to - valid_from]);
            }
        }
    }
}

/// The gradient of the input from the gradient of the output.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn backward_input(shape: &ConvShape, gradient: &[f32], weight: &Packed, input: &mut [f32]) {
    let gradient = &gradient[..shape.output_len()];
    if shape.stride == 1 {
        return forward(&shape.transposed(), gradient, weight, Epilogue::NONE, input, |_, _| {});
    }
    assert_eq!((weight.depth(), weight.columns()), (shape.output, shape.depth()), "weight of another shape");
    let (pixels, depth) = (shape.out_height() * shape.out_width(), shape.depth());
    let chunk = shape.chunk().min(pixels);
    let image_len = shape.height * shape.width * shape.input;
    input.par_chunks_mut(image_len).enumerate().for_each(|(image, input)| {
        input.fill(0.0);
        let gradient = &gradient[image * pixels * shape.output..];
        with_scratch(chunk * depth, |columns| {
            for first in (0..pixels).step_by(chunk) {
                let rows = chunk.min(pixels - first);
                let columns = &mut columns[..rows * depth];
                product(&gradient[first * shape.output..], weight, Epilogue::NONE, columns);
                scatter(shape, columns, first, input);
            }
        });
    });
}

/// Adds rows of gathered values to where they came from, within one image.
fn scatter(shape: &ConvShape, columns: &[f32], first: usize, input: &mut [f32]) {
    let out_width = shape.out_width();
    for (i, row) in columns.chunks_exact(shape.depth()).enumerate() {
        let (y, x) = ((first + i) / out_width, (first + i) % out_width);
        let (top, bottom, line) = shape.window(y, shape.vertical.0, shape.height);
        let (left, right, column) = shape.window(x, shape.horizontal.0, shape.width);
        for ky in top..bottom {
            let from = ((line + ky - top) * shape.width + column) * shape.input;
            let values = &row[(ky * shape.kernel + left) * shape.input..(ky * shape.kernel + right) * shape.input];
            input[from..from + values.len()].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// The gradient of the weight, in PyTorch's order `[out, in, kernel, kernel]`. `gradient` is the output's, with
/// [`SLACK`] floats behind its end.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn backward_weight(shape: &ConvShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    assert!(gradient.len() >= shape.output_len() + SLACK, "gradient of another shape or without slack");
    let (depth, size) = (shape.depth(), shape.depth() * shape.output);
    let parts = weight_parts(shape);
    let slices = if parts == 1 { (depth / 16).clamp(1, SLICES) } else { 1 };
    let pixels = shape.out_pixels().div_ceil(parts);
    let mut sums = vec![0.0f32; parts * size];
    let slice_len = depth.div_ceil(slices);
    let mut tasks: Vec<_> = sums
        .chunks_mut(size)
        .enumerate()
        .flat_map(|(part, sums)| {
            let slices = sums.chunks_mut(slice_len * shape.output).enumerate();
            slices.map(move |(slice, sums)| (part, slice * slice_len, sums)).collect::<Vec<_>>()
        })
        .collect();
    tasks.par_iter_mut().for_each(|(part, from, sums)| {
        let end = shape.out_pixels().min((*part + 1) * pixels);
        for first in (*part * pixels..end).step_by(REDUCE_ROWS) {
            let rows = REDUCE_ROWS.min(end - first);
            reduce(shape, input, &gradient[first * shape.output..], first..first + rows, *from, sums);
        }
    });
    unpack(shape, sum_parts(&mut sums, size))
}

/// What [`backward`] makes.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The weight for [`backward_input`] and the place of the input's gradient.
    pub input: Option<(&'a Packed, &'a mut [f32])>,
    /// Whether the weight's gradient is asked for.
    pub weight: bool,
}

/// Whether [`backward`] can make the gradients of a convolution.
pub fn has_joint_backward(shape: &ConvShape, wants_input: bool) -> bool {
    (shape.is_pointwise() || !wants_input) && weight_parts(shape) > 1
}

/// The gradients of a convolution that is followed by a normalisation, in one go through memory: a few hundred pixels
/// of the convolution's output gradient at a time, which stay in the cache. Returns that of the weight in PyTorch's
/// order.
///
/// # Panics
/// When a slice does not fit the shape, or [`has_joint_backward`] says no.
pub fn backward<'a>(
    shape: &ConvShape,
    input: impl Into<Input<'a>>,
    norm: &NormBackward<'_>,
    wanted: Wanted<'_>,
) -> Option<Vec<f32>> {
    let Input { values: input, prologue } = input.into();
    assert!(prologue.is_none() || shape.is_pointwise(), "a prologue needs a pointwise convolution");
    assert!(has_joint_backward(shape, wanted.input.is_some()), "no joint backward pass for this shape");
    assert_eq!((input.len(), norm.len()), (shape.input_len(), shape.output_len()), "slices of another shape");
    let (size, parts, outputs) = (shape.depth() * shape.output, weight_parts(shape), shape.output);
    let pixels = shape.out_pixels().div_ceil(parts);
    let rows = (JOINT_FLOATS / (shape.depth() + outputs)).clamp(128, 512);
    let mut sums = vec![0.0f32; if wanted.weight { parts * size } else { 0 }];
    let mut of_weight = sums.chunks_mut(size);
    let (packed, mut of_input) = match wanted.input {
        Some((packed, target)) => (Some(packed), target.chunks_mut(pixels * shape.input)),
        None => (None, <&mut [f32]>::default().chunks_mut(1)),
    };
    let mut tasks: Vec<_> = (0..shape.out_pixels())
        .step_by(pixels)
        .map(|first| (first, of_weight.next().unwrap_or_default(), of_input.next().unwrap_or_default()))
        .collect();
    tasks.par_iter_mut().for_each(|(start, sums, target)| {
        let end = shape.out_pixels().min(*start + pixels);
        with_scratch(rows * outputs + SLACK, |scratch| {
            for first in (*start..end).step_by(rows) {
                let rows = rows.min(end - first);
                norm.write(first * outputs, &mut scratch[..rows * outputs]);
                match prologue {
                    _ if !wanted.weight => {}
                    None => reduce(shape, input, scratch, first..first + rows, 0, sums),
                    Some(prologue) => with_scratch(rows * shape.input, |x| {
                        prologue.write(&input[first * shape.input..][..rows * shape.input], x);
                        reduce(shape, x, scratch, 0..rows, 0, sums);
                    }),
                }
                if let Some(packed) = packed {
                    let target = &mut target[(first - *start) * shape.input..][..rows * shape.input];
                    product(&scratch[..rows * outputs], packed, Epilogue::NONE, target);
                }
            }
        });
    });
    wanted.weight.then(|| unpack(shape, sum_parts(&mut sums, size)))
}

/// Parts of the batch whose weight gradients are summed apart; one where a weight is so large that it is made in slices
/// instead.
fn weight_parts(shape: &ConvShape) -> usize {
    let size = shape.depth() * shape.output;
    if size > LARGE_WEIGHT {
        return 1;
    }
    (PARTS_FLOATS / size).clamp(8, 32).min(shape.out_pixels().div_ceil(64))
}

/// Adds the parts to the first one.
pub(crate) fn sum_parts(sums: &mut [f32], size: usize) -> &mut [f32] {
    let (first, others) = sums.split_at_mut(size);
    first.par_chunks_mut(SUM_FLOATS).enumerate().for_each(|(number, first)| {
        for other in others.chunks_exact(size) {
            first.iter_mut().zip(&other[number * SUM_FLOATS..]).for_each(|(sum, value)| *sum += value);
        }
    });
    first
}

/// Adds to `sums`, `[part of the depth, out]`, the products of input and gradient over a few output pixels. `gradient`
/// begins with the first of them and has [`SLACK`] floats behind the last.
fn reduce(
    shape: &ConvShape,
    input: &[f32],
    gradient: &[f32],
    pixels: std::ops::Range<usize>,
    from: usize,
    sums: &mut [f32],
) {
    let level = Level::current();
    let (slice, rows) = (sums.len() / shape.output, pixels.len());
    let mut product = |left: &[f32], left_column: usize| {
        MatMul {
            rows: slice,
            depth: rows,
            runs: 1,
            left_run: 0,
            columns: shape.output,
            left,
            left_row: 1,
            left_column,
            right: Right { values: gradient, row: shape.output, panel: level.panel() },
            output: sums,
            output_row: shape.output,
            start: Start::Output,
            finish: Finish::NOTHING,
        }
        .run(level);
    };
    if shape.is_pointwise() {
        product(&input[pixels.start * shape.input + from..], shape.input);
    } else {
        with_scratch(rows * slice, |columns| {
            gather(shape, input, pixels.start, from..from + slice, columns);
            product(columns, slice);
        });
    }
}

/// From `[kernel, kernel, in, out]` to `[out, in, kernel, kernel]`.
fn unpack(shape: &ConvShape, sums: &[f32]) -> Vec<f32> {
    let taps = shape.kernel * shape.kernel;
    let mut weight = vec![0.0; sums.len()];
    weight.par_chunks_mut(shape.input * taps).enumerate().for_each(|(out, weight)| {
        for (i, value) in weight.iter_mut().enumerate() {
            *value = sums[(i % taps * shape.input + i / taps) * shape.output + out];
        }
    });
    weight
}
