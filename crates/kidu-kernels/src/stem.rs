//! The first convolution of a network, on the image as it comes: planes of red, green and blue.
//!
//! The image is copied once into rows of padded planes, `[row][channel][column]`. There, what one output value is summed
//! from are runs of neighbouring columns at equal distances, which the product reads without gathering them.

use crate::{
    conv::{ConvShape, Epilogue},
    matmul::{Finish, MatMul, Start},
    pack::Packed,
};

/// Weights in the order of the runs.
#[derive(Clone, Debug)]
pub struct StemWeights(Packed);

impl StemWeights {
    /// Packs a weight in PyTorch's order, `[out, in, kernel, kernel]`.
    ///
    /// # Panics
    /// When the weight does not fit the shape.
    pub fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        assert_eq!(weight.len(), shape.depth() * shape.output, "weight of another shape");
        let (kernel, input) = (shape.kernel, shape.input);
        let runs = (0..kernel).flat_map(|ky| (0..input).map(move |c| (c * kernel + ky) * kernel));
        let rows: Vec<usize> = runs.flat_map(|run| run..run + kernel).collect();
        let columns: Vec<usize> = (0..shape.output).map(|o| o * shape.depth()).collect();
        Self(Packed::new(weight, &rows, &columns))
    }
}

/// The memory layout of a padded image.
#[derive(Clone, Copy, Debug)]
pub struct PaddedImage {
    shape: ConvShape,
}

impl PaddedImage {
    /// For the images of a convolution.
    pub fn new(shape: &ConvShape) -> Self {
        Self { shape: *shape }
    }

    fn row(&self) -> usize {
        self.shape.width + self.shape.horizontal.0 + self.shape.horizontal.1
    }

    /// Floats of a padded image.
    pub fn len(&self) -> usize {
        (self.shape.height + self.shape.vertical.0 + self.shape.vertical.1) * self.shape.input * self.row()
    }

    /// Whether there is no image at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies an image, `[channel][row][column]`, into `padded`.
    ///
    /// # Panics
    /// When a slice does not fit.
    pub fn fill(&self, image: &[f32], padded: &mut [f32]) {
        let ConvShape { height, width, input, vertical, horizontal, .. } = self.shape;
        assert!(image.len() == height * width * input && padded.len() >= self.len(), "image of another shape");
        padded.fill(0.0);
        for (number, values) in image.chunks_exact(width).enumerate() {
            let (channel, y) = (number / height, number % height);
            let at = ((y + vertical.0) * input + channel) * self.row() + horizontal.0;
            padded[at..at + width].copy_from_slice(values);
        }
    }
}

/// Rows `first..` of the output, channels last; as many as `output` holds. `padded` comes from [`PaddedImage::fill`].
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward_rows(
    shape: &ConvShape,
    padded: &[f32],
    weights: &StemWeights,
    epilogue: Epilogue<'_>,
    first: usize,
    output: &mut [f32],
) {
    let row = PaddedImage::new(shape).row();
    for (i, output) in output.chunks_exact_mut(shape.out_width() * shape.output).enumerate() {
        MatMul {
            rows: shape.out_width(),
            depth: shape.kernel,
            runs: shape.kernel * shape.input,
            left_run: row,
            columns: shape.output,
            left: &padded[(first + i) * shape.stride * shape.input * row..],
            left_row: shape.stride,
            left_column: 1,
            right: weights.0.right(),
            output,
            output_row: shape.output,
            start: epilogue.bias.map_or(Start::Zero, Start::Bias),
            finish: Finish { residual: None, low: epilogue.low, high: epilogue.high },
        }
        .run(weights.0.level());
    }
}
