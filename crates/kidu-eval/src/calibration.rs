//! Temperature scaling (Guo et al. 2017): one number that makes confidence match accuracy, fitted on validation.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{error::Result, predictions::Predictions, reliability::Reliability, scores::Scores};

/// Temperatures that are tried, from the sharpest to the flattest.
pub const TEMPERATURE_RANGE: (f64, f64) = (0.05, 20.0);

/// Rows summed by one task: fixed, so that the sum does not depend on the number of threads.
const CHUNK: usize = 512;

/// A fitted temperature and what it changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemperatureFit {
    /// Divide the logits by this before the softmax.
    pub temperature: f64,
    /// Whether the best temperature lies at or beyond an end of [`TEMPERATURE_RANGE`]: too few images, or a model that
    /// makes no mistake on them (or knows nothing), so that confidence cannot be told from certainty.
    pub at_bound: bool,
    /// Number of images it was fitted on.
    pub images: usize,
    /// Mean negative log likelihood at temperature 1.
    pub nll_before: f64,
    /// Mean negative log likelihood at the fitted temperature; never above the one before.
    pub nll_after: f64,
    /// Expected calibration error at temperature 1.
    pub ece_before: f64,
    /// Expected calibration error at the fitted temperature.
    pub ece_after: f64,
}

/// Finds the temperature in [`TEMPERATURE_RANGE`] with the least mean negative log likelihood, by Newton's method on
/// the inverse temperature, in which the likelihood is convex, kept inside a shrinking bracket. The predictions are
/// those on the **validation** split, never the test split. `bins` is the number of bins of the calibration error.
///
/// Predictions whose likelihood no temperature changes (each row constant) keep temperature 1.
///
/// # Errors
/// [`crate::Error::Option`] for a number of bins out of range.
pub fn fit_temperature(predictions: &Predictions, bins: usize) -> Result<TemperatureFit> {
    let (inverse, at_bound) = least_inverse(predictions);
    let measure = |temperature: f64| -> Result<(f64, f64)> {
        let scores = Scores::new(predictions, temperature)?;
        let error = Reliability::new(&scores, bins)?.expected_calibration_error;
        Ok((scores.negative_log_likelihood(), error))
    };
    let (nll_before, ece_before) = measure(1.0)?;
    let (nll, ece) = measure(1.0 / inverse)?;
    let images = predictions.len();
    let fit = if nll <= nll_before {
        TemperatureFit {
            temperature: 1.0 / inverse,
            at_bound,
            images,
            nll_before,
            nll_after: nll,
            ece_before,
            ece_after: ece,
        }
    } else {
        // Rounding only: the optimum is 1 within its precision.
        TemperatureFit {
            temperature: 1.0,
            at_bound: false,
            images,
            nll_before,
            nll_after: nll_before,
            ece_before,
            ece_after: ece_before,
        }
    };
    Ok(fit)
}

/// The inverse temperature of least likelihood loss, and whether it is an end of the range.
fn least_inverse(predictions: &Predictions) -> (f64, bool) {
    let (mut low, mut high) = (1.0 / TEMPERATURE_RANGE.1, 1.0 / TEMPERATURE_RANGE.0);
    let (at_low, _) = slope_and_curvature(predictions, low);
    let (at_high, _) = slope_and_curvature(predictions, high);
    if at_low == 0.0 && at_high == 0.0 {
        return (1.0, false);
    }
    if at_low >= 0.0 {
        return (low, true);
    }
    // With no mistakes the slope only tends to zero: falling all the way, or flat to the last bit.
    if at_high <= 0.0 {
        return (high, true);
    }
    let mut inverse = 1.0;
    for _ in 0..200 {
        let (slope, curvature) = slope_and_curvature(predictions, inverse);
        if slope > 0.0 {
            high = inverse
        } else {
            low = inverse
        }
        let newton = inverse - slope / curvature;
        let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
        let step = (next - inverse).abs();
        inverse = next;
        if step <= 1e-13 * inverse || slope == 0.0 {
            break;
        }
    }
    (inverse, false)
}

