//! Integrated Gradients (Sundararajan, Taly and Yan 2017, <https://arxiv.org/abs/1703.01365>).
//!
//! attribution = (x - b) * integral over a in [0, 1] of the gradient of F at b + a (x - b). The attributions of an image
//! sum to F(x) - F(b): completeness, whose error is the convergence delta.

use kidu_core::rng;

use crate::{
    error::{ExplainError, Result},
    gradients::Differentiable,
    quadrature::Method,
};

/// The image that says nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// Zeros of the normalised input: the mean colour.
    Zero,
    /// The image itself, blurred by this standard deviation in pixels (Sturmfels et al. 2020).
    Blur(f64),
    /// The mean over so many images of normal noise with this standard deviation (expected gradients with a made-up
    /// distribution); the seed makes it repeatable.
    Noise {
        /// How many.
        samples: usize,
        /// Standard deviation of the normalised input.
        std: f64,
        /// Seed.
        seed: u64,
    },
}

/// The options of an integration.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegratedGradients {
    /// Nodes of the integral.
    pub steps: usize,
    /// The rule.
    pub method: Method,
    /// From where to integrate.
    pub baseline: Baseline,
    /// Images in a forward and backward pass.
    pub internal_batch_size: usize,
    /// The largest convergence delta in percent of what is explained; above it there is an error. `None` only reports.
    pub max_delta_percent: Option<f64>,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self {
            steps: 50,
            method: Method::GaussLegendre,
            baseline: Baseline::Zero,
            internal_batch_size: 10,
            max_delta_percent: None,
        }
    }
}

/// How much each value of an image counts for the logit of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// `[3, height, width]`.
    pub values: Vec<f32>,
    /// The class.
    pub target: usize,
    /// Its logit for the image.
    pub logit: f32,
    /// Its logit for the baseline, the mean over all baselines.
    pub logit_at_baseline: f32,
    /// Sum of the attributions minus the difference of the logits (captum's convergence delta).
    pub convergence_delta: f64,
}

impl Attribution {
    /// The delta in percent of the larger of the sum and the difference.
    pub fn delta_percent(&self) -> f64 {
        let difference = f64::from(self.logit) - f64::from(self.logit_at_baseline);
        let sum = difference + self.convergence_delta;
        100.0 * self.convergence_delta.abs() / sum.abs().max(difference.abs()).max(1e-12)
    }
}

impl IntegratedGradients {
    /// Explains the logit `target` of one normalised image, `[3, height, width]`. `progress` hears of each finished pass
    /// with the number of its images; there are `steps` for each baseline.
    ///
    /// # Errors
    /// [`ExplainError::Option`] for options out of range, [`ExplainError::Convergence`] above `max_delta_percent`.
    pub fn attribute(
        &self,
        network: &Differentiable,
        image: &[f32],
        target: usize,
        progress: impl Fn(usize),
    ) -> Result<Attribution> {
        self.check(network, image, target)?;
        let baselines = self.baselines(network, image);
        let (mut total, mut at_baselines) = (vec![0.0f64; image.len()], 0.0);
        for baseline in &baselines {
            self.integrate(network, (image, baseline), target, &mut total, &progress)?;
            at_baselines += f64::from(network.logits(baseline)?[target]);
        }
        let count = baselines.len() as f64;
        let values: Vec<f32> = total.iter().map(|v| (v / count) as f32).collect();
        let logit = network.logits(image)?[target];
        let difference = f64::from(logit) - at_baselines / count;
        let sum = total.iter().sum::<f64>() / count;
        let found = Attribution {
            values,
            target,
            logit,
            logit_at_baseline: (at_baselines / count) as f32,
            convergence_delta: sum - difference,
        };
        let share = found.delta_percent();
        match self.max_delta_percent {
            Some(limit) if share > limit => {
                Err(ExplainError::Convergence { sum, difference, share, limit, steps: self.steps })
            }
            _ => Ok(found),
        }
    }

