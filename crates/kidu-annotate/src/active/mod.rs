//! Which images to label next: the mathematics, without images.
//!
//! An image that the model is unsure of teaches more than one that it knows ([`uncertainty`]); images that resemble each
//! other or what is labelled teach the same thing twice ([`diversity`]). [`order()`] joins both to one order.

pub mod diversity;
pub mod uncertainty;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::{diversity::Points, uncertainty::Measure};

/// How images are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The most uncertain by entropy first.
    Entropy,
    /// The smallest margin first.
    Margin,
    /// The least probable best class first.
    LeastConfidence,
    /// Each as far as possible from all that is labelled or stands before it (greedy k-center); needs features.
    KCenter,
    /// Batch by batch: of the images with the smallest margins, those that are far from each other; needs features.
    #[default]
    MarginKCenter,
    /// By chance, for comparison.
    Random,
}

impl Strategy {
    /// All.
    pub const ALL: [Self; 6] =
        [Self::Entropy, Self::Margin, Self::LeastConfidence, Self::KCenter, Self::MarginKCenter, Self::Random];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entropy => "entropy",
            Self::Margin => "margin",
            Self::LeastConfidence => "least-confidence",
            Self::KCenter => "k-center",
            Self::MarginKCenter => "margin-k-center",
            Self::Random => "random",
        }
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| format!("unknown strategy '{text}'; use {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// How many times a batch's worth of uncertain images its diverse ones are taken from.
const POOL: usize = 5;

/// What is known of the images that are to be ordered.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// Probabilities `[images, classes]`.
    pub probabilities: &'a [f64],
    /// Classes.
    pub classes: usize,
    /// Features of the images.
    pub features: Option<Points<'a>>,
    /// Features of images that are labelled already.
    pub labelled: Option<Points<'a>>,
}

impl Candidates<'_> {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.probabilities.len() / self.classes.max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn by(&self, measure: Measure) -> Vec<usize> {
        let scores: Vec<f64> =
            self.probabilities.chunks_exact(self.classes.max(1)).map(|row| measure.of(row)).collect();
        descending(&scores)
    }
}

/// The first `count` images in the order in which they should be labelled. `batch` is how many are labelled before the
/// model is trained again. `chance` draws a number below its argument; only [`Strategy::Random`] asks it.
///
/// Strategies that need features fall back to the margin without them.
pub fn order(
    strategy: Strategy,
    candidates: &Candidates<'_>,
    count: usize,
    batch: usize,
    chance: &mut dyn FnMut(usize) -> usize,
) -> Vec<usize> {
    let count = count.min(candidates.len());
    let mut order = match (strategy, candidates.features) {
        (Strategy::Entropy, _) => candidates.by(Measure::Entropy),
        (Strategy::LeastConfidence, _) => candidates.by(Measure::LeastConfidence),
        (Strategy::Margin, _) | (Strategy::KCenter | Strategy::MarginKCenter, None) => candidates.by(Measure::Margin),
        (Strategy::KCenter, Some(features)) => {
            let all: Vec<usize> = (0..candidates.len()).collect();
            diversity::k_center(features, &all, candidates.labelled, count)
        }
        (Strategy::MarginKCenter, Some(features)) => in_batches(candidates, features, count, batch.max(1)),
        (Strategy::Random, _) => shuffled(candidates.len(), chance),
    };
    order.truncate(count);
    order
}

/// How many of so many images count as uncertain: some batches' worth, but where there are few images not those that the
/// model is sure of, which would come first for being different.
fn uncertain(images: usize, batch: usize) -> usize {
    let half = batch.saturating_mul(POOL).min(images / 2);
    half.max(batch.saturating_mul(3).div_ceil(2)).min(images)
}

/// Each batch is the diverse part of what is most uncertain among the rest.
fn in_batches(candidates: &Candidates<'_>, features: Points<'_>, count: usize, batch: usize) -> Vec<usize> {
    let mut rest = candidates.by(Measure::Margin);
    let mut order = Vec::with_capacity(count);
    while order.len() < count && !rest.is_empty() {
        let pool = &rest[..uncertain(rest.len(), batch)];
        let chosen = diversity::k_center(features, pool, candidates.labelled, batch.min(count - order.len()));
        let taken: std::collections::HashSet<usize> = chosen.iter().copied().collect();
        rest.retain(|i| !taken.contains(i));
        order.extend(chosen);
    }
    order
}

/// Indices by falling score; equal scores keep their order, what is no number stands last.
pub fn descending(scores: &[f64]) -> Vec<usize> {
    let key = |i: &usize| if scores[*i].is_nan() { f64::NEG_INFINITY } else { scores[*i] };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| key(b).total_cmp(&key(a)));
    order
}

