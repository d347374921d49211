//! 3x3 convolutions at stride 1 by minimal filtering (Winograd 1980; Lavin and Gray 2016,
//! <https://arxiv.org/abs/1509.09308>): a tile of 4 x 4 outputs from 6 x 6 inputs with 36 products instead of 144.
//!
//! Input tiles and weights are transformed, multiplied as 36 matrices, and transformed back, a few dozen tiles at a
//! time, so that everything between stays in the cache. The transforms cost a few digits: results are within about 1e-5
//! of the direct sum, relative to the largest.

use crate::{
    buffer::{unfilled, with_scratch},
    conv::{ConvShape, Epilogue},
    matmul::{Finish, MatMul, Start},
    pack::Packed,
    simd::{Simd, Work, dispatch},
};

/// Outputs along a side of a tile.
const OUT: usize = 4;
/// Inputs along a side of a tile.
const IN: usize = OUT + 2;
/// Elements of a transformed tile.
const POINTS: usize = IN * IN;

/// Floats of transformed input that are worked on together.
const BLOCK: usize = 192 * 1024;

/// Transformed weights, one packed matrix `[in, out]` for each of the 36 points.
#[derive(Clone, Debug)]
pub struct WinogradWeights {
    points: Vec<Packed>,
    input: usize,
    output: usize,
}

impl WinogradWeights {
    /// Transforms a weight in PyTorch's order, `[out, in, 3, 3]`, in float64.
    ///
    /// # Panics
    /// When the weight does not fit the shape.
    pub fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        assert_eq!(weight.len(), 9 * shape.input * shape.output, "weight of another shape");
        Self::from_taps(shape.input, shape.output, |o, i, tap| weight[(o * shape.input + i) * 9 + tap])
    }

    /// The weights with which [`forward_rows`] and [`forward`] take the output's gradient to the input's.
    ///
    /// # Panics
    /// When the weight does not fit the shape.
    pub fn transposed(shape: &ConvShape, weight: &[f32]) -> Self {
        assert_eq!(weight.len(), 9 * shape.input * shape.output, "weight of another shape");
        Self::from_taps(shape.output, shape.input, |o, i, tap| weight[(i * shape.input + o) * 9 + 8 - tap])
    }

    fn from_taps(input: usize, output: usize, tap: impl Fn(usize, usize, usize) -> f32 + Sync) -> Self {
        use rayon::prelude::*;
        let mut transformed = unfilled(POINTS * input * output);
        // [out][in][point], so that threads write apart.
        transformed.par_chunks_mut(POINTS * input).enumerate().for_each(|(o, values)| {
            for (i, points) in values.chunks_exact_mut(POINTS).enumerate() {
                let taps: [f64; 9] = std::array::from_fn(|t| f64::from(tap(o, i, t)));
                let columns: [[f64; IN]; 3] = std::array::from_fn(|x| expand([taps[x], taps[3 + x], taps[6 + x]]));
                for y in 0..IN {
                    let row = expand([columns[0][y], columns[1][y], columns[2][y]]);
                    row.iter().enumerate().for_each(|(x, v)| points[y * IN + x] = *v as f32);
                }
            }
        });
        let columns: Vec<usize> = (0..output).map(|o| o * input * POINTS).collect();
        let pack = |point: usize| {
            let rows: Vec<usize> = (0..input).map(|i| i * POINTS + point).collect();
            Packed::new(&transformed, &rows, &columns)
        };
        Self { points: (0..POINTS).map(pack).collect(), input, output }
    }
}

/// The weight's transform along one axis.
fn expand([a, b, c]: [f64; 3]) -> [f64; IN] {
    [
        a / 4.0,
        -(a + b + c) / 6.0,
        -(a - b + c) / 6.0,
        a / 24.0 + b / 12.0 + c / 6.0,
        a / 24.0 - b / 12.0 + c / 6.0,
        c,
    ]
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
    assert!(shape.kernel == 3 && shape.stride == 1, "3x3 at stride 1");
    assert_eq!(input.len(), shape.height * shape.width * shape.input, "input of another shape");
    assert_eq!((weights.input, weights.output), (shape.input, shape.output), "weights of another shape");
    assert!(first.is_multiple_of(OUT), "rows begin at a tile");
    let row = shape.out_width() * shape.output;
    let rows = output.len() / row;
    assert!(first + rows <= shape.out_height() && output.len() == rows * row, "rows outside the image");
    assert!(epilogue.residual.is_none_or(|r| r.len() >= output.len()), "residual of another shape");
    assert!(epilogue.bias.is_none_or(|b| b.len() == shape.output), "bias of another shape");
    let across = shape.out_width().div_ceil(OUT);
    let tiles = across * rows.div_ceil(OUT);
    let block = (BLOCK / (POINTS * shape.input.max(shape.output))).clamp(8, tiles.max(8)).min(tiles.max(1));
    let (wide, narrow) = (block * shape.input, block * shape.output);
    with_scratch(POINTS * wide, |transformed| {
        with_scratch(POINTS * narrow, |products| {
            for from in (0..tiles).step_by(block) {
                let count = block.min(tiles - from);
                let tiles = Tiles { shape, first, across, from, count, block };
                dispatch(Forth { tiles, input, transformed });
                for (point, packed) in weights.points.iter().enumerate() {
                    MatMul {
                        rows: count,
                        depth: shape.input,
                        runs: 1,
                        left_run: 0,
                        columns: shape.output,
                        left: &transformed[point * wide..],
                        left_row: shape.input,
                        left_column: 1,
                        right: packed.right(),
                        output: &mut products[point * narrow..],
                        output_row: shape.output,
                        start: Start::Zero,
                        finish: Finish::NOTHING,
                    }
                    .run(packed.level());
                }
                dispatch(Back { tiles, products, epilogue, output });
            }
        });
    });
}

/// Tiles `from..from + count` of those that begin at output row `first`, row by row, `across` in a row.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    shape: &'a ConvShape,
    first: usize,
    across: usize,
    from: usize,
    count: usize,
    /// Tiles for which there is room at each point.
    block: usize,
}

impl Tiles<'_> {
    /// Output row and column of a tile.
    fn place(&self, tile: usize) -> (usize, usize) {
        let tile = self.from + tile;
        (self.first + tile / self.across * OUT, tile % self.across * OUT)
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
            let (y, x) = self.tiles.place(tile);
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
                                let place = (line * shape.width + at) * channels + c;
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
        let rows = self.output.len() / (width * channels);
        let (low, high) = (S::splat(self.epilogue.low), S::splat(self.epilogue.high));
        for tile in 0..self.tiles.count {
            let (y, x) = self.tiles.place(tile);
            let y = y - self.tiles.first;
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
                    let values = back::<S>([
                        lines[0][dx], lines[1][dx], lines[2][dx], lines[3][dx], lines[4][dx], lines[5][dx],
                    ]);
                    for (dy, value) in values.iter().enumerate().take(OUT.min(rows - y)) {
                        let place = ((y + dy) * width + x + dx) * channels + c;
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
