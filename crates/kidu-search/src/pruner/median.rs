//! Pruning by the median of the others, as Optuna's `MedianPruner`.

use super::{Judged, Pruning};
use crate::{settings::Direction, trial::TrialState};

/// Whether the best value so far is worse than the median of the complete trials at this step.
pub(super) fn prune(of: &Pruning<'_>, judged: &Judged<'_>) -> bool {
    let settings = of.settings;
    let complete: Vec<_> = of.trials.iter().filter(|t| t.state == TrialState::Complete).collect();
    let Some((step, _)) = judged.values.last_key_value() else { return false };
    if complete.is_empty() || complete.len() < settings.n_startup_trials || *step < settings.n_warmup_steps {
        return false;
    }
    if !is_first_of_interval(*step, judged, settings.n_warmup_steps, settings.interval_steps) {
        return false;
    }
    let numbers = judged.values.values().copied().filter(|v| !v.is_nan());
    let best = match of.direction {
        Direction::Maximize => numbers.reduce(f64::max),
        Direction::Minimize => numbers.reduce(f64::min),
    };
    let Some(best) = best else { return true };
    let there: Vec<f64> = complete.iter().filter_map(|t| t.intermediate.get(step).copied()).collect();
    if there.len() < settings.n_min_trials {
        return false;
    }
    median(there).is_some_and(|median| match of.direction {
        Direction::Maximize => best < median,
        Direction::Minimize => best > median,
    })
}

/// Whether no earlier report lies in the present interval.
fn is_first_of_interval(step: u64, judged: &Judged<'_>, warmup: u64, interval: u64) -> bool {
    let begin = (step - warmup) / interval * interval + warmup;
    judged.values.range(..step).next_back().is_none_or(|(before, _)| *before < begin)
}

/// The median of those that are numbers.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| !v.is_nan());
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(if low == high { *low } else { low + (high - low) * 0.5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, f64::NAN, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(vec![f64::NAN]), None);
    }
}
