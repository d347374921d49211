//! Batch norm folded into the convolution before it.

use crate::{error::Result, weights::Weights};

/// A convolution's weight, `[out, in, kernel, kernel]`, and bias after folding.
pub(crate) struct Folded {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// gamma / sqrt(variance + eps) * (conv(x) - mean) + beta as one convolution with a bias. In float64: the product of
/// the two roundings would be lost for good.
pub(crate) fn fold(weights: &dyn Weights, (conv, norm): (&str, &str), shape: [usize; 4], eps: f64) -> Result<Folded> {
    let weight = weights.values(&format!("{conv}.weight"), &shape)?;
    let part = |name: &str| weights.values(&format!("{norm}.{name}"), &shape[..1]);
    let (gamma, beta, mean, variance) = (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    let scales: Vec<f64> =
        gamma.iter().zip(variance).map(|(g, v)| f64::from(*g) / (f64::from(*v) + eps).sqrt()).collect();
    let per_output = shape[1..].iter().product::<usize>().max(1);
    let mut scaled = Vec::with_capacity(weight.len());
    for (row, scale) in weight.chunks(per_output).zip(&scales) {
        scaled.extend(row.iter().map(|w| (f64::from(*w) * scale) as f32));
    }
    let bias = (0..shape[0]).map(|o| (f64::from(beta[o]) - f64::from(mean[o]) * scales[o]) as f32).collect();
    Ok(Folded { weight: scaled, bias })
}
