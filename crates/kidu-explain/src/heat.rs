//! Heat maps: one value for each pixel.

/// A value for each pixel of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Row by row.
    pub values: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl HeatMap {
    /// The sum of magnitudes over the channels of an attribution, `[channels, height, width]`.
    pub fn of_magnitudes(attribution: &[f32], [channels, height, width]: [usize; 3]) -> Self {
        let pixels = height * width;
        let sum = |i: usize| (0..channels).map(|c| attribution[c * pixels + i].abs()).sum();
        Self { values: (0..pixels).map(sum).collect(), height, width }
    }

    /// Resized bilinearly, pixel centres aligned.
    pub fn resized(&self, height: usize, width: usize) -> Self {
        let place = |at: usize, to: usize, from: usize| {
            let x = ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, from as f64 - 1.0);
            let low = x.floor() as usize;
            (low, (low + 1).min(from - 1), (x - low as f64) as f32)
        };
        let mut values = Vec::with_capacity(height * width);
        for y in 0..height {
            let (top, bottom, v) = place(y, height, self.height);
            for x in 0..width {
                let (left, right, u) = place(x, width, self.width);
                let at = |row: usize, column: usize| self.values[row * self.width + column];
                let above = at(top, left) * (1.0 - u) + at(top, right) * u;
                let below = at(bottom, left) * (1.0 - u) + at(bottom, right) * u;
                values.push(above * (1.0 - v) + below * v);
            }
        }
        Self { values, height, width }
    }

    /// On [0, 1]: the share of `outlier_percent` largest values is cut off at 1, as captum's visualisation does.
    pub fn normalised(&self, outlier_percent: f64) -> Self {
        let mut sorted: Vec<f32> = self.values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f32::total_cmp);
        let low = sorted.first().copied().unwrap_or(0.0).min(0.0);
        let last = sorted.len().saturating_sub(1);
        let at = (last as f64 * (1.0 - outlier_percent.clamp(0.0, 100.0) / 100.0)).round() as usize;
        let high = sorted.get(at.min(last)).copied().unwrap_or(0.0);
        let span = high - low;
        let scale = |v: &f32| if span > 0.0 && v.is_finite() { ((v - low) / span).clamp(0.0, 1.0) } else { 0.0 };
        Self { values: self.values.iter().map(scale).collect(), ..*self }
    }

    /// Pixels in the order of their values, the largest first; of equal ones the earlier first.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|a, b| self.values[*b].total_cmp(&self.values[*a]));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_are_summed_over_channels_and_scaled() {
        let map = HeatMap::of_magnitudes(&[1.0, -2.0, 0.0, 3.0, 0.5, -0.5, 1.0, 1.0], [2, 2, 2]);
        assert_eq!(map.values, [1.5, 2.5, 1.0, 4.0]);
        assert_eq!(map.normalised(0.0).values, [0.375, 0.625, 0.25, 1.0]);
        assert_eq!(map.ranking(), [3, 1, 0, 2]);
        assert_eq!(HeatMap { values: vec![0.0; 4], height: 2, width: 2 }.normalised(2.0).values, [0.0; 4]);
    }

    #[test]
    fn resizing_is_bilinear() {
        let map = HeatMap { values: vec![0.0, 1.0], height: 1, width: 2 };
        assert_eq!(map.resized(1, 4).values, [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(map.resized(1, 2), map);
    }
}
