//! Bootstrap intervals (Efron 1979) and the comparison of two models on the same images.

use kidu_core::rng::{self, ChaCha8Rng};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    interval::{Interval, check_confidence, percentile_interval},
};

/// How often to resample, at most.
pub const MAX_SAMPLES: usize = 1_000_000;

/// Two models on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedComparison {
    /// Number of images.
    pub images: usize,
    /// Accuracy of the first minus accuracy of the second, in [-1, 1].
    pub difference: f64,
    /// Percentile bootstrap interval of that difference.
    pub interval: Interval,
    /// Images that only the first model got right.
    pub only_first: u64,
    /// Images that only the second model got right.
    pub only_second: u64,
    /// Two-sided exact p-value of McNemar's test: how likely so uneven a split of the images they disagree on is if
    /// both models are equally good.
    pub mcnemar_p: f64,
}

/// Percentile bootstrap interval of the accuracy.
///
/// # Errors
/// [`Error::Empty`] without images, [`Error::Option`] for a confidence or number of samples out of range.
pub fn accuracy_interval(correct: &[bool], confidence: f64, samples: usize, seed: u64) -> Result<Interval> {
    check(correct.len(), confidence, samples)?;
    let n = correct.len();
    let mut values = replicates(samples, seed, "bootstrap accuracy", |rng| {
        (0..n).filter(|_| correct[below(rng, n)]).count() as f64 / n as f64
    });
    Ok(percentile_interval(&mut values, confidence))
}

/// Paired bootstrap of the difference in accuracy: images are resampled, and both models are judged on the same
/// sample, so what is easy or hard for both cancels out. `first[i]` and `second[i]` say whether each got image `i`
/// right.
///
/// # Errors
/// [`Error::Empty`] without images, [`Error::Option`] for slices of different length, or a confidence or number of
/// samples out of range.
pub fn compare(
    first: &[bool],
    second: &[bool],
    confidence: f64,
    samples: usize,
    seed: u64,
) -> Result<PairedComparison> {
    let n = first.len();
    check(n, confidence, samples)?;
    if second.len() != n {
        let reason = format!("{n} and {} images cannot be paired; judge both models on the same images", second.len());
        return Err(Error::option("second", reason));
    }
    let gains: Vec<i8> = first.iter().zip(second).map(|(a, b)| i8::from(*a) - i8::from(*b)).collect();
    let share = |sum: i64| sum as f64 / n as f64;
    let mut values = replicates(samples, seed, "paired bootstrap", |rng| {
        share((0..n).map(|_| i64::from(gains[below(rng, n)])).sum())
    });
    let count = |gain: i8| gains.iter().filter(|g| **g == gain).count() as u64;
    let (only_first, only_second) = (count(1), count(-1));
    Ok(PairedComparison {
        images: n,
        difference: share(gains.iter().map(|g| i64::from(*g)).sum()),
        interval: percentile_interval(&mut values, confidence),
        only_first,
        only_second,
        mcnemar_p: mcnemar_exact(only_first, only_second),
    })
}

/// McNemar's exact test (McNemar 1947): the two-sided binomial p-value, at one half, of the images that exactly one of
/// two models got right. 1 where they never disagree.
pub fn mcnemar_exact(only_first: u64, only_second: u64) -> f64 {
    let n = only_first + only_second;
    let fewer = only_first.min(only_second);
    // Sums C(n, k) / 2^n for k = 0..=fewer by logarithms: 2^n overflows from a thousand images on.
    let half = std::f64::consts::LN_2 * n as f64;
    let (mut log_choose, mut sum) = (0.0f64, 0.0f64);
    for k in 0..=fewer {
        if k > 0 {
            log_choose += ((n - k + 1) as f64 / k as f64).ln();
        }
        sum += (log_choose - half).exp();
    }
    (2.0 * sum).min(1.0)
}

/// `of` for each of `samples` resamples, each with a stream of its own: the same numbers on any number of threads.
pub(crate) fn replicates<T: Send>(
    samples: usize,
    seed: u64,
    domain: &str,
    of: impl Fn(&mut ChaCha8Rng) -> T + Sync,
) -> Vec<T> {
    (0..samples as u64).into_par_iter().map(|b| of(&mut rng::stream(seed, domain, &[b]))).collect()
}

/// A uniform index below `n`: the high half of a 64 by 64 bit product (its bias is below n / 2⁶⁴).
pub(crate) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

pub(crate) fn check_samples(samples: usize) -> Result<()> {
    if (100..=MAX_SAMPLES).contains(&samples) {
        return Ok(());
    }
    let reason = format!("{samples} is not between 100 and {MAX_SAMPLES}; 2000 is usual");
    Err(Error::option("bootstrap_samples", reason))
}

fn check(n: usize, confidence: f64, samples: usize) -> Result<()> {
    if n == 0 {
        return Err(Error::Empty);
    }
    check_confidence(confidence)?;
    check_samples(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_equals_the_binomial_test() {
        // scipy.stats.binomtest(min(b, c), b + c, 0.5).pvalue
        let known = [(1, 7, 0.070_312_5), (10, 25, 0.016_673_847_800_120_715), (3, 3, 1.0), (0, 0, 1.0)];
        for (b, c, p) in known {
            assert!((mcnemar_exact(b, c) - p).abs() < 1e-12);
            assert_eq!(mcnemar_exact(b, c), mcnemar_exact(c, b));
        }
        assert!((mcnemar_exact(1000, 1150) - 0.001_306_354_136_522_023_7).abs() < 1e-12);
        assert!(mcnemar_exact(0, 100_000) < 1e-300);
    }

    #[test]
    fn the_interval_is_near_the_normal_one() {
        let correct: Vec<bool> = (0..1000).map(|i| i % 10 != 0).collect();
        let i = accuracy_interval(&correct, 0.95, 4000, 7).unwrap();
        let half = 1.96 * (0.9f64 * 0.1 / 1000.0).sqrt();
        assert!((i.lower - (0.9 - half)).abs() < 0.003 && (i.upper - (0.9 + half)).abs() < 0.003, "{i:?}");
        let sure = accuracy_interval(&[true; 50], 0.95, 100, 7).unwrap();
        assert_eq!((sure.lower, sure.upper), (1.0, 1.0));
    }

    #[test]
    fn pairing_narrows_the_interval_and_threads_do_not_matter() {
        let a: Vec<bool> = (0..2000).map(|i| i % 5 != 0).collect();
        let mut b = a.clone();
        b[..40].fill(false);
        let run = || compare(&b, &a, 0.95, 1000, 3).unwrap();
        let one = run();
        assert_eq!((one.only_first, one.only_second), (0, 32));
        assert!((one.difference + 0.016).abs() < 1e-12);
        assert!(one.interval.upper < 0.0 && one.interval.lower > -0.03 && one.mcnemar_p < 1e-8);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(run), one);
        let same = compare(&a, &a, 0.95, 100, 3).unwrap();
        assert_eq!((same.difference, same.interval.lower, same.interval.upper, same.mcnemar_p), (0.0, 0.0, 0.0, 1.0));
        assert!(compare(&a, &b[1..], 0.95, 100, 3).is_err() && compare(&[], &[], 0.95, 100, 3).is_err());
        assert!(compare(&a, &b, 0.95, 1, 3).is_err());
    }
}
