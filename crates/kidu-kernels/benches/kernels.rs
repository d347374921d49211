//! `cargo bench -p kidu-kernels`: arithmetic rates of the kernels on the layers of the networks, batch 16.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints")]

use std::{hint::black_box, time::Instant};

use kidu_kernels::{ConvShape, Epilogue, SLACK, conv, depthwise, norm, unfilled};

#[global_allocator]
static ALLOCATOR: kidu_kernels::CacheAligned<std::alloc::System> = kidu_kernels::CacheAligned(std::alloc::System);

/// Best of some runs, in seconds.
fn time(mut work: impl FnMut()) -> f64 {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..7).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let images = 16;
    let layer = |side, input, output, kernel, stride| ConvShape {
        images,
        height: side,
        width: side,
        input,
        output,
        kernel,
        stride,
        vertical: (kernel / 2, kernel / 2),
        horizontal: (kernel / 2, kernel / 2),
    };
    println!(
        "{:34} {:>9} {:>9} {:>9}   GFLOP/s, {} threads",
        "layer",
        "forward",
        "d input",
        "d weight",
        rayon::current_num_threads()
    );
    for shape in [
        layer(112, 16, 96, 1, 1),
        layer(56, 144, 24, 1, 1),
        layer(28, 32, 192, 1, 1),
        layer(14, 384, 64, 1, 1),
        layer(14, 96, 576, 1, 1),
        layer(7, 960, 160, 1, 1),
        layer(7, 320, 1280, 1, 1),
        layer(224, 3, 32, 3, 2),
        layer(224, 3, 64, 7, 2),
        layer(56, 64, 64, 3, 1),
        layer(28, 128, 128, 3, 1),
        layer(14, 256, 256, 3, 1),
        layer(14, 256, 512, 3, 2),
        layer(7, 512, 512, 3, 1),
        layer(28, 128, 256, 1, 2),
    ] {
        let (input, gradient) = (vec![0.5; shape.input_len()], vec![0.25; shape.output_len() + SLACK]);
        let weight = vec![0.1; shape.depth() * shape.output];
        let (packed, back) = (conv::pack_weight(&shape, &weight), conv::pack_transposed(&shape, &weight));
        let (mut output, mut input_gradient) = (unfilled(shape.output_len()), unfilled(shape.input_len()));
        let rates = [
            time(|| conv::forward(&shape, &input, &packed, Epilogue::NONE, &mut output, |_, _| {})),
            time(|| conv::backward_input(&shape, &gradient, &back, &mut input_gradient)),
            time(|| drop(black_box(conv::backward_weight(&shape, &input, &gradient)))),
        ];
        report(&shape, 2.0 * shape.products() as f64, &rates);
    }
    for shape in [
        layer(112, 96, 96, 3, 2),
        layer(56, 144, 144, 3, 1),
        layer(28, 240, 240, 5, 1),
        layer(14, 576, 576, 3, 1),
        layer(14, 672, 672, 5, 2),
        layer(7, 1152, 1152, 5, 1),
    ] {
        let (input, gradient) = (vec![0.5; shape.input_len()], vec![0.25; shape.output_len()]);
        let weight = vec![0.1; shape.kernel * shape.kernel * shape.input];
        let (mut output, mut input_gradient) = (unfilled(shape.output_len()), unfilled(shape.input_len()));
        let rates = [
            time(|| depthwise::forward(&shape, &input, &weight, Epilogue::NONE, &mut output, |_, _| {})),
            time(|| depthwise::backward_input(&shape, &gradient, &weight, &mut input_gradient)),
            time(|| drop(black_box(depthwise::backward_weight(&shape, &input, &gradient)))),
        ];
        let flops = 2.0 * (shape.output_len() * shape.kernel * shape.kernel) as f64;
        report(&shape, flops, &rates);
    }
    let (channels, pixels) = (96, images * 112 * 112);
    let input = vec![0.5; channels * pixels];
    let mut output = unfilled(input.len());
    let bounds = norm::Bounds::RELU6;
    let seconds = time(|| norm::apply(&input, &vec![1.0; channels], &vec![0.0; channels], None, bounds, &mut output));
    println!("norm apply: {:.1} GB/s", 8.0 * input.len() as f64 / seconds / 1e9);
}

fn report(shape: &ConvShape, flops: f64, seconds: &[f64]) {
    let name = format!(
        "{0}x{0} {1} -> {2}, {3}x{3} stride {4}",
        shape.height, shape.input, shape.output, shape.kernel, shape.stride
    );
    let rates: Vec<String> = seconds.iter().map(|s| format!("{:5.1} ({:4.1}ms)", flops / s / 1e9, s * 1e3)).collect();
    println!("{name:34} {}", rates.join(" "));
}
