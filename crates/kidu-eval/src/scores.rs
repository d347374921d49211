//! Probabilities: the softmax of the logits at a temperature, without storing it.

use rayon::prelude::*;

use crate::{
    error::{Error, Result},
    predictions::{Predictions, argmax},
};

/// The softmax of each row of logits divided by a temperature, `p = exp(z/T) / Σ exp(z/T)`, in double precision.
///
/// Only the normaliser of each row is kept, so a hundred thousand images of a thousand classes need a few megabytes
/// beside their logits.
#[derive(Debug)]
pub struct Scores<'a> {
    predictions: &'a Predictions,
    temperature: f64,
    images: Vec<ImageScore>,
}

/// What is known of one image once its softmax has been looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageScore {
    /// Class with the greatest logit; the first of equal ones.
    pub predicted: usize,
    /// Probability of the predicted class, in (0, 1].
    pub confidence: f64,
    /// Probability of the true class, in [0, 1].
    pub label_probability: f64,
    /// How many classes come before the true one: 0 when it is the predicted one. Of equal logits, the lower index
    /// comes first.
    pub label_rank: usize,
    /// `Σ (p_c - y_c)²` over the classes, in [0, 2].
    pub squared_error: f64,
    /// `-ln p` of the true class, from the logits: finite even where the probability itself is 0.
    pub negative_log_likelihood: f64,
    greatest: f64,
    normaliser: f64,
}

impl<'a> Scores<'a> {
    /// Looks at each row once.
    ///
    /// # Errors
    /// [`Error::Option`] unless the temperature is positive and finite.
    pub fn new(predictions: &'a Predictions, temperature: f64) -> Result<Self> {
        if !(temperature.is_finite() && temperature > 0.0) {
            let reason = format!("{temperature} is not a positive number; 1 leaves the probabilities as they are");
            return Err(Error::option("temperature", reason));
        }
        let rows = predictions.logits().par_iter().zip(predictions.labels());
        let images = rows.map(|(row, &label)| look_at(row, label, temperature)).collect();
        Ok(Self { predictions, temperature, images })
    }

    /// The predictions these scores belong to.
    pub fn predictions(&self) -> &'a Predictions {
        self.predictions
    }

    /// The temperature.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// All images, in order.
    pub fn images(&self) -> &[ImageScore] {
        &self.images
    }

    /// One image.
    pub fn image(&self, image: usize) -> &ImageScore {
        &self.images[image]
    }

    /// Probability of a class for an image.
    pub fn probability(&self, image: usize, class: usize) -> f64 {
        let score = &self.images[image];
        let scaled = f64::from(self.predictions.logits()[image][class]) / self.temperature;
        (scaled - score.greatest).exp() / score.normaliser
    }

    /// Probability of a class for each image.
    pub fn of_class(&self, class: usize) -> Vec<f64> {
        (0..self.images.len()).map(|i| self.probability(i, class)).collect()
    }

    /// Whether the prediction of each image is right.
    pub fn correct(&self) -> Vec<bool> {
        self.images.iter().map(|s| s.label_rank == 0).collect()
    }

    /// Share of the images whose true class is among the `k` most probable, in [0, 1]. Differs from scikit-learn's
    /// `top_k_accuracy_score` only where logits of one image are exactly equal.
    pub fn top_k_accuracy(&self, k: usize) -> f64 {
        self.images.iter().filter(|s| s.label_rank < k).count() as f64 / self.images.len() as f64
    }

    /// Mean of `-ln p` of the true class, with `p` kept at least 2⁻⁵² away from 0 and 1 as scikit-learn's `log_loss`
    /// does; at most 36.04.
    pub fn log_loss(&self) -> f64 {
        let clipped = |p: f64| p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        self.mean(|s| -clipped(s.label_probability).ln())
    }

    /// Mean of `-ln p` of the true class, not clipped: what temperature scaling minimises.
    pub fn negative_log_likelihood(&self) -> f64 {
        self.mean(|s| s.negative_log_likelihood)
    }

    /// Brier score: mean squared distance between the probabilities and the truth (Brier 1950), in [0, 2]. With two
    /// classes it is halved and in [0, 1], as scikit-learn's `brier_score_loss` does by default.
    pub fn brier_score(&self) -> f64 {
        let sum = self.mean(|s| s.squared_error);
        if self.predictions.classes().len() <= 2 { sum / 2.0 } else { sum }
    }

    fn mean(&self, of: impl Fn(&ImageScore) -> f64) -> f64 {
        self.images.iter().map(of).sum::<f64>() / self.images.len() as f64
    }
}

