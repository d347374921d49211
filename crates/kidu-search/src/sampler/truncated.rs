//! The normal distribution cut off at both ends.

use std::f64::consts::SQRT_2;

/// Probability of the standard normal distribution between `a` and `b`, precise in both tails.
pub(super) fn mass(a: f64, b: f64) -> f64 {
    let upper = |x: f64| 0.5 * libm::erfc(x / SQRT_2);
    if a > 0.0 { upper(a) - upper(b) } else { upper(-b) - upper(-a) }.max(0.0)
}

/// Logarithm of the density of the standard normal distribution.
pub(super) fn log_density(z: f64) -> f64 {
    -0.5 * z * z - 0.5 * libm::log(2.0 * std::f64::consts::PI)
}

/// Where the share `share`, in [0, 1), of the probability between `a` and `b` is reached; by bisection, which needs no
/// table and cannot leave the interval.
pub(super) fn quantile(a: f64, b: f64, share: f64) -> f64 {
    let wanted = share * mass(a, b);
    let (mut low, mut high) = (a, b);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if mass(a, middle) < wanted { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_are_those_of_the_tables() {
        for (a, b, expected) in [
            (-1.0, 1.0, 0.682_689_492_137_085_9),
            (-1.96, 1.96, 0.950_004_209_703_559),
            (0.0, 40.0, 0.5),
            (5.0, 6.0, 2.856_649_842_341_562e-7),
            (-6.0, -5.0, 2.856_649_842_341_562e-7),
        ] {
            assert!((mass(a, b) / expected - 1.0).abs() < 1e-9, "{a} {b} {}", mass(a, b));
        }
    }

    #[test]
    fn quantiles_invert_the_mass() {
        for (a, b) in [(-1.0, 2.0), (-0.01, 30.0), (-8.0, 0.5), (0.5, 0.6)] {
            for share in [0.0, 1e-6, 0.3, 0.5, 0.999] {
                let z = quantile(a, b, share);
                assert!((a..=b).contains(&z));
                assert!((mass(a, z) / mass(a, b) - share).abs() < 1e-12);
            }
        }
    }
}
