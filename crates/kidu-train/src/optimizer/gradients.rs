//! Accumulating and clipping gradients.

use super::Gradients;

/// Sums gradients over several batches.
#[derive(Default)]
pub struct Accumulator {
    sum: Gradients,
    batches: usize,
}

impl Accumulator {
    /// Adds the gradients of one batch.
    pub fn add(&mut self, gradients: Gradients) {
        for (key, gradient) in gradients {
            let sum = match self.sum.remove(&key) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.sum.insert(key, sum);
        }
        self.batches += 1;
    }

    /// How many batches have been added since the last [`Accumulator::take`].
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// The sums; the accumulator is empty then.
    pub fn take(&mut self) -> Gradients {
        self.batches = 0;
        std::mem::take(&mut self.sum)
    }
}

/// Scales all gradients so that their common Euclidean norm is at most `max_norm`, as PyTorch's `clip_grad_norm_`.
/// Returns them with the norm before clipping.
pub fn clip_by_global_norm(gradients: Gradients, max_norm: f64) -> (Gradients, f64) {
    // The keys' order is fixed, so the sum is the same in every run.
    let squares: f64 = gradients.values().map(|g| f64::from(g.clone().square().sum().into_scalar::<f32>())).sum();
    let norm = squares.sqrt();
    let scale = max_norm / (norm + 1e-6);
    if scale >= 1.0 {
        return (gradients, norm);
    }
    (gradients.into_iter().map(|(key, g)| (key, g * scale)).collect(), norm)
}
