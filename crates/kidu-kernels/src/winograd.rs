//! 3x3 convolutions at stride 1 by minimal filtering (Winograd 1980; Lavin and Gray 2016,
//! <https://arxiv.org/abs/1509.09308>): a tile of 4 x 4 outputs from 6 x 6 inputs with 36 products instead of 144.
//!
//! Input tiles and weights are transformed, multiplied as 36 matrices, and transformed back, a few dozen tiles at a
//! time, so that everything between stays in the cache. The transforms cost a few digits: results are within about 1e-5
//! of the direct sum, relative to the largest.

use rayon::prelude::*;

use crate::{
    buffer::{Aligned, with_scratch},
    conv::{ConvShape, Epilogue},
    matmul::{Finish, MatMul, Right, Start},
    simd::{Level, Simd, Work, dispatch, dispatch_at, tile_width},
};

/// Outputs along a side of a tile.
const OUT: usize = 4;
/// Inputs along a side of a tile.
const IN: usize = OUT + 2;
/// Elements of a transformed tile.
const POINTS: usize = IN * IN;

/// Tiles that are multiplied together at least, where there are as many.
const GROUP: usize = 28;

/// Floats of transformed input that are worked on together.
const BLOCK: usize = 192 * 1024;

/// Transformed weights: for each panel of outputs as wide as a tile of the product, 36 matrices `[in, panel]`.
#[derive(Clone, Debug)]
pub struct WinogradWeights {
    values: Aligned,
    input: usize,
    output: usize,
    level: Level,
}

impl WinogradWeights {
    /// Transforms a weight in PyTorch's order, `[out, in, 3, 3]`.
    ///
    /// # Panics
    /// When the weight does not fit the shape.
    pub fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        Self::build(weight, (shape.input, shape.output), (9, 9 * shape.input), false)
    }

    /// The weights with which [`forward`] takes the output's gradient to the input's.
    ///
    /// # Panics
    /// When the weight does not fit the shape.
    pub fn transposed(shape: &ConvShape, weight: &[f32]) -> Self {
        Self::build(weight, (shape.output, shape.input), (9 * shape.input, 9), true)
    }

    /// `strides` are the floats from one input, and from one output, to the next.
    fn build(weight: &[f32], (input, output): (usize, usize), strides: (usize, usize), flip: bool) -> Self {
        assert_eq!(weight.len(), 9 * input * output, "weight of another shape");
        let level = Level::current();
        let width = level.panel();
        let mut values = Aligned::zeros(output.div_ceil(width) * POINTS * input * width);
        values.par_chunks_mut(POINTS * input * width).enumerate().for_each(|(panel, values)| {
            let outputs = (panel * width, width.min(output - panel * width));
            dispatch_at(level, Expand { weight, input, strides, flip, outputs, values });
        });
        Self { values, input, output, level }
    }

    /// The matrix of a point.
    fn right(&self, point: usize) -> Right<'_> {
        let width = self.level.panel();
        let matrix = self.input * width;
        Right { values: &self.values[point * matrix..], row: width, panel: POINTS * matrix }
    }
}

/// Transforms the weights of a panel of outputs.
struct Expand<'a> {
    weight: &'a [f32],
    input: usize,
    strides: (usize, usize),
    flip: bool,
    /// The first one, and how many.
    outputs: (usize, usize),
    values: &'a mut [f32],
}

impl Work for Expand<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile_width::<S>();
        for i in 0..self.input {
            for vector in 0..S::TILE_VECTORS {
                let lane = vector * S::LANES;
                let count = self.outputs.1.saturating_sub(lane).min(S::LANES);
                // One tap of several outputs side by side.
                let mut taps = [[0.0f32; 16]; 9];
                for o in 0..count {
                    let at = i * self.strides.0 + (self.outputs.0 + lane + o) * self.strides.1;
                    let nine = &self.weight[at..at + 9];
                    for (tap, row) in taps.iter_mut().enumerate() {
                        row[o] = nine[if self.flip { 8 - tap } else { tap }];
                    }
                }
                let tap = |t: usize| S::load(taps[t].as_ptr());
                let columns: [[S::V; IN]; 3] = std::array::from_fn(|x| expand::<S>([tap(x), tap(3 + x), tap(6 + x)]));
                for y in 0..IN {
                    let row = expand::<S>([columns[0][y], columns[1][y], columns[2][y]]);
                    for (x, value) in row.iter().enumerate() {
                        let place = ((y * IN + x) * self.input + i) * width + lane;
                        S::store(self.values.as_mut_ptr().add(place), *value);
                    }
                }
            }
        }
    }
}

