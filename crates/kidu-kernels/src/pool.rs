//! Pooling on channels-last data.

use rayon::prelude::*;

use crate::conv::ConvShape;

/// The largest value of each window, and the place in the window where it was (the first of equal ones). Padding
/// counts as minus infinity; `shape.input == shape.output`, windows of at most 15 x 15.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn max_forward(shape: &ConvShape, input: &[f32], output: &mut [f32], places: &mut [u8]) {
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    assert!(output.len() == shape.output_len() && places.len() == output.len(), "output of another shape");
    assert!(shape.kernel <= 15, "window too large");
    let (channels, row) = (shape.input, shape.out_width() * shape.input);
    let work = output.par_chunks_mut(row).zip(places.par_chunks_mut(row)).enumerate();
    work.for_each(|(number, (output, places))| {
        let (image, y) = (number / shape.out_height(), number % shape.out_height());
        let (top, bottom, line) = shape.window(y, shape.vertical.0, shape.height);
        output.fill(f32::NEG_INFINITY);
        places.fill(0);
        let pixels = output.chunks_exact_mut(channels).zip(places.chunks_exact_mut(channels));
        for (x, (output, places)) in pixels.enumerate() {
            let (left, right, column) = shape.window(x, shape.horizontal.0, shape.width);
            for ky in top..bottom {
                for kx in left..right {
                    let pixel = (image * shape.height + line + ky - top) * shape.width + column + kx - left;
                    let input = &input[pixel * channels..][..channels];
                    let place = (ky * shape.kernel + kx) as u8;
                    for ((best, at), value) in output.iter_mut().zip(places.iter_mut()).zip(input) {
                        // NaN wins, as in PyTorch.
                        let better = *value > *best || value.is_nan();
                        *best = if better { *value } else { *best };
                        *at = if better { place } else { *at };
                    }
                }
            }
        }
    });
}

/// Rows `first..` of the max-pooled output of one image, on this thread; as many as `output` holds.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn max_rows(shape: &ConvShape, input: &[f32], first: usize, output: &mut [f32]) {
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    let channels = shape.input;
    for (i, row) in output.chunks_exact_mut(shape.out_width() * channels).enumerate() {
        let (top, bottom, line) = shape.window(first + i, shape.vertical.0, shape.height);
        for (x, output) in row.chunks_exact_mut(channels).enumerate() {
            let (left, right, column) = shape.window(x, shape.horizontal.0, shape.width);
            output.fill(f32::NEG_INFINITY);
            for ky in top..bottom {
                for kx in left..right {
                    let pixel = (line + ky - top) * shape.width + column + kx - left;
                    let values = output.iter_mut().zip(&input[pixel * channels..][..channels]);
                    values.for_each(|(best, value)| {
                        *best = if *value > *best || value.is_nan() { *value } else { *best }
                    });
                }
            }
        }
    }
}

/// The mean of each channel of one image, `[pixels, channels]` to `[channels]`.
pub fn mean_into(input: &[f32], channels: usize, output: &mut [f32]) {
    output.fill(0.0);
    for pixel in input.chunks_exact(channels) {
        output.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
    }
    let scale = channels as f32 / input.len().max(1) as f32;
    output.iter_mut().for_each(|sum| *sum *= scale);
}

/// The gradient of the input of [`max_forward`].
///
/// # Panics
/// When a slice does not fit the shape.
pub fn max_backward(shape: &ConvShape, gradient: &[f32], places: &[u8], input: &mut [f32]) {
    assert!(gradient.len() == shape.output_len() && places.len() == gradient.len(), "gradient of another shape");
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    let (channels, out_width) = (shape.input, shape.out_width());
    let pixels = shape.out_height() * out_width;
    input.par_chunks_mut(shape.height * shape.width * channels).enumerate().for_each(|(image, input)| {
        input.fill(0.0);
        let from = image * pixels * channels;
        let outputs = gradient[from..].chunks_exact(channels).zip(places[from..].chunks_exact(channels)).take(pixels);
        for (pixel, (gradient, places)) in outputs.enumerate() {
            let (y, x) = (pixel / out_width, pixel % out_width);
            for (c, (value, place)) in gradient.iter().zip(places).enumerate() {
                let (ky, kx) = (*place as usize / shape.kernel, *place as usize % shape.kernel);
                let line = (y * shape.stride + ky).saturating_sub(shape.vertical.0);
                let column = (x * shape.stride + kx).saturating_sub(shape.horizontal.0);
                input[(line * shape.width + column) * channels + c] += value;
            }
        }
    });
}

/// The mean of each channel of each image: `[images, pixels, channels]` to `[images, channels]`.
///
/// # Panics
/// When lengths disagree.
pub fn mean_forward(input: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    assert!(input.len().is_multiple_of(channels * pixels), "input of another shape");
    let mut output = vec![0.0f32; input.len() / pixels];
    let images = output.par_chunks_mut(channels).zip(input.par_chunks(channels * pixels));
    images.for_each(|(output, input)| mean_into(input, channels, output));
    output
}

/// The gradient of the input of [`mean_forward`].
///
/// # Panics
/// When lengths disagree.
pub fn mean_backward(gradient: &[f32], channels: usize, pixels: usize, input: &mut [f32]) {
    assert_eq!(input.len(), gradient.len() * pixels, "input of another shape");
    let scale = 1.0 / pixels as f32;
    input.par_chunks_mut(channels * pixels).zip(gradient.par_chunks(channels)).for_each(|(input, gradient)| {
        for pixel in input.chunks_exact_mut(channels) {
            pixel.iter_mut().zip(gradient).for_each(|(slot, g)| *slot = g * scale);
        }
    });
}
