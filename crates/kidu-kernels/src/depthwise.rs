//! Depthwise convolutions on channels-last data, vectorised over the channels.
//!
//! Weights are `[kernel, kernel, channels]` here ([`pack_weight`]). Where the whole width of the kernel is inside the
//! image, several neighbouring outputs are summed in registers and share their inputs; at the left and right edge each
//! output is a sum over the taps that are inside.

mod backward;

use std::ops::Range;

use rayon::prelude::*;

pub use self::backward::{backward, backward_input, backward_weight};
use crate::{
    buffer::with_scratch,
    conv::{ConvShape, Epilogue},
    input::Input,
    simd::{Simd, Work, dispatch},
};

/// Neighbouring outputs that are summed together.
const NEIGHBOURS: usize = 4;

/// Floats of output that are made together.
const BAND: usize = 64 * 1024;

/// From PyTorch's `[channels, 1, kernel, kernel]` to `[kernel, kernel, channels]`.
pub fn pack_weight(shape: &ConvShape, weight: &[f32]) -> Vec<f32> {
    transpose(weight, shape.input, shape.kernel * shape.kernel)
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    assert_eq!(values.len(), rows * columns, "weight of another shape");
    (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// Rows of output that are made together.
pub(crate) fn band(shape: &ConvShape) -> usize {
    (BAND / (shape.out_width() * shape.input)).clamp(1, shape.out_height())
}

/// The convolution; `weight` is packed. `after` sees each finished band while it is in the cache, with its number
/// (bands are counted image by image, [`bands`] in all).
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward<'a>(
    shape: &ConvShape,
    input: impl Into<Input<'a>>,
    weight: &[f32],
    epilogue: Epilogue<'_>,
    output: &mut [f32],
    after: impl Fn(usize, &[f32]) + Sync,
) {
    let Input { values: input, prologue } = input.into();
    check(shape, input, weight);
    assert_eq!(output.len(), shape.output_len(), "output of another shape");
    assert!(epilogue.bias.is_none_or(|b| b.len() == shape.input), "bias of another shape");
    assert!(epilogue.residual.is_none(), "a depthwise convolution adds nothing");
    let row = shape.out_width() * shape.input;
    let (rows, image_len) = (band(shape), shape.height * shape.width * shape.input);
    let per_image = shape.out_height().div_ceil(rows);
    let mut work: Vec<_> = output.chunks_mut(row * shape.out_height()).flat_map(|o| o.chunks_mut(rows * row)).collect();
    work.par_iter_mut().enumerate().for_each(|(number, output)| {
        let (image, first) = (number / per_image, number % per_image * rows);
        let input = &input[image * image_len..][..image_len];
        match &prologue {
            None => dispatch(Band { shape, input, weight, epilogue, first, output }),
            Some(prologue) => {
                let (part, lines) = part_of_image(shape, first, output.len() / row);
                let lines = lines.start * shape.width * shape.input..lines.end * shape.width * shape.input;
                with_scratch(lines.len(), |x| {
                    prologue.write(&input[lines], x);
                    dispatch(Band { shape: &part, input: x, weight, epilogue, first: 0, output });
                });
            }
        }
        after(number, output);
    });
}

/// The convolution that makes the rows `first..first + rows` of one image's output from the rows of its input that they
/// need, and which those are.
fn part_of_image(shape: &ConvShape, first: usize, rows: usize) -> (ConvShape, Range<usize>) {
    let (start, span) = (first * shape.stride, (rows - 1) * shape.stride + shape.kernel);
    let above = shape.vertical.0.saturating_sub(start).min(span);
    let from = (start + above - shape.vertical.0).min(shape.height);
    let to = (start + span).saturating_sub(shape.vertical.0).clamp(from, shape.height);
    let below = span - above - (to - from);
    (ConvShape { images: 1, height: to - from, vertical: (above, below), ..*shape }, from..to)
}

/// Rows `first..` of the output of one image, on this thread; as many as `output` holds.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward_rows(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    first: usize,
    output: &mut [f32],
) {
    assert_eq!(shape.images, 1, "rows of one image");
    check(shape, input, weight);
    assert!(epilogue.bias.is_none_or(|b| b.len() == shape.input), "bias of another shape");
    let rows = output.len() / (shape.out_width() * shape.input);
    assert!(first + rows <= shape.out_height(), "rows outside the image");
    dispatch(Band { shape, input, weight, epilogue, first, output });
}

/// How many bands [`forward`] makes.
pub fn bands(shape: &ConvShape) -> usize {
    shape.images * shape.out_height().div_ceil(band(shape))
}

fn check(shape: &ConvShape, input: &[f32], weight: &[f32]) {
    assert_eq!(shape.input, shape.output, "a depthwise convolution keeps the channels");
    assert!(matches!(shape.kernel, 3 | 5), "depthwise kernels are 3x3 or 5x5");
    assert!(matches!(shape.stride, 1 | 2), "depthwise strides are 1 or 2");
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    assert_eq!(weight.len(), shape.kernel * shape.kernel * shape.input, "weight of another shape");
}

/// Columns of the output for which the whole width of the kernel is inside the image.
fn interior(shape: &ConvShape) -> (usize, usize) {
    let from = shape.horizontal.0.div_ceil(shape.stride);
    let to = (shape.width + shape.horizontal.0).checked_sub(shape.kernel).map_or(0, |last| last / shape.stride + 1);
    let to = to.min(shape.out_width());
    if from < to { (from, to) } else { (0, 0) }
}

/// Some rows of output of one image.
struct Band<'a> {
    shape: &'a ConvShape,
    input: &'a [f32],
    weight: &'a [f32],
    epilogue: Epilogue<'a>,
    first: usize,
    output: &'a mut [f32],
}

