//! One step of Adam in one pass through memory.

use rayon::prelude::*;

use crate::simd::{Simd, Work, dispatch};

/// Floats that a thread updates at a time.
const CHUNK: usize = 16 * 1024;

/// The numbers of a step of Adam (<https://arxiv.org/abs/1412.6980>) or AdamW (<https://arxiv.org/abs/1711.05101>).
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Learning rate divided by the first moment's bias correction.
    pub rate: f64,
    /// Root of the second moment's bias correction.
    pub root_correction: f64,
    /// Times the value, added to the gradient: the L2 form of weight decay.
    pub decay: f64,
    /// What the value is multiplied by before the step: 1 minus learning rate times decoupled weight decay.
    pub keep: f64,
}

/// Updates value and moments in place, in PyTorch's order of operations; each is rounded, as one operation after the
/// other would be, so that every instruction set gives the same bits.
///
/// # Panics
/// When lengths disagree.
pub fn step(value: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: &AdamStep) {
    let len = value.len();
    assert!([gradient.len(), first.len(), second.len()] == [len; 3], "moments of another shape");
    let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
    value
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(moments)
        .for_each(|((value, gradient), (first, second))| dispatch(Update { value, gradient, first, second, step }));
}

struct Update<'a> {
    value: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    step: &'a AdamStep,
}

impl Work for Update<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let splat = |x: f64| S::splat(x as f32);
        let AdamStep { beta1, beta2, eps, rate, root_correction, decay, keep } = *self.step;
        let (beta2, rest1, rest2) = (splat(beta2), splat(1.0 - beta1), splat(1.0 - beta2));
        let (eps, rate, root_correction) = (splat(eps), splat(rate), splat(root_correction));
        let (has_decay, decay, keep) = (decay != 0.0, splat(decay), splat(keep));
        for at in (0..self.value.len()).step_by(S::LANES) {
            let n = S::LANES.min(self.value.len() - at);
            let mut value = S::load_n(self.value.as_ptr().add(at), n);
            let mut gradient = S::load_n(self.gradient.as_ptr().add(at), n);
            let first = S::load_n(self.first.as_ptr().add(at), n);
            let second = S::load_n(self.second.as_ptr().add(at), n);
            if has_decay {
                gradient = S::add(gradient, S::mul(value, decay));
            }
            value = S::mul(value, keep);
            let first = S::add(first, S::mul(S::sub(gradient, first), rest1));
            let second = S::add(S::mul(second, beta2), S::mul(S::mul(gradient, gradient), rest2));
            let denominator = S::add(S::div(S::sqrt(second), root_correction), eps);
            value = S::sub(value, S::mul(S::div(first, denominator), rate));
            S::store_n(self.value.as_mut_ptr().add(at), value, n);
            S::store_n(self.first.as_mut_ptr().add(at), first, n);
            S::store_n(self.second.as_mut_ptr().add(at), second, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula, one number at a time.
    fn expected(value: f32, gradient: f32, first: f32, second: f32, s: &AdamStep) -> [f32; 3] {
        let gradient = gradient + value * s.decay as f32;
        let first = first + (gradient - first) * (1.0 - s.beta1) as f32;
        let second = second * s.beta2 as f32 + gradient * gradient * (1.0 - s.beta2) as f32;
        let denominator = second.sqrt() / s.root_correction as f32 + s.eps as f32;
        [value * s.keep as f32 - first / denominator * s.rate as f32, first, second]
    }

    #[test]
    fn a_step_is_its_formula_to_the_bit() {
        let numbers =
            |seed: usize| (0..40_003).map(move |i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0);
        for (decay, keep) in [(0.0, 1.0), (0.01, 1.0), (0.0, 0.999)] {
            let adam =
                AdamStep { beta1: 0.9, beta2: 0.999, eps: 1e-8, rate: 0.003, root_correction: 0.0316, decay, keep };
            let [mut value, gradient, mut first] = [1, 2, 3].map(|seed| numbers(seed).collect::<Vec<f32>>());
            let mut second: Vec<f32> = numbers(4).map(f32::abs).collect();
            let wanted: Vec<[f32; 3]> =
                (0..value.len()).map(|i| expected(value[i], gradient[i], first[i], second[i], &adam)).collect();
            step(&mut value, &gradient, &mut first, &mut second, &adam);
            assert!((0..value.len()).all(|i| [value[i], first[i], second[i]] == wanted[i]));
        }
    }
}
