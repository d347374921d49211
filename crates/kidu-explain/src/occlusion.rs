//! Occlusion (Zeiler and Fergus 2014, <https://arxiv.org/abs/1311.2901>): how much the logit falls when a window of the
//! image is covered.

use crate::{
    error::{ExplainError, Result},
    gradients::Differentiable,
    heat::HeatMap,
};

/// The window that covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occlusion {
    /// Its side in pixels.
    pub window: usize,
    /// From one window to the next.
    pub stride: usize,
    /// What it covers with, in normalised values: 0 is the mean colour.
    pub value: f32,
    /// Images in a forward pass.
    pub internal_batch_size: usize,
}

impl Occlusion {
    /// A window of a seventh of the image, moved by half of it.
    pub fn for_side(side: usize) -> Self {
        let window = (side / 7).max(1);
        Self { window, stride: (window / 2).max(1), value: 0.0, internal_batch_size: 16 }
    }

    /// Of each pixel the mean fall of the logit over the windows that cover it. `progress` hears the windows of each
    /// finished pass.
    ///
    /// # Errors
    /// [`ExplainError::Option`] for a window that does not fit.
    pub fn attribute(
        &self,
        network: &Differentiable,
        image: &[f32],
        target: usize,
        progress: impl Fn(usize),
    ) -> Result<HeatMap> {
        let [channels, height, width] = network.shape();
        if !(1..=height.min(width)).contains(&self.window) || self.stride == 0 || self.stride > self.window {
            let reason = format!("{} with stride {} does not cover {width}x{height}", self.window, self.stride);
            return Err(ExplainError::Option { option: "window", reason });
        }
        let logit = network.logits(image)?[target];
        let corners = self.corners(height, width);
        let (mut falls, mut counts) = (vec![0.0f32; height * width], vec![0u32; height * width]);
        for part in corners.chunks(self.internal_batch_size.max(1)) {
            let mut images = image.repeat(part.len());
            for (covered, corner) in images.chunks_mut(image.len()).zip(part) {
                for channel in 0..channels {
                    self.pixels(*corner, width).for_each(|i| covered[channel * height * width + i] = self.value);
                }
            }
            let logits = network.logits(&images)?;
            for (corner, row) in part.iter().zip(logits.chunks(network.classes())) {
                for i in self.pixels(*corner, width) {
                    falls[i] += logit - row[target];
                    counts[i] += 1;
                }
            }
            progress(part.len());
        }
        let values = falls.iter().zip(&counts).map(|(fall, count)| fall / (*count).max(1) as f32).collect();
        Ok(HeatMap { values, height, width })
    }

    /// How many windows there are.
    pub fn windows(&self, height: usize, width: usize) -> usize {
        self.corners(height, width).len()
    }

    /// Upper left corners; the last ones touch the edge.
    fn corners(&self, height: usize, width: usize) -> Vec<(usize, usize)> {
        let places = |side: usize| {
            let last = side - self.window;
            let mut at: Vec<usize> = (0..=last).step_by(self.stride).collect();
            if at.last() != Some(&last) {
                at.push(last);
            }
            at
        };
        let columns = places(width);
        places(height).into_iter().flat_map(|y| columns.iter().map(move |x| (y, *x))).collect()
    }

    fn pixels(&self, (top, left): (usize, usize), width: usize) -> impl Iterator<Item = usize> {
        let window = self.window;
        (top..top + window).flat_map(move |y| (left..left + window).map(move |x| y * width + x))
    }
}
