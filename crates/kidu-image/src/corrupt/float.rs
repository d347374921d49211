//! Images of floats in [0, 1], and the filters on them.

use image::RgbImage;

/// Rows of pixels of three interleaved channels.
#[derive(Clone, Debug)]
pub(super) struct Float {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<f32>,
}

/// What lies beyond the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// The last pixel again (SciPy's `nearest`).
    Nearest,
    /// Mirrored with the last pixel twice (SciPy's `reflect`).
    Reflect,
    /// Mirrored at the last pixel (OpenCV's `REFLECT_101`).
    Reflect101,
}

impl Edge {
    /// The index inside `0..len` that stands for `at`.
    pub(super) fn index(self, at: i64, len: usize) -> usize {
        let len = len as i64;
        let index = match self {
            Self::Nearest => at.clamp(0, len - 1),
            Self::Reflect => {
                let at = at.rem_euclid(2 * len);
                at.min(2 * len - 1 - at)
            }
            Self::Reflect101 if len == 1 => 0,
            Self::Reflect101 => {
                let at = at.rem_euclid(2 * len - 2);
                at.min(2 * len - 2 - at)
            }
        };
        index as usize
    }
}

impl Float {
    pub(super) fn new(image: &RgbImage) -> Self {
        let data = image.iter().map(|v| f32::from(*v) / 255.0).collect();
        Self { width: image.width() as usize, height: image.height() as usize, data }
    }

    pub(super) fn like(&self) -> Self {
        Self { width: self.width, height: self.height, data: vec![0.0; self.data.len()] }
    }

    pub(super) fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let at = 3 * (y * self.width + x);
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    pub(super) fn map(mut self, mut change: impl FnMut(f32) -> f32) -> Self {
        self.data.iter_mut().for_each(|v| *v = change(*v));
        self
    }

    /// Cut to [0, 1] and to whole levels, as the paper's `np.uint8`.
    pub(super) fn finish(&self) -> RgbImage {
        // A value such as 0.2 * 255 may come out a hair below its level.
        let bytes = self.data.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0 + 1e-3) as u8).collect();
        // As many bytes as the pixels have channels.
        RgbImage::from_raw(self.width as u32, self.height as u32, bytes).unwrap_or_default()
    }

    /// The value at a place between pixels, linear in both directions.
    pub(super) fn sample(&self, x: f32, y: f32, edge: Edge) -> [f32; 3] {
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let columns = [0, 1].map(|i| edge.index(left as i64 + i, self.width));
        let rows = [0, 1].map(|i| edge.index(top as i64 + i, self.height));
        let corners = rows.map(|row| columns.map(|column| self.pixel(column, row)));
        std::array::from_fn(|c| {
            let upper = corners[0][0][c] + fx * (corners[0][1][c] - corners[0][0][c]);
            let lower = corners[1][0][c] + fx * (corners[1][1][c] - corners[1][0][c]);
            upper + fy * (lower - upper)
        })
    }

    /// Each pixel taken from where `place` says.
    pub(super) fn warp(&self, edge: Edge, mut place: impl FnMut(usize, usize) -> (f32, f32)) -> Self {
        let mut out = self.like();
        for y in 0..self.height {
            for x in 0..self.width {
                let (from_x, from_y) = place(x, y);
                let at = 3 * (y * self.width + x);
                out.data[at..at + 3].copy_from_slice(&self.sample(from_x, from_y, edge));
            }
        }
        out
    }

    /// `scipy.ndimage.gaussian_filter` over rows and columns.
    pub(super) fn gaussian(&self, sigma: f64, truncate: f64, edge: Edge) -> Self {
        let data = gaussian(&self.data, (self.width, self.height, 3), sigma, truncate, edge);
        Self { width: self.width, height: self.height, data }
    }
}

