//! Weights in the order in which a product reads them.

use rayon::prelude::*;

use crate::{buffer::Aligned, simd::Level};

/// A matrix `[depth, columns]` cut into panels of as many columns as a tile has, each `[depth, panel]` and padded with
/// zeros.
#[derive(Clone, Debug)]
pub struct Packed {
    values: Aligned,
    depth: usize,
    columns: usize,
    level: Level,
}

impl Packed {
    /// Packs the matrix whose element (p, j) is `values[rows[p] + columns[j]]`, for the instruction set in use.
    ///
    /// # Panics
    /// When a place is outside `values`.
    pub fn new(values: &[f32], rows: &[usize], columns: &[usize]) -> Self {
        let level = Level::current();
        let (width, depth) = (level.panel(), rows.len());
        let mut packed = Aligned::zeros(columns.len().div_ceil(width) * depth * width);
        let panels = packed.par_chunks_exact_mut((depth * width).max(1)).zip(columns.par_chunks(width));
        panels.for_each(|(panel, columns)| {
            for (target, row) in panel.chunks_exact_mut(width).zip(rows) {
                for (slot, column) in target.iter_mut().zip(columns) {
                    *slot = values[row + column];
                }
                target[columns.len()..].fill(0.0);
            }
        });
        Self { values: packed, depth, columns: columns.len(), level }
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
