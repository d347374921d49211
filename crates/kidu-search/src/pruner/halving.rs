//! Asynchronous successive halving (Li et al. 2020, <https://arxiv.org/abs/1810.05934>), as Optuna's
//! `SuccessiveHalvingPruner`: a trial goes on past a rung if it is among the best share of those that reached it.

use super::{Judged, Pruning, Verdict, rung_key};
use crate::{
    journal::to_number,
    settings::{Direction, Resource},
    trial::TrialRecord,
};

/// The numbers of the method.
pub(super) struct Rules {
    /// Steps of rung 0; `None` while it is not known.
    pub(super) min_resource: Option<u64>,
    pub(super) reduction_factor: u64,
    pub(super) min_early_stopping_rate: u64,
    pub(super) bootstrap_count: usize,
}

impl Rules {
    /// As set.
    pub(super) fn of(pruning: &Pruning<'_>) -> Self {
        let settings = pruning.settings;
        let min_resource = match settings.min_resource {
            Resource::Steps(steps) => Some(steps),
            // Optuna keeps its first estimate in memory; this one is the same after a restart.
            Resource::Auto => first_complete(pruning.trials).map(|last| (last / 100).max(1)),
        };
        Self {
            min_resource,
            reduction_factor: settings.reduction_factor.unwrap_or(4),
            min_early_stopping_rate: settings.min_early_stopping_rate,
            bootstrap_count: settings.bootstrap_count,
        }
    }

    /// The step at which a rung is reached.
    fn step_of(&self, rung: usize) -> Option<u64> {
        let power = u32::try_from(self.min_early_stopping_rate).ok()?.checked_add(u32::try_from(rung).ok()?)?;
        Some(self.min_resource?.saturating_mul(self.reduction_factor.saturating_pow(power)))
    }
}

/// The last step of the first trial to complete that reported anything.
pub(super) fn first_complete(trials: &[&TrialRecord]) -> Option<u64> {
    let complete = trials.iter().filter(|t| t.state == crate::trial::TrialState::Complete);
    complete.filter_map(|t| Some((t.finished?, t.last_step()?))).min().map(|(_, last)| last)
}

/// Judges a trial among those of `of`.
pub(super) fn judge(of: &Pruning<'_>, judged: &Judged<'_>, rules: &Rules) -> Verdict {
    let mut verdict = Verdict::default();
    let Some((step, value)) = judged.values.last_key_value() else { return verdict };
    let mut rung = rungs_before(judged, rules, *step);
    loop {
        let Some(promotion) = rules.step_of(rung) else { return verdict };
        if *step < promotion {
            return verdict;
        }
        if value.is_nan() {
            verdict.prune = true;
            return verdict;
        }
        verdict.rungs.push((rung, *value));
        let mut there = values_at(of.trials, judged.trial.number, rung);
        there.push(*value);
        if there.len() <= rules.bootstrap_count || !goes_on(*value, there, rules.reduction_factor, of.direction) {
            verdict.prune = true;
            return verdict;
        }
        rung += 1;
    }
}

/// How many rungs the trial had reached before this step. What a run that was killed noted of later steps lies ahead.
fn rungs_before(judged: &Judged<'_>, rules: &Rules, step: u64) -> usize {
    let Some((before, _)) = judged.values.range(..step).next_back() else { return 0 };
    let reached = |rung: usize| rules.step_of(rung).is_some_and(|at| at <= *before);
    let noted = |rung: usize| judged.trial.system_attrs.contains_key(&rung_key(rung));
    (0..).take_while(|rung| noted(*rung) && reached(*rung)).count()
}

/// The values of the other trials at a rung.
fn values_at(trials: &[&TrialRecord], own: usize, rung: usize) -> Vec<f64> {
    let key = rung_key(rung);
    let others = trials.iter().filter(|t| t.number != own);
    others.filter_map(|t| to_number(t.system_attrs.get(&key)?)).collect()
}

/// Whether a value is among the best share. While there are too few for a share, the best one goes on.
fn goes_on(value: f64, mut there: Vec<f64>, reduction_factor: u64, direction: Direction) -> bool {
    let last = (there.len() / reduction_factor as usize).max(1) - 1;
    there.sort_by(|a, b| direction.loss(*a).total_cmp(&direction.loss(*b)));
    direction.loss(value) <= direction.loss(there[last])
}
