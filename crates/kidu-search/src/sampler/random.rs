//! Each parameter at random.

use kidu_core::rng;

use super::{Sampling, unit};
use crate::space::{Distribution, Point};

/// A point whose every parameter is drawn for itself.
pub(super) fn sample(of: &Sampling<'_>) -> Point {
    let mut point = Point::new();
    for (i, param) in of.space.params().iter().enumerate() {
        if of.space.is_active(param, &point) {
            point.insert(param.key.clone(), draw(of, i, &param.distribution));
        }
    }
    point
}

/// A value of the parameter at place `index` of the space.
pub(super) fn draw(of: &Sampling<'_>, index: usize, distribution: &Distribution) -> f64 {
    let share = unit(&mut rng::stream(of.seed, "search random", &[of.number as u64, index as u64]));
    let (low, high) = distribution.bounds();
    // Each of the discrete values has an interval of the same width around it.
    let half = distribution.step().map_or(0.0, |step| step / 2.0);
    let (from, to) = (low - half, high + half);
    let value = if distribution.is_log() {
        libm::exp(libm::log(from) + share * (libm::log(to) - libm::log(from)))
    } else {
        from + share * (to - from)
    };
    distribution.nearest(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::{Direction, SamplerName, SamplerSettings},
        space::{Param, Space},
    };

    fn values(distribution: Distribution, n: usize) -> Vec<f64> {
        let space = Space::new(vec![Param { key: "x".into(), distribution, when: Vec::new() }]).unwrap();
        let settings = SamplerSettings { name: SamplerName::Random, ..SamplerSettings::default() };
        let at = |number| Sampling {
            settings: &settings,
            space: &space,
            direction: Direction::Minimize,
            seed: 7,
            number,
            trials: &[],
        };
        (0..n).map(|i| at(i).sample().unwrap()["x"]).collect()
    }

    #[test]
    fn values_are_spread_evenly() {
        let count = |values: &[f64], at: f64| values.iter().filter(|v| (**v - at).abs() < 1e-12).count();
        let whole = values(Distribution::int(1, 5, 2, false).unwrap(), 3000);
        for at in [1.0, 3.0, 5.0] {
            assert!((900..1100).contains(&count(&whole, at)), "{}", count(&whole, at));
        }
        let choices = values(Distribution::categorical(vec!["a".into(), "b".into(), "c".into()]).unwrap(), 3000);
        assert!((900..1100).contains(&count(&choices, 2.0)));
        let log = values(Distribution::float(1e-4, 1.0, None, true).unwrap(), 3000);
        assert!((1400..1600).contains(&log.iter().filter(|v| **v < 1e-2).count()));
        assert!(log.iter().all(|v| (1e-4..=1.0).contains(v)));
        assert_eq!(
            values(Distribution::float(0.0, 1.0, None, false).unwrap(), 3),
            values(Distribution::float(0.0, 1.0, None, false).unwrap(), 3)
        );
    }
}
