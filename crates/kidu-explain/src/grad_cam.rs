//! Grad-CAM (Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>) on the last feature map.

use crate::{error::Result, gradients::Differentiable, heat::HeatMap};

/// ReLU of the feature map's channels, weighted with the means of their gradients; resized to the image.
///
/// # Errors
/// As [`Differentiable::feature_map`].
pub fn grad_cam(network: &Differentiable, image: &[f32], target: usize) -> Result<HeatMap> {
    let map = network.feature_map(image, target)?;
    let [_, height, width] = map.shape;
    let pixels = height * width;
    let mut sums = vec![0.0f32; pixels];
    for (values, gradient) in map.values.chunks(pixels).zip(map.gradient.chunks(pixels)) {
        let weight = gradient.iter().sum::<f32>() / pixels as f32;
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
    }
    let values = sums.into_iter().map(|v| v.max(0.0)).collect();
    let [_, rows, columns] = network.shape();
    Ok(HeatMap { values, height, width }.resized(rows, columns))
}
