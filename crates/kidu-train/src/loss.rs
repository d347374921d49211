//! Cross entropy with label smoothing (Szegedy et al. 2015, <https://arxiv.org/abs/1512.00567>) and class weights.

use burn::tensor::{Tensor, TensorData, activation::log_softmax};

use crate::{
    error::{Result, TrainError},
    mix::Mixed,
    settings::ClassWeights,
};

/// PyTorch's `cross_entropy(weight, label_smoothing, reduction="mean")`: the mean is weighted with the weights of the
/// targets' classes.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    weights: Option<Vec<f64>>,
    smoothing: f64,
}

impl CrossEntropy {
    /// The loss for `counts.len()` classes; `counts` are the training images of each class, for balanced weights.
    ///
    /// # Errors
    /// [`TrainError::Settings`] when there are not as many weights as classes.
    pub fn new(weights: &ClassWeights, smoothing: f64, counts: &[usize]) -> Result<Self> {
        let weights = match weights {
            ClassWeights::None => None,
            ClassWeights::Balanced => Some(balanced(counts)),
            ClassWeights::Given(given) if given.len() == counts.len() => Some(given.clone()),
            ClassWeights::Given(given) => {
                let message = format!("has {} numbers, the data have {} classes", given.len(), counts.len());
                return Err(TrainError::Settings(vec![("model.class_weights".into(), message)]));
            }
        };
        Ok(Self { weights, smoothing })
    }

    /// The loss, one element, of logits [N, classes] for N labels.
    pub fn forward(&self, logits: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let [images, classes] = logits.dims();
        let data = TensorData::new(self.targets(labels, classes), [images, classes]);
        let targets = Tensor::<2>::from_data(data, &logits.device());
        (log_softmax(logits, 1) * targets).sum().neg()
    }

    /// The loss of a mixed batch: both targets of an image count with their shares, smoothing included.
    pub fn forward_mixed(&self, logits: Tensor<2>, labels: &[usize], mixed: &Mixed) -> Tensor<1> {
        let [images, classes] = logits.dims();
        let data = TensorData::new(self.mixed_targets(labels, mixed, classes), [images, classes]);
        let targets = Tensor::<2>::from_data(data, &logits.device());
        (log_softmax(logits, 1) * targets).sum().neg()
    }

    /// Like [`CrossEntropy::targets`]; the mean is weighted with the weights of the shares.
    fn mixed_targets(&self, labels: &[usize], mixed: &Mixed, classes: usize) -> Vec<f32> {
        let weight = |class: usize| self.weights.as_ref().map_or(1.0, |w| w[class]);
        let pairs = || labels.iter().zip(&mixed.partners).zip(&mixed.shares).map(|((a, b), share)| (*a, *b, *share));
        let total: f64 = pairs().map(|(a, b, share)| share * weight(a) + (1.0 - share) * weight(b)).sum();
        let total = if total > 0.0 { total } else { 1.0 };
        let spread = self.smoothing / classes as f64;
        pairs()
            .flat_map(|(a, b, share)| {
                (0..classes).map(move |c| (c, f64::from(u8::from(c == a)), f64::from(u8::from(c == b)), share))
            })
            .map(|(c, own, other, share)| {
                let hit = share * own + (1.0 - share) * other;
                (weight(c) * (spread + hit * (1.0 - self.smoothing)) / total) as f32
            })
            .collect()
    }

    /// Row i holds what -log p of each class counts for image i; sums are divided by the weights of the targets.
    fn targets(&self, labels: &[usize], classes: usize) -> Vec<f32> {
        let weight = |class: usize| self.weights.as_ref().map_or(1.0, |w| w[class]);
        let total: f64 = labels.iter().map(|l| weight(*l)).sum();
        // A batch whose classes all weigh nothing teaches nothing; PyTorch would give 0 / 0.
        let total = if total > 0.0 { total } else { 1.0 };
        let spread = self.smoothing / classes as f64;
        labels
            .iter()
            .flat_map(|label| (0..classes).map(move |c| (c, c == *label)))
            .map(|(c, hit)| (weight(c) * (spread + if hit { 1.0 - self.smoothing } else { 0.0 }) / total) as f32)
            .collect()
    }
}

/// images / (classes * images of the class), as scikit-learn's `balanced`.
fn balanced(counts: &[usize]) -> Vec<f64> {
    let images: usize = counts.iter().sum();
    counts.iter().map(|n| images as f64 / (counts.len() * (*n).max(1)) as f64).collect()
}

/// Sum of the plain cross entropies of rows of logits, in float64 on the host.
pub fn cross_entropy_sum(logits: &[f32], labels: &[usize]) -> f64 {
    let classes = logits.len() / labels.len().max(1);
    let row = |(row, label): (&[f32], &usize)| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|l| (f64::from(*l) - f64::from(max)).exp()).sum();
        sum.ln() + f64::from(max) - f64::from(row[*label])
    };
    logits.chunks(classes.max(1)).zip(labels).map(row).sum()
}

/// How many rows of logits are largest at their label; the first of equal ones counts.
pub fn count_correct(logits: &[f32], labels: &[usize]) -> usize {
    let classes = logits.len() / labels.len().max(1);
    let largest = |row: &[f32]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    logits.chunks(classes.max(1)).zip(labels).filter(|(row, label)| largest(row) == **label).count()
}

