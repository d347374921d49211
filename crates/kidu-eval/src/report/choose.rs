//! Which images are worth looking at.

use crate::scores::Scores;

/// The mistakes that the model was surest of, the surest first, at most `most`. Some may be errors of the labels.
pub fn surest_mistakes(scores: &Scores, most: usize) -> Vec<usize> {
    let mut wrong: Vec<usize> = (0..scores.images().len()).filter(|i| scores.image(*i).label_rank > 0).collect();
    wrong.sort_by(|a, b| scores.image(*b).confidence.total_cmp(&scores.image(*a).confidence));
    wrong.truncate(most);
    wrong
}

/// The images with the least probability of the predicted class, the least first, at most `most` (least confidence
/// sampling, Lewis and Gale 1994).
pub fn least_certain(scores: &Scores, most: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..scores.images().len()).collect();
    all.sort_by(|a, b| scores.image(*a).confidence.total_cmp(&scores.image(*b).confidence));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use kidu_core::ClassNames;

    use super::*;
    use crate::predictions::Predictions;

    #[test]
    fn surest_mistakes_and_least_certain_images_come_first() {
        let classes = ClassNames::new(["a", "b"]).unwrap();
        let logits = [1.0, 5.0, 9.0, 0.1].map(|x| vec![x, 0.0]).to_vec();
        let paths = ["small", "big", "right", "unsure"].map(String::from).to_vec();
        let predictions = Predictions::new(classes, vec![1, 1, 0, 0], logits, paths).unwrap();
        let scores = Scores::new(&predictions, 1.0).unwrap();
        assert_eq!(surest_mistakes(&scores, 9), [1, 0]);
        assert_eq!(surest_mistakes(&scores, 1), [1]);
        assert_eq!(least_certain(&scores, 3), [3, 0, 1]);
    }
}
