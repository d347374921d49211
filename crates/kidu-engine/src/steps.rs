//! The steps of a plan: each writes one buffer from one or two others, on channels-last data.

use kidu_kernels::{
    ConvShape, Epilogue, Packed,
    block::{self, BlockWeights},
    conv, depthwise,
    norm::Bounds,
    pool,
    stem::{self, StemWeights},
    team::Step,
    winograd::{self, WinogradWeights},
};

/// One buffer in, one out, and a row of the output is a row of the shape's image.
macro_rules! rows_of_the_shape {
    () => {
        fn reads(&self) -> &[usize] {
            &self.buffers.0
        }
        fn writes(&self) -> usize {
            self.buffers.1
        }
        fn rows(&self) -> usize {
            self.shape.out_height()
        }
        fn row_len(&self) -> usize {
            self.shape.out_width() * self.shape.output
        }
    };
}

/// The convolution of the image itself.
pub(crate) struct Stem {
    pub(crate) shape: ConvShape,
    pub(crate) weights: StemWeights,
    pub(crate) bias: Vec<f32>,
    pub(crate) bounds: Bounds,
    pub(crate) buffers: ([usize; 1], usize),
}

impl Step for Stem {
    rows_of_the_shape!();
    fn run(&self, inputs: &[&[f32]], first: usize, output: &mut [f32]) {
        let Bounds { low, high } = self.bounds;
        let epilogue = Epilogue { bias: Some(&self.bias), residual: None, low, high };
        stem::forward_rows(&self.shape, inputs[0], &self.weights, epilogue, first, output);
    }
}

/// The weights of a dense convolution, by the way it is computed.
pub(crate) enum Dense {
    /// Products of gathered input.
    Direct(Packed),
    /// 3x3 at stride 1 with fewer multiplications.
    Winograd(WinogradWeights),
}

/// A dense convolution with bias, shortcut and activation.
pub(crate) struct Conv {
    pub(crate) shape: ConvShape,
    pub(crate) weights: Dense,
    pub(crate) bias: Vec<f32>,
    pub(crate) bounds: Bounds,
    /// Input, and what is added if there are two.
    pub(crate) reads: Vec<usize>,
    pub(crate) writes: usize,
}

impl Step for Conv {
    fn reads(&self) -> &[usize] {
        &self.reads
    }
    fn writes(&self) -> usize {
        self.writes
    }
    fn rows(&self) -> usize {
        match self.weights {
            Dense::Direct(_) => self.shape.out_pixels(),
            Dense::Winograd(_) => self.shape.out_height().div_ceil(winograd::ROWS),
        }
    }
    fn row_len(&self) -> usize {
        match self.weights {
            Dense::Direct(_) => self.shape.output,
            Dense::Winograd(_) => winograd::ROWS * self.shape.out_width() * self.shape.output,
        }
    }
    fn len(&self) -> usize {
        self.shape.output_len()
    }
    fn run(&self, inputs: &[&[f32]], first: usize, output: &mut [f32]) {
        let Bounds { low, high } = self.bounds;
        let residual = inputs.get(1).map(|r| &r[first * self.row_len()..][..output.len()]);
        let epilogue = Epilogue { bias: Some(&self.bias), residual, low, high };
        let input = &inputs[0][..self.shape.input_len()];
        match &self.weights {
            Dense::Direct(packed) => conv::forward_pixels(&self.shape, input, packed, epilogue, first, output),
            Dense::Winograd(weights) => {
                winograd::forward_rows(&self.shape, input, weights, epilogue, first * winograd::ROWS, output);
            }
        }
    }
}

/// A depthwise convolution with bias and activation.
pub(crate) struct Depthwise {
    pub(crate) shape: ConvShape,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) bounds: Bounds,
    pub(crate) buffers: ([usize; 1], usize),
}

impl Step for Depthwise {
    rows_of_the_shape!();
    fn run(&self, inputs: &[&[f32]], first: usize, output: &mut [f32]) {
        let Bounds { low, high } = self.bounds;
        let epilogue = Epilogue { bias: Some(&self.bias), residual: None, low, high };
        let input = &inputs[0][..self.shape.input_len()];
        depthwise::forward_rows(&self.shape, input, &self.weight, epilogue, first, output);
    }
}

/// A whole inverted residual or depthwise-separable block.
pub(crate) struct Block {
    /// Of the depthwise convolution.
    pub(crate) shape: ConvShape,
    pub(crate) expand: Option<(Packed, Vec<f32>)>,
    pub(crate) depthwise: (Vec<f32>, Vec<f32>),
    pub(crate) project: (Packed, Vec<f32>),
    pub(crate) bounds: Bounds,
    pub(crate) skip: bool,
    pub(crate) buffers: ([usize; 1], usize),
}

impl Step for Block {
    fn reads(&self) -> &[usize] {
        &self.buffers.0
    }
    fn writes(&self) -> usize {
        self.buffers.1
    }
    fn rows(&self) -> usize {
        self.shape.out_height()
    }
    fn row_len(&self) -> usize {
        self.shape.out_width() * self.project.0.columns()
    }
    fn run(&self, inputs: &[&[f32]], first: usize, output: &mut [f32]) {
        let weights = BlockWeights {
            expand: self.expand.as_ref().map(|(packed, bias)| (packed, bias.as_slice())),
            depthwise: (&self.depthwise.0, &self.depthwise.1),
            project: (&self.project.0, &self.project.1),
            low: self.bounds.low,
            high: self.bounds.high,
        };
        let channels = self.expand.as_ref().map_or(self.shape.input, |(packed, _)| packed.depth());
        let input = &inputs[0][..self.shape.height * self.shape.width * channels];
        block::forward_rows(&self.shape, input, &weights, self.skip, first, output);
    }
}

/// Max pooling.
pub(crate) struct MaxPool {
    pub(crate) shape: ConvShape,
    pub(crate) buffers: ([usize; 1], usize),
}

impl Step for MaxPool {
    rows_of_the_shape!();
    fn run(&self, inputs: &[&[f32]], first: usize, output: &mut [f32]) {
        pool::max_rows(&self.shape, &inputs[0][..self.shape.input_len()], first, output);
    }
}

/// Mean over the pixels of an image.
pub(crate) struct MeanPool {
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
    pub(crate) buffers: ([usize; 1], usize),
}

impl Step for MeanPool {
    fn reads(&self) -> &[usize] {
        &self.buffers.0
    }
    fn writes(&self) -> usize {
        self.buffers.1
    }
    fn rows(&self) -> usize {
        1
    }
    fn row_len(&self) -> usize {
        self.channels
    }
    fn run(&self, inputs: &[&[f32]], _: usize, output: &mut [f32]) {
        let input = &inputs[0][..self.channels * self.pixels];
        pool::mean_into(input, self.channels, output);
    }
}
