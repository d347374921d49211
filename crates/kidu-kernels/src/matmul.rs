//! Matrix products of one thread: register tiles over a packed or plain right-hand side, with what follows a
//! convolution (bias, residual, clamp) done while the tile is in registers.

use crate::simd::{Level, Simd, Work, dispatch_at, tile_width};

/// Steps along the reduced dimension before a tile goes back to memory: a panel of that many rows stays in L2.
const DEPTH_BLOCK: usize = 1024;

/// Floats of the left-hand side that one sweep over the panels keeps in L2.
const LEFT_BLOCK: usize = 96 * 1024;

/// The right-hand side of a product, `[depth, columns]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Right<'a> {
    pub(crate) values: &'a [f32],
    /// Floats from one row of a panel to the next.
    pub(crate) row: usize,
    /// Floats from one panel of columns to the next.
    pub(crate) panel: usize,
}

/// What the tile starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    Zero,
    /// One value for each column.
    Bias(&'a [f32]),
    /// What stands in the output.
    Output,
}

/// What happens to a value before it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish<'a> {
    /// Added; laid out as the output is.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Finish<'_> {
    pub(crate) const NOTHING: Self = Finish { residual: None, low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// output[i, j] = finish(start[j] + sum over r, p of left[i * left_row + r * left_run + p * left_column] * right[q, j])
/// with q = r * depth + p.
pub(crate) struct MatMul<'a> {
    pub(crate) rows: usize,
    /// Terms of a run.
    pub(crate) depth: usize,
    /// Runs: places along the reduced dimension where the left-hand side jumps. 1 for a matrix.
    pub(crate) runs: usize,
    pub(crate) left_run: usize,
    pub(crate) columns: usize,
    pub(crate) left: &'a [f32],
    pub(crate) left_row: usize,
    pub(crate) left_column: usize,
    pub(crate) right: Right<'a>,
    pub(crate) output: &'a mut [f32],
    pub(crate) output_row: usize,
    pub(crate) start: Start<'a>,
    pub(crate) finish: Finish<'a>,
}

impl MatMul<'_> {
    /// Runs the product with the set for which the right-hand side was packed.
    ///
    /// # Panics
    /// When a slice is shorter than its shape says: the tiles read and write without checks.
    pub(crate) fn run(self, level: Level) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        let width = level.panel();
        let panels = self.columns.div_ceil(width);
        assert!(self.runs == 1 || self.depth <= DEPTH_BLOCK, "runs are short");
        if self.depth > 0 && self.runs > 0 {
            let last_run = (self.runs - 1) * self.left_run;
            let left = (self.rows - 1) * self.left_row + last_run + (self.depth - 1) * self.left_column;
            assert!(left < self.left.len(), "left-hand side too short");
            let right = (panels - 1) * self.right.panel + (self.runs * self.depth - 1) * self.right.row + width;
            assert!(right <= self.right.values.len(), "right-hand side too short for whole panels");
        }
        let output = (self.rows - 1) * self.output_row + self.columns;
        assert!(output <= self.output.len(), "output too short");
        assert!(self.finish.residual.is_none_or(|r| r.len() >= output), "residual too short");
        if let Start::Bias(bias) = self.start {
            assert!(bias.len() >= self.columns, "bias too short");
        }
        dispatch_at(level, self);
    }
}

impl Work for MatMul<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = tile_width::<S>();
        let output = self.output.as_mut_ptr();
        let depth_step = self.depth.clamp(1, DEPTH_BLOCK);
        let sweep = (LEFT_BLOCK / (depth_step * self.runs.max(1))).max(S::TILE_ROWS);
        let mut p = 0;
        loop {
            let depth = depth_step.min(self.depth - p);
            let last = p + depth >= self.depth;
            let mut i = 0;
            while i < self.rows {
                let rows = sweep.min(self.rows - i);
                let mut j = 0;
                while j < self.columns {
                    self.column_block::<S>(output, (i, rows), (j, width), (p, depth), last);
                    j += width;
                }
                i += rows;
            }
            p += depth;
            if last {
                break;
            }
        }
    }
}

