//! Rules for an integral over [0, 1].

/// How the path integral is approximated; captum's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Gauss-Legendre: exact for polynomials up to degree 2n - 1.
    #[default]
    GaussLegendre,
    /// Riemann sum of left ends.
    RiemannLeft,
    /// Riemann sum of right ends.
    RiemannRight,
    /// Riemann sum of midpoints.
    RiemannMiddle,
    /// Trapezoidal rule as captum has it: n nodes from 0 to 1 with weights 1/n, halved at the ends.
    RiemannTrapezoid,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::GaussLegendre, Self::RiemannLeft, Self::RiemannRight, Self::RiemannMiddle, Self::RiemannTrapezoid];

    /// captum's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GaussLegendre => "gausslegendre",
            Self::RiemannLeft => "riemann_left",
            Self::RiemannRight => "riemann_right",
            Self::RiemannMiddle => "riemann_middle",
            Self::RiemannTrapezoid => "riemann_trapezoid",
        }
    }

    /// Nodes in [0, 1] with their weights; `n` at least 1 (2 for the trapezoids).
    pub fn nodes(self, n: usize) -> Vec<(f64, f64)> {
        let size = n as f64;
        let at = |shift: f64| (0..n).map(move |i| ((i as f64 + shift) / size, 1.0 / size));
        match self {
            Self::GaussLegendre => gauss_legendre(n),
            Self::RiemannLeft => at(0.0).collect(),
            Self::RiemannRight => at(1.0).collect(),
            Self::RiemannMiddle => at(0.5).collect(),
            Self::RiemannTrapezoid => {
                let end = |i: usize| if i == 0 || i + 1 == n { 0.5 } else { 1.0 };
                (0..n).map(|i| (i as f64 / (size - 1.0).max(1.0), end(i) / size)).collect()
            }
        }
    }
}

/// The roots of the Legendre polynomial of degree `n`, moved to [0, 1], by Newton's method from Tricomi's estimate.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let size = n as f64;
    let node = |i: usize| {
        let mut x = -((std::f64::consts::PI * (i as f64 + 0.75)) / (size + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, derivative) = legendre(n, x);
            slope = derivative;
            let step = value / derivative;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        let weight = 2.0 / ((1.0 - x * x) * slope * slope);
        ((x + 1.0) / 2.0, weight / 2.0)
    };
    (0..n).map(node).collect()
}

/// The Legendre polynomial of degree `n` at `x`, and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_legendre_is_exact_for_polynomials() {
        for n in [1, 2, 5, 50, 200] {
            let nodes = Method::GaussLegendre.nodes(n);
            assert!(nodes.windows(2).all(|w| w[0].0 < w[1].0));
            for degree in [0, 1, 2 * n - 1] {
                let sum: f64 = nodes.iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                assert!((sum - 1.0 / (degree as f64 + 1.0)).abs() < 1e-12, "{n} {degree} {sum}");
            }
        }
    }

    #[test]
    fn riemann_sums_are_captums() {
        let points = |method: Method| method.nodes(4).iter().map(|n| n.0).collect::<Vec<_>>();
        assert_eq!(points(Method::RiemannLeft), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(points(Method::RiemannRight), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(points(Method::RiemannMiddle), [0.125, 0.375, 0.625, 0.875]);
        assert_eq!(points(Method::RiemannTrapezoid), [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
        let weights: Vec<f64> = Method::RiemannTrapezoid.nodes(4).iter().map(|n| n.1).collect();
        assert_eq!(weights, [0.125, 0.25, 0.25, 0.125]);
    }
}