/// `scipy.ndimage.gaussian_filter` of `channels` interleaved values over `width` x `height`.
pub(super) fn gaussian(
    data: &[f32],
    (width, height, channels): (usize, usize, usize),
    sigma: f64,
    truncate: f64,
    edge: Edge,
) -> Vec<f32> {
    let rows = Taps::gaussian(width, sigma, truncate, edge);
    let mut horizontal = vec![0.0; data.len()];
    for (row, out) in data.chunks_exact(width * channels).zip(horizontal.chunks_exact_mut(width * channels)) {
        for (x, out) in out.chunks_exact_mut(channels).enumerate() {
            rows.of(x).for_each(|(from, weight)| {
                out.iter_mut().zip(&row[from * channels..]).for_each(|(o, v)| *o += weight * v);
            });
        }
    }
    let columns = Taps::gaussian(height, sigma, truncate, edge);
    let line = width * channels;
    let mut vertical = vec![0.0; data.len()];
    for (y, out) in vertical.chunks_exact_mut(line).enumerate() {
        columns.of(y).for_each(|(from, weight)| {
            out.iter_mut().zip(&horizontal[from * line..(from + 1) * line]).for_each(|(o, v)| *o += weight * v);
        });
    }
    vertical
}

/// For each place of a line, what it takes from where: the kernel with its parts beyond the edges folded back, so that a
/// kernel wider than the line costs no more than the line.
struct Taps {
    first: Vec<usize>,
    weights: Vec<Vec<f32>>,
}

impl Taps {
    fn gaussian(len: usize, sigma: f64, truncate: f64, edge: Edge) -> Self {
        let radius = if sigma > 0.0 { (truncate * sigma + 0.5) as i64 } else { 0 };
        let kernel: Vec<f64> = (-radius..=radius)
            .map(|i| if radius == 0 { 1.0 } else { (-0.5 * (i as f64 / sigma).powi(2)).exp() })
            .collect();
        let sum: f64 = kernel.iter().sum();
        let (mut first, mut weights) = (Vec::with_capacity(len), Vec::with_capacity(len));
        let mut folded = vec![0.0; len];
        for at in 0..len {
            folded.fill(0.0);
            for (i, weight) in kernel.iter().enumerate() {
                folded[edge.index(at as i64 + i as i64 - radius, len)] += weight / sum;
            }
            let start = folded.iter().position(|w| *w != 0.0).unwrap_or(0);
            let end = folded.iter().rposition(|w| *w != 0.0).map_or(start, |i| i + 1);
            first.push(start);
            weights.push(folded[start..end].iter().map(|w| *w as f32).collect());
        }
        Self { first, weights }
    }

    fn of(&self, at: usize) -> impl Iterator<Item = (usize, f32)> {
        self.weights[at].iter().enumerate().map(move |(i, weight)| (self.first[at] + i, *weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_scipys_and_opencvs() {
        let indices = |edge: Edge| (-4..8).map(|at| edge.index(at, 4)).collect::<Vec<_>>();
        assert_eq!(indices(Edge::Nearest), [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3]);
        assert_eq!(indices(Edge::Reflect), [3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]);
        assert_eq!(indices(Edge::Reflect101), [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(Edge::Reflect101.index(-9, 1), 0);
    }

    #[test]
    fn a_blur_keeps_a_constant_and_the_sum() {
        let flat = Float { width: 5, height: 3, data: vec![0.25; 45] };
        let blurred = flat.gaussian(40.0, 3.0, Edge::Reflect);
        assert!(blurred.data.iter().all(|v| (v - 0.25).abs() < 1e-6));
        let mut dot = Float { width: 21, height: 21, data: vec![0.0; 21 * 21 * 3] };
        dot.data[3 * (10 * 21 + 10)] = 1.0;
        let blurred = dot.gaussian(1.5, 4.0, Edge::Nearest);
        assert!((blurred.data.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((blurred.pixel(10, 10)[0] - 0.0707).abs() < 1e-3, "{:?}", blurred.pixel(10, 10));
    }
}
