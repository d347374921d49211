//! What a machine can do at most: arithmetic on registers alone, and traffic with memory. What a network reaches is
//! told as a share of it.
//!
//! Both measure the threads of the current Rayon pool, so `pool.install(roofline::peak_flops)` measures that pool.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use crate::simd::{Simd, Work, dispatch};

/// How long all threads compute at once.
const BURST: Duration = Duration::from_millis(60);

/// The best of so many counts: others on the machine only ever slow it down.
const REPEATS: usize = 5;

/// Links of each chain between two looks at the clock: well below a millisecond.
const LINKS: u64 = 1 << 15;

/// Operations a second of the widest fused multiply-add, which counts as two, on values that never leave the
/// registers. Without such an instruction a product and a sum take its place.
pub fn peak_flops() -> f64 {
    let burst = || {
        let start = Instant::now();
        let made = rayon::broadcast(|_| {
            let mut operations = 0.0;
            while start.elapsed() < BURST {
                operations += dispatch(Chains(LINKS));
            }
            operations
        });
        made.iter().sum::<f64>() / start.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(|_| burst()).fold(0.0, f64::max)
}

/// Independent chains of dependent multiply-adds, with that many links each. Returns the operations.
struct Chains(u64);

impl Work for Chains {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        // As many chains as a product's tile has sums: enough to hide the instruction's latency, and they fit.
        let chains = match S::TILE_ROWS * S::TILE_VECTORS {
            24.. => extend::<S, 24>(self.0),
            12..=23 => extend::<S, 12>(self.0),
            _ => extend::<S, 8>(self.0),
        };
        2.0 * (chains * S::LANES) as f64 * self.0 as f64
    }
}

/// Computes `N` chains and returns their number.
#[inline(always)]
unsafe fn extend<S: Simd, const N: usize>(links: u64) -> usize {
    // The compiler knows neither factor, summand nor starts, and the starts differ: nothing folds or merges. The
    // values approach 1, far from slow denormal numbers.
    let (factor, summand) = (S::splat(black_box(0.999)), S::splat(black_box(0.001)));
    let starts: [f32; N] = black_box([0.5; N]);
    let mut sums = [factor; N];
    for (sum, start) in sums.iter_mut().zip(&starts) {
        *sum = S::splat(*start);
    }
    for _ in 0..links {
        for sum in &mut sums {
            *sum = S::fma(*sum, factor, summand);
        }
    }
    let mut last = [0.0; 64];
    for sum in &sums {
        S::store(last.as_mut_ptr(), *sum);
        black_box(&last);
    }
    N
}

/// Traffic with memory in bytes a second, counted as STREAM does: what the program reads and writes, not what the
/// caches fetch besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// `a[i] = b[i]`: 8 bytes a value.
    pub copy: f64,
    /// `a[i] = b[i] + s * c[i]`: 12 bytes a value.
    pub triad: f64,
}

/// Measures arrays of `values` floats each; together (12 bytes a value) they should be several times the last cache.
///
/// # Panics
/// When `values` is 0.
pub fn bandwidth(values: usize) -> Bandwidth {
    assert!(values > 0, "no values to move");
    let share = values.div_ceil(rayon::current_num_threads());
    let (mut a, b, c) = (vec![0.0f32; values], vec![1.0f32; values], vec![2.0f32; values]);
    let scale = black_box(3.0);
    let copy = best(8 * values, || {
        a.par_chunks_mut(share).zip(b.par_chunks(share)).for_each(|(a, b)| a.copy_from_slice(b));
        black_box(&a);
    });
    let triad = best(12 * values, || {
        let inputs = b.par_chunks(share).zip(c.par_chunks(share));
        a.par_chunks_mut(share).zip(inputs).for_each(|(a, (b, c))| {
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + scale * c;
            }
        });
        black_box(&a);
    });
    Bandwidth { copy, triad }
}

/// The best rate of moving that many bytes.
fn best(bytes: usize, mut work: impl FnMut()) -> f64 {
    let mut once = || {
        let start = Instant::now();
        work();
        // A clock that did not move would make the rate infinite.
        bytes as f64 / start.elapsed().as_secs_f64().max(1e-9)
    };
    (0..REPEATS).map(|_| once()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_a_processor() {
        // From a slow emulator to more than any machine has.
        assert!((1e6..1e16).contains(&peak_flops()));
        let Bandwidth { copy, triad } = bandwidth(1 << 18);
        assert!((1e6..1e15).contains(&copy) && (1e6..1e15).contains(&triad), "{copy} {triad}");
    }
}
