//! Regression trees (Breiman et al. 1984) on bootstrapped trials (Breiman 2001), as the boxes of their leaves.

use kidu_core::rng::ChaCha8Rng;
use rand::Rng as _;

/// Deeper nodes become leaves.
const MAX_DEPTH: usize = 64;

/// One parameter's part of the search space.
#[derive(Clone, Debug)]
pub(super) enum Dimension {
    /// Numbers between two ends.
    Range(f64, f64),
    /// So many choices.
    Choices(usize),
}

/// A trial: a number for each dimension, and the objective.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Vec<f64>,
    pub(super) value: f64,
}

/// A part of a dimension.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// Between two numbers.
    Range(f64, f64),
    /// These of the choices.
    Choices(Vec<bool>),
}

/// A box of the search space with one value.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) sides: Vec<Side>,
    pub(super) value: f64,
}

/// Where a node is cut.
enum Cut {
    /// Below and above a number.
    At(f64),
    /// One choice and the others.
    Choice(usize),
}

impl Cut {
    fn is_first(&self, at: f64) -> bool {
        match self {
            Self::At(threshold) => at <= *threshold,
            Self::Choice(choice) => at as usize == *choice,
        }
    }

    /// The two parts of a side.
    fn parts(&self, side: &Side) -> (Side, Side) {
        match (self, side) {
            (Self::At(threshold), Side::Range(low, high)) => {
                (Side::Range(*low, *threshold), Side::Range(*threshold, *high))
            }
            (Self::Choice(choice), Side::Choices(of)) => {
                let keep =
                    |own: bool| of.iter().enumerate().map(|(i, in_it)| *in_it && (i == *choice) == own).collect();
                (Side::Choices(keep(true)), Side::Choices(keep(false)))
            }
            // A cut is made for the kind of its dimension.
            _ => (side.clone(), side.clone()),
        }
    }
}

/// The leaves of a tree grown on the drawn samples until each leaf holds one value.
pub(super) fn grow(dimensions: &[Dimension], samples: &[Sample], drawn: Vec<usize>, rng: &mut ChaCha8Rng) -> Vec<Leaf> {
    let side = |d: &Dimension| match d {
        Dimension::Range(low, high) => Side::Range(*low, *high),
        Dimension::Choices(n) => Side::Choices(vec![true; *n]),
    };
    let mut leaves = Vec::new();
    let mut waiting = vec![(drawn, dimensions.iter().map(side).collect::<Vec<Side>>(), 0)];
    while let Some((drawn, sides, depth)) = waiting.pop() {
        let cut = if depth < MAX_DEPTH { best_cut(dimensions, samples, &drawn, rng) } else { None };
        let Some((dimension, cut)) = cut else {
            let value = drawn.iter().map(|i| samples[*i].value).sum::<f64>() / drawn.len().max(1) as f64;
            leaves.push(Leaf { sides, value });
            continue;
        };
        let (first, second): (Vec<usize>, Vec<usize>) =
            drawn.into_iter().partition(|i| cut.is_first(samples[*i].at[dimension]));
        let (mut near, mut far) = (sides.clone(), sides);
        (near[dimension], far[dimension]) = cut.parts(&near[dimension]);
        waiting.push((second, far, depth + 1));
        waiting.push((first, near, depth + 1));
    }
    leaves
}

/// The cut that lowers the squared error most, if the values differ at all.
fn best_cut(
    dimensions: &[Dimension],
    samples: &[Sample],
    drawn: &[usize],
    rng: &mut ChaCha8Rng,
) -> Option<(usize, Cut)> {
    let n = drawn.len() as f64;
    let mean = drawn.iter().map(|i| samples[*i].value).sum::<f64>() / n;
    let first = samples[*drawn.first()?].value;
    if drawn.iter().all(|i| samples[*i].value == first) {
        return None;
    }
    // Of cuts that are equally good the one of a dimension by chance.
    let start = (rng.next_u64() % dimensions.len() as u64) as usize;
    let mut best: Option<(f64, usize, Cut)> = None;
    for dimension in (0..dimensions.len()).map(|i| (start + i) % dimensions.len()) {
        let points = drawn.iter().map(|i| (samples[*i].at[dimension], samples[*i].value - mean));
        let found = match dimensions[dimension] {
            Dimension::Range(..) => best_threshold(points.collect()),
            Dimension::Choices(count) => best_choice(points, count, n),
        };
        if let Some((gain, cut)) = found
            && best.as_ref().is_none_or(|(most, ..)| gain > *most)
        {
            best = Some((gain, dimension, cut));
        }
    }
    best.map(|(_, dimension, cut)| (dimension, cut))
}

/// What two groups with these sums of deviations from the mean gain over one.
fn gain(sum: f64, count: f64, all: f64) -> f64 {
    sum * sum * (1.0 / count + 1.0 / (all - count))
}

fn best_threshold(mut points: Vec<(f64, f64)>) -> Option<(f64, Cut)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = points.len() as f64;
    let (mut sum, mut best) = (0.0, None);
    for (i, pair) in points.windows(2).enumerate() {
        sum += pair[0].1;
        let middle = 0.5 * (pair[0].0 + pair[1].0);
        // Neighbouring floats have no number between them.
        if !(pair[0].0 < middle && middle < pair[1].0) {
            continue;
        }
        let gain = gain(sum, (i + 1) as f64, n);
        if best.as_ref().is_none_or(|(most, _)| gain > *most) {
            best = Some((gain, Cut::At(middle)));
        }
    }
    best
}

fn best_choice(points: impl Iterator<Item = (f64, f64)>, count: usize, n: f64) -> Option<(f64, Cut)> {
    let mut groups = vec![(0.0, 0.0); count];
    for (at, value) in points {
        if let Some(group) = groups.get_mut(at as usize) {
            *group = (group.0 + value, group.1 + 1.0);
        }
    }
    let cuts = groups.iter().enumerate().filter(|(_, (_, own))| *own > 0.0 && *own < n);
    let gains = cuts.map(|(choice, (sum, own))| (gain(*sum, *own, n), Cut::Choice(choice)));
    gains.reduce(|a, b| if b.0 > a.0 { b } else { a })
}