fn look_at(row: &[f32], label: usize, temperature: f64) -> ImageScore {
    let predicted = argmax(row);
    let scaled = |c: usize| f64::from(row[c]) / temperature;
    let greatest = scaled(predicted);
    let normaliser: f64 = (0..row.len()).map(|c| (scaled(c) - greatest).exp()).sum();
    let probability = |c: usize| (scaled(c) - greatest).exp() / normaliser;
    let squared_error = (0..row.len())
        .map(|c| {
            let error = probability(c) - f64::from(u8::from(c == label));
            error * error
        })
        .sum();
    let before = |(c, value): (usize, &f32)| *value > row[label] || (*value == row[label] && c < label);
    ImageScore {
        predicted,
        confidence: probability(predicted),
        label_probability: probability(label),
        label_rank: row.iter().enumerate().filter(|x| before(*x)).count(),
        squared_error,
        negative_log_likelihood: normaliser.ln() + greatest - scaled(label),
        greatest,
        normaliser,
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::ClassNames;

    use super::*;

    fn single(row: &[f32], label: usize) -> Predictions {
        let names = (0..row.len()).map(|c| format!("c{c}"));
        Predictions::new(ClassNames::new(names).unwrap(), vec![label], vec![row.to_vec()], vec!["x".into()]).unwrap()
    }

    #[test]
    fn softmax_of_logarithms_is_their_shares() {
        let p = single(&[1f32.ln(), 2f32.ln(), 5f32.ln()], 1);
        let s = Scores::new(&p, 1.0).unwrap();
        for (c, share) in [0.125, 0.25, 0.625].into_iter().enumerate() {
            assert!((s.probability(0, c) - share).abs() < 1e-7);
        }
        let image = s.image(0);
        assert_eq!((image.predicted, image.label_rank), (2, 1));
        let expected = 0.125f64.powi(2) + 0.75f64.powi(2) + 0.625f64.powi(2);
        assert!((s.brier_score() - expected).abs() < 1e-7);
        // At temperature 1/2 the shares are squared: 1, 4, 25.
        assert!((Scores::new(&p, 0.5).unwrap().probability(0, 2) - 25.0 / 30.0).abs() < 1e-7);
    }

    #[test]
    fn huge_logits_stay_finite() {
        let p = single(&[f32::MAX, -f32::MAX], 1);
        let s = Scores::new(&p, 0.05).unwrap();
        assert_eq!((s.probability(0, 0), s.probability(0, 1)), (1.0, 0.0));
        assert!(s.negative_log_likelihood() > 1e39 && s.negative_log_likelihood().is_finite());
        assert!((s.log_loss() - 36.04365338911715).abs() < 1e-12);
        assert_eq!(s.brier_score(), 1.0);
    }

    #[test]
    fn equal_logits_are_ranked_by_index() {
        let p = single(&[1.0, 1.0, 1.0], 1);
        let s = Scores::new(&p, 1.0).unwrap();
        assert_eq!((s.top_k_accuracy(1), s.top_k_accuracy(2)), (0.0, 1.0));
        assert_eq!(s.image(0).predicted, 0);
        assert!(Scores::new(&p, 0.0).is_err() && Scores::new(&p, f64::NAN).is_err());
    }
}