/// Fisher and Yates.
fn shuffled(n: usize, chance: &mut dyn FnMut(usize) -> usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, chance(i + 1).min(i));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows from certain to uncertain, two and two at the same place.
    const PROBABILITIES: [f64; 12] = [0.98, 0.01, 0.01, 0.7, 0.2, 0.1, 0.5, 0.45, 0.05, 0.5, 0.46, 0.04];
    const FEATURES: [f32; 8] = [0.0, 0.0, 5.0, 0.0, 9.0, 9.0, 9.0, 9.1];

    fn candidates() -> Candidates<'static> {
        let features = Some(Points::new(&FEATURES, 2));
        Candidates { probabilities: &PROBABILITIES, classes: 3, features, labelled: None }
    }

    fn ordered(strategy: Strategy, count: usize, batch: usize) -> Vec<usize> {
        order(strategy, &candidates(), count, batch, &mut |n| n / 2)
    }

    #[test]
    fn uncertain_images_come_first() {
        assert_eq!(ordered(Strategy::Margin, 9, 1), [3, 2, 1, 0]);
        assert_eq!(ordered(Strategy::Entropy, 2, 1), [2, 3]);
        assert_eq!(ordered(Strategy::LeastConfidence, 4, 1), [2, 3, 1, 0]);
    }

    #[test]
    fn a_batch_holds_no_two_alike() {
        // Among the uncertain, 2 and 3 are nearly the same image.
        let first: Vec<usize> = ordered(Strategy::MarginKCenter, 4, 2);
        assert_eq!(first.len(), 4);
        assert_eq!(first[0], 3);
        assert!(!first[..2].contains(&2), "{first:?}");
        let mut all = first;
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3], "each once");
    }

    #[test]
    fn few_images_are_not_begun_with_those_that_the_model_knows() {
        assert_eq!([0, 3, 44, 120, 250, 500, 9000].map(|images| uncertain(images, 50)), [0, 3, 44, 75, 125, 250, 250]);
        // Six uncertain images at nearly one place, and six certain ones far off.
        let row = |i: usize| if i < 6 { [0.5, 0.5 - 0.01 * i as f64, 0.01 * i as f64] } else { [0.98, 0.01, 0.01] };
        let probabilities: Vec<f64> = (0..12).flat_map(row).collect();
        let features: Vec<f32> =
            (0..12).flat_map(|i| if i < 6 { [0.1 * i as f32, 0.0] } else { [0.0, 50.0 * i as f32] }).collect();
        let features = Some(Points::new(&features, 2));
        let few = Candidates { probabilities: &probabilities, classes: 3, features, labelled: None };
        let first = order(Strategy::MarginKCenter, &few, 12, 3, &mut |_| 0);
        assert!(first[..3].iter().all(|i| *i < 6), "{first:?}");
        assert!(first[..3].contains(&0) && first[..3].contains(&5), "far from each other: {first:?}");
    }

    #[test]
    fn without_features_the_margin_decides() {
        let bare = Candidates { features: None, ..candidates() };
        assert_eq!(order(Strategy::MarginKCenter, &bare, 4, 2, &mut |_| 0), [3, 2, 1, 0]);
        assert!(order(Strategy::Margin, &Candidates { probabilities: &[], ..bare }, 3, 1, &mut |_| 0).is_empty());
    }

    #[test]
    fn names_are_read_back() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        assert!("best".parse::<Strategy>().unwrap_err().contains("margin-k-center"));
        assert_eq!(descending(&[1.0, f64::NAN, 2.0, 1.0]), [2, 0, 3, 1]);
    }

    proptest::proptest! {
        #[test]
        fn every_order_holds_each_image_once(seed in 0u64..1000, n in 1usize..40, batch in 1usize..9) {
            let mut rng = kidu_core::rng::stream(seed, "orders", &[]);
            let mut number = || kidu_core::rng::normal(&mut rng);
            let probabilities: Vec<f64> = (0..n).flat_map(|_| {
                let row = [number().exp(), number().exp(), number().exp()];
                let sum: f64 = row.iter().sum();
                row.map(|v| v / sum)
            }).collect();
            let values: Vec<f32> = (0..2 * n).map(|_| number() as f32).collect();
            let features = Some(Points::new(&values, 2));
            let candidates = Candidates { probabilities: &probabilities, classes: 3, features, labelled: None };
            for strategy in Strategy::ALL {
                let mut found = order(strategy, &candidates, n, batch, &mut |m| (seed as usize) % m);
                found.sort_unstable();
                proptest::prop_assert_eq!(found, (0..n).collect::<Vec<_>>());
            }
        }
    }
}
