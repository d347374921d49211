//! Parzen estimators: a mixture with one kernel for each observed point and one for the prior, each a product over the
//! parameters (Bergstra et al. 2011; widths and weights as in Optuna, Watanabe 2023, <https://arxiv.org/abs/2304.11127>).

use kidu_core::rng::ChaCha8Rng;

use super::{
    truncated::{log_density, mass, quantile},
    unit,
};
use crate::space::Distribution;

/// The newest trials count in full.
const FULL_WEIGHT: usize = 25;

/// The mixture.
pub(super) struct Parzen<'a> {
    weights: Vec<f64>,
    kernels: Vec<Kernels<'a>>,
}

/// The kernels of one parameter.
enum Kernels<'a> {
    /// Probabilities of the choices for each kernel.
    Choices(Vec<Vec<f64>>),
    /// Normal distributions between `low` and `high`, both in logarithms for a logarithmic range.
    Normal { of: &'a Distribution, means: Vec<f64>, widths: Vec<f64>, low: f64, high: f64 },
}

impl<'a> Parzen<'a> {
    /// `observed` holds the points, oldest first, each with a number for each of `distributions`.
    pub(super) fn new(distributions: &[&'a Distribution], observed: &[Vec<f64>], prior_weight: f64) -> Self {
        let mut weights = age_weights(observed.len());
        weights.push(if observed.is_empty() { 1.0 } else { prior_weight });
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        let column = |i: usize| observed.iter().map(|point| point[i]).collect::<Vec<f64>>();
        let kernels = distributions.iter().enumerate().map(|(i, d)| match d {
            Distribution::Categorical { choices } => {
                Kernels::Choices(choice_kernels(&column(i), choices.len(), prior_weight))
            }
            of => normal_kernels(of, column(i)),
        });
        Self { kernels: kernels.collect(), weights }
    }

    /// A point drawn from the mixture.
    pub(super) fn sample(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let kernel = pick(&self.weights, unit(rng));
        let draw = |kernels: &Kernels<'_>| {
            let share = unit(rng);
            match kernels {
                Kernels::Choices(rows) => pick(&rows[kernel], share) as f64,
                Kernels::Normal { of, means, widths, low, high } => {
                    let (mean, width) = (means[kernel], widths[kernel]);
                    let z = quantile((low - mean) / width, (high - mean) / width, share);
                    let value = (mean + width * z).clamp(*low, *high);
                    of.nearest(if of.is_log() { libm::exp(value) } else { value })
                }
            }
        };
        self.kernels.iter().map(draw).collect()
    }

    /// Logarithm of the density (of the probability, for discrete parameters) at a point.
    pub(super) fn log_density(&self, point: &[f64]) -> f64 {
        let mut logs: Vec<f64> = self.weights.iter().map(|w| libm::log(*w)).collect();
        for (kernels, value) in self.kernels.iter().zip(point) {
            kernels.add_log_density(*value, &mut logs);
        }
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        most + libm::log(logs.iter().map(|l| libm::exp(l - most)).sum())
    }
}

impl Kernels<'_> {
    /// Adds each kernel's logarithm at a value.
    fn add_log_density(&self, value: f64, logs: &mut [f64]) {
        match self {
            Self::Choices(rows) => {
                logs.iter_mut().zip(rows).for_each(|(log, row)| *log += libm::log(row[value as usize]));
            }
            Self::Normal { of, means, widths, low, high } => {
                let scaled = |v: f64| if of.is_log() { libm::log(v) } else { v };
                let cell = of.step().map(|step| (scaled(value - step / 2.0), scaled(value + step / 2.0)));
                let at = scaled(value);
                for ((log, mean), width) in logs.iter_mut().zip(means).zip(widths) {
                    let z = |x: f64| (x - mean) / width;
                    *log += match cell {
                        Some((from, to)) => libm::log(mass(z(from), z(to))),
                        None => log_density(z(at)) - libm::log(*width),
                    };
                    *log -= libm::log(mass(z(*low), z(*high)));
                }
            }
        }
    }
}

/// Weights of so many observations, oldest first: the newest 25 count in full, the older ones less and less.
fn age_weights(n: usize) -> Vec<f64> {
    let old = n.saturating_sub(FULL_WEIGHT);
    let first = 1.0 / n.max(1) as f64;
    let ramp = |i: usize| if old == 1 { first } else { first + (1.0 - first) * i as f64 / (old - 1) as f64 };
    (0..n).map(|i| if i < old { ramp(i) } else { 1.0 }).collect()
}

