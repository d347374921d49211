//! The variance of a tree over the search space, and the parts of it that each dimension explains alone: exact sums over
//! the boxes of the leaves.

use super::forest::{Dimension, Leaf, Side};

/// For each dimension its part of the variance, in 0 to 1; `None` if there is no variance.
pub(super) fn shares(dimensions: &[Dimension], leaves: &[Leaf]) -> Option<Vec<f64>> {
    let weights: Vec<f64> = leaves
        .iter()
        .map(|leaf| leaf.sides.iter().zip(dimensions).map(|(side, d)| fraction(side, d)).product())
        .collect();
    let mean: f64 = leaves.iter().zip(&weights).map(|(leaf, w)| leaf.value * w).sum();
    let whole: f64 = leaves.iter().zip(&weights).map(|(leaf, w)| (leaf.value - mean).powi(2) * w).sum();
    if whole <= 0.0 || !whole.is_finite() {
        return None;
    }
    let alone = |i: usize| {
        let marginal = match &dimensions[i] {
            Dimension::Range(low, high) => over_range(i, (*low, *high), leaves, &weights, mean),
            Dimension::Choices(count) => over_choices(i, *count, leaves, &weights, mean),
        };
        let variance: f64 = marginal.iter().map(|(value, weight)| value * value * weight).sum();
        (variance / whole).clamp(0.0, 1.0)
    };
    Some((0..dimensions.len()).map(alone).collect())
}

/// Which part of a dimension a side is.
fn fraction(side: &Side, dimension: &Dimension) -> f64 {
    match (side, dimension) {
        (Side::Range(from, to), Dimension::Range(low, high)) => (to - from) / (high - low),
        (Side::Choices(of), _) => of.iter().filter(|in_it| **in_it).count() as f64 / of.len() as f64,
        (Side::Range(..), Dimension::Choices(_)) => 1.0,
    }
}

/// The mean over all other dimensions, less the whole mean, in each interval between the tree's cuts; with its weight.
fn over_range(i: usize, (low, high): (f64, f64), leaves: &[Leaf], weights: &[f64], mean: f64) -> Vec<(f64, f64)> {
    let ends = |leaf: &Leaf| match leaf.sides[i] {
        Side::Range(from, to) => (from, to),
        Side::Choices(_) => (low, high),
    };
    let mut cuts: Vec<f64> = leaves.iter().map(|leaf| ends(leaf).0).chain([high]).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    let place = |value: f64| cuts.partition_point(|cut| *cut < value);
    // What begins and ends at each cut.
    let mut steps = vec![0.0; cuts.len() + 1];
    for (leaf, weight) in leaves.iter().zip(weights) {
        let (from, to) = ends(leaf);
        let height = (leaf.value - mean) * weight * (high - low) / (to - from);
        steps[place(from)] += height;
        steps[place(to)] -= height;
    }
    let mut value = 0.0;
    let interval = |(pair, step): (&[f64], &f64)| {
        value += step;
        (value, (pair[1] - pair[0]) / (high - low))
    };
    cuts.windows(2).zip(&steps).map(interval).collect()
}

/// Likewise for each choice.
fn over_choices(i: usize, count: usize, leaves: &[Leaf], weights: &[f64], mean: f64) -> Vec<(f64, f64)> {
    let mut values = vec![0.0; count];
    for (leaf, weight) in leaves.iter().zip(weights) {
        let Side::Choices(of) = &leaf.sides[i] else { continue };
        let size = of.iter().filter(|in_it| **in_it).count() as f64;
        for (value, _) in values.iter_mut().zip(of).filter(|(_, in_it)| **in_it) {
            *value += (leaf.value - mean) * weight * count as f64 / size;
        }
    }
    values.into_iter().map(|value| (value, 1.0 / count as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_known_tree() {
        // Left half: 0. Right half: 1 for the first of four choices, otherwise 3.
        let dimensions = [Dimension::Range(0.0, 2.0), Dimension::Choices(4)];
        let all = Side::Choices(vec![true; 4]);
        let one = Side::Choices(vec![true, false, false, false]);
        let rest = Side::Choices(vec![false, true, true, true]);
        let leaf = |from, to, side: &Side, value| Leaf { sides: vec![Side::Range(from, to), side.clone()], value };
        let leaves = [leaf(0.0, 1.0, &all, 0.0), leaf(1.0, 2.0, &one, 1.0), leaf(1.0, 2.0, &rest, 3.0)];
        let mean: f64 = 0.5 * (0.25 + 0.75 * 3.0);
        let whole = 0.5 * mean.powi(2) + 0.125 * (1.0 - mean).powi(2) + 0.375 * (3.0 - mean).powi(2);
        let first = 0.5 * mean.powi(2) + 0.5 * (2.5 - mean).powi(2);
        let second = 0.25 * (0.5 - mean).powi(2) + 0.75 * (1.5 - mean).powi(2);
        let found = shares(&dimensions, &leaves).unwrap();
        assert!((found[0] - first / whole).abs() < 1e-12 && (found[1] - second / whole).abs() < 1e-12, "{found:?}");
        assert!(shares(&dimensions, &leaves[..1]).is_none(), "one value");
    }
}