impl Work for Band<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        match (self.shape.kernel, self.shape.stride) {
            (3, 1) => self.rows::<S, 3, 1>(),
            (3, _) => self.rows::<S, 3, 2>(),
            (_, 1) => self.rows::<S, 5, 1>(),
            _ => self.rows::<S, 5, 2>(),
        }
    }
}

impl Band<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, const K: usize, const STRIDE: usize>(mut self) {
        let shape = self.shape;
        let band = std::mem::take(&mut self.output);
        let (channels, row) = (shape.input, shape.out_width() * shape.input);
        let (from, to) = interior(shape);
        for (i, output) in band.chunks_exact_mut(row).enumerate() {
            let (top, bottom, line) = shape.window(self.first + i, shape.vertical.0, shape.height);
            for x in (0..from).chain(to..shape.out_width()) {
                self.edge::<S, K>((top, bottom, line), x, &mut output[x * channels..(x + 1) * channels]);
            }
            if from == to {
                continue;
            }
            // SAFETY (pointers below): rows top..bottom and the whole width of the kernel are inside the image.
            let at = line * shape.width + from * STRIDE - shape.horizontal.0;
            let mut rows = [std::ptr::null(); 5];
            for (ky, row) in rows[..bottom - top].iter_mut().enumerate() {
                *row = self.input.as_ptr().add((at + ky * shape.width) * channels);
            }
            let segment = Segment {
                rows,
                weight: self.weight.as_ptr().add(top * K * channels),
                kernel_rows: bottom - top,
                bias: self.epilogue.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
                output: output.as_mut_ptr().add(from * channels),
                outputs: to - from,
                channels,
                low: self.epilogue.low,
                high: self.epilogue.high,
            };
            segment.run::<S, K, STRIDE>();
        }
    }

    /// One output pixel, some taps of which are outside the image.
    #[inline(always)]
    unsafe fn edge<S: Simd, const K: usize>(
        &self,
        (top, bottom, line): (usize, usize, usize),
        x: usize,
        output: &mut [f32],
    ) {
        let shape = self.shape;
        let channels = shape.input;
        let (left, right, column) = shape.window(x, shape.horizontal.0, shape.width);
        let mut c = 0;
        while c < channels {
            let n = S::LANES.min(channels - c);
            let mut sum = self.epilogue.bias.map_or(S::splat(0.0), |b| S::load_n(b.as_ptr().add(c), n));
            for ky in top..bottom {
                for kx in left..right {
                    let at = ((line + ky - top) * shape.width + column + kx - left) * channels + c;
                    let weight = S::load_n(self.weight.as_ptr().add((ky * K + kx) * channels + c), n);
                    sum = S::fma(S::load_n(self.input.as_ptr().add(at), n), weight, sum);
                }
            }
            let value = S::min(S::splat(self.epilogue.high), S::max(S::splat(self.epilogue.low), sum));
            S::store_n(output.as_mut_ptr().add(c), value, n);
            c += S::LANES;
        }
    }
}

/// Neighbouring outputs of one row whose taps are all there.
pub(crate) struct Segment {
    /// First tap of the first output, for each row of the kernel.
    pub(crate) rows: [*const f32; 5],
    /// First valid row of the kernel.
    pub(crate) weight: *const f32,
    pub(crate) kernel_rows: usize,
    pub(crate) bias: *const f32,
    pub(crate) output: *mut f32,
    pub(crate) outputs: usize,
    pub(crate) channels: usize,
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Segment {
    /// # Safety
    /// All taps of all outputs can be read, all outputs written, and the processor has `S`.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd, const K: usize, const STRIDE: usize>(&self) {
        let mut c = 0;
        while c + S::LANES <= self.channels {
            self.channel_block::<S, K, STRIDE, false>(c, S::LANES);
            c += S::LANES;
        }
        if c < self.channels {
            self.channel_block::<S, K, STRIDE, true>(c, self.channels - c);
        }
    }

    #[inline(always)]
    unsafe fn channel_block<S: Simd, const K: usize, const STRIDE: usize, const TAIL: bool>(&self, c: usize, n: usize) {
        let mut x = 0;
        while x + NEIGHBOURS <= self.outputs {
            self.outputs_at::<S, K, STRIDE, TAIL, NEIGHBOURS>(x, c, n);
            x += NEIGHBOURS;
        }
        while x < self.outputs {
            self.outputs_at::<S, K, STRIDE, TAIL, 1>(x, c, n);
            x += 1;
        }
    }

    #[inline(always)]
    unsafe fn outputs_at<S: Simd, const K: usize, const STRIDE: usize, const TAIL: bool, const N: usize>(
        &self,
        x: usize,
        c: usize,
        n: usize,
    ) {
        let load = |p: *const f32| if TAIL { S::load_head(p, n) } else { S::load(p) };
        let start = if self.bias.is_null() { S::splat(0.0) } else { load(self.bias.add(c)) };
        let mut sums = [start; N];
        let mut weight = self.weight.add(c);
        for row in &self.rows[..self.kernel_rows.min(5)] {
            let input = row.add(x * STRIDE * self.channels + c);
            for kx in 0..K {
                let factor = load(weight.add(kx * self.channels));
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = S::fma(load(input.add((j * STRIDE + kx) * self.channels)), factor, *sum);
                }
            }
            weight = weight.add(K * self.channels);
        }
        let (low, high) = (S::splat(self.low), S::splat(self.high));
        for (j, sum) in sums.iter().enumerate() {
            let place = self.output.add((x + j) * self.channels + c);
            let value = S::min(high, S::max(low, *sum));
            if TAIL { S::store_head(place, value, n) } else { S::store(place, value) }
        }
    }
}
