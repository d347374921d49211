//! Random choices and smooth random fields.
//!
//! Numbers are taken from the generator's raw bits, not through a distribution, so that a scene does not change when
//! a library changes its sampling.

use std::sync::LazyLock;

use kidu_core::rng::ChaCha8Rng;
use rand::Rng;

/// Cells along one side of the lattice; a power of two. 64 × 64 floats stay in the first-level cache.
const PERIOD: usize = 64;
const CELLS: usize = PERIOD * PERIOD;

/// Texels along one side of a table of fractal noise, and texels to one bump of its first octave.
const TABLE: usize = 256;
const TEXELS: f32 = 8.0;

type Table = [f32; TABLE * TABLE];

/// Fractal noise of 2, 3 and 4 octaves, the same in every process; pictures read it from places of their own.
static TABLES: LazyLock<[Box<Table>; 3]> = LazyLock::new(|| [2, 3, 4].map(fractal_table));

/// One table, which continues itself over its edges.
fn fractal_table(octaves: u32) -> Box<Table> {
    let mut table = Box::new([0.0; TABLE * TABLE]);
    for (index, texel) in table.iter_mut().enumerate() {
        let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
        for octave in 0..octaves {
            let period = (TABLE as f32 / TEXELS) as i32 * (1 << octave);
            let place = |texel: usize| split((texel as f32 + 0.5) / TEXELS * (1 << octave) as f32);
            let ((i, u), (j, v)) = (place(index % TABLE), place(index / TABLE));
            let (u, v) = (fade(u), fade(v));
            let node = |i: i32, j: i32| hash(i % period, j % period, 0x51ED + octave);
            let top = node(i, j) * (1.0 - u) + node(i + 1, j) * u;
            let bottom = node(i, j + 1) * (1.0 - u) + node(i + 1, j + 1) * u;
            sum += weight * (top * (1.0 - v) + bottom * v);
            total += weight;
            weight *= 0.5;
        }
        *texel = sum / total;
    }
    table
}

/// The few kinds of random choice that scenes need.
pub(super) trait Dice {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f32;

    /// Uniform between `low` and `high`.
    fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// A whole number from `low` to `high`, both included.
    fn count(&mut self, low: usize, high: usize) -> usize {
        low + ((self.unit() * (high - low + 1) as f32) as usize).min(high - low)
    }

    /// One of the options.
    fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.count(0, options.len() - 1)]
    }

    /// −1 or 1.
    fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }
}

impl Dice for ChaCha8Rng {
    fn unit(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 / 16_777_216.0
    }
}

/// A number in [0, 1) that depends on a cell and a seed only.
#[inline]
pub(super) fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ seed;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    ((h ^ (h >> 15)) >> 8) as f32 / 16_777_216.0
}

/// Noise over the plane: a random lattice for single octaves, tables for sums of several.
pub(super) struct Noise {
    // Arrays, not vectors: a masked index needs no bounds check.
    values: Box<[f32; CELLS]>,
    gradients: Box<[(f32, f32); CELLS]>,
    tables: [&'static Table; 3],
    /// Where this picture reads the tables, in texels.
    shift: (f32, f32),
}

/// The cell of a coordinate and the position in it. Cheaper than `floor`, which is a call on baseline x86-64.
#[inline]
pub(super) fn split(x: f32) -> (i32, f32) {
    let i = x as i32 - i32::from(x < 0.0);
    (i, x - i as f32)
}

#[inline]
fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[inline]
fn at(x: i32, y: i32) -> usize {
    ((y as usize & (PERIOD - 1)) * PERIOD) | (x as usize & (PERIOD - 1))
}

impl Noise {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let mut noise = Self {
            values: Box::new([0.0; CELLS]),
            gradients: Box::new([(0.0, 0.0); CELLS]),
            tables: TABLES.each_ref().map(|table| &**table),
            shift: (rng.within(0.0, TABLE as f32), rng.within(0.0, TABLE as f32)),
        };
        for (value, gradient) in noise.values.iter_mut().zip(noise.gradients.iter_mut()) {
            *value = rng.unit();
            let (sin, cos) = (rng.unit() * std::f32::consts::TAU).sin_cos();
            *gradient = (cos, sin);
        }
        noise
    }

