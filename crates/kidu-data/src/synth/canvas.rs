//! The surface that a scene is painted on: twice the image's resolution, so that averaging smooths its edges.

use super::color::Rgb;

/// Samples along each side of a pixel of the final image.
pub(super) const SUPERSAMPLING: usize = 2;

/// A square of colours. Positions are fractions of the side: (0, 0) is the upper left corner, (1, 1) the lower right.
pub(super) struct Canvas {
    side: usize,
    samples: Vec<Rgb>,
}

/// A rectangle in fractions of the side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    pub(super) left: f32,
    pub(super) right: f32,
    pub(super) top: f32,
    pub(super) bottom: f32,
}

impl Region {
    pub(super) const ALL: Self = Self { left: 0.0, right: 1.0, top: 0.0, bottom: 1.0 };

    /// The rows between two heights, over the whole width.
    pub(super) fn rows(top: f32, bottom: f32) -> Self {
        Self { top, bottom, ..Self::ALL }
    }

    pub(super) fn new(left: f32, right: f32, top: f32, bottom: f32) -> Self {
        Self { left, right, top, bottom }
    }
}

impl Canvas {
    /// A black canvas for an image of `size` pixels a side.
    pub(super) fn new(size: u32) -> Self {
        let side = size as usize * SUPERSAMPLING;
        Self { side, samples: vec![Rgb::default(); side * side] }
    }

    /// Samples along a side.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// The width of one pixel of the final image, as a fraction of the side.
    pub(super) fn pixel(&self) -> f32 {
        SUPERSAMPLING as f32 / self.side as f32
    }

    /// The position of a sample's centre along an axis.
    #[inline]
    pub(super) fn position(&self, index: usize) -> f32 {
        (index as f32 + 0.5) / self.side as f32
    }

    /// The first sample whose centre is at or after a position, at most `side`.
    #[inline]
    pub(super) fn index(&self, position: f32) -> usize {
        // The cast saturates: what lies left of the canvas becomes 0.
        ((position * self.side as f32 + 0.5) as usize).min(self.side)
    }

    #[inline]
    pub(super) fn sample(&self, column: usize, row: usize) -> Rgb {
        self.samples[row * self.side + column]
    }

    #[inline]
    pub(super) fn sample_mut(&mut self, column: usize, row: usize) -> &mut Rgb {
        &mut self.samples[row * self.side + column]
    }

    /// Repaints each sample of a region: `shade(x, y, colour so far)` gives the new colour.
    #[inline]
    pub(super) fn paint(&mut self, region: Region, mut shade: impl FnMut(f32, f32, Rgb) -> Rgb) {
        let (left, right) = (self.index(region.left), self.index(region.right));
        for row in self.index(region.top)..self.index(region.bottom) {
            let y = self.position(row);
            for column in left..right {
                let x = self.position(column);
                let sample = &mut self.samples[row * self.side + column];
                *sample = shade(x, y, *sample);
            }
        }
    }

