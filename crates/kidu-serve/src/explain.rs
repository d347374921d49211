//! Which parts of an image a prediction rests on, by occlusion: the engine has no gradients.

use kidu_image::{DecodeError, Limits};
use serde::Serialize;

use crate::model::Model;

/// How much the most probable class loses when a part of the image is covered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The most probable class of the whole image.
    pub label: String,
    /// Its probability, in [0, 1].
    pub score: f32,
    /// Rows and columns of [`Explanation::drops`].
    pub grid: usize,
    /// Row by row: the probability of the class on the whole image minus that with this cell covered, in [-1, 1].
    pub drops: Vec<Vec<f32>>,
}

/// Why there is no explanation.
#[derive(Debug)]
pub(crate) enum ExplainError {
    /// The image cannot be read.
    Image(DecodeError),
    /// The classifier gave none.
    Classifier(String),
}

/// Cells a side.
pub(crate) const GRID: usize = 7;

/// Covers one cell of a grid after another with the mean colour (0 after normalising) and predicts again, a row of the
/// grid at a time. Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2.
pub(crate) fn occlude(model: &Model, image: &[u8], limits: &Limits) -> Result<Explanation, ExplainError> {
    let input = model.preprocessor().preprocess(image, limits).map_err(ExplainError::Image)?;
    let spec = model.preprocessor().spec();
    let (width, height) = (spec.width as usize, spec.height as usize);
    let predict = |inputs: &[f32]| model.predict(inputs).map_err(ExplainError::Classifier);
    let whole = predict(&input)?.into_iter().next();
    let whole = whole.ok_or_else(|| ExplainError::Classifier("it gave no prediction for one image".into()))?;
    let score_of = |p: &kidu_core::Prediction| {
        p.probabilities.iter().find(|(name, _)| *name == whole.label).map_or(0.0, |(_, score)| *score)
    };
    let mut drops = Vec::with_capacity(GRID);
    for row in 0..GRID {
        let mut covered = input.repeat(GRID);
        for (column, copy) in covered.chunks_exact_mut(input.len()).enumerate() {
            let (rows, columns) = (cell(row, height), cell(column, width));
            for plane in copy.chunks_exact_mut(width * height) {
                rows.clone().for_each(|y| plane[y * width..][columns.clone()].fill(0.0));
            }
        }
        drops.push(predict(&covered)?.iter().map(|p| whole.score - score_of(p)).collect());
    }
    Ok(Explanation { label: whole.label.clone(), score: whole.score, grid: GRID, drops })
}

/// The pixels of a cell along one side.
fn cell(index: usize, pixels: usize) -> std::ops::Range<usize> {
    index * pixels / GRID..(index + 1) * pixels / GRID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_every_pixel_once() {
        for pixels in [7, 8, 224, 3] {
            let covered: Vec<usize> = (0..GRID).flat_map(|i| cell(i, pixels)).collect();
            assert_eq!(covered, (0..pixels).collect::<Vec<_>>());
        }
    }
}
