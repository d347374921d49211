//! How far confidence can be trusted: reliability curve, expected and maximum calibration error.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    scores::Scores,
};

/// The images whose confidence falls into `(lower, upper]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower end, exclusive (inclusive for the first bin).
    pub lower: f64,
    /// Upper end, inclusive.
    pub upper: f64,
    /// Number of images.
    pub count: u64,
    /// Mean probability of the predicted class; `None` for an empty bin.
    pub confidence: Option<f64>,
    /// Share of right predictions; `None` for an empty bin.
    pub accuracy: Option<f64>,
}

/// Confidence against accuracy, in bins of equal width (Guo et al. 2017, "On Calibration of Modern Neural Networks").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Expected calibration error: mean over the images of |accuracy - confidence| of their bin, in [0, 1].
    pub expected_calibration_error: f64,
    /// Maximum calibration error: the greatest such difference of a bin with images, in [0, 1].
    pub maximum_calibration_error: f64,
    /// The bins, from 0 to 1.
    pub bins: Vec<ReliabilityBin>,
}

impl Reliability {
    /// Sorts the images into `bins` bins of equal width by the probability of the predicted class.
    ///
    /// # Errors
    /// [`Error::Option`] unless there is at least one bin and at most 10,000.
    pub fn new(scores: &Scores<'_>, bins: usize) -> Result<Self> {
        if !(1..=10_000).contains(&bins) {
            return Err(Error::option("bins", format!("{bins} is not between 1 and 10000; 15 is usual")));
        }
        let mut sums = vec![(0u64, 0.0f64, 0u64); bins];
        for image in scores.images() {
            let bin = (image.confidence * bins as f64).ceil() as usize;
            let sum = &mut sums[bin.clamp(1, bins) - 1];
            sum.0 += 1;
            sum.1 += image.confidence;
            sum.2 += u64::from(image.label_rank == 0);
        }
        Ok(Self::from_sums(&sums))
    }

    fn from_sums(sums: &[(u64, f64, u64)]) -> Self {
        let width = sums.len() as f64;
        let total: u64 = sums.iter().map(|s| s.0).sum();
        let (mut expected, mut maximum) = (0.0, 0.0f64);
        let mut bins = Vec::with_capacity(sums.len());
        for (i, &(count, confidence, correct)) in sums.iter().enumerate() {
            let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
            let (confidence, accuracy) = (mean(confidence), mean(correct as f64));
            if let (Some(c), Some(a)) = (confidence, accuracy) {
                expected += (a - c).abs() * count as f64 / total as f64;
                maximum = maximum.max((a - c).abs());
            }
            let (lower, upper) = (i as f64 / width, (i + 1) as f64 / width);
            bins.push(ReliabilityBin { lower, upper, count, confidence, accuracy });
        }
        Self { expected_calibration_error: expected, maximum_calibration_error: maximum, bins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn errors_of_known_bins() {
        // 4 images at 0.75 of which 3 are right: no error; 6 at 0.6 with none right: error 0.6.
        let r = Reliability::from_sums(&[(0, 0.0, 0), (4, 3.0, 3), (6, 3.6, 0)]);
        assert!((r.expected_calibration_error - 0.36).abs() < 1e-15);
        assert!((r.maximum_calibration_error - 0.6).abs() < 1e-15);
        assert_eq!(r.bins[0].accuracy, None);
    }

    #[test]
    fn every_image_is_in_one_bin() {
        let p = fixtures::predictions(200, 5);
        let scores = Scores::new(&p, 1.0).unwrap();
        let r = Reliability::new(&scores, 15).unwrap();
        assert_eq!(r.bins.iter().map(|b| b.count).sum::<u64>(), 200);
        for bin in r.bins.iter().filter(|b| b.count > 0) {
            let c = bin.confidence.unwrap();
            assert!(c > bin.lower && c <= bin.upper);
        }
        // One bin: the difference of the means.
        let one = Reliability::new(&scores, 1).unwrap();
        let confidence = scores.images().iter().map(|s| s.confidence).sum::<f64>() / 200.0;
        assert!((one.expected_calibration_error - (confidence - scores.top_k_accuracy(1)).abs()).abs() < 1e-12);
        assert!(Reliability::new(&scores, 0).is_err());
    }
}
