//! Every combination, once: the last parameter varies fastest.

use std::collections::BTreeSet;

use super::Sampling;
use crate::{
    error::{Error, Result},
    space::{Point, Space},
    trial::TrialRecord,
};

/// The most combinations.
const MAX_POINTS: usize = 100_000;

/// Checks that there is a grid and that it is not enormous.
///
/// # Errors
/// [`Error::Space`].
pub(crate) fn check(space: &Space, points: Option<usize>) -> Result<()> {
    all(space, points).map(|_| ())
}

/// The first combination that no trial has.
pub(super) fn sample(of: &Sampling<'_>) -> Option<Point> {
    let tried: BTreeSet<Vec<(&str, u64)>> = of.trials.iter().map(|t| key_of(t)).collect();
    // The settings were checked.
    let all = all(of.space, of.settings.points).unwrap_or_default();
    all.into_iter().find(|point| {
        let key: Vec<(&str, u64)> = point.iter().map(|(k, v)| (k.as_str(), v.to_bits())).collect();
        !tried.contains(&key)
    })
}

fn key_of(trial: &TrialRecord) -> Vec<(&str, u64)> {
    trial.params.iter().map(|(key, a)| (key.as_str(), a.internal.to_bits())).collect()
}

fn all(space: &Space, points: Option<usize>) -> Result<Vec<Point>> {
    let mut all = vec![Point::new()];
    for param in space.params() {
        let values = param.distribution.grid(points).map_err(|reason| Error::space(&param.key, reason))?;
        let mut next = Vec::with_capacity(all.len());
        for point in all {
            if !space.is_active(param, &point) {
                next.push(point);
                continue;
            }
            for value in &values {
                let mut longer = point.clone();
                longer.insert(param.key.clone(), *value);
                next.push(longer);
            }
            if next.len() > MAX_POINTS {
                let reason = format!("the grid has more than {MAX_POINTS} points; leave parameters out or widen steps");
                return Err(Error::space(&param.key, reason));
            }
        }
        all = next;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_hold_only_what_their_conditions_allow() {
        let space: Space = serde_json::from_str(
            r#"{"opt": "choice(adam, sgd)", "momentum": {"type": "float", "low": 0, "high": 0.9, "step": 0.9,
                "when": {"opt": "sgd"}}, "lr": "tag(log, interval(0.001, 0.1))"}"#,
        )
        .unwrap();
        let points = all(&space, Some(3)).unwrap();
        assert_eq!(points.len(), 3 + 2 * 3);
        assert!(points.iter().all(|p| p.contains_key("momentum") == (p["opt"] == 1.0)));
        assert!(check(&space, None).unwrap_err().to_string().contains("params.lr"));
        let large: Space = serde_json::from_str(r#"{"a": "range(999)", "b": "range(999)"}"#).unwrap();
        assert!(check(&large, None).unwrap_err().to_string().contains("more than"));
    }
}
