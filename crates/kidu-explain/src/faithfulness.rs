//! Deletion and insertion (Petsiuk, Das and Saenko 2018, <https://arxiv.org/abs/1806.07421>): a map is faithful if the
//! probability falls fast when the pixels it names are taken away first, and rises fast when they come first.

use kidu_core::prediction::softmax;

use crate::{error::Result, gradients::Differentiable, heat::HeatMap, integrated_gradients::blur};

/// Probabilities of the class over the share of changed pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// From 0 to 1, evenly.
    pub shares: Vec<f64>,
    /// The class's probability at each.
    pub probabilities: Vec<f64>,
}

impl Curve {
    /// Area below the curve by the trapezoidal rule, in [0, 1].
    pub fn area(&self) -> f64 {
        let pairs = self.shares.windows(2).zip(self.probabilities.windows(2));
        pairs.map(|(s, p)| (s[1] - s[0]) * (p[0] + p[1]) / 2.0).sum()
    }
}

/// Images in a forward pass.
const BATCH: usize = 16;

/// Blur of the image that insertion begins with, as a share of the image's side.
const BLUR: f64 = 1.0 / 20.0;

/// The deletion curve (the less area the better; pixels become the mean colour) and the insertion curve (the more the
/// better; it starts from the blurred image), each with `steps` changes.
///
/// # Errors
/// As [`Differentiable::logits`].
pub fn faithfulness(
    network: &Differentiable,
    image: &[f32],
    map: &HeatMap,
    target: usize,
    steps: usize,
) -> Result<(Curve, Curve)> {
    let order = map.ranking();
    let zeros = vec![0.0; image.len()];
    let blurred = blur(image, network.shape(), BLUR * network.shape()[2] as f64);
    let deletion = curve(network, (image, &zeros), &order, target, steps)?;
    let insertion = curve(network, (&blurred, image), &order, target, steps)?;
    Ok((deletion, insertion))
}

/// From one image to the other, pixel after pixel in the given order.
fn curve(
    network: &Differentiable,
    (from, to): (&[f32], &[f32]),
    order: &[usize],
    target: usize,
    steps: usize,
) -> Result<Curve> {
    let [channels, height, width] = network.shape();
    let steps = steps.clamp(1, order.len().max(1));
    let changed = |step: usize| {
        let mut image = from.to_vec();
        for i in &order[..order.len() * step / steps] {
            for c in 0..channels {
                image[c * height * width + i] = to[c * height * width + i];
            }
        }
        image
    };
    let mut probabilities = Vec::with_capacity(steps + 1);
    let all: Vec<usize> = (0..=steps).collect();
    for part in all.chunks(BATCH) {
        let logits = network.logits(&part.iter().flat_map(|step| changed(*step)).collect::<Vec<f32>>())?;
        probabilities.extend(logits.chunks(network.classes()).map(|row| f64::from(softmax(row, 1.0)[target])));
    }
    let shares = all.iter().map(|s| *s as f64 / steps as f64).collect();
    Ok(Curve { shares, probabilities })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_trapezoids() {
        let curve = Curve { shares: vec![0.0, 0.5, 1.0], probabilities: vec![1.0, 0.0, 0.5] };
        assert!((curve.area() - 0.375).abs() < 1e-12);
    }
}