/// The weight's transform along one axis.
#[inline(always)]
unsafe fn expand<S: Simd>([a, b, c]: [S::V; 3]) -> [S::V; IN] {
    let times = |value, factor: f32| S::mul(value, S::splat(factor));
    let outer = S::add(a, c);
    let (even, odd) = (times(S::add(outer, b), -1.0 / 6.0), times(S::sub(outer, b), -1.0 / 6.0));
    let wide = S::fma(a, S::splat(1.0 / 24.0), times(c, 1.0 / 6.0));
    let middle = times(b, 1.0 / 12.0);
    [times(a, 0.25), even, odd, S::add(wide, middle), S::sub(wide, middle), c]
}

/// Rows of output that begin and end at whole tiles.
pub const ROWS: usize = OUT;

/// Rows `first..` of the output of one image, on this thread; as many as `output` holds. `first` is a multiple of
/// [`ROWS`]. `epilogue.residual` begins with the first row.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward_rows(
    shape: &ConvShape,
    input: &[f32],
    weights: &WinogradWeights,
    epilogue: Epilogue<'_>,
    first: usize,
    output: &mut [f32],
) {
    assert!(first.is_multiple_of(OUT), "rows begin at a tile");
    assert_eq!(input.len(), shape.height * shape.width * shape.input, "input of another shape");
    let row = shape.out_width() * shape.output;
    let rows = output.len() / row;
    assert!(first + rows <= shape.out_height(), "rows outside the image");
    sweep(&ConvShape { images: 1, ..*shape }, input, weights, epilogue, (first, rows), output);
}

/// How the output of a batch is cut: whole images, or rows of one.
fn cut(shape: &ConvShape) -> (usize, usize) {
    let across = shape.out_width().div_ceil(OUT);
    let tiles = across * shape.out_height().div_ceil(OUT);
    if tiles < 2 * GROUP {
        (GROUP.div_ceil(tiles).min(shape.images.max(1)), shape.out_height())
    } else {
        (1, OUT * GROUP.div_ceil(across))
    }
}

/// How many chunks [`forward`] makes.
pub fn chunks(shape: &ConvShape) -> usize {
    let (images, rows) = cut(shape);
    if images > 1 { shape.images.div_ceil(images) } else { shape.images * shape.out_height().div_ceil(rows) }
}

/// The convolution of a batch. `after` sees each finished chunk while it is in the cache, with its number.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn forward(
    shape: &ConvShape,
    input: &[f32],
    weights: &WinogradWeights,
    output: &mut [f32],
    after: impl Fn(usize, &[f32]) + Sync,
) {
    assert_eq!(input.len(), shape.input_len(), "input of another shape");
    assert_eq!(output.len(), shape.output_len(), "output of another shape");
    let (images, rows) = cut(shape);
    let (in_len, row) = (shape.height * shape.width * shape.input, shape.out_width() * shape.output);
    let image_len = shape.out_height() * row;
    let bands = if images > 1 { 1 } else { shape.out_height().div_ceil(rows) };
    let mut work: Vec<_> = output
        .chunks_mut(images * image_len)
        .flat_map(|o| o.chunks_mut(if images > 1 { o.len() } else { rows * row }))
        .collect();
    work.par_iter_mut().enumerate().for_each(|(number, output)| {
        let (image, first) = (number / bands * images, number % bands * rows);
        let count = if images > 1 { output.len() / image_len } else { 1 };
        let input = &input[image * in_len..(image + count) * in_len];
        let rows = output.len() / row / count;
        sweep(&ConvShape { images: count, ..*shape }, input, weights, Epilogue::NONE, (first, rows), output);
        after(number, output);
    });
}

