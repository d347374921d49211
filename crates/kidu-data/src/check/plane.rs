//! One value a pixel, and shrinking by area.

use kidu_image::RgbImage;

/// One value a pixel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f32>,
}

impl Plane {
    /// The brightness of an image (Rec. 601: 0.299 R + 0.587 G + 0.114 B), 0 to 255.
    pub(crate) fn luma(image: &RgbImage) -> Self {
        let luma = |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
        Self {
            width: image.width() as usize,
            height: image.height() as usize,
            values: image.as_raw().chunks_exact(3).map(luma).collect(),
        }
    }

    /// One channel of an image, 0 to 255.
    pub(crate) fn channel(image: &RgbImage, channel: usize) -> Self {
        Self {
            width: image.width() as usize,
            height: image.height() as usize,
            values: image.as_raw().chunks_exact(3).map(|p| f32::from(p[channel])).collect(),
        }
    }

    /// The mean over the area of each target pixel. The target must not be larger than the plane in either direction;
    /// sides that are kept stay as they are.
    pub(crate) fn shrink(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.min(self.width), height.min(self.height));
        let columns = Spans::new(self.width, width);
        let rows = Spans::new(self.height, height);
        let mut out = vec![0.0; width * height];
        let mut narrow = vec![0.0; width];
        for (y, row) in self.values.chunks_exact(self.width).enumerate() {
            columns.reduce(row, &mut narrow);
            for (target, weight) in rows.targets(y) {
                let line = &mut out[target * width..(target + 1) * width];
                line.iter_mut().zip(&narrow).for_each(|(o, n)| *o += weight * n);
            }
        }
        Self { width, height, values: out }
    }

    /// Shrinks so that neither side is longer than `longest`, with the aspect kept.
    pub(crate) fn shrink_to(&self, longest: usize) -> Self {
        let side = self.width.max(self.height);
        if side <= longest {
            return self.clone();
        }
        let scaled = |n: usize| ((n * longest + side / 2) / side).max(1);
        self.shrink(scaled(self.width), scaled(self.height))
    }

    /// Mean and variance.
    pub(crate) fn moments(&self) -> (f64, f64) {
        moments(self.values.iter().copied())
    }

    /// Variance of the 4-neighbour Laplacian over the inner pixels; 0 where there is none.
    pub(crate) fn laplacian_variance(&self) -> f64 {
        let w = self.width;
        if w < 3 || self.height < 3 {
            return 0.0;
        }
        let v = &self.values;
        let inner = (1..self.height - 1).flat_map(|y| (1..w - 1).map(move |x| y * w + x));
        moments(inner.map(|i| v[i - w] + v[i + w] + v[i - 1] + v[i + 1] - 4.0 * v[i])).1
    }

    /// The value below which a share of the pixels lies.
    pub(crate) fn quantile(&self, share: f64) -> f32 {
        let mut histogram = [0usize; 256];
        self.values.iter().for_each(|v| histogram[v.round().clamp(0.0, 255.0) as usize] += 1);
        let wanted = (share * self.values.len() as f64).ceil() as usize;
        let mut seen = 0;
        for (value, count) in histogram.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return value as f32;
            }
        }
        0.0
    }
}

fn moments(values: impl Iterator<Item = f32>) -> (f64, f64) {
    let (mut n, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for v in values.map(f64::from) {
        n += 1.0;
        sum += v;
        squares += v * v;
    }
    let mean = sum / n.max(1.0);
    (mean, (squares / n.max(1.0) - mean * mean).max(0.0))
}

/// How many source pixels fall into each target pixel, along one side.
struct Spans {
    scale: f64,
    target: usize,
}

impl Spans {
    fn new(source: usize, target: usize) -> Self {
        Self { scale: source as f64 / target as f64, target }
    }

    /// The targets that a source pixel lies in, with the share of the target that it makes up.
    fn targets(&self, source: usize) -> impl Iterator<Item = (usize, f32)> {
        let (start, end) = (source as f64, source as f64 + 1.0);
        let (scale, last) = (self.scale, self.target - 1);
        let first = ((start / scale) as usize).min(last);
        (first..self.target).map_while(move |t| {
            let overlap = end.min((t + 1) as f64 * scale) - start.max(t as f64 * scale);
            (overlap > 1e-9 || t == first).then_some((t, (overlap.max(0.0) / scale) as f32))
        })
    }

    fn reduce(&self, row: &[f32], out: &mut [f32]) {
        if row.len() == out.len() {
            out.copy_from_slice(row);
            return;
        }
        for (t, slot) in out.iter_mut().enumerate() {
            let (start, end) = (t as f64 * self.scale, (t + 1) as f64 * self.scale);
            let (first, last) = (start as usize, (end.ceil() as usize).min(row.len()));
            let mut sum: f32 = row[first..last].iter().sum();
            sum -= row[first] * (start - first as f64) as f32;
            sum -= row[last - 1] * (last as f64 - end).max(0.0) as f32;
            *slot = sum / self.scale as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Plane {
        let values = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
        Plane { width, height, values }
    }

    #[test]
    fn halves_are_means_of_four_and_fractions_count_by_area() {
        let p = plane(4, 2, |x, y| (x + 10 * y) as f32);
        assert_eq!(p.shrink(2, 1).values, [5.5, 7.5]);
        // Three pixels to two: one and a half each.
        let p = plane(3, 1, |x, _| [0.0, 3.0, 6.0][x]);
        assert_eq!(p.shrink(2, 1).values, [1.0, 5.0]);
        assert_eq!(p.shrink(9, 9), p);
    }

    #[test]
    fn the_laplacian_of_a_ramp_is_nothing_and_that_of_a_board_is_16() {
        assert!(plane(9, 9, |x, y| (3 * x + 2 * y) as f32).laplacian_variance() < 1e-9);
        // A chess board of 0 and 1: -4 and 4 times the difference of 1, so a variance of 16.
        assert!((plane(10, 10, |x, y| ((x + y) % 2) as f32).laplacian_variance() - 16.0).abs() < 1e-6);
        assert_eq!(plane(2, 9, |_, _| 1.0).laplacian_variance(), 0.0);
    }

    #[test]
    fn quantiles_count_pixels() {
        let p = plane(100, 1, |x, _| x as f32);
        assert_eq!((p.quantile(0.05), p.quantile(0.95)), (4.0, 94.0));
    }

    proptest! {
        #[test]
        fn shrinking_keeps_the_mean(w in 1usize..70, h in 1usize..70, tw in 1usize..40, th in 1usize..40) {
            let p = plane(w, h, |x, y| ((x * 7 + y * 13) % 31) as f32);
            let small = p.shrink(tw, th);
            prop_assert_eq!((small.width, small.height), (tw.min(w), th.min(h)));
            prop_assert!((small.moments().0 - p.moments().0).abs() < 1e-3);
        }
    }
}
