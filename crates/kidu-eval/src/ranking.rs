//! How well scores order positives before negatives: ROC and precision-recall curves and their areas.

/// The cumulative counts at each distinct score, from the greatest down. Equal scores are one step, so the order of
/// images never matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// One step per distinct score, descending.
    pub steps: Vec<Step>,
    /// Number of positives.
    pub positives: u64,
    /// Number of negatives.
    pub negatives: u64,
}

/// All images with at least this score, called positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The score.
    pub threshold: f64,
    /// Positives among them.
    pub true_positives: u64,
    /// Negatives among them.
    pub false_positives: u64,
}

impl Ranking {
    /// Ranks pairs of a score (finite) and whether the image is a positive.
    pub fn new(scored: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut pairs: Vec<(f64, bool)> = scored.into_iter().collect();
        pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut steps: Vec<Step> = Vec::new();
        let (mut true_positives, mut false_positives) = (0, 0);
        for (threshold, positive) in pairs {
            true_positives += u64::from(positive);
            false_positives += u64::from(!positive);
            let step = Step { threshold, true_positives, false_positives };
            match steps.last_mut() {
                Some(last) if last.threshold == threshold => *last = step,
                _ => steps.push(step),
            }
        }
        Self { steps, positives: true_positives, negatives: false_positives }
    }

    /// Area under the ROC curve: the probability that a positive is scored above a negative, equal scores counting
    /// half (Mann-Whitney); equals scikit-learn's `roc_auc_score`. `None` without positives or without negatives.
    pub fn roc_auc(&self) -> Option<f64> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let mut before = (0u64, 0u64);
        // Twice the area, in whole squares: exact until the very last division.
        let mut doubled: u128 = 0;
        for step in &self.steps {
            let width = u128::from(step.false_positives - before.1);
            doubled += width * u128::from(step.true_positives + before.0);
            before = (step.true_positives, step.false_positives);
        }
        Some(doubled as f64 / 2.0 / (self.positives as f64 * self.negatives as f64))
    }

    /// Average precision, `Σ (R_n - R_{n-1}) P_n`: the area under the precision-recall curve without interpolation, as
    /// scikit-learn's `average_precision_score`. `None` without positives.
    pub fn average_precision(&self) -> Option<f64> {
        if self.positives == 0 {
            return None;
        }
        let (mut sum, mut before) = (0.0, 0);
        for step in &self.steps {
            let precision = step.true_positives as f64 / (step.true_positives + step.false_positives) as f64;
            sum += (step.true_positives - before) as f64 / self.positives as f64 * precision;
            before = step.true_positives;
        }
        Some(sum)
    }

    /// Points (false positive rate, true positive rate) from (0, 0) to (1, 1), corners only. Empty without positives
    /// or without negatives.
    pub fn roc_curve(&self) -> Vec<(f64, f64)> {
        if self.positives == 0 || self.negatives == 0 {
            return Vec::new();
        }
        let counts = self.steps.iter().map(|s| (s.false_positives as i128, s.true_positives as i128));
        let mut corners: Vec<(i128, i128)> = vec![(0, 0)];
        for point in counts {
            if let [.., a, b] = corners[..]
                && (b.0 - a.0) * (point.1 - a.1) == (b.1 - a.1) * (point.0 - a.0)
            {
                corners.pop();
            }
            corners.push(point);
        }
        let (n, p) = (self.negatives as f64, self.positives as f64);
        corners.into_iter().map(|(x, y)| (x as f64 / n, y as f64 / p)).collect()
    }

    /// Points (recall, precision) in the order of rising recall, one per step, beginning with (0, 1). Empty without
    /// positives.
    pub fn precision_recall_curve(&self) -> Vec<(f64, f64)> {
        if self.positives == 0 {
            return Vec::new();
        }
        let point = |s: &Step| {
            let recall = s.true_positives as f64 / self.positives as f64;
            (recall, s.true_positives as f64 / (s.true_positives + s.false_positives) as f64)
        };
        std::iter::once((0.0, 1.0)).chain(self.steps.iter().map(point)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_reversed_and_constant_scores() {
        let ranking = |scores: [f64; 4]| Ranking::new(scores.into_iter().zip([true, true, false, false]));
        assert_eq!(ranking([0.9, 0.8, 0.2, 0.1]).roc_auc(), Some(1.0));
        assert_eq!(ranking([0.1, 0.2, 0.8, 0.9]).roc_auc(), Some(0.0));
        assert_eq!(ranking([0.5; 4]).roc_auc(), Some(0.5));
        assert_eq!(ranking([0.9, 0.8, 0.2, 0.1]).average_precision(), Some(1.0));
        assert_eq!(ranking([0.5; 4]).average_precision(), Some(0.5));
        // Reversed: the positives come third and fourth, with precisions 1/3 and 2/4.
        assert!((ranking([0.1, 0.2, 0.8, 0.9]).average_precision().unwrap() - 5.0 / 12.0).abs() < 1e-15);
    }

    #[test]
    fn ties_between_classes_count_half_as_in_scikit_learn() {
        // roc_auc_score([1,0,1,0,1,0], [.9,.9,.5,.5,.5,.1]) and average_precision_score of the same.
        let r = Ranking::new([(0.9, true), (0.9, false), (0.5, true), (0.5, false), (0.5, true), (0.1, false)]);
        assert!((r.roc_auc().unwrap() - 0.611_111_111_111_111_2).abs() < 1e-15);
        assert!((r.average_precision().unwrap() - 0.566_666_666_666_666_7).abs() < 1e-15);
    }

    #[test]
    fn one_sided_sets_have_no_area() {
        let all = Ranking::new([(0.3, true), (0.4, true)]);
        assert_eq!((all.roc_auc(), all.average_precision()), (None, Some(1.0)));
        let none = Ranking::new([(0.3, false)]);
        assert_eq!((none.roc_auc(), none.average_precision()), (None, None));
        assert!(none.roc_curve().is_empty() && none.precision_recall_curve().is_empty());
    }

    #[test]
    fn curves_keep_their_corners() {
        let r = Ranking::new([(0.9, true), (0.8, true), (0.7, false), (0.6, false)]);
        assert_eq!(r.roc_curve(), [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
        assert_eq!(r.precision_recall_curve()[..3], [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0)]);
    }
}