impl MatMul<'_> {
    /// One panel of columns for some rows and a part of the depth.
    #[inline(always)]
    unsafe fn column_block<S: Simd>(
        &self,
        output: *mut f32,
        (i, rows): (usize, usize),
        (j, width): (usize, usize),
        (p, depth): (usize, usize),
        last: bool,
    ) {
        let columns = width.min(self.columns - j);
        let bias = match self.start {
            Start::Bias(bias) if p == 0 => bias.as_ptr().add(j),
            _ => std::ptr::null(),
        };
        let blocks = rows.div_ceil(S::TILE_ROWS);
        let (base, longer) = (rows / blocks, rows % blocks);
        let mut at = i;
        for block in 0..blocks {
            let height = base + usize::from(block < longer);
            let place = at * self.output_row + j;
            let tile = Tile {
                depth,
                runs: self.runs,
                left_run: self.left_run,
                left: self.left.as_ptr().add(at * self.left_row + p * self.left_column),
                left_row: self.left_row,
                left_column: self.left_column,
                right: self.right.values.as_ptr().add(j / width * self.right.panel + p * self.right.row),
                right_row: self.right.row,
                output: output.add(place),
                output_row: self.output_row,
                columns,
                bias,
                accumulate: p > 0 || matches!(self.start, Start::Output),
                residual: match self.finish.residual {
                    Some(residual) if last => residual.as_ptr().add(place),
                    _ => std::ptr::null(),
                },
                low: if last { self.finish.low } else { f32::NEG_INFINITY },
                high: if last { self.finish.high } else { f32::INFINITY },
            };
            tile.run::<S>(height);
            at += height;
        }
    }
}

/// A block of the output that is summed up in registers.
struct Tile {
    depth: usize,
    runs: usize,
    left_run: usize,
    left: *const f32,
    left_row: usize,
    left_column: usize,
    right: *const f32,
    right_row: usize,
    output: *mut f32,
    output_row: usize,
    columns: usize,
    bias: *const f32,
    accumulate: bool,
    residual: *const f32,
    low: f32,
    high: f32,
}

macro_rules! rows {
    ($self:ident, $set:ident, $height:ident, $($n:literal)*) => {
        match $height {
            $($n if $n <= $set::TILE_ROWS => {
                if $self.columns <= $set::LANES {
                    $self.sum::<$set, $n, 1>()
                } else if $set::TILE_VECTORS == 2 || $self.columns <= 2 * $set::LANES {
                    $self.sum::<$set, $n, 2>()
                } else {
                    $self.sum::<$set, $n, 4>()
                }
            })*
            _ => unreachable!("a tile has 1 to TILE_ROWS rows"),
        }
    };
}

impl Tile {
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, height: usize) {
        rows!(self, S, height, 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    #[inline(always)]
    unsafe fn sum<S: Simd, const R: usize, const N: usize>(&self) {
        let mut bias = [S::splat(0.0); N];
        if !self.bias.is_null() {
            for (n, bias) in bias.iter_mut().enumerate() {
                let count = self.columns.saturating_sub(n * S::LANES);
                if count > 0 {
                    *bias = S::load_n(self.bias.add(n * S::LANES), count);
                }
            }
        }
        let mut sums = [bias; R];
        let mut right = self.right;
        for run in 0..self.runs {
            let mut left = self.left.add(run * self.left_run);
            for _ in 0..self.depth {
                let mut row = [S::splat(0.0); N];
                for (n, value) in row.iter_mut().enumerate() {
                    *value = S::load(right.add(n * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = S::splat(*left.add(r * self.left_row));
                    for n in 0..N {
                        sums[n] = S::fma(factor, row[n], sums[n]);
                    }
                }
                left = left.add(self.left_column);
                right = right.add(self.right_row);
            }
        }
        let (low, high) = (S::splat(self.low), S::splat(self.high));
        // The loop above keeps its sums in registers only if nothing indexes them by a variable: the common case is
        // unrolled, the others take a copy.
        if self.columns == N * S::LANES && !self.accumulate && self.residual.is_null() {
            for (r, sums) in sums.iter().enumerate() {
                for n in 0..N {
                    // The value comes second: NaN stays NaN.
                    let value = S::min(high, S::max(low, sums[n]));
                    S::store(self.output.add(r * self.output_row + n * S::LANES), value);
                }
            }
        } else {
            let mut copy = [[S::splat(0.0); N]; R];
            for (copy, sums) in copy.iter_mut().zip(&sums) {
                *copy = *sums;
            }
            self.finish::<S>(copy.as_ptr().cast(), R, N);
        }
    }

    /// Stores sums, `[R, N]` vectors, whatever the tile asks for.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, sums: *const S::V, rows: usize, vectors: usize) {
        let (low, high) = (S::splat(self.low), S::splat(self.high));
        for r in 0..rows {
            let mut at = 0;
            while at < self.columns {
                let count = self.columns - at;
                let place = self.output.add(r * self.output_row + at);
                let mut value = *sums.add(r * vectors + at / S::LANES);
                if self.accumulate {
                    value = S::add(value, S::load_n(place, count));
                }
                if !self.residual.is_null() {
                    value = S::add(value, S::load_n(self.residual.add(r * self.output_row + at), count));
                }
                S::store_n(place, S::min(high, S::max(low, value)), count);
                at += S::LANES;
            }
        }
    }
}