/// How many rows of logits of a mixed batch are right: a row whose largest is at its label counts that label's share, at
/// its partner's the rest (as the authors of mixup count).
pub fn count_correct_mixed(logits: &[f32], labels: &[usize], mixed: &Mixed) -> f64 {
    let classes = logits.len() / labels.len().max(1);
    let row = |(i, row): (usize, &[f32])| {
        let share = |label: usize, share: f64| if count_correct(row, &[label]) == 1 { share } else { 0.0 };
        share(labels[i], mixed.shares[i]) + share(mixed.partners[i], 1.0 - mixed.shares[i])
    };
    logits.chunks(classes.max(1)).enumerate().map(row).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const LOGITS: [[f32; 3]; 4] = [[1.0, 2.0, -1.0], [0.5, 0.0, 3.0], [100.0, -100.0, 0.0], [0.1, 0.2, 0.3]];
    const LABELS: [usize; 4] = [1, 0, 1, 2];
    const MIXED_LOSS: f32 = 11.268_707;
    const MIXED_SMOOTHED_LOSS: f32 = 12.760_373;

    #[test]
    fn values_and_gradients_are_pytorchs() {
        let given = ClassWeights::Given(vec![0.5, 2.0, 1.5]);
        let cases = [
            (0.0, ClassWeights::None, 50.993_706, [0.064_874_12, -0.231_869_64, 0.25, -0.158_208_65]),
            (0.1, ClassWeights::None, 48.512_87, [0.056_540_79, -0.215_202_97, 0.241_666_66, -0.141_541_99]),
            (0.0, given.clone(), 67.252_144, [0.086_498_83, -0.077_289_88, 0.333_333_34, -0.158_208_65]),
            (0.1, given, 63.684_98, [0.080_837_75, -0.070_727_08, 0.319_444_42, -0.142_561_88]),
        ];
        let device = Device::flex().autodiff();
        for (smoothing, weights, loss, gradient) in cases {
            let logits = Tensor::<2>::from_floats(LOGITS, &device).require_grad();
            let criterion = CrossEntropy::new(&weights, smoothing, &[1, 1, 1]).unwrap();
            let found = criterion.forward(logits.clone(), &LABELS);
            let gradients = found.clone().backward();
            assert!((found.into_scalar::<f32>() - loss).abs() < 1e-5 * loss);
            let g: Vec<f32> = logits.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
            for (a, b) in [g[0], g[3], g[6], g[11]].iter().zip(gradient) {
                assert!((a - b).abs() < 1e-6, "{g:?} {gradient:?}");
            }
        }
    }

    #[test]
    fn soft_targets_are_pytorchs() {
        // torch.nn.functional.cross_entropy with probabilities as targets and label_smoothing.
        let mixed = Mixed { partners: vec![2, 1, 0, 1], shares: vec![0.7, 0.7, 0.2, 0.5] };
        let device = Device::flex();
        for (smoothing, expected) in [(0.0, MIXED_LOSS), (0.1, MIXED_SMOOTHED_LOSS)] {
            let logits = Tensor::<2>::from_floats(LOGITS, &device);
            let criterion = CrossEntropy::new(&ClassWeights::None, smoothing, &[1, 1, 1]).unwrap();
            let found = criterion.forward_mixed(logits, &LABELS, &mixed).into_scalar::<f32>();
            assert!((found - expected).abs() < 1e-5 * expected, "{found} {expected}");
        }
        // Right at the label, at neither, at the partner, at the label.
        assert!((count_correct_mixed(&LOGITS.concat(), &LABELS, &mixed) - (0.7 + 0.8 + 0.5)).abs() < 1e-12);
    }

    #[test]
    fn unmixed_shares_are_the_plain_loss() {
        let given = ClassWeights::Given(vec![0.5, 2.0, 1.5]);
        let criterion = CrossEntropy::new(&given, 0.1, &[1, 1, 1]).unwrap();
        let alone = Mixed { partners: vec![0; 4], shares: vec![1.0; 4] };
        assert_eq!(criterion.mixed_targets(&LABELS, &alone, 3), criterion.targets(&LABELS, 3));
        let same = Mixed { partners: LABELS.to_vec(), shares: vec![0.5; 4] };
        assert_eq!(criterion.mixed_targets(&LABELS, &same, 3), criterion.targets(&LABELS, 3));
    }

    #[test]
    fn the_host_agrees_and_counts() {
        let flat = LOGITS.concat();
        assert!((cross_entropy_sum(&flat, &LABELS) / 4.0 - 50.993_705_9).abs() < 1e-5);
        assert_eq!(count_correct(&flat, &LABELS), 2);
        assert_eq!(count_correct(&[1.0, 1.0], &[1]), 0);
        assert!(cross_entropy_sum(&[f32::NAN, 0.0], &[0]).is_nan());
    }

    #[test]
    fn balanced_weights_make_classes_count_the_same() {
        assert_eq!(balanced(&[1, 3]), [2.0, 2.0 / 3.0]);
        let message = CrossEntropy::new(&ClassWeights::Given(vec![1.0]), 0.0, &[1, 1]).unwrap_err().to_string();
        assert!(message.contains("has 1 numbers, the data have 2 classes"), "{message}");
    }
}
