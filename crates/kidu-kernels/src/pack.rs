//! Weights in the order in which a product reads them.

use crate::simd::Level;

/// A matrix `[depth, columns]` cut into panels of as many columns as a tile has, each `[depth, panel]` and padded with
/// zeros.
#[derive(Clone, Debug)]
pub struct Packed {
    values: Vec<f32>,
    depth: usize,
    columns: usize,
    level: Level,
}

impl Packed {
    /// Packs the matrix whose element (p, j) is `value(p, j)`, for the instruction set in use.
    pub fn from_fn(depth: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let level = Level::current();
        let width = level.panel();
        let mut values = vec![0.0; columns.div_ceil(width) * depth * width];
        for (panel, block) in values.chunks_exact_mut((depth * width).max(1)).enumerate() {
            let from = panel * width;
            let count = width.min(columns - from);
            for (p, row) in block.chunks_exact_mut(width).enumerate() {
                for (j, slot) in row[..count].iter_mut().enumerate() {
                    *slot = value(p, from + j);
                }
            }
        }
        Self { values, depth, columns, level }
    }

    /// Rows of the matrix.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn right(&self) -> crate::matmul::Right<'_> {
        let width = self.level.panel();
        crate::matmul::Right { values: &self.values, row: width, panel: self.depth * width }
    }
}
