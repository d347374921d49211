//! Features of a network, one row an image, and the pairs of images that are alike in them.

use kidu_core::rng;
use rand::RngExt;
use rayon::prelude::*;

use super::HashIndex;

/// One row of numbers for each image.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// The place of each row's image among all images, ascending.
    pub images: Vec<usize>,
    /// Numbers in a row, at least 1.
    pub dimensions: usize,
    /// `[images, dimensions]`, row by row.
    pub values: Vec<f32>,
    /// Where they come from, for the report.
    pub source: String,
}

impl Features {
    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dimensions)
    }
}

/// Two images that are alike in features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeaturePair {
    /// The place of one.
    pub a: usize,
    /// The place of the other, greater than `a`.
    pub b: usize,
    /// Cosine between their features less the mean of all, in [-1, 1].
    pub cosine: f32,
}

/// Up to so many rows are compared each with each.
const FEW: usize = 4096;
/// Rounds of random hashes; each finds a pair on its own.
const ROUNDS: u64 = 4;

/// All pairs whose cosine, after the mean of all rows is taken away, is at least `least`; sorted.
///
/// More than 4,096 rows are not compared each with each: the signs of 64 random projections make a hash (Charikar 2002),
/// and those within 11 bits are compared, in four rounds. Of pairs with a cosine of 0.95 (6.5 bits differ on average)
/// all but about one in ten thousand are found, of closer ones more.
pub fn similar(features: &Features, least: f64, seed: u64) -> Vec<FeaturePair> {
    let rows = normalised(features);
    let mut pairs = if rows.len() <= FEW { each_with_each(&rows, least) } else { by_hashes(&rows, least, seed) };
    pairs.sort_by_key(|p| (p.a, p.b));
    pairs.dedup_by_key(|p| (p.a, p.b));
    pairs.iter_mut().for_each(|p| (p.a, p.b) = (features.images[p.a], features.images[p.b]));
    pairs
}

/// The rows less their mean, at length 1; a row that is the mean stays 0.
fn normalised(features: &Features) -> Vec<Vec<f32>> {
    let n = features.images.len().max(1) as f64;
    let mut mean = vec![0.0f64; features.dimensions];
    features.rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n));
    let normalise = |row: &[f32]| {
        let centred: Vec<f32> = row.iter().zip(&mean).map(|(v, m)| (f64::from(*v) - m) as f32).collect();
        let length = dot(&centred, &centred).sqrt();
        if length > 1e-12 { centred.iter().map(|v| v / length).collect() } else { vec![0.0; centred.len()] }
    };
    features.values.par_chunks_exact(features.dimensions).map(normalise).collect()
}

fn each_with_each(rows: &[Vec<f32>], least: f64) -> Vec<FeaturePair> {
    (0..rows.len())
        .into_par_iter()
        .flat_map_iter(|a| (a + 1..rows.len()).filter_map(move |b| compare(rows, a, b, least)))
        .collect()
}

fn by_hashes(rows: &[Vec<f32>], least: f64, seed: u64) -> Vec<FeaturePair> {
    let dimensions = rows.first().map_or(0, Vec::len);
    let mut pairs = Vec::new();
    for round in 0..ROUNDS {
        let mut rng = rng::stream(seed, "feature hashes", &[round]);
        // Sums of uniform numbers are near enough to normal ones: only the signs of the projections matter.
        let normal = |_| (0..4).map(|_| rng.random_range(-1.0f32..1.0)).sum::<f32>();
        let planes: Vec<f32> = (0..64 * dimensions).map(normal).collect();
        let hash = |row: &Vec<f32>| {
            let signs = planes.chunks_exact(dimensions).map(|plane| u64::from(dot(row, plane) > 0.0));
            signs.enumerate().fold(0, |bits, (i, sign)| bits | sign << i)
        };
        let hashes: Vec<u64> = rows.par_iter().map(hash).collect();
        let index = HashIndex::new(hashes.clone());
        let found = hashes.par_iter().enumerate().flat_map_iter(|(a, hash)| {
            let mut near = Vec::new();
            index.within(*hash, HashIndex::MAX_RADIUS, &mut near);
            let later = near.into_iter().map(|(b, _)| b as usize).filter(move |b| *b > a);
            later.filter_map(move |b| compare(rows, a, b, least)).collect::<Vec<_>>()
        });
        pairs.par_extend(found);
    }
    pairs
}

fn compare(rows: &[Vec<f32>], a: usize, b: usize, least: f64) -> Option<FeaturePair> {
    let cosine = dot(&rows[a], &rows[b]);
    (f64::from(cosine) >= least).then_some(FeaturePair { a, b, cosine })
}

/// The scalar product, in sixteen sums that fill vector registers.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random rows, and after them noisy copies of the first ones.
    fn features(n: usize, copies: usize, noise: f32) -> Features {
        let mut rng = rng::stream(3, "feature test", &[]);
        let mut values: Vec<f32> = (0..n * 48).map(|_| rng.random_range(-1.0..1.0)).collect();
        for i in 0..copies * 48 {
            let noisy = values[i] + rng.random_range(-noise..noise);
            values.push(noisy);
        }
        Features { images: (0..n + copies).map(|i| 2 * i).collect(), dimensions: 48, values, source: "test".into() }
    }

    #[test]
    fn copies_are_found_by_their_places() {
        let pairs = similar(&features(200, 10, 0.1), 0.95, 0);
        let expected: Vec<_> = (0..10).map(|i| (2 * i, 2 * (200 + i))).collect();
        assert_eq!(pairs.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn hashes_find_what_comparing_each_with_each_finds() {
        let rows = normalised(&features(1500, 500, 0.25));
        let all = each_with_each(&rows, 0.95);
        let mut hashed: Vec<_> = by_hashes(&rows, 0.95, 1).iter().map(|p| (p.a, p.b)).collect();
        hashed.sort_unstable();
        hashed.dedup();
        assert!(all.len() >= 300, "{}", all.len());
        let missed = all.iter().filter(|p| hashed.binary_search(&(p.a, p.b)).is_err()).count();
        assert!(missed <= 2, "{missed} of {}", all.len());
        assert!(hashed.len() <= all.len());
    }

    #[test]
    fn equal_rows_are_all_mean_and_no_pairs() {
        let flat = Features { images: vec![0, 1], dimensions: 2, values: vec![1.0; 4], source: "test".into() };
        assert!(similar(&flat, 0.9, 0).is_empty());
    }
}
