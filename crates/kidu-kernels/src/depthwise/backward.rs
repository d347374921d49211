//! The gradients of depthwise convolutions, of input and weight.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;

use super::{band, check, forward, forward_rows, interior, transpose};
use crate::{
    buffer::with_scratch,
    conv::{ConvShape, Epilogue, sum_parts},
    input::{Input, Prologue},
    norm::NormBackward,
    simd::{Simd, Work, dispatch},
};

/// Parts of the batch whose weight gradients are summed apart.
const PARTS: usize = 32;

/// The gradient of the input from that of the output; `weight` is packed.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn backward_input(shape: &ConvShape, gradient: &[f32], weight: &[f32], input: &mut [f32]) {
    check(shape, input, weight);
    let gradient = &gradient[..shape.output_len()];
    if shape.stride == 1 {
        let flipped = flipped(shape, weight);
        return forward(&shape.transposed(), gradient, &flipped, Epilogue::NONE, input, |_, _| {});
    }
    let (row, out_len) = (shape.width * shape.input, shape.out_height() * shape.out_width() * shape.input);
    input.par_chunks_mut(row).enumerate().for_each(|(number, input)| {
        let (image, y) = (number / shape.height, number % shape.height);
        let gradient = &gradient[image * out_len..][..out_len];
        dispatch(InputRow { shape, gradient, weight, y, input });
    });
}

/// The packed weight that takes an output's gradient to the input's by a convolution.
fn flipped(shape: &ConvShape, weight: &[f32]) -> Vec<f32> {
    let (channels, taps) = (shape.input, shape.kernel * shape.kernel);
    (0..weight.len()).map(|i| weight[(taps - 1 - i / channels) * channels + i % channels]).collect()
}

/// The gradient of the weight in PyTorch's order, `[channels, 1, kernel, kernel]`.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn backward_weight(shape: &ConvShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    let gradient = &gradient[..shape.output_len()];
    let (image_len, out_len) = image_lens(shape);
    sum_over_images(shape, |image, sums| {
        let (input, gradient) = (&input[image * image_len..][..image_len], &gradient[image * out_len..][..out_len]);
        dispatch(WeightSums { shape, input, gradient, rows: 0..shape.out_height(), sums });
    })
}

/// The gradients of input and weight of a convolution that is followed by a normalisation, in one go through memory: of
/// each image, a few rows of the convolution's output gradient at a time. `weight` is packed. Returns the weight's
/// gradient in PyTorch's order.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn backward<'a>(
    shape: &ConvShape,
    input: impl Into<Input<'a>>,
    norm: &NormBackward<'_>,
    weight: &[f32],
    target: &mut [f32],
) -> Vec<f32> {
    let Input { values: input, prologue } = input.into();
    check(shape, input, weight);
    assert_eq!((target.len(), norm.len()), (input.len(), shape.output_len()), "slices of another shape");
    let (image_len, out_len) = image_lens(shape);
    let one = ConvShape { images: 1, ..*shape };
    let flipped = if shape.stride == 1 { flipped(shape, weight) } else { Vec::new() };
    let targets: Vec<_> = target.chunks_mut(image_len).map(Mutex::new).collect();
    sum_over_images(shape, |image, sums| {
        let input = &input[image * image_len..][..image_len];
        let mut target = targets[image].lock().unwrap_or_else(PoisonError::into_inner);
        let pass = ImageBackward { shape: &one, input, prologue, weight, flipped: &flipped };
        let write = |values: Range<usize>, part: &mut [f32]| norm.write(image * out_len + values.start, part);
        pass.run(write, sums, &mut target);
    })
}

/// Floats of an image, before and after.
fn image_lens(shape: &ConvShape) -> (usize, usize) {
    (shape.height * shape.width * shape.input, shape.out_height() * shape.out_width() * shape.input)
}

/// A weight gradient in PyTorch's order; `add` adds an image's to `[kernel, kernel, channels]`.
fn sum_over_images(shape: &ConvShape, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let (taps, size) = (shape.kernel * shape.kernel, shape.kernel * shape.kernel * shape.input);
    let images = shape.images.div_ceil(shape.images.min(PARTS));
    let parts = shape.images.div_ceil(images);
    let mut sums = vec![0.0f32; parts * size];
    sums.par_chunks_mut(size).enumerate().for_each(|(part, sums)| {
        (part * images..shape.images.min((part + 1) * images)).for_each(|image| add(image, sums));
    });
    transpose(sum_parts(&mut sums, size), taps, shape.input)
}