/// The gradient of the input from that of the output; `weights` are transposed.
///
/// # Panics
/// When a slice does not fit the shape.
pub fn backward_input(shape: &ConvShape, gradient: &[f32], weights: &WinogradWeights, input: &mut [f32]) {
    forward(&shape.transposed(), &gradient[..shape.output_len()], weights, input, |_, _| {});
}

/// Rows `first..first + rows` of the output of each image of `shape`.
fn sweep(
    shape: &ConvShape,
    input: &[f32],
    weights: &WinogradWeights,
    epilogue: Epilogue<'_>,
    (first, rows): (usize, usize),
    output: &mut [f32],
) {
    assert!(shape.kernel == 3 && shape.stride == 1, "3x3 at stride 1");
    assert_eq!((weights.input, weights.output), (shape.input, shape.output), "weights of another shape");
    assert_eq!(output.len(), shape.images * rows * shape.out_width() * shape.output, "output of another shape");
    assert!(epilogue.residual.is_none_or(|r| r.len() >= output.len()), "residual of another shape");
    assert!(epilogue.bias.is_none_or(|b| b.len() == shape.output), "bias of another shape");
    let across = shape.out_width().div_ceil(OUT);
    let per_image = across * rows.div_ceil(OUT);
    let tiles = shape.images * per_image;
    let block = (BLOCK / (POINTS * shape.input.max(shape.output))).clamp(GROUP, tiles.max(GROUP)).min(tiles.max(1));
    let (wide, narrow) = (block * shape.input, block * shape.output);
    with_scratch(POINTS * wide, |transformed| {
        with_scratch(POINTS * narrow, |products| {
            for from in (0..tiles).step_by(block) {
                let count = block.min(tiles - from);
                let tiles = Tiles { shape, first, rows, across, per_image, from, count, block };
                dispatch(Forth { tiles, input, transformed });
                for point in 0..POINTS {
                    MatMul {
                        rows: count,
                        depth: shape.input,
                        runs: 1,
                        left_run: 0,
                        columns: shape.output,
                        left: &transformed[point * wide..],
                        left_row: shape.input,
                        left_column: 1,
                        right: weights.right(point),
                        output: &mut products[point * narrow..],
                        output_row: shape.output,
                        start: Start::Zero,
                        finish: Finish::NOTHING,
                    }
                    .run(weights.level);
                }
                dispatch(Back { tiles, products, epilogue, output });
            }
        });
    });
}

/// Tiles `from..from + count` of those that cover output rows `first..first + rows` of each image, image by image and
/// row by row.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    shape: &'a ConvShape,
    first: usize,
    rows: usize,
    /// Tiles side by side.
    across: usize,
    per_image: usize,
    from: usize,
    count: usize,
    /// Tiles for which there is room at each point.
    block: usize,
}

impl Tiles<'_> {
    /// Image, row (from `first`) and column of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let tile = self.from + tile;
        let (image, tile) = (tile / self.per_image, tile % self.per_image);
        (image, tile / self.across * OUT, tile % self.across * OUT)
    }
}

/// Transforms input tiles.
struct Forth<'a> {
    tiles: Tiles<'a>,
    input: &'a [f32],
    transformed: &'a mut [f32],
}

