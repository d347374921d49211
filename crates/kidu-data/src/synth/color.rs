//! Colours while a scene is drawn: red, green and blue as fractions, in the display's (gamma-encoded) space.

use std::ops::{Add, AddAssign, Mul};

/// Red, green and blue, 0 to 1; light may exceed 1 until the image is developed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rgb {
    pub(super) r: f32,
    pub(super) g: f32,
    pub(super) b: f32,
}

impl Rgb {
    pub(super) const WHITE: Self = Self::new(1.0, 1.0, 1.0);

    pub(super) const fn new(r: f32, g: f32, b: f32) -> Self {
        Self { r, g, b }
    }

    pub(super) const fn grey(v: f32) -> Self {
        Self::new(v, v, v)
    }

    /// From hue (turns, any real), saturation and value (0 to 1).
    pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let sector = |offset: f32| {
            let k = (offset + hue * 6.0).rem_euclid(6.0);
            value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
        };
        Self::new(sector(5.0), sector(3.0), sector(1.0))
    }

    /// This colour at `t` = 0, `other` at `t` = 1; `t` is clamped.
    #[inline]
    pub(super) fn mix(self, other: Self, t: f32) -> Self {
        let t = t.clamp(0.0, 1.0);
        self * (1.0 - t) + other * t
    }

    /// Perceived brightness (Rec. 601 weights).
    #[inline]
    pub(super) fn luma(self) -> f32 {
        0.299 * self.r + 0.587 * self.g + 0.114 * self.b
    }
}

impl Add for Rgb {
    type Output = Self;
    #[inline]
    fn add(self, o: Self) -> Self {
        Self::new(self.r + o.r, self.g + o.g, self.b + o.b)
    }
}

impl AddAssign for Rgb {
    #[inline]
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Mul<f32> for Rgb {
    type Output = Self;
    #[inline]
    fn mul(self, k: f32) -> Self {
        Self::new(self.r * k, self.g * k, self.b * k)
    }
}

impl Mul for Rgb {
    type Output = Self;
    #[inline]
    fn mul(self, o: Self) -> Self {
        Self::new(self.r * o.r, self.g * o.g, self.b * o.b)
    }
}

/// 0 below `low`, 1 above `high`, smooth between.
#[inline]
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_are_where_they_should_be() {
        let known = [
            (0.0, Rgb::new(1.0, 0.0, 0.0)),
            (1.0 / 3.0, Rgb::new(0.0, 1.0, 0.0)),
            (2.0 / 3.0, Rgb::new(0.0, 0.0, 1.0)),
            (1.0 / 6.0, Rgb::new(1.0, 1.0, 0.0)),
        ];
        for (hue, b) in known {
            let a = Rgb::hsv(hue, 1.0, 1.0);
            assert!((a.r - b.r).abs() + (a.g - b.g).abs() + (a.b - b.b).abs() < 1e-5, "{hue}: {a:?}");
        }
        assert_eq!(Rgb::hsv(0.4, 0.0, 0.5), Rgb::grey(0.5));
    }
}