    /// Repaints the inside of a simple polygon (even-odd rule).
    pub(super) fn polygon(&mut self, corners: &[(f32, f32)], mut shade: impl FnMut(f32, f32, Rgb) -> Rgb) {
        let top = corners.iter().map(|c| c.1).fold(f32::INFINITY, f32::min);
        let bottom = corners.iter().map(|c| c.1).fold(f32::NEG_INFINITY, f32::max);
        let mut crossings = Vec::with_capacity(corners.len());
        for row in self.index(top)..self.index(bottom) {
            let y = self.position(row);
            crossings.clear();
            for (i, a) in corners.iter().enumerate() {
                let b = corners[(i + 1) % corners.len()];
                if (a.1 <= y) != (b.1 <= y) {
                    crossings.push(a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0));
                }
            }
            crossings.sort_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                for column in self.index(pair[0])..self.index(pair[1]) {
                    let x = self.position(column);
                    let sample = &mut self.samples[row * self.side + column];
                    *sample = shade(x, y, *sample);
                }
            }
        }
    }

    /// Repaints the inside of an ellipse with its axes along the sides.
    pub(super) fn ellipse(
        &mut self,
        (cx, cy): (f32, f32),
        (rx, ry): (f32, f32),
        mut shade: impl FnMut(f32, f32, Rgb) -> Rgb,
    ) {
        self.paint(Region::new(cx - rx, cx + rx, cy - ry, cy + ry), |x, y, under| {
            let (dx, dy) = ((x - cx) / rx, (y - cy) / ry);
            if dx * dx + dy * dy <= 1.0 { shade(x, y, under) } else { under }
        });
    }

    /// A straight line of one colour, `from_width` wide at one end and `to_width` at the other.
    pub(super) fn stroke(&mut self, from: (f32, f32), to: (f32, f32), from_width: f32, to_width: f32, colour: Rgb) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).sqrt().max(1e-6);
        let (nx, ny) = (-dy / length / 2.0, dx / length / 2.0);
        let corners = [
            (from.0 + nx * from_width, from.1 + ny * from_width),
            (to.0 + nx * to_width, to.1 + ny * to_width),
            (to.0 - nx * to_width, to.1 - ny * to_width),
            (from.0 - nx * from_width, from.1 - ny * from_width),
        ];
        self.polygon(&corners, |_, _, _| colour);
    }

    /// Lays the picture above `line` upside down over the rows from `line` to `bottom`, as still water or a wet road
    /// does: `blend(x, y, colour so far, mirrored colour)` gives the new colour, and `shift(x, y)` moves the place that
    /// is mirrored, sideways and up.
    pub(super) fn mirror(
        &mut self,
        line: f32,
        bottom: f32,
        shift: impl Fn(f32, f32) -> (f32, f32),
        blend: impl Fn(f32, f32, Rgb, Rgb) -> Rgb,
    ) {
        let last = self.side - 1;
        for row in self.index(line)..self.index(bottom) {
            let y = self.position(row);
            for column in 0..self.side {
                let x = self.position(column);
                let (right, up) = shift(x, y);
                let from = (self.index(x + right).min(last), self.index(2.0 * line - y - up).min(self.index(line)));
                let mirrored = self.sample(from.0, from.1.min(last));
                let under = self.sample(column, row);
                *self.sample_mut(column, row) = blend(x, y, under, mirrored);
            }
        }
    }

    /// Adds light that fades with the square of the distance from a point.
    pub(super) fn glow(&mut self, (cx, cy): (f32, f32), radius: f32, colour: Rgb) {
        self.ellipse((cx, cy), (radius, radius), |x, y, under| {
            let d = ((x - cx) * (x - cx) + (y - cy) * (y - cy)).sqrt() / radius;
            under + colour * ((1.0 - d) * (1.0 - d))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_shapes_are_right() {
        let covered = |draw: &dyn Fn(&mut Canvas)| {
            let mut canvas = Canvas::new(100);
            draw(&mut canvas);
            canvas.samples.iter().filter(|s| s.r > 0.5).count() as f32 / canvas.samples.len() as f32
        };
        let white = |_: f32, _: f32, _: Rgb| Rgb::WHITE;
        assert!((covered(&|c| c.polygon(&[(0.2, 0.2), (0.8, 0.2), (0.2, 0.8)], white)) - 0.18).abs() < 0.005);
        let circle = std::f32::consts::PI * 0.09;
        assert!((covered(&|c| c.ellipse((0.5, 0.5), (0.3, 0.3), white)) - circle).abs() < 0.005);
        assert!((covered(&|c| c.paint(Region::rows(0.25, 2.0), white)) - 0.75).abs() < 1e-6);
        assert!((covered(&|c| c.stroke((0.1, 0.5), (0.9, 0.5), 0.1, 0.1, Rgb::WHITE)) - 0.08).abs() < 0.005);
        assert_eq!(covered(&|c| c.polygon(&[(-3.0, -3.0), (-2.0, -3.0), (-2.0, -2.0)], white)), 0.0);
    }
}