impl Work for Forth<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let shape = self.tiles.shape;
        let channels = shape.input;
        for tile in 0..self.tiles.count {
            let (image, y, x) = self.tiles.place(tile);
            let y = self.tiles.first + y;
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let mut columns = [[S::splat(0.0); IN]; IN];
                for (dy, column) in columns.iter_mut().enumerate() {
                    let line = (y + dy).wrapping_sub(shape.vertical.0);
                    let mut values = [S::splat(0.0); IN];
                    if line < shape.height {
                        for (dx, value) in values.iter_mut().enumerate() {
                            let at = (x + dx).wrapping_sub(shape.horizontal.0);
                            if at < shape.width {
                                let place = ((image * shape.height + line) * shape.width + at) * channels + c;
                                *value = S::load_n(self.input.as_ptr().add(place), n);
                            }
                        }
                    }
                    *column = forth::<S>(values);
                }
                for dx in 0..IN {
                    let values = forth::<S>(std::array::from_fn(|dy| columns[dy][dx]));
                    for (dy, value) in values.iter().enumerate() {
                        let place = ((dy * IN + dx) * self.tiles.block + tile) * channels + c;
                        S::store_n(self.transformed.as_mut_ptr().add(place), *value, n);
                    }
                }
                c += S::LANES;
            }
        }
    }
}

/// The input's transform along one axis.
#[inline(always)]
unsafe fn forth<S: Simd>(d: [S::V; IN]) -> [S::V; IN] {
    let [two, four, five] = [2.0, 4.0, 5.0].map(|v| S::splat(v));
    let [minus_four, minus_five] = [S::sub(S::splat(0.0), four), S::sub(S::splat(0.0), five)];
    let even = S::fma(minus_four, d[2], d[4]);
    let odd = S::fma(minus_four, d[1], d[3]);
    let (high, low) = (S::sub(d[4], d[2]), S::mul(two, S::sub(d[3], d[1])));
    [
        S::fma(four, d[0], S::fma(minus_five, d[2], d[4])),
        S::add(even, odd),
        S::sub(even, odd),
        S::add(high, low),
        S::sub(high, low),
        S::fma(four, d[1], S::fma(minus_five, d[3], d[5])),
    ]
}

/// The output's transform along one axis.
#[inline(always)]
unsafe fn back<S: Simd>(m: [S::V; IN]) -> [S::V; OUT] {
    let [two, four, eight] = [2.0, 4.0, 8.0].map(|v| S::splat(v));
    let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
    let (wide_sum, wide_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
    [
        S::add(S::add(m[0], sum), wide_sum),
        S::fma(two, wide_difference, difference),
        S::fma(four, wide_sum, sum),
        S::add(S::fma(eight, wide_difference, difference), m[5]),
    ]
}

/// Transforms products back and stores them.
struct Back<'a> {
    tiles: Tiles<'a>,
    products: &'a [f32],
    epilogue: Epilogue<'a>,
    output: &'a mut [f32],
}

impl Work for Back<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let shape = self.tiles.shape;
        let (channels, width) = (shape.output, shape.out_width());
        let rows = self.tiles.rows;
        let (low, high) = (S::splat(self.epilogue.low), S::splat(self.epilogue.high));
        for tile in 0..self.tiles.count {
            let (image, y, x) = self.tiles.place(tile);
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let mut lines = [[S::splat(0.0); OUT]; IN];
                for (dy, line) in lines.iter_mut().enumerate() {
                    let mut values = [S::splat(0.0); IN];
                    for (dx, value) in values.iter_mut().enumerate() {
                        let place = ((dy * IN + dx) * self.tiles.block + tile) * channels + c;
                        *value = S::load_n(self.products.as_ptr().add(place), n);
                    }
                    *line = back::<S>(values);
                }
                let bias = self.epilogue.bias.map_or(S::splat(0.0), |b| S::load_n(b.as_ptr().add(c), n));
                for dx in 0..OUT.min(width - x) {
                    let values =
                        back::<S>([lines[0][dx], lines[1][dx], lines[2][dx], lines[3][dx], lines[4][dx], lines[5][dx]]);
                    for (dy, value) in values.iter().enumerate().take(OUT.min(rows - y)) {
                        let place = ((image * rows + y + dy) * width + x + dx) * channels + c;
                        let mut value = S::add(*value, bias);
                        if let Some(residual) = self.epilogue.residual {
                            value = S::add(value, S::load_n(residual.as_ptr().add(place), n));
                        }
                        S::store_n(self.output.as_mut_ptr().add(place), S::min(high, S::max(low, value)), n);
                    }
                }
                c += S::LANES;
            }
        }
    }
}