/// The backward pass of one image.
struct ImageBackward<'a> {
    shape: &'a ConvShape,
    input: &'a [f32],
    prologue: Option<Prologue<'a>>,
    weight: &'a [f32],
    flipped: &'a [f32],
}

impl ImageBackward<'_> {
    /// `write` makes values of the output's gradient. Goes down the image, so that what is made is used while it is in
    /// the cache.
    fn run(&self, write: impl Fn(Range<usize>, &mut [f32]), sums: &mut [f32], target: &mut [f32]) {
        let shape = self.shape;
        let (image_len, out_len) = image_lens(shape);
        let (out_row, row) = (shape.out_width() * shape.input, shape.width * shape.input);
        let applied_len = if self.prologue.is_some() { image_len } else { 0 };
        with_scratch(applied_len, |applied| {
            with_scratch(out_len, |gradient| {
                let (mut made, mut read) = (0, 0);
                for first in (0..shape.out_height()).step_by(band(shape)) {
                    let rows = first..shape.out_height().min(first + band(shape));
                    let values = rows.start * out_row..rows.end * out_row;
                    write(values.clone(), &mut gradient[values]);
                    let input = match &self.prologue {
                        None => self.input,
                        Some(prologue) => {
                            let to = last_row(shape, rows.end).max(read);
                            let part = read * row..to * row;
                            prologue.write(&self.input[part.clone()], &mut applied[part]);
                            read = to;
                            &*applied
                        }
                    };
                    dispatch(WeightSums { shape, input, gradient, rows: rows.clone(), sums });
                    let ready = finished_rows(shape, rows.end).max(made);
                    self.input_rows(gradient, made, &mut target[made * row..ready * row]);
                    made = ready;
                }
            });
        });
    }

    /// The rows `first..` of the input's gradient.
    fn input_rows(&self, gradient: &[f32], first: usize, target: &mut [f32]) {
        let Self { shape, weight, flipped, .. } = *self;
        if target.is_empty() {
            return;
        }
        if shape.stride == 1 {
            return forward_rows(&shape.transposed(), gradient, flipped, Epilogue::NONE, first, target);
        }
        for (number, input) in target.chunks_exact_mut(shape.width * shape.input).enumerate() {
            dispatch(InputRow { shape, gradient, weight, y: first + number, input });
        }
    }
}

/// How many rows of the input the first `outputs` rows of the output are made from.
fn last_row(shape: &ConvShape, outputs: usize) -> usize {
    ((outputs - 1) * shape.stride + shape.kernel).saturating_sub(shape.vertical.0).min(shape.height)
}

/// How many rows of the input no row of the output after the first `outputs` is made from.
fn finished_rows(shape: &ConvShape, outputs: usize) -> usize {
    if outputs == shape.out_height() {
        return shape.height;
    }
    (outputs * shape.stride).saturating_sub(shape.vertical.0).min(shape.height)
}

/// The gradient of one row of input, for strides above 1.
struct InputRow<'a> {
    shape: &'a ConvShape,
    gradient: &'a [f32],
    weight: &'a [f32],
    y: usize,
    input: &'a mut [f32],
}

impl Work for InputRow<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let shape = self.shape;
        let (channels, kernel, out_width) = (shape.input, shape.kernel, shape.out_width());
        let rows = reached(self.y, shape.vertical.0, shape, shape.out_height());
        for (x, output) in self.input.chunks_exact_mut(channels).enumerate() {
            let columns = reached(x, shape.horizontal.0, shape, out_width);
            let mut taps = [(std::ptr::null::<f32>(), std::ptr::null::<f32>()); 9];
            let mut count = 0;
            for (ky, oy) in rows.iter().flatten() {
                for (kx, ox) in columns.iter().flatten() {
                    let gradient = self.gradient[(oy * out_width + ox) * channels..].as_ptr();
                    taps[count] = (gradient, self.weight[(ky * kernel + kx) * channels..].as_ptr());
                    count += 1;
                }
            }
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let mut sum = S::splat(0.0);
                for (gradient, weight) in &taps[..count] {
                    sum = S::fma(S::load_n(gradient.add(c), n), S::load_n(weight.add(c), n), sum);
                }
                S::store_n(output.as_mut_ptr().add(c), sum, n);
                c += S::LANES;
            }
        }
    }
}

