//! Confident learning: which labels are likely wrong, from predictions on images that the model was not fitted on.
//!
//! Northcutt, Jiang and Chuang (2021), "Confident learning: estimating uncertainty in dataset labels". A pure function of
//! labels and probabilities.

use serde::Serialize;

/// Least threshold of a class, so that a class whose probability is always 0 is not confident everywhere.
const LEAST_THRESHOLD: f64 = 2e-6;
/// Rounding of probabilities must not decide.
const SLACK: f64 = 1e-6;

/// How well labels and predictions agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelQuality {
    /// Mean probability of a class among the images that carry its label: above it, a prediction is confident. 2 for a
    /// class without images.
    pub thresholds: Vec<f64>,
    /// `[given, likely]`: images with the label `given` that are confidently of the class `likely`, scaled so that each
    /// row sums to the number of images with that label.
    pub joint: Vec<Vec<usize>>,
    /// The share of the images whose label is the most probable class.
    pub accuracy: f64,
    /// Of each image, in [0, 1]: half the margin of its label over the best other class, plus a half (normalised
    /// margin). Low is suspect.
    pub scores: Vec<f64>,
    /// The images whose label is likely wrong, the most suspect first.
    pub suspects: Vec<Suspect>,
}

/// A label that is likely wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// The image's row.
    pub row: usize,
    /// The most probable class.
    pub likely: usize,
    /// Its probability.
    pub probability: f64,
    /// Probability of the given label.
    pub self_confidence: f64,
}

/// Judges labels by `probabilities`, `[images, classes]` row by row, of models that were not fitted on the image.
///
/// The confident joint counts, for each given label, the classes that are predicted above their own threshold; scaled to
/// the numbers of labels, its entries off the diagonal say how many images of each pair of classes are mislabelled. So
/// many are pruned, those with the widest margin of the other class over the label ("prune by noise rate"), unless the
/// label is the most probable class.
pub fn judge(labels: &[usize], probabilities: &[f64], classes: usize) -> LabelQuality {
    let rows: Vec<&[f64]> = probabilities.chunks_exact(classes.max(1)).collect();
    let thresholds = thresholds(labels, &rows, classes);
    let joint = calibrated(confident_joint(labels, &rows, &thresholds), labels, classes);
    let likely: Vec<usize> = rows.iter().map(|row| argmax(row)).collect();
    let scores: Vec<f64> = labels.iter().zip(&rows).map(|(l, row)| normalised_margin(*l, row)).collect();
    let mut marked = vec![false; labels.len()];
    for given in 0..classes {
        let of_class: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == given).collect();
        for other in (0..classes).filter(|o| *o != given) {
            let mut ranked = of_class.clone();
            let margin = |i: &usize| rows[*i][other] - rows[*i][given];
            ranked.sort_by(|a, b| margin(b).total_cmp(&margin(a)));
            ranked.iter().take(joint[given][other]).for_each(|i| marked[*i] = true);
        }
    }
    let mut suspects: Vec<Suspect> = (0..labels.len())
        .filter(|i| marked[*i] && likely[*i] != labels[*i])
        .map(|row| Suspect {
            row,
            likely: likely[row],
            probability: rows[row][likely[row]],
            self_confidence: rows[row][labels[row]],
        })
        .collect();
    suspects.sort_by(|a, b| scores[a.row].total_cmp(&scores[b.row]).then(a.row.cmp(&b.row)));
    let right = likely.iter().zip(labels).filter(|(a, b)| a == b).count();
    let accuracy = right as f64 / labels.len().max(1) as f64;
    LabelQuality { thresholds, joint, accuracy, scores, suspects }
}

/// Mean probability of each class among the images that carry its label.
fn thresholds(labels: &[usize], rows: &[&[f64]], classes: usize) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0.0; classes], vec![0usize; classes]);
    for (label, row) in labels.iter().zip(rows) {
        sums[*label] += row[*label];
        counts[*label] += 1;
    }
    let mean = |(sum, count): (f64, usize)| if count == 0 { 2.0 } else { (sum / count as f64).max(LEAST_THRESHOLD) };
    sums.into_iter().zip(counts).map(mean).collect()
}

