//! A hash of what an image looks like: near pictures differ in few bits.

use std::sync::LazyLock;

use super::thumbnail::{Thumbnail, Values};

const SIDE: usize = Thumbnail::SIDE;
/// Frequencies along each side.
const LOW: usize = 9;

/// `cos(π (2 i + 1) k / 64)` at `[k][i]`.
static COSINES: LazyLock<[[f32; SIDE]; LOW]> = LazyLock::new(|| {
    std::array::from_fn(|k| {
        std::array::from_fn(|i| {
            let angle = std::f64::consts::PI * ((2 * i + 1) * k) as f64 / (2 * SIDE) as f64;
            // The first row of an orthonormal transform is shorter than the others.
            (angle.cos() * if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 }) as f32
        })
    })
});

/// The 64 lowest frequencies but the mean, as (row, column), in the order of row + column.
static ORDER: LazyLock<[(usize, usize); 64]> = LazyLock::new(|| {
    let mut all: Vec<(usize, usize)> = (0..LOW).flat_map(|i| (0..LOW).map(move |j| (i, j))).skip(1).collect();
    all.sort_by_key(|(i, j)| (i + j, *i));
    std::array::from_fn(|n| all[n])
});

/// The perceptual hash of 32 x 32 values: which of the 64 lowest frequencies of their cosine transform lie above the
/// median of these (Zauner 2010, "pHash"). Independent of brightness and contrast; always half of the bits are set but
/// for ties.
pub(crate) fn hash(values: &Values) -> u64 {
    let frequencies = transform(values);
    let chosen: [f32; 64] = std::array::from_fn(|n| frequencies[ORDER[n].0][ORDER[n].1]);
    let mut sorted = chosen;
    sorted.sort_unstable_by(f32::total_cmp);
    let median = (sorted[31] + sorted[32]) / 2.0;
    chosen.iter().enumerate().fold(0, |bits, (n, value)| bits | (u64::from(*value > median) << n))
}

/// The lowest frequencies of the two-dimensional cosine transform (type II), to a common factor.
fn transform(values: &Values) -> [[f32; LOW]; LOW] {
    let cosines = &*COSINES;
    // [column frequency][row]
    let mut along_rows = [[0.0f32; SIDE]; LOW];
    for (y, row) in values.chunks_exact(SIDE).enumerate() {
        for (k, cosine) in cosines.iter().enumerate() {
            along_rows[k][y] = dot(row, cosine);
        }
    }
    std::array::from_fn(|i| std::array::from_fn(|j| dot(&along_rows[j], &cosines[i])))
}

fn dot(a: &[f32], b: &[f32; SIDE]) -> f32 {
    // Eight sums at once.
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use kidu_core::rng;
    use rand::RngExt;

    use super::*;

    /// Random values of 3 x 3 pixels: of 4 x 4, the highest of the frequencies would all be 0.
    fn scene(seed: u64) -> Values {
        let mut rng = rng::stream(seed, "perceptual test", &[]);
        let cells: Vec<f32> = (0..121).map(|_| rng.random_range(0.0..255.0)).collect();
        std::array::from_fn(|i| cells[i / SIDE / 3 * 11 + i % SIDE / 3])
    }

    #[test]
    fn a_single_wave_stands_in_its_own_frequency() {
        let wave: Values = std::array::from_fn(|i| COSINES[3][i % SIDE] * COSINES[2][i / SIDE]);
        let found = transform(&wave);
        for (i, row) in found.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                // The sum of 32 squared cosines is 16 along each side.
                let expected = if (i, j) == (2, 3) { 256.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-3, "{i},{j}: {value}");
            }
        }
    }

    #[test]
    fn exposure_does_not_matter_and_another_scene_does() {
        let a = scene(1);
        let brighter = a.map(|v| 1.4 * v + 20.0);
        assert_eq!(hash(&a), hash(&brighter));
        assert!((hash(&a) ^ hash(&scene(2))).count_ones() > 12);
        assert_eq!(hash(&a).count_ones(), 32);
    }
}