    /// Value noise: smooth, in [0, 1], one bump a unit.
    #[inline]
    pub(super) fn value(&self, x: f32, y: f32) -> f32 {
        let ((i, fx), (j, fy)) = (split(x), split(y));
        let (u, v) = (fade(fx), fade(fy));
        let top = self.values[at(i, j)] * (1.0 - u) + self.values[at(i + 1, j)] * u;
        let bottom = self.values[at(i, j + 1)] * (1.0 - u) + self.values[at(i + 1, j + 1)] * u;
        top * (1.0 - v) + bottom * v
    }

    /// Gradient noise: about −0.7 to 0.7, zero at the lattice's nodes.
    #[inline]
    pub(super) fn gradient(&self, x: f32, y: f32) -> f32 {
        let ((i, fx), (j, fy)) = (split(x), split(y));
        let (u, v) = (fade(fx), fade(fy));
        let corner = |dx: i32, dy: i32| {
            let (gx, gy) = self.gradients[at(i + dx, j + dy)];
            gx * (fx - dx as f32) + gy * (fy - dy as f32)
        };
        let top = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
        let bottom = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
        top * (1.0 - v) + bottom * v
    }

    /// A sum of 2, 3 or 4 octaves of value noise, each twice as fine and half as strong; in [0, 1], mean about 0.5. It
    /// is read from a table, for it is asked for several times a sample.
    #[inline]
    pub(super) fn fbm(&self, x: f32, y: f32, octaves: usize) -> f32 {
        let table = self.tables[octaves.clamp(2, 4) - 2];
        let ((i, u), (j, v)) = (split(x * TEXELS + self.shift.0), split(y * TEXELS + self.shift.1));
        let texel = |i: i32, j: i32| table[((j as usize & (TABLE - 1)) * TABLE) | (i as usize & (TABLE - 1))];
        let top = texel(i, j) * (1.0 - u) + texel(i + 1, j) * u;
        let bottom = texel(i, j + 1) * (1.0 - u) + texel(i + 1, j + 1) * u;
        top * (1.0 - v) + bottom * v
    }

    /// Ridged fractal noise (sharp crests, round valleys), in [0, 1]: each octave acts where the one before is high
    /// (Musgrave's multifractal).
    #[inline]
    pub(super) fn ridged(&self, mut x: f32, mut y: f32, octaves: u32) -> f32 {
        let (mut sum, mut weight, mut strength, mut total) = (0.0, 1.0, 1.0, 0.0);
        for _ in 0..octaves {
            let crest = 1.0 - (1.7 * self.gradient(x, y)).abs().min(1.0);
            let crest = crest * crest;
            sum += strength * weight * crest;
            total += strength;
            weight = (1.6 * crest).min(1.0);
            strength *= 0.48;
            (x, y) = (1.6 * x + 1.2 * y + 31.7, -1.2 * x + 1.6 * y + 11.9);
        }
        sum / total
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::rng::stream;

    use super::*;

    #[test]
    fn fields_stay_in_range_and_are_continuous() {
        let noise = Noise::new(&mut stream(3, "noise", &[]));
        let mut last = noise.fbm(-5.0, 1.3, 4);
        for step in 1..4000 {
            let x = -5.0 + step as f32 * 0.0025;
            let now = noise.fbm(x, 1.3, 4);
            assert!((0.0..=1.0).contains(&now) && (0.0..=1.0).contains(&noise.ridged(x, -x, 5)));
            assert!(noise.gradient(x, 0.7).abs() <= 1.0);
            assert!((now - last).abs() < 0.05, "a jump at {x}");
            last = now;
        }
    }

    #[test]
    fn choices_cover_their_range() {
        let mut rng = stream(1, "dice", &[]);
        let mut seen = [0; 3];
        for _ in 0..300 {
            seen[rng.count(0, 2)] += 1;
            assert!((2.0..3.0).contains(&rng.within(2.0, 3.0)));
        }
        assert!(seen.iter().all(|n| *n > 60), "{seen:?}");
    }
}