fn choice_kernels(observed: &[f64], choices: usize, prior_weight: f64) -> Vec<Vec<f64>> {
    if observed.is_empty() {
        return vec![vec![1.0 / choices as f64; choices]];
    }
    let n = observed.len() + 1;
    let even = prior_weight / n as f64;
    let row = |seen: Option<f64>| {
        let mut row = vec![even; choices];
        if let Some(seen) = seen {
            row[seen as usize] += 1.0;
        }
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|p| *p /= sum);
        row
    };
    observed.iter().map(|seen| row(Some(*seen))).chain([row(None)]).collect()
}

/// Each observation's width is the larger distance to its neighbours, within bounds; the prior covers the range.
fn normal_kernels(of: &Distribution, mut means: Vec<f64>) -> Kernels<'_> {
    let half = of.step().map_or(0.0, |step| step / 2.0);
    let (mut low, mut high) = of.bounds();
    (low, high) = (low - half, high + half);
    if of.is_log() {
        (low, high) = (libm::log(low), libm::log(high));
        means.iter_mut().for_each(|m| *m = libm::log(*m));
    }
    let n = means.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| means[*a].total_cmp(&means[*b]));
    let least = (high - low) / f64::min(100.0, 2.0 + n as f64);
    let mut widths = vec![0.0; n];
    for (rank, i) in order.iter().enumerate() {
        let mean = means[*i];
        let below = rank.checked_sub(1).map(|r| mean - means[order[r]]);
        let above = order.get(rank + 1).map(|j| means[*j] - mean);
        // The ends of the range are neighbours only of a lone observation.
        let width = match (below, above) {
            (Some(below), Some(above)) => below.max(above),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => (mean - low).max(high - mean),
        };
        widths[*i] = width.clamp(least, high - low);
    }
    means.push(0.5 * (low + high));
    widths.push(high - low);
    Kernels::Normal { of, means, widths, low, high }
}

/// The place in which the running sum of `weights`, which add up to 1, passes `share`.
fn pick(weights: &[f64], share: f64) -> usize {
    let mut sum = 0.0;
    let place = weights.iter().position(|w| {
        sum += w;
        share < sum
    });
    place.unwrap_or(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use kidu_core::rng::stream;

    use super::*;

    #[test]
    fn densities_add_up_to_one() {
        let float = Distribution::float(0.1, 2.0, None, false).unwrap();
        let observed: Vec<Vec<f64>> = [0.2, 0.25, 1.9, 0.25].iter().map(|x| vec![*x]).collect();
        let parzen = Parzen::new(&[&float], &observed, 1.0);
        let n = 20_000;
        let density = |i: usize| libm::exp(parzen.log_density(&[0.1 + 1.9 * (i as f64 + 0.5) / n as f64]));
        let sum: f64 = (0..n).map(density).sum::<f64>() * 1.9 / n as f64;
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");

        let whole = Distribution::int(1, 64, 1, true).unwrap();
        let choice = Distribution::categorical(vec!["a".into(), "b".into()]).unwrap();
        let observed: Vec<Vec<f64>> = [(1.0, 0.0), (60.0, 1.0), (3.0, 0.0)].iter().map(|(x, c)| vec![*x, *c]).collect();
        let parzen = Parzen::new(&[&whole, &choice], &observed, 1.0);
        let points = (1..=64).flat_map(|x| [0.0, 1.0].map(|c| [f64::from(x), c]));
        let sum: f64 = points.map(|p| libm::exp(parzen.log_density(&p))).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn samples_follow_the_density() {
        let whole = Distribution::int(0, 3, 1, false).unwrap();
        let parzen = Parzen::new(&[&whole], &[vec![1.0], vec![1.0], vec![3.0]], 1.0);
        let mut rng = stream(1, "test", &[]);
        let mut counts = [0; 4];
        for _ in 0..20_000 {
            counts[parzen.sample(&mut rng)[0] as usize] += 1;
        }
        for (value, count) in counts.iter().enumerate() {
            let expected = libm::exp(parzen.log_density(&[value as f64]));
            assert!((f64::from(*count) / 20_000.0 - expected).abs() < 0.012, "{value}: {count} {expected}");
        }
    }

    #[test]
    fn weights_grow_with_the_number() {
        assert_eq!(age_weights(3), [1.0; 3]);
        let weights = age_weights(27);
        assert_eq!((weights[0], weights[1], weights[2]), (1.0 / 27.0, 1.0, 1.0));
        assert_eq!(age_weights(26)[0], 1.0 / 26.0);
    }
}
