//! Every kernel against its definition, in float64, on every instruction set of the machine.

use kidu_kernels::{
    ConvShape, Epilogue, Input, Level, Prologue, SLACK, conv, depthwise,
    norm::{self, Bounds, Mask, Moments, Normalised},
    pool,
    stem::{self, PaddedImage, StemWeights},
    winograd::{self, WinogradWeights},
};
use proptest::prelude::*;

/// Values in [-1, 1) that look random and are the same everywhere.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-6, |m: f64, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*a) - b).abs() / largest;
        assert!(error <= tolerance, "at {i}: {a} instead of {b} (largest {largest}) on {:?}", Level::current());
    }
}

/// Calls `each(output, input, weight)` with the flat places of every product of a convolution; weights in PyTorch's
/// order.
fn products(shape: &ConvShape, groups: usize, mut each: impl FnMut(usize, usize, usize)) {
    let (inputs, outputs) = (shape.input / groups, shape.output / groups);
    for n in 0..shape.images {
        for y in 0..shape.out_height() {
            for x in 0..shape.out_width() {
                for o in 0..shape.output {
                    let out = ((n * shape.out_height() + y) * shape.out_width() + x) * shape.output + o;
                    for ky in 0..shape.kernel {
                        for kx in 0..shape.kernel {
                            let (line, column) = (y * shape.stride + ky, x * shape.stride + kx);
                            let inside = (shape.vertical.0..shape.vertical.0 + shape.height).contains(&line)
                                && (shape.horizontal.0..shape.horizontal.0 + shape.width).contains(&column);
                            if !inside {
                                continue;
                            }
                            let pixel = (n * shape.height + line - shape.vertical.0) * shape.width + column
                                - shape.horizontal.0;
                            for i in 0..inputs {
                                let input = pixel * shape.input + o / outputs * inputs + i;
                                each(out, input, ((o * inputs + i) * shape.kernel + ky) * shape.kernel + kx);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn check_conv(shape: ConvShape, groups: usize) {
    let is_depthwise = groups > 1;
    let weight_len = shape.kernel * shape.kernel * shape.input / groups * shape.output;
    let (input, weight) = (noise(shape.input_len(), 1), noise(weight_len, 2));
    let (bias, gradient) = (noise(shape.output, 3), noise(shape.output_len() + SLACK, 4));
    let mut expected = vec![0.0f64; shape.output_len()];
    let mut input_gradient = vec![0.0f64; shape.input_len()];
    let mut weight_gradient = vec![0.0f64; weight_len];
    products(&shape, groups, |o, i, w| {
        let [value, factor, g] = [input[i], weight[w], gradient[o]].map(f64::from);
        expected[o] += value * factor;
        input_gradient[i] += g * factor;
        weight_gradient[w] += g * value;
    });
    for (o, value) in expected.iter_mut().enumerate() {
        *value = (*value + f64::from(bias[o % shape.output])).clamp(0.0, 6.0);
    }
    let epilogue = Epilogue { bias: Some(&bias), residual: None, low: 0.0, high: 6.0 };
    for level in Level::available() {
        assert!(level.force());
        let mut output = vec![f32::NAN; shape.output_len()];
        let mut back = vec![f32::NAN; shape.input_len()];
        let weight_back = if is_depthwise {
            let packed = depthwise::pack_weight(&shape, &weight);
            depthwise::forward(&shape, &input, &packed, epilogue, &mut output, |_, _| {});
            depthwise::backward_input(&shape, &gradient, &packed, &mut back);
            depthwise::backward_weight(&shape, &input, &gradient)
        } else {
            let packed = conv::pack_weight(&shape, &weight);
            conv::forward(&shape, &input, &packed, epilogue, &mut output, |_, _| {});
            conv::backward_input(&shape, &gradient, &conv::pack_transposed(&shape, &weight), &mut back);
            conv::backward_weight(&shape, &input, &gradient)
        };
        assert_close(&output, &expected, 1e-5);
        assert_close(&back, &input_gradient, 1e-5);
        assert_close(&weight_back, &weight_gradient, 1e-5);
    }
}

fn shape(images: usize, side: (usize, usize), channels: (usize, usize), kernel: usize, stride: usize) -> ConvShape {
    let pad = (kernel - 1) / 2;
    ConvShape {
        images,
        height: side.0,
        width: side.1,
        input: channels.0,
        output: channels.1,
        kernel,
        stride,
        vertical: (pad, pad),
        horizontal: (pad, pad),
    }
}

#[test]
fn dense_convolutions_are_their_definition() {
    for (images, side, channels, kernel, stride) in [
        (1, (7, 7), (3, 16), 3, 2),
        (2, (9, 12), (3, 10), 7, 2),
        (3, (14, 14), (24, 40), 1, 1),
        (1, (8, 8), (16, 33), 1, 2),
        (2, (6, 5), (17, 64), 3, 1),
        (9, (5, 5), (8, 8), 3, 1),
        (1, (3, 3), (600, 520), 1, 1),
        (1, (4, 4), (130, 12), 3, 1),
    ] {
        check_conv(shape(images, side, channels, kernel, stride), 1);
    }
    // TensorFlow's SAME: more padding below and at the right.
    check_conv(ConvShape { vertical: (0, 1), horizontal: (0, 1), ..shape(2, (8, 8), (3, 32), 3, 2) }, 1);
}

#[test]
fn depthwise_convolutions_are_their_definition() {
    for (images, side, channels, kernel, stride) in [
        (1, (7, 7), 16, 3, 1),
        (2, (9, 12), 24, 3, 2),
        (1, (7, 7), 37, 5, 1),
        (9, (8, 8), 40, 5, 2),
        (1, (2, 3), 19, 5, 1),
        (1, (1, 1), 5, 3, 2),
        (1, (40, 30), 96, 3, 1),
    ] {
        check_conv(shape(images, side, (channels, channels), kernel, stride), channels);
    }
    check_conv(ConvShape { vertical: (0, 1), horizontal: (0, 1), ..shape(2, (8, 8), (20, 20), 3, 2) }, 20);
    check_conv(ConvShape { vertical: (1, 2), horizontal: (1, 2), ..shape(1, (14, 14), (20, 20), 5, 2) }, 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_convolution_is_its_definition(
        images in 1usize..4, height in 1usize..12, width in 1usize..12, input in 1usize..40, output in 1usize..40,
        kernel in 1usize..6, stride in 1usize..3, pads in prop::array::uniform4(0usize..3),
    ) {
        let [top, bottom, left, right] = pads.map(|p| p.min(kernel - 1));
        prop_assume!(height + top + bottom >= kernel && width + left + right >= kernel);
        let shape = ConvShape {
            images, height, width, input, output, kernel, stride, vertical: (top, bottom), horizontal: (left, right),
        };
        check_conv(shape, 1);
        if kernel == 3 || kernel == 5 {
            check_conv(ConvShape { output: input, ..shape }, input);
        }
    }
}

/// Batch norm and activation in float64: the output, and the gradients of sum(output * g) by central differences.
fn normalise(input: &[f64], gamma: &[f64], beta: &[f64], residual: &[f64], bounds: Bounds) -> Vec<f64> {
    let channels = gamma.len();
    let pixels = input.len() / channels;
    let column = |c: usize| input.iter().skip(c).step_by(channels);
    let stats: Vec<(f64, f64)> = (0..channels)
        .map(|c| {
            let mean = column(c).sum::<f64>() / pixels as f64;
            (mean, column(c).map(|v| (v - mean).powi(2)).sum::<f64>() / pixels as f64)
        })
        .collect();
    let value = |(i, v): (usize, &f64)| {
        let c = i % channels;
        let normal = (v - stats[c].0) / (stats[c].1 + 1e-5).sqrt();
        (normal * gamma[c] + beta[c] + residual[i]).clamp(bounds.low.into(), bounds.high.into())
    };
    input.iter().enumerate().map(value).collect()
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

fn check_norm(channels: usize, pixels: usize, bounds: Bounds, with_residual: bool) {
    let input: Vec<f32> = noise(channels * pixels, 5).iter().map(|v| 3.0 * v + 7.0).collect();
    let (gamma, beta) = (noise(channels, 6), noise(channels, 7));
    let residual = if with_residual { noise(input.len(), 8) } else { vec![0.0; input.len()] };
    let gradient = noise(input.len(), 9);
    let (wide, wide_gamma, wide_beta, wide_residual) = (widen(&input), widen(&gamma), widen(&beta), widen(&residual));
    let expected = normalise(&wide, &wide_gamma, &wide_beta, &wide_residual, bounds);
    let objective = |input: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
        let output = normalise(input, gamma, beta, &wide_residual, bounds);
        output.iter().zip(&gradient).map(|(o, g)| o * f64::from(*g)).sum()
    };
    let slope = |values: &[f64], at: usize, f: &dyn Fn(&[f64]) -> f64| {
        let moved =
            |by: f64| f(&values.iter().enumerate().map(|(i, v)| if i == at { v + by } else { *v }).collect::<Vec<_>>());
        (moved(1e-6) - moved(-1e-6)) / 2e-6
    };
    for level in Level::available() {
        assert!(level.force());
        let chunks: Vec<Moments> = input.chunks(5 * channels).map(|c| Moments::of(c, channels)).collect();
        let (mean, variance) = norm::combine(&chunks, channels);
        let inverse_std: Vec<f32> = variance.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
        let scale: Vec<f32> = gamma.iter().zip(&inverse_std).map(|(g, r)| g * r).collect();
        let shift: Vec<f32> = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
        let mut output = vec![f32::NAN; input.len()];
        norm::apply(&input, &scale, &shift, with_residual.then_some(&residual), bounds, &mut output);
        assert_close(&output, &expected, 1e-5);
        let mask = match (bounds == Bounds::NONE, with_residual) {
            (true, _) => Mask::All,
            (false, false) => Mask::Recompute(bounds),
            (false, true) => Mask::Output(&output, bounds),
        };
        let pass = Normalised {
            input: &input,
            scale: &scale,
            shift: &shift,
            mean: &mean,
            inverse_std: &inverse_std,
            batch: true,
            mask,
        };
        let mut back = vec![f32::NAN; input.len()];
        let backward = pass.prepare(&gradient);
        backward.write_all(&mut back);
        let affine = backward.affine;
        for at in (0..input.len()).step_by(input.len() / 7 + 1) {
            let wanted = slope(&wide, at, &|v| objective(v, &wide_gamma, &wide_beta));
            assert!((f64::from(back[at]) - wanted).abs() < 2e-4, "input {at}: {} instead of {wanted}", back[at]);
        }
        for c in 0..channels {
            let wanted = slope(&wide_gamma, c, &|v| objective(&wide, v, &wide_beta));
            assert!((f64::from(affine.gamma[c]) - wanted).abs() < 2e-3, "gamma {c}: {} {wanted}", affine.gamma[c]);
            let wanted = slope(&wide_beta, c, &|v| objective(&wide, &wide_gamma, v));
            assert!((f64::from(affine.beta[c]) - wanted).abs() < 2e-3, "beta {c}: {} {wanted}", affine.beta[c]);
        }
    }
}

#[test]
fn batch_norm_and_activation_have_the_gradients_of_their_definition() {
    check_norm(19, 33, Bounds::NONE, false);
    check_norm(19, 33, Bounds::NONE, true);
    check_norm(70, 12, Bounds::RELU, false);
    check_norm(33, 21, Bounds::RELU6, false);
    check_norm(16, 20, Bounds::RELU, true);
}

/// The joint backward passes against the normalisation's, followed by the convolution's.
fn check_joint_backward(shape: &ConvShape, depthwise: bool) {
    let channels = shape.output;
    let (input, raw, gradient) =
        (noise(shape.input_len(), 1), noise(shape.output_len(), 2), noise(shape.output_len(), 3));
    let weight = noise(if depthwise { shape.kernel * shape.kernel * channels } else { shape.depth() * channels }, 4);
    let (scale, shift, mean) = (noise(channels, 5), noise(channels, 6), noise(channels, 7));
    let inverse_std: Vec<f32> = noise(channels, 8).iter().map(|v| 1.5 + v).collect();
    for level in Level::available() {
        assert!(level.force());
        let norm = Normalised {
            input: &raw,
            scale: &scale,
            shift: &shift,
            mean: &mean,
            inverse_std: &inverse_std,
            batch: true,
            mask: Mask::Recompute(Bounds::RELU),
        }
        .prepare(&gradient);
        let mut inner = vec![0.0; shape.output_len() + SLACK];
        norm.write_all(&mut inner);
        let (mut expected, mut found) = (vec![f32::NAN; input.len()], vec![f32::NAN; input.len()]);
        let (expected_weight, found_weight) = if depthwise {
            let packed = depthwise::pack_weight(shape, &weight);
            depthwise::backward_input(shape, &inner, &packed, &mut expected);
            let of_weight = depthwise::backward_weight(shape, &input, &inner);
            (of_weight, depthwise::backward(shape, &input, &norm, &packed, &mut found))
        } else {
            let of_weight = conv::backward_weight(shape, &input, &inner);
            let packed = conv::pack_transposed(shape, &weight);
            conv::backward_input(shape, &inner, &packed, &mut expected);
            let wants_input = conv::has_joint_backward(shape, true);
            assert!(conv::has_joint_backward(shape, false) && wants_input == shape.is_pointwise());
            let target = wants_input.then_some((&packed, &mut found[..]));
            let of_weight_alone =
                conv::backward(shape, &input, &norm, conv::Wanted { input: None, weight: true }).unwrap();
            let both = conv::backward(shape, &input, &norm, conv::Wanted { input: target, weight: true }).unwrap();
            // Other tests choose other instruction sets meanwhile.
            assert_close(&of_weight_alone, &widen(&both), 1e-5);
            (of_weight, both)
        };
        if depthwise || shape.is_pointwise() {
            assert_close(&found, &widen(&expected), 1e-6);
        }
        assert_close(&found_weight, &widen(&expected_weight), 1e-5);
    }
}

#[test]
fn joint_backward_passes_are_the_separate_ones() {
    for (images, side, channels) in [(3, (9, 11), (19, 40)), (1, (40, 33), (96, 24)), (35, (5, 4), (8, 70))] {
        check_joint_backward(&shape(images, side, channels, 1, 1), false);
    }
    check_joint_backward(&shape(2, (33, 20), (3, 32), 3, 2), false);
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
        check_joint_backward(&shape(3, (40, 31), (72, 72), kernel, stride), true);
        check_joint_backward(&shape(35, (7, 6), (19, 19), kernel, stride), true);
        // Several bands of rows, padded on one side only.
        let uneven = ConvShape { vertical: (0, kernel - 1), ..shape(1, (150, 60), (40, 40), kernel, stride) };
        check_joint_backward(&uneven, true);
    }
}

/// Reading through a prologue against applying it first: the same arithmetic.
fn check_prologue(shape: &ConvShape, depthwise: bool) {
    let channels = shape.output;
    let (input, raw, gradient) =
        (noise(shape.input_len(), 1), noise(shape.output_len(), 2), noise(shape.output_len(), 3));
    let weight = noise(if depthwise { shape.kernel * shape.kernel * channels } else { shape.depth() * channels }, 4);
    let (in_scale, in_shift) = (noise(shape.input, 9), noise(shape.input, 10));
    let (scale, shift, mean) = (noise(channels, 5), noise(channels, 6), noise(channels, 7));
    for level in Level::available() {
        assert!(level.force());
        let mut applied = vec![f32::NAN; input.len()];
        norm::apply(&input, &in_scale, &in_shift, None, Bounds::RELU6, &mut applied);
        let prologue = Prologue { scale: &in_scale, shift: &in_shift, bounds: Bounds::RELU6 };
        let lazy = Input { values: &input, prologue: Some(prologue) };
        let norm = Normalised {
            input: &raw,
            scale: &scale,
            shift: &shift,
            mean: &mean,
            inverse_std: &scale,
            batch: true,
            mask: Mask::All,
        }
        .prepare(&gradient);
        let run = |input: Input<'_>| {
            let (mut output, mut target) = (vec![f32::NAN; shape.output_len()], vec![f32::NAN; shape.input_len()]);
            let of_weight = if depthwise {
                let packed = depthwise::pack_weight(shape, &weight);
                depthwise::forward(shape, input, &packed, Epilogue::NONE, &mut output, |_, _| {});
                depthwise::backward(shape, input, &norm, &packed, &mut target)
            } else {
                conv::forward(shape, input, &conv::pack_weight(shape, &weight), Epilogue::NONE, &mut output, |_, _| {});
                let packed = conv::pack_transposed(shape, &weight);
                let wanted = conv::Wanted { input: Some((&packed, &mut target)), weight: true };
                conv::backward(shape, input, &norm, wanted).unwrap()
            };
            [output, target, of_weight]
        };
        for (found, expected) in run(lazy).iter().zip(run(Input::from(&applied))) {
            assert_close(found, &widen(&expected), 1e-5);
        }
    }
}

#[test]
fn a_prologue_is_applying_it_first() {
    for (images, side, channels) in [(3, (9, 11), (19, 40)), (1, (40, 33), (96, 24)), (2, (50, 50), (144, 32))] {
        check_prologue(&shape(images, side, channels, 1, 1), false);
    }
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
        check_prologue(&shape(3, (40, 31), (72, 72), kernel, stride), true);
        check_prologue(&shape(2, (2, 1), (19, 19), kernel, stride), true);
        for pads in [(0, kernel - 1), (kernel - 1, 0), (1, 1)] {
            // Several bands of rows.
            let uneven = ConvShape { vertical: pads, ..shape(1, (151, 60), (40, 40), kernel, stride) };
            check_prologue(&uneven, true);
        }
    }
}

#[test]
fn pooling_is_its_definition() {
    let shape = ConvShape { output: 5, input: 5, ..shape(2, (7, 6), (5, 5), 3, 2) };
    let (input, gradient) = (noise(shape.input_len(), 1), noise(shape.output_len(), 2));
    let (mut best, mut from) = (vec![f64::NEG_INFINITY; shape.output_len()], vec![0; shape.output_len()]);
    products(&shape, 5, |o, i, _| {
        if f64::from(input[i]) > best[o] {
            (best[o], from[o]) = (f64::from(input[i]), i);
        }
    });
    let mut back = vec![0.0f64; input.len()];
    from.iter().zip(&gradient).for_each(|(i, g)| back[*i] += f64::from(*g));
    let (mut output, mut places) = (vec![0.0; best.len()], vec![0; best.len()]);
    pool::max_forward(&shape, &input, &mut output, &mut places);
    assert_close(&output, &best, 0.0);
    let mut found = vec![f32::NAN; input.len()];
    pool::max_backward(&shape, &gradient, &places, &mut found);
    assert_close(&found, &back, 1e-6);

    let means = pool::mean_forward(&[1.0, 2.0, 3.0, 6.0, 0.0, 0.0, 2.0, -2.0], 2, 2);
    assert_eq!(means, [2.0, 4.0, 1.0, -1.0]);
    let mut spread = [0.0; 8];
    pool::mean_backward(&means, 2, 2, &mut spread);
    assert_eq!(spread, [1.0, 2.0, 1.0, 2.0, 0.5, -0.5, 0.5, -0.5]);
}

#[test]
fn winograd_is_the_direct_convolution() {
    for (side, channels, pads) in [
        ((8, 8), (16, 32), (1, 1)),
        ((7, 7), (33, 40), (1, 1)),
        ((14, 9), (64, 17), (1, 1)),
        ((6, 6), (8, 8), (0, 2)),
        ((1, 1), (3, 5), (1, 1)),
    ] {
        let shape = ConvShape { vertical: pads, horizontal: pads, ..shape(1, side, channels, 3, 1) };
        let (input, weight) = (noise(shape.input_len(), 1), noise(shape.depth() * shape.output, 2));
        let (bias, residual) = (noise(shape.output, 3), noise(shape.output_len(), 4));
        let mut expected = vec![0.0f64; shape.output_len()];
        products(&shape, 1, |o, i, w| expected[o] += f64::from(input[i]) * f64::from(weight[w]));
        for (o, value) in expected.iter_mut().enumerate() {
            *value = (*value + f64::from(bias[o % shape.output]) + f64::from(residual[o])).max(0.0);
        }
        for level in Level::available() {
            assert!(level.force());
            let weights = WinogradWeights::new(&shape, &weight);
            let mut output = vec![f32::NAN; shape.output_len()];
            let row = shape.out_width() * shape.output;
            for (number, rows) in output.chunks_mut(winograd::ROWS * row).enumerate() {
                let first = number * winograd::ROWS;
                let epilogue = Epilogue {
                    bias: Some(&bias),
                    residual: Some(&residual[first * row..]),
                    low: 0.0,
                    high: f32::INFINITY,
                };
                winograd::forward_rows(&shape, &input, &weights, epilogue, first, rows);
            }
            assert_close(&output, &expected, 2e-5);
        }
    }
}

#[test]
fn winograd_of_a_batch_and_its_gradient_are_the_direct_ones() {
    for (images, side, channels) in [(3, (7, 7), (40, 33)), (2, (30, 18), (16, 32)), (33, (3, 4), (8, 8))] {
        let shape = shape(images, side, channels, 3, 1);
        let (input, weight) = (noise(shape.input_len(), 1), noise(shape.depth() * shape.output, 2));
        let gradient = noise(shape.output_len(), 3);
        let (mut expected, mut back) = (vec![0.0f64; shape.output_len()], vec![0.0f64; shape.input_len()]);
        products(&shape, 1, |o, i, w| {
            expected[o] += f64::from(input[i]) * f64::from(weight[w]);
            back[i] += f64::from(gradient[o]) * f64::from(weight[w]);
        });
        for level in Level::available() {
            assert!(level.force());
            let mut output = vec![f32::NAN; expected.len()];
            let seen = std::sync::Mutex::new(vec![0; winograd::chunks(&shape)]);
            let after = |number: usize, chunk: &[f32]| seen.lock().unwrap()[number] += chunk.len();
            winograd::forward(&shape, &input, &WinogradWeights::new(&shape, &weight), &mut output, after);
            assert_close(&output, &expected, 2e-5);
            let seen = seen.into_inner().unwrap();
            assert!(seen.iter().all(|len| *len > 0) && seen.iter().sum::<usize>() == output.len(), "{seen:?}");
            let mut found = vec![f32::NAN; back.len()];
            winograd::backward_input(&shape, &gradient, &WinogradWeights::transposed(&shape, &weight), &mut found);
            assert_close(&found, &back, 2e-5);
        }
    }
}

#[test]
fn the_stem_is_the_direct_convolution_of_planes() {
    for (kernel, stride, pads, outputs) in [(3, 2, (1, 1), 32), (7, 2, (3, 3), 64), (3, 2, (0, 1), 10)] {
        let shape = ConvShape { vertical: pads, horizontal: pads, ..shape(1, (10, 13), (3, outputs), kernel, stride) };
        let (input, weight) = (noise(shape.input_len(), 1), noise(shape.depth() * shape.output, 2));
        let mut expected = vec![0.0f64; shape.output_len()];
        products(&shape, 1, |o, i, w| expected[o] += f64::from(input[i]) * f64::from(weight[w]));
        let pixels = shape.height * shape.width;
        let planes: Vec<f32> = (0..input.len()).map(|i| input[i % pixels * 3 + i / pixels]).collect();
        for level in Level::available() {
            assert!(level.force());
            let image = PaddedImage::new(&shape);
            let mut padded = vec![f32::NAN; image.len()];
            image.fill(&planes, &mut padded);
            let mut output = vec![f32::NAN; shape.output_len()];
            let weights = StemWeights::new(&shape, &weight);
            stem::forward_rows(&shape, &padded, &weights, Epilogue::NONE, 0, &mut output);
            assert_close(&output, &expected, 1e-5);
        }
    }
}

#[test]
fn nan_stays_nan() {
    let shape = shape(1, (4, 4), (16, 16), 3, 1);
    let mut input = noise(shape.input_len(), 1);
    input[5 * 16] = f32::NAN;
    let epilogue = Epilogue { low: 0.0, high: 6.0, ..Epilogue::NONE };
    for level in Level::available() {
        assert!(level.force());
        let mut output = vec![0.0; shape.output_len()];
        conv::forward(
            &shape,
            &input,
            &conv::pack_weight(&shape, &noise(16 * 16 * 9, 2)),
            epilogue,
            &mut output,
            |_, _| {},
        );
        assert!(output[5 * 16].is_nan());
        let weight = depthwise::pack_weight(&shape, &noise(16 * 9, 2));
        depthwise::forward(&shape, &input, &weight, epilogue, &mut output, |_, _| {});
        assert!(output[5 * 16].is_nan());
        norm::apply(&input, &[1.0; 16], &[0.0; 16], None, Bounds::RELU6, &mut output);
        assert!(output[5 * 16].is_nan());
    }
}
