//! How unsure a model is of an image, from the probabilities that it gives to the classes.

/// A measure of uncertainty. More is more uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Shannon's entropy over its maximum.
    Entropy,
    /// One less the difference of the two most probable classes.
    Margin,
    /// One less the most probable class.
    LeastConfidence,
}

impl Measure {
    /// The uncertainty of a distribution, in [0, 1] for the first two and below 1 for the last.
    pub fn of(self, probabilities: &[f64]) -> f64 {
        match self {
            Self::Entropy => entropy(probabilities),
            Self::Margin => 1.0 - margin(probabilities),
            Self::LeastConfidence => 1.0 - top_two(probabilities).0,
        }
    }
}

/// Shannon's entropy of a distribution over that of the uniform one: 0 is certain, 1 is uniform.
pub fn entropy(probabilities: &[f64]) -> f64 {
    if probabilities.len() < 2 {
        return 0.0;
    }
    let sum: f64 = probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    (sum / (probabilities.len() as f64).ln()).clamp(0.0, 1.0)
}

/// The probability of the best class less that of the second best, in [0, 1].
pub fn margin(probabilities: &[f64]) -> f64 {
    let (first, second) = top_two(probabilities);
    first - second
}

fn top_two(probabilities: &[f64]) -> (f64, f64) {
    probabilities.iter().fold(
        (0.0, 0.0),
        |(first, second), p| {
            if *p > first { (*p, first) } else { (first, second.max(*p)) }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_uniform_are_the_ends() {
        for measure in [Measure::Entropy, Measure::Margin, Measure::LeastConfidence] {
            assert_eq!(measure.of(&[0.0, 1.0, 0.0]), 0.0, "{measure:?}");
            assert_eq!(measure.of(&[1.0]), 0.0, "{measure:?}");
        }
        assert!((entropy(&[0.25; 4]) - 1.0).abs() < 1e-12);
        assert_eq!(margin(&[0.25; 4]), 0.0);
        assert!((Measure::LeastConfidence.of(&[0.25; 4]) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn known_values() {
        assert!((entropy(&[0.75, 0.25]) - 0.811_278_124_459_132_8).abs() < 1e-12);
        assert!((margin(&[0.2, 0.5, 0.3]) - 0.2).abs() < 1e-12);
        assert!((margin(&[0.3, 0.2, 0.5]) - 0.2).abs() < 1e-12);
        assert_eq!(margin(&[0.5, 0.5]), 0.0);
    }

    #[test]
    fn the_measures_disagree_where_they_should() {
        // Two classes in question: a small margin, less entropy than three classes in question.
        let (two, three) = ([0.49, 0.48, 0.03], [0.44, 0.30, 0.26]);
        assert!(Measure::Margin.of(&two) > Measure::Margin.of(&three));
        assert!(Measure::Entropy.of(&two) < Measure::Entropy.of(&three));
    }
}