    /// The same with `steps` doubled, up to `most`, while the convergence delta is above `max_delta_percent`; with the
    /// steps that it took. `progress` hears of the passes of all attempts.
    ///
    /// # Errors
    /// As [`Self::attribute`]; [`ExplainError::Convergence`] of the last attempt.
    pub fn attribute_within(
        &self,
        network: &Differentiable,
        image: &[f32],
        target: usize,
        most: usize,
        progress: impl Fn(usize),
    ) -> Result<(Attribution, usize)> {
        let mut attempt = self.clone();
        loop {
            match attempt.attribute(network, image, target, &progress) {
                Ok(found) => return Ok((found, attempt.steps)),
                Err(ExplainError::Convergence { .. }) if 2 * attempt.steps <= most => attempt.steps *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds (x - b) times the integral to `total`.
    fn integrate(
        &self,
        network: &Differentiable,
        (image, baseline): (&[f32], &[f32]),
        target: usize,
        total: &mut [f64],
        progress: &impl Fn(usize),
    ) -> Result<()> {
        let difference: Vec<f32> = image.iter().zip(baseline).map(|(x, b)| x - b).collect();
        for nodes in self.method.nodes(self.steps).chunks(self.internal_batch_size) {
            let on_path = |(at, _): &(f64, f64)| {
                let at = *at as f32;
                baseline.iter().zip(&difference).map(move |(b, d)| b + at * d)
            };
            let images: Vec<f32> = nodes.iter().flat_map(on_path).collect();
            let (gradients, _) = network.input_gradients(&images, target)?;
            for ((_, weight), gradient) in nodes.iter().zip(gradients.chunks(image.len())) {
                let products = gradient.iter().zip(&difference).map(|(g, d)| weight * f64::from(*g) * f64::from(*d));
                total.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            }
            progress(nodes.len());
        }
        Ok(())
    }

    fn baselines(&self, network: &Differentiable, image: &[f32]) -> Vec<Vec<f32>> {
        match self.baseline {
            Baseline::Zero => vec![vec![0.0; image.len()]],
            Baseline::Blur(std) => vec![blur(image, network.shape(), std)],
            Baseline::Noise { samples, std, seed } => {
                (0..samples).map(|i| noise(image.len(), std, seed, i as u64)).collect()
            }
        }
    }

    fn check(&self, network: &Differentiable, image: &[f32], target: usize) -> Result<()> {
        let refuse = |option, reason: String| Err(ExplainError::Option { option, reason });
        let least = if self.method == Method::RiemannTrapezoid { 2 } else { 1 };
        if !(least..=10_000).contains(&self.steps) {
            return refuse("steps", format!("{} is outside {least}..=10000", self.steps));
        }
        if !(1..=1024).contains(&self.internal_batch_size) {
            return refuse("internal_batch_size", format!("{} is outside 1..=1024", self.internal_batch_size));
        }
        if target >= network.classes() {
            return refuse("target", format!("{target} is no class of the {}", network.classes()));
        }
        if image.len() != network.len() {
            return refuse("image", format!("has {} values, the network takes {}", image.len(), network.len()));
        }
        match self.baseline {
            Baseline::Blur(std) if !(std > 0.0 && std <= 1000.0) => {
                refuse("baseline", format!("a blur of {std} pixels is outside (0, 1000]"))
            }
            Baseline::Noise { samples, std, .. } if samples == 0 || samples > 1000 || !(std > 0.0 && std <= 100.0) => {
                refuse("baseline", format!("{samples} samples of noise {std}: give 1..=1000, and noise in (0, 100]"))
            }
            _ => Ok(()),
        }
    }
}

/// Gaussian blur of each channel, separable, edges repeated.
pub(crate) fn blur(image: &[f32], [channels, height, width]: [usize; 3], std: f64) -> Vec<f32> {
    let radius = (3.0 * std).ceil() as isize;
    let kernel: Vec<f64> = (-radius..=radius).map(|i| (-(i * i) as f64 / (2.0 * std * std)).exp()).collect();
    let total: f64 = kernel.iter().sum();
    let pass = |source: &[f32], length: usize, stride: usize, lines: &[usize]| {
        let mut out = vec![0.0f32; source.len()];
        for start in lines {
            for i in 0..length {
                let tap = |(k, weight): (usize, &f64)| {
                    let at = (i as isize + k as isize - radius).clamp(0, length as isize - 1) as usize;
                    weight * f64::from(source[start + at * stride])
                };
                out[start + i * stride] = (kernel.iter().enumerate().map(tap).sum::<f64>() / total) as f32;
            }
        }
        out
    };
    let rows: Vec<usize> = (0..channels * height).map(|r| r * width).collect();
    let columns: Vec<usize> = (0..channels).flat_map(|c| (0..width).map(move |x| c * height * width + x)).collect();
    pass(&pass(image, width, 1, &rows), height, width, &columns)
}

/// Normal numbers.
fn noise(len: usize, std: f64, seed: u64, sample: u64) -> Vec<f32> {
    let mut random = rng::stream(seed, "explain baseline", &[sample]);
    (0..len).map(|_| (std * rng::normal(&mut random)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurring_keeps_constants_and_sums() {
        let flat = vec![2.5f32; 3 * 9 * 7];
        assert!(blur(&flat, [3, 9, 7], 2.0).iter().all(|v| (v - 2.5).abs() < 1e-6));
        let mut spot = vec![0.0f32; 41 * 41];
        spot[20 * 41 + 20] = 1.0;
        let blurred = blur(&spot, [1, 41, 41], 2.0);
        let sum: f32 = blurred.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4 && (blurred[20 * 41 + 20] - 0.0398).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn noise_is_normal_and_repeats() {
        let values = noise(20_000, 0.5, 3, 1);
        assert_eq!(values, noise(20_000, 0.5, 3, 1));
        assert_ne!(values, noise(20_000, 0.5, 3, 2));
        let mean = values.iter().sum::<f32>() / 2e4;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 2e4).sqrt();
        assert!(mean.abs() < 0.02 && (std - 0.5).abs() < 0.01, "{mean} {std}");
    }
}
