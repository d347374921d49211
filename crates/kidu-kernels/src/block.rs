//! An inverted residual for inference: 1x1 expansion, depthwise convolution and 1x1 projection in one sweep over the
//! rows, so that the expanded channels never leave the cache.

use crate::{
    buffer::with_scratch,
    conv::{ConvShape, Epilogue, product},
    depthwise::Segment,
    pack::Packed,
    simd::{Simd, Work, dispatch},
};

/// Floats of depthwise output that are projected together.
const STRIP: usize = 16 * 1024;

/// The weights of a block, batch norm folded in.
#[derive(Clone, Copy, Debug)]
pub struct BlockWeights<'a> {
    /// The expansion and its bias; without one, the depthwise convolution reads the input itself.
    pub expand: Option<(&'a Packed, &'a [f32])>,
    /// The depthwise weights, packed, and their bias.
    pub depthwise: (&'a [f32], &'a [f32]),
    /// The projection and its bias.
    pub project: (&'a Packed, &'a [f32]),
    /// Bounds of the activation behind the first two.
    pub low: f32,
    /// See `low`.
    pub high: f32,
}

/// Rows `first..` of the output of one image; as many as `output` holds. `shape` is the depthwise convolution's, with
/// `input == output` expanded channels. With `skip` the block's input is added (stride 1, same channels).
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward_rows(
    shape: &ConvShape,
    input: &[f32],
    weights: &BlockWeights<'_>,
    skip: bool,
    first: usize,
    output: &mut [f32],
) {
    let (channels, outputs) = (shape.input, weights.project.0.columns());
    let inputs = weights.expand.map_or(channels, |(packed, _)| packed.depth());
    let taps = shape.kernel * shape.kernel;
    assert!(shape.images == 1 && shape.output == channels, "the depthwise shape of one image");
    assert!(matches!(shape.kernel, 3 | 5) && matches!(shape.stride, 1 | 2), "kernels 3 and 5, strides 1 and 2");
    assert_eq!(input.len(), shape.height * shape.width * inputs, "input of another shape");
    assert!(weights.expand.is_none_or(|(p, b)| p.columns() == channels && b.len() == channels), "expansion");
    assert_eq!(weights.depthwise.0.len(), taps * channels, "depthwise weight of another shape");
    assert_eq!(weights.depthwise.1.len(), channels, "depthwise bias of another shape");
    assert_eq!(weights.project.0.depth(), channels, "projection of another shape");
    assert!(!skip || (shape.stride == 1 && inputs == outputs), "nothing of that shape to add");
    let row = shape.out_width() * outputs;
    let rows = output.len() / row;
    assert!(first + rows <= shape.out_height(), "rows outside the image");
    let strip = (STRIP / (shape.out_width() * channels)).clamp(1, rows.max(1));
    let ring = (strip - 1) * shape.stride + shape.kernel;
    let padded = (shape.width + shape.horizontal.0 + shape.horizontal.1) * channels;
    with_scratch(ring * padded, |expanded| {
        with_scratch(strip * shape.out_width() * channels, |middle| {
            expanded.fill(0.0);
            let mut sweep = Sweep { shape, input, inputs, weights, expanded, ring, padded, next: None };
            for (number, output) in output.chunks_mut(strip * row).enumerate() {
                let (at, count) = (first + number * strip, output.len() / row);
                sweep.expand_for(at, count);
                let middle = &mut middle[..count * shape.out_width() * channels];
                dispatch(Strip { sweep: &sweep, first: at, output: middle });
                let residual = skip.then(|| &input[at * row..]);
                let epilogue = Epilogue { bias: Some(weights.project.1), residual, ..Epilogue::NONE };
                product(middle, weights.project.0, epilogue, output);
            }
        });
    });
}

/// The rows of expanded channels that are at hand: row y stands in slot y % ring, between columns of zeros.
struct Sweep<'a> {
    shape: &'a ConvShape,
    input: &'a [f32],
    inputs: usize,
    weights: &'a BlockWeights<'a>,
    expanded: &'a mut [f32],
    ring: usize,
    padded: usize,
    /// The first row that is not there yet.
    next: Option<usize>,
}

impl Sweep<'_> {
    /// Expands the rows that output rows `at..at + count` need and that are not there yet.
    fn expand_for(&mut self, at: usize, count: usize) {
        let shape = self.shape;
        let from = (at * shape.stride).saturating_sub(shape.vertical.0);
        let to = ((at + count - 1) * shape.stride + shape.kernel).saturating_sub(shape.vertical.0).min(shape.height);
        let start = self.next.map_or(from, |next| next.max(from));
        let margin = shape.horizontal.0 * shape.input;
        for y in start..to {
            let slot = y % self.ring * self.padded + margin;
            let target = &mut self.expanded[slot..slot + shape.width * shape.input];
            let source = &self.input[y * shape.width * self.inputs..(y + 1) * shape.width * self.inputs];
            match self.weights.expand {
                Some((packed, bias)) => {
                    let BlockWeights { low, high, .. } = *self.weights;
                    product(source, packed, Epilogue { bias: Some(bias), residual: None, low, high }, target);
                }
                None => target.copy_from_slice(source),
            }
        }
        self.next = Some(to.max(start));
    }
}

/// Depthwise outputs of a strip.
struct Strip<'a> {
    sweep: &'a Sweep<'a>,
    first: usize,
    output: &'a mut [f32],
}

impl Work for Strip<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        match (self.sweep.shape.kernel, self.sweep.shape.stride) {
            (3, 1) => self.rows::<S, 3, 1>(),
            (3, _) => self.rows::<S, 3, 2>(),
            (_, 1) => self.rows::<S, 5, 1>(),
            _ => self.rows::<S, 5, 2>(),
        }
    }
}

impl Strip<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, const K: usize, const STRIDE: usize>(self) {
        let (sweep, shape) = (self.sweep, self.sweep.shape);
        let (channels, (weight, bias)) = (shape.input, sweep.weights.depthwise);
        for (i, output) in self.output.chunks_exact_mut(shape.out_width() * channels).enumerate() {
            let (top, bottom, line) = shape.window(self.first + i, shape.vertical.0, shape.height);
            let mut rows = [std::ptr::null(); 5];
            for (ky, row) in rows[..bottom - top].iter_mut().enumerate() {
                *row = sweep.expanded.as_ptr().add((line + ky) % sweep.ring * sweep.padded);
            }
            let segment = Segment {
                rows,
                weight: weight.as_ptr().add(top * K * channels),
                kernel_rows: bottom - top,
                bias: bias.as_ptr(),
                output: output.as_mut_ptr(),
                outputs: shape.out_width(),
                channels,
                low: sweep.weights.low,
                high: sweep.weights.high,
            };
            segment.run::<S, K, STRIDE>();
        }
    }
}