/// First and second derivative, by the inverse temperature, of the mean negative log likelihood: the mean over the
/// images of `E_p[z] - z_label`, and of the variance of `z` under `p`.
fn slope_and_curvature(predictions: &Predictions, inverse: f64) -> (f64, f64) {
    let rows = predictions.logits().par_chunks(CHUNK).zip(predictions.labels().par_chunks(CHUNK));
    let sums: Vec<(f64, f64)> = rows
        .map(|(rows, labels)| {
            rows.iter().zip(labels).fold((0.0, 0.0), |sum, (row, &label)| {
                let (slope, curvature) = of_image(row, label, inverse);
                (sum.0 + slope, sum.1 + curvature)
            })
        })
        .collect();
    let n = predictions.len() as f64;
    let (slope, curvature) = sums.iter().fold((0.0, 0.0), |sum, x| (sum.0 + x.0, sum.1 + x.1));
    (slope / n, curvature / n)
}

fn of_image(row: &[f32], label: usize, inverse: f64) -> (f64, f64) {
    let greatest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (mut weight, mut first, mut second) = (0.0, 0.0, 0.0);
    for value in row {
        let below = f64::from(*value) - greatest;
        let p = (inverse * below).exp();
        weight += p;
        first += p * below;
        second += p * below * below;
    }
    let mean = first / weight;
    (mean - (f64::from(row[label]) - greatest), (second / weight - mean * mean).max(0.0))
}

#[cfg(test)]
mod tests {
    use kidu_core::ClassNames;

    use super::*;
    use crate::fixtures;

    fn binary(rows: &[(f32, usize)]) -> Predictions {
        Predictions::new(
            ClassNames::new(["a", "b"]).unwrap(),
            rows.iter().map(|r| r.1).collect(),
            rows.iter().map(|r| vec![r.0, 0.0]).collect(),
            vec![String::new(); rows.len()],
        )
        .unwrap()
    }

    #[test]
    fn finds_scipys_minimum() {
        let fit = fit_temperature(&fixtures::predictions(300, 5), 15).unwrap();
        // scipy.optimize.minimize_scalar(bounded) on the log loss of the same logits.
        assert!((fit.temperature - 2.412_266_686).abs() < 1e-6, "{fit:?}");
        assert!((fit.nll_before - 1.528_265_483_520_181_4).abs() < 1e-12);
        assert!((fit.nll_after - 1.190_059_186_384_643_7).abs() < 1e-12);
        assert!(!fit.at_bound && fit.ece_after < fit.ece_before);
    }

    #[test]
    fn known_answer_of_two_classes() {
        // Logit 6 and right three times in four: the best logit is ln 3, so T = 6 / ln 3.
        let fit = fit_temperature(&binary(&[(6.0, 0), (6.0, 0), (6.0, 0), (6.0, 1)]), 15).unwrap();
        assert!((fit.temperature - 6.0 / 3f64.ln()).abs() < 1e-9);
        assert!(fit.ece_after < 1e-9);
    }

    #[test]
    fn bounds_and_indifference() {
        let right = fit_temperature(&binary(&[(3.0, 0), (-3.0, 1)]), 15).unwrap();
        assert!(right.at_bound && right.temperature == TEMPERATURE_RANGE.0 && right.nll_after <= right.nll_before);
        let sure = fit_temperature(&binary(&[(3000.0, 0), (-3000.0, 1)]), 15).unwrap();
        assert!(sure.temperature.is_finite() && sure.nll_after <= sure.nll_before);
        let wrong = fit_temperature(&binary(&[(3.0, 1), (-3.0, 0)]), 15).unwrap();
        assert!(wrong.at_bound && (wrong.temperature - TEMPERATURE_RANGE.1).abs() < 1e-12);
        let flat = fit_temperature(&binary(&[(0.0, 1), (0.0, 0)]), 15).unwrap();
        assert!(!flat.at_bound && flat.temperature == 1.0);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let p = fixtures::predictions(2000, 3);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| fit_temperature(&p, 15).unwrap()), fit_temperature(&p, 15).unwrap());
    }
}
