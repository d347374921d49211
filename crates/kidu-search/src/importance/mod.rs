//! How much each parameter matters: fANOVA (Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing
//! Hyperparameter Importance", <https://proceedings.mlr.press/v32/hutter14.html>). A random forest learns the objective
//! from the complete trials; of its variance over the whole search space each parameter explains a share alone.

mod forest;
mod variance;

use kidu_core::rng;
use serde::Serialize;

use self::forest::{Dimension, Sample};
use crate::{
    space::Distribution,
    trial::{TrialRecord, TrialState},
};

/// A tree learns from at most so many trials, so that the largest studies are judged within seconds.
const MAX_SAMPLES: usize = 2000;

/// How importance is assessed.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanova {
    /// Trees of the forest, at least 1.
    pub trees: usize,
    /// Seed of the trials that each tree learns from.
    pub seed: u64,
    /// Along which scale a logarithmic range is averaged over. By default its logarithm, as the samplers draw from it;
    /// otherwise the number itself, as Optuna's evaluator does, by which nearly all of a range from 1e-5 to 0.1 lies
    /// above 0.01.
    pub linear: bool,
}

impl Default for Fanova {
    fn default() -> Self {
        Self { trees: 64, seed: 0, linear: false }
    }
}

/// How much one parameter matters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// The parameter.
    pub key: String,
    /// Its part of what all parameters explain alone; these add up to 1.
    pub share: f64,
    /// The part of the objective's whole variance that it explains alone, the mean over the trees, in 0 to 1. What is
    /// missing in the sum over all parameters is interplay between them.
    pub variance: f64,
    /// Standard deviation of `variance` over the trees.
    pub deviation: f64,
}

impl Fanova {
    /// The parameters that every complete trial has, the most important first. Parameters with a single value, and
    /// conditional ones, are left out. Empty if there are fewer than two complete trials, or all have one value.
    pub fn assess(&self, trials: &[TrialRecord]) -> Vec<Importance> {
        let complete: Vec<&TrialRecord> =
            trials.iter().filter(|t| t.state == TrialState::Complete && t.value.is_some_and(f64::is_finite)).collect();
        let keys = common(&complete);
        if complete.len() < 2 || keys.is_empty() {
            return Vec::new();
        }
        let dimensions: Vec<Dimension> = keys.iter().map(|(_, d)| self.dimension(d)).collect();
        let samples: Vec<Sample> = complete
            .iter()
            .map(|t| {
                let at = |(key, d): &(&str, Distribution)| self.scaled(d, t.params[*key].internal);
                Sample { at: keys.iter().map(at).collect(), value: t.value.unwrap_or(0.0) }
            })
            .collect();
        let shares: Vec<Vec<f64>> =
            (0..self.trees.max(1)).filter_map(|tree| self.tree(&dimensions, &samples, tree)).collect();
        summary(&keys, &shares)
    }

    /// The parts of a tree's variance; `None` for a tree that knows only one value.
    fn tree(&self, dimensions: &[Dimension], samples: &[Sample], tree: usize) -> Option<Vec<f64>> {
        use rand::Rng as _;
        let mut rng = rng::stream(self.seed, "search importance", &[tree as u64]);
        let count = samples.len().min(MAX_SAMPLES);
        let drawn: Vec<usize> = (0..count).map(|_| (rng.next_u64() % samples.len() as u64) as usize).collect();
        let leaves = forest::grow(dimensions, samples, drawn, &mut rng);
        variance::shares(dimensions, &leaves)
    }

    fn dimension(&self, distribution: &Distribution) -> Dimension {
        match distribution {
            Distribution::Categorical { choices } => Dimension::Choices(choices.len()),
            other => {
                let (low, high) = other.bounds();
                // Each of the discrete values stands for an interval of the same width around it.
                let half = other.step().map_or(0.0, |step| step / 2.0);
                Dimension::Range(self.scaled(other, low - half), self.scaled(other, high + half))
            }
        }
    }

    fn scaled(&self, distribution: &Distribution, internal: f64) -> f64 {
        if distribution.is_log() && !self.linear { libm::log(internal) } else { internal }
    }
}

/// The parameters that all trials have and that can vary, each with the range that covers those of all trials.
fn common<'a>(trials: &[&'a TrialRecord]) -> Vec<(&'a str, Distribution)> {
    let Some(first) = trials.first() else { return Vec::new() };
    let shared = first.params.iter().filter_map(|(key, assigned)| {
        let mut whole = assigned.distribution.clone();
        for trial in trials {
            whole = whole.cover(&trial.params.get(key)?.distribution)?;
        }
        (!whole.is_single()).then_some((key.as_str(), whole))
    });
    shared.collect()
}