/// Counts, for each given label, the confidently predicted class; of several, the most probable. The diagonal is at
/// least 1.
fn confident_joint(labels: &[usize], rows: &[&[f64]], thresholds: &[f64]) -> Vec<Vec<f64>> {
    let classes = thresholds.len();
    let mut joint = vec![vec![0.0f64; classes]; classes];
    for (label, row) in labels.iter().zip(rows) {
        let confident: Vec<usize> = (0..classes).filter(|c| row[*c] >= thresholds[*c] - SLACK).collect();
        match confident.as_slice() {
            [] => {}
            [only] => joint[*label][*only] += 1.0,
            _ => joint[*label][argmax(row)] += 1.0,
        }
    }
    (0..classes).for_each(|c| joint[c][c] = joint[c][c].max(1.0));
    joint
}

/// Scales each row to the number of images with its label, and rounds.
fn calibrated(joint: Vec<Vec<f64>>, labels: &[usize], classes: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![0usize; classes];
    labels.iter().for_each(|l| counts[*l] += 1);
    joint
        .into_iter()
        .zip(counts)
        .map(|(row, count)| {
            let sum: f64 = row.iter().sum();
            round_to_sum(&row.iter().map(|v| v / sum * count as f64).collect::<Vec<_>>(), count)
        })
        .collect()
}

/// Whole numbers with a given sum, nearest to the given ones: largest remainders.
fn round_to_sum(values: &[f64], sum: usize) -> Vec<usize> {
    let mut whole: Vec<usize> = values.iter().map(|v| v.floor() as usize).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].fract().total_cmp(&values[*a].fract()).then(a.cmp(b)));
    let left = sum.saturating_sub(whole.iter().sum());
    order.iter().take(left).for_each(|i| whole[*i] += 1);
    whole
}

/// `(p(label) - max p(others) + 1) / 2`.
fn normalised_margin(label: usize, row: &[f64]) -> f64 {
    let others = row.iter().enumerate().filter(|(c, _)| *c != label).map(|(_, p)| *p);
    let best = others.fold(f64::NEG_INFINITY, f64::max);
    if best.is_finite() { (row[label] - best + 1.0) / 2.0 } else { 1.0 }
}

fn argmax(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_wrong_label_among_sure_ones_is_the_suspect() {
        let labels = [0, 0, 0, 1, 1, 1, 1];
        let rows = [[0.9, 0.1], [0.8, 0.2], [0.85, 0.15], [0.1, 0.9], [0.2, 0.8], [0.15, 0.85], [0.95, 0.05]];
        let quality = judge(&labels, rows.as_flattened(), 2);
        assert!((quality.thresholds[0] - 0.85).abs() < 1e-12 && (quality.thresholds[1] - 0.65).abs() < 1e-12);
        // Of four labelled 1, three are confidently 1 and one confidently 0; of three labelled 0, two are confident.
        assert_eq!(quality.joint, [vec![3, 0], vec![1, 3]]);
        let rows: Vec<_> = quality.suspects.iter().map(|s| (s.row, s.likely, s.probability)).collect();
        assert_eq!(rows, [(6, 0, 0.95)]);
        assert!((quality.scores[6] - 0.05).abs() < 1e-12 && (quality.accuracy - 6.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_class_without_images_is_never_confident() {
        let quality = judge(&[0, 0], &[0.1, 0.9, 0.6, 0.4], 2);
        assert_eq!(quality.thresholds[1], 2.0);
        assert!(quality.suspects.is_empty(), "{quality:?}");
    }

    proptest! {
        #[test]
        fn rows_of_the_joint_sum_to_the_labels(
            labels in prop::collection::vec(0usize..4, 1..60),
            numbers in prop::collection::vec(0.01f64..1.0, 240),
        ) {
            let mut rows: Vec<f64> = numbers[..labels.len() * 4].to_vec();
            for row in rows.chunks_exact_mut(4) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|v| *v /= sum);
            }
            let quality = judge(&labels, &rows, 4);
            for class in 0..4 {
                let count = labels.iter().filter(|l| **l == class).count();
                prop_assert_eq!(quality.joint[class].iter().sum::<usize>(), count);
            }
            prop_assert!(quality.scores.iter().all(|s| (0.0..=1.0).contains(s)));
            prop_assert!(quality.suspects.iter().all(|s| s.likely != labels[s.row]));
        }
    }
}