/// The (tap, output position) pairs through which an input position is used, at most three for stride 2.
fn reached(at: usize, before: usize, shape: &ConvShape, outputs: usize) -> [Option<(usize, usize)>; 3] {
    let mut pairs = [None; 3];
    let mut count = 0;
    for tap in 0..shape.kernel {
        let place = at + before;
        if place >= tap && (place - tap).is_multiple_of(shape.stride) && (place - tap) / shape.stride < outputs {
            pairs[count] = Some((tap, (place - tap) / shape.stride));
            count += 1;
        }
    }
    pairs
}

/// Adds one image's products of input and gradient to `sums`, `[kernel, kernel, channels]`.
struct WeightSums<'a> {
    shape: &'a ConvShape,
    input: &'a [f32],
    gradient: &'a [f32],
    /// Of the output.
    rows: Range<usize>,
    sums: &'a mut [f32],
}

impl Work for WeightSums<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        match (self.shape.kernel, self.shape.stride) {
            (3, 1) => self.rows::<S, 3, 1>(),
            (3, _) => self.rows::<S, 3, 2>(),
            (_, 1) => self.rows::<S, 5, 1>(),
            _ => self.rows::<S, 5, 2>(),
        }
    }
}

impl WeightSums<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, const K: usize, const STRIDE: usize>(&mut self) {
        let shape = self.shape;
        let (channels, out_width) = (shape.input, shape.out_width());
        let (from, to) = interior(shape);
        for y in self.rows.clone() {
            let (top, bottom, line) = shape.window(y, shape.vertical.0, shape.height);
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                for ky in top..bottom {
                    let row = self.input.as_ptr().add((line + ky - top) * shape.width * channels + c);
                    let gradient = self.gradient.as_ptr().add(y * out_width * channels + c);
                    let place = self.sums.as_mut_ptr().add(ky * K * channels + c);
                    let mut sums = [S::splat(0.0); K];
                    for (kx, sum) in sums.iter_mut().enumerate() {
                        *sum = S::load_n(place.add(kx * channels), n);
                    }
                    for x in (0..from).chain(to..out_width) {
                        let (left, right, column) = shape.window(x, shape.horizontal.0, shape.width);
                        let g = S::load_n(gradient.add(x * channels), n);
                        for (kx, sum) in sums.iter_mut().enumerate() {
                            if (left..right).contains(&kx) {
                                let value = S::load_n(row.add((column + kx - left) * channels), n);
                                *sum = S::fma(value, g, *sum);
                            }
                        }
                    }
                    if from < to {
                        let row = row.add((from * STRIDE - shape.horizontal.0) * channels);
                        let gradient = gradient.add(from * channels);
                        if n == S::LANES {
                            accumulate::<S, K, STRIDE, false>(row, gradient, to - from, channels, n, &mut sums);
                        } else {
                            accumulate::<S, K, STRIDE, true>(row, gradient, to - from, channels, n, &mut sums);
                        }
                    }
                    for (kx, sum) in sums.iter().enumerate() {
                        S::store_n(place.add(kx * channels), *sum, n);
                    }
                }
                c += S::LANES;
            }
        }
    }
}

/// sums[kx] += sum over x of input[x * STRIDE + kx] * gradient[x], for one vector of channels.
#[inline(always)]
unsafe fn accumulate<S: Simd, const K: usize, const STRIDE: usize, const TAIL: bool>(
    input: *const f32,
    gradient: *const f32,
    outputs: usize,
    channels: usize,
    n: usize,
    sums: &mut [S::V; K],
) {
    let load = |p: *const f32| if TAIL { S::load_head(p, n) } else { S::load(p) };
    for x in 0..outputs {
        let g = load(gradient.add(x * channels));
        for (kx, sum) in sums.iter_mut().enumerate() {
            *sum = S::fma(load(input.add((x * STRIDE + kx) * channels)), g, *sum);
        }
    }
}