/// The means over the trees, the largest first.
fn summary(keys: &[(&str, Distribution)], shares: &[Vec<f64>]) -> Vec<Importance> {
    if shares.is_empty() {
        return Vec::new();
    }
    let n = shares.len() as f64;
    let one = |(i, (key, _)): (usize, &(&str, Distribution))| {
        let mean = shares.iter().map(|tree| tree[i]).sum::<f64>() / n;
        let square = shares.iter().map(|tree| (tree[i] - mean).powi(2)).sum::<f64>() / n;
        Importance { key: (*key).to_string(), share: 0.0, variance: mean, deviation: square.sqrt() }
    };
    let mut all: Vec<Importance> = keys.iter().enumerate().map(one).collect();
    let sum: f64 = all.iter().map(|i| i.variance).sum();
    for importance in &mut all {
        // Where only the interplay counts, no parameter stands out.
        importance.share = if sum > 0.0 { importance.variance / sum } else { 1.0 / keys.len() as f64 };
    }
    all.sort_by(|a, b| b.variance.total_cmp(&a.variance).then_with(|| a.key.cmp(&b.key)));
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{space::Param, trial::Assigned};

    /// Trials drawn evenly from a space, with an objective.
    fn trials(params: &[(&str, Distribution)], n: usize, objective: impl Fn(&[f64]) -> f64) -> Vec<TrialRecord> {
        let params: Vec<Param> = params
            .iter()
            .map(|(key, d)| Param { key: (*key).into(), distribution: d.clone(), when: Vec::new() })
            .collect();
        let draw = |number: usize| {
            let mut rng = rng::stream(5, "test", &[number as u64]);
            let at: Vec<f64> = params
                .iter()
                .map(|p| {
                    let (low, high) = p.distribution.bounds();
                    let half = p.distribution.step().map_or(0.0, |step| step / 2.0);
                    let share = crate::sampler::unit(&mut rng);
                    match p.distribution.is_log() {
                        true => low * (high / low).powf(share),
                        false => p.distribution.nearest(low - half + share * (high - low + 2.0 * half)),
                    }
                })
                .collect();
            let assigned = |(p, x): (&Param, &f64)| {
                (p.key.clone(), Assigned { distribution: p.distribution.clone(), internal: *x })
            };
            record(number, params.iter().zip(&at).map(assigned).collect(), Some(objective(&at)))
        };
        (0..n).map(draw).collect()
    }

    fn record(number: usize, params: BTreeMap<String, Assigned>, value: Option<f64>) -> TrialRecord {
        TrialRecord {
            number,
            state: TrialState::Complete,
            params,
            value,
            intermediate: BTreeMap::new(),
            user_attrs: serde_json::Map::new(),
            system_attrs: serde_json::Map::new(),
            started: None,
            completed: None,
            ours: true,
            id: number,
            finished: Some(number),
        }
    }

    fn unit() -> Distribution {
        Distribution::float(0.0, 1.0, None, false).unwrap()
    }

    #[track_caller]
    fn assert_shares(found: &[Importance], expected: &[(&str, f64)], tolerance: f64) {
        for ((importance, (key, share)), rank) in found.iter().zip(expected).zip(0..) {
            assert_eq!(importance.key, *key, "rank {rank} of {found:?}");
            assert!((importance.share - share).abs() < tolerance, "{importance:?}, not {share}");
        }
        assert_eq!(found.len(), expected.len());
        assert!((found.iter().map(|i| i.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_sum_has_the_shares_of_its_terms() {
        // The variances of a x are a² / 12, of a choice of two that adds 0 or 3 it is 9 / 4.
        let kind = Distribution::categorical(vec!["a".into(), "b".into(), "c".into()]).unwrap();
        let params = [("x", unit()), ("y", unit()), ("idle", unit()), ("kind", kind)];
        let found = Fanova::default()
            .assess(&trials(&params, 600, |p| 4.0 * p[0] + 2.0 * p[1] + [0.0, 0.0, 3.0][p[3] as usize]));
        let (x, y, kind) = (16.0 / 12.0, 4.0 / 12.0, 9.0 * 2.0 / 9.0);
        let sum: f64 = x + y + kind;
        assert_shares(&found, &[("kind", kind / sum), ("x", x / sum), ("y", y / sum), ("idle", 0.0)], 0.03);
        assert!(found.iter().map(|i| i.variance).sum::<f64>() > 0.93, "a sum has no interplay: {found:?}");
    }

    #[test]
    fn a_product_is_interplay() {
        // (x - 1/2)(y - 1/2) is 0 on average over either.
        let found =
            Fanova::default().assess(&trials(&[("x", unit()), ("y", unit())], 800, |p| (p[0] - 0.5) * (p[1] - 0.5)));
        assert!(found.iter().all(|i| i.variance < 0.05), "{found:?}");
    }

    #[test]
    fn a_logarithmic_range_is_averaged_over_its_logarithm() {
        let lr = Distribution::float(1e-5, 0.1, None, true).unwrap();
        let whole = Distribution::int(1, 4, 1, false).unwrap();
        let params = [("lr", lr), ("layers", whole)];
        // The variance of an even spread over 4 is 4² / 12, of 1, 2, 3, 4 it is 5 / 4.
        let all = trials(&params, 600, |p| p[0].log10() + p[1]);
        let sum = 16.0 / 12.0 + 1.25;
        assert_shares(&Fanova::default().assess(&all), &[("lr", 16.0 / 12.0 / sum), ("layers", 1.25 / sum)], 0.03);
        // Over the number itself the logarithm hardly varies.
        let linear = Fanova { linear: true, ..Fanova::default() }.assess(&all);
        assert!(linear[0].key == "layers" && linear[0].share > 0.8, "{linear:?}");
    }

    #[test]
    fn what_cannot_be_told_is_left_out() {
        let single = Distribution::float(1.0, 1.0, None, false).unwrap();
        let mut all = trials(&[("x", unit()), ("one", single)], 30, |p| p[0]);
        assert!(Fanova::default().assess(&all[..1]).is_empty());
        assert!(Fanova::default().assess(&trials(&[("x", unit())], 9, |_| 2.0)).is_empty(), "nothing varies");
        let assigned = Assigned { distribution: unit(), internal: 0.5 };
        all[3].params.insert("sometimes".into(), assigned);
        all.push(record(30, BTreeMap::new(), None));
        all.last_mut().unwrap().state = TrialState::Failed;
        all[4].value = Some(f64::INFINITY);
        let found = Fanova::default().assess(&all);
        assert_eq!(found.iter().map(|i| i.key.as_str()).collect::<Vec<_>>(), ["x"]);
        assert_eq!(found, Fanova::default().assess(&all), "the same every time");
    }
}
