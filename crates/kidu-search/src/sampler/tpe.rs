//! Tree-structured Parzen estimator: of some candidates drawn where good trials lie, the one is tried that is most
//! likelier among the good than among the others (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization").

use kidu_core::rng;

use super::{Sampling, parzen::Parzen, random};
use crate::{
    settings::Direction,
    space::{Param, Point},
    trial::{TrialRecord, TrialState},
};

/// The most trials that count as good.
const MOST_GOOD: usize = 25;

/// The next point.
pub(super) fn sample(of: &Sampling<'_>) -> Point {
    let finished = of.trials.iter().filter(|t| matches!(t.state, TrialState::Complete | TrialState::Pruned)).count();
    if finished < of.settings.n_startup_trials {
        return random::sample(of);
    }
    let (good, other) = split(of, finished);
    let mut point = Point::new();
    let always: Vec<(usize, &Param)> =
        of.space.params().iter().enumerate().filter(|(_, p)| p.when.is_empty()).collect();
    if of.settings.multivariate {
        choose(of, &always, &good, &other, &mut point);
    }
    for (i, param) in of.space.params().iter().enumerate() {
        if !point.contains_key(&param.key) && of.space.is_active(param, &point) {
            choose(of, &[(i, param)], &good, &other, &mut point);
        }
    }
    point
}

/// Chooses some parameters together.
fn choose(
    of: &Sampling<'_>,
    params: &[(usize, &Param)],
    good: &[&TrialRecord],
    other: &[&TrialRecord],
    point: &mut Point,
) {
    let (single, params): (Vec<_>, Vec<_>) = params.iter().partition(|(_, p)| p.distribution.is_single());
    for (_, param) in single {
        point.insert(param.key.clone(), param.distribution.bounds().0);
    }
    let Some((first, _)) = params.first() else { return };
    let distributions: Vec<_> = params.iter().map(|(_, p)| &p.distribution).collect();
    let estimate = |trials: &[&TrialRecord]| {
        let observed: Vec<Vec<f64>> = trials.iter().filter_map(|t| observe(t, &params)).collect();
        Parzen::new(&distributions, &observed, of.settings.prior_weight)
    };
    let (good, other) = (estimate(good), estimate(other));
    let mut rng = rng::stream(of.seed, "search tpe", &[of.number as u64, *first as u64]);
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..of.settings.n_ei_candidates {
        let candidate = good.sample(&mut rng);
        let gain = good.log_density(&candidate) - other.log_density(&candidate);
        if best.as_ref().is_none_or(|(most, _)| gain > *most) {
            best = Some((gain, candidate));
        }
    }
    let chosen = best.map(|(_, candidate)| candidate).unwrap_or_default();
    point.extend(params.iter().zip(chosen).map(|((_, param), value)| (param.key.clone(), value)));
}

/// A trial's numbers for some parameters, if it has all of them and they lie in the present ranges.
fn observe(trial: &TrialRecord, params: &[(usize, &Param)]) -> Option<Vec<f64>> {
    let number = |(_, param): &(usize, &Param)| {
        let assigned = trial.params.get(&param.key)?;
        let fits = param.distribution.is_compatible(&assigned.distribution);
        (fits && param.distribution.contains(assigned.internal)).then_some(assigned.internal)
    };
    params.iter().map(number).collect()
}

/// The good trials and the others, both by number. A tenth is good, at most 25; pruned trials come behind complete ones,
/// those that came far before those that did not; running ones are never good.
fn split<'a>(of: &Sampling<'a>, finished: usize) -> (Vec<&'a TrialRecord>, Vec<&'a TrialRecord>) {
    let in_state = |state| of.trials.iter().copied().filter(move |t| t.state == state);
    let mut complete: Vec<&TrialRecord> = in_state(TrialState::Complete).collect();
    let loss = |t: &TrialRecord| of.direction.loss(t.value.unwrap_or(f64::NAN));
    complete.sort_by(|a, b| order(loss(a), loss(b)));
    let mut pruned: Vec<&TrialRecord> = in_state(TrialState::Pruned).collect();
    pruned.sort_by(|a, b| {
        let (a, b) = (progress(a, of.direction), progress(b, of.direction));
        b.0.cmp(&a.0).then(order(a.1, b.1))
    });
    let n_good = finished.div_ceil(10).min(MOST_GOOD);
    let ranked = complete.into_iter().chain(pruned);
    let (mut good, mut other): (Vec<_>, Vec<_>) = ranked.enumerate().partition(|(rank, _)| *rank < n_good);
    if of.settings.constant_liar {
        other.extend(in_state(TrialState::Running).map(|t| (usize::MAX, t)));
    }
    let by_number = |trials: &mut Vec<(usize, &'a TrialRecord)>| {
        trials.sort_by_key(|(_, t)| t.number);
        trials.iter().map(|(_, t)| *t).collect()
    };
    (by_number(&mut good), by_number(&mut other))
}

/// How far a pruned trial came (`None` if it reported nothing) and how it stood there.
fn progress(trial: &TrialRecord, direction: Direction) -> (Option<u64>, f64) {
    match trial.intermediate.last_key_value() {
        Some((step, value)) => (Some(*step), direction.loss(*value)),
        None => (None, 0.0),
    }
}

/// What is no number comes last.
fn order(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(&b))
}
