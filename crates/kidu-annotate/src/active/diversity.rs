//! Images that differ: greedy k-center (Gonzalez 1985; Sener and Savarese 2018 as a core set for active learning).

use rayon::prelude::*;

/// Rows of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    values: &'a [f32],
    dimensions: usize,
}

/// Rows handed to a thread together.
const CHUNK: usize = 256;

impl<'a> Points<'a> {
    /// `values` is `[rows, dimensions]`; what is over at the end is not looked at.
    pub fn new(values: &'a [f32], dimensions: usize) -> Self {
        Self { values, dimensions: dimensions.max(1) }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.dimensions..(i + 1) * self.dimensions]
    }
}

/// Sums that are added up side by side, so that the compiler may use vectors.
const LANES: usize = 16;

/// Squared Euclidean distance.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = left.remainder().iter().zip(right.remainder()).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    for (a, b) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// `count` of the rows `pool`, one after the other as far as possible from all of `covered` and those chosen before. With
/// nothing covered the first of the pool begins. No cover of `count` rows has less than half the radius.
pub fn k_center(points: Points<'_>, pool: &[usize], covered: Option<Points<'_>>, count: usize) -> Vec<usize> {
    let count = count.min(pool.len());
    let mut nearest: Vec<f32> = match covered.filter(|c| !c.is_empty()) {
        Some(covered) => pool
            .par_iter()
            .with_min_len(8)
            .map(|i| (0..covered.len()).map(|j| distance(points.row(*i), covered.row(j))).fold(f32::INFINITY, f32::min))
            .collect(),
        None => vec![f32::INFINITY; pool.len()],
    };
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let Some(next) = farthest(&nearest) else { break };
        chosen.push(pool[next]);
        let row = points.row(pool[next]);
        nearest.par_chunks_mut(CHUNK).zip(pool.par_chunks(CHUNK)).for_each(|(near, pool)| {
            for (near, i) in near.iter_mut().zip(pool) {
                *near = near.min(distance(points.row(*i), row));
            }
        });
        // Never again, also where others lie at the same place.
        nearest[next] = f32::NEG_INFINITY;
    }
    chosen
}

/// The first of those that lie farthest away.
fn farthest(nearest: &[f32]) -> Option<usize> {
    let left = nearest.iter().enumerate().filter(|(_, d)| **d > f32::NEG_INFINITY);
    left.fold(None, |best: Option<(usize, f32)>, (i, d)| match best {
        Some((_, most)) if *d <= most => best,
        _ => Some((i, *d)),
    })
    .map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest distance of a row from its nearest chosen one.
    fn radius(points: Points<'_>, chosen: &[usize]) -> f32 {
        let near =
            |i: usize| chosen.iter().map(|c| distance(points.row(i), points.row(*c))).fold(f32::INFINITY, f32::min);
        (0..points.len()).map(near).fold(0.0, f32::max).sqrt()
    }

    #[test]
    fn each_next_one_is_the_farthest() {
        let values = [0.0, 1.0, 10.0, 11.0, 5.0];
        let points = Points::new(&values, 1);
        assert_eq!(k_center(points, &[0, 1, 2, 3, 4], None, 3), [0, 3, 4]);
        let covered = [10.5];
        assert_eq!(k_center(points, &[0, 1, 2, 3, 4], Some(Points::new(&covered, 1)), 2), [0, 4]);
        assert_eq!(k_center(points, &[3, 1], None, 9), [3, 1], "only of the pool, each once");
        assert!(k_center(points, &[], None, 3).is_empty());
    }

    #[test]
    fn the_distance_is_of_all_numbers() {
        let (a, b): (Vec<f32>, Vec<f32>) = (0..37).map(|i| (i as f32, 2.0 * i as f32)).unzip();
        let sum: i32 = (0..37).map(|i| i * i).sum();
        assert_eq!(distance(&a, &b), sum as f32);
    }

    #[test]
    fn rows_at_one_place_are_each_taken_once() {
        let values = [1.0; 6];
        let mut chosen = k_center(Points::new(&values, 2), &[0, 1, 2], None, 3);
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 1, 2]);
    }

    #[test]
    fn the_radius_is_at_most_twice_the_best() {
        let mut rng = kidu_core::rng::stream(5, "k-center", &[]);
        let values: Vec<f32> = (0..18).map(|_| kidu_core::rng::normal(&mut rng) as f32).collect();
        let points = Points::new(&values, 2);
        let all: Vec<usize> = (0..9).collect();
        let greedy = radius(points, &k_center(points, &all, None, 3));
        let best = (0..9)
            .flat_map(|a| (a + 1..9).flat_map(move |b| (b + 1..9).map(move |c| [a, b, c])))
            .map(|chosen| radius(points, &chosen))
            .fold(f32::INFINITY, f32::min);
        assert!(greedy <= 2.0 * best + 1e-6, "{greedy} and {best}");
    }
}
