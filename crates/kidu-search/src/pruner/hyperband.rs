//! Hyperband (Li et al. 2018, <https://jmlr.org/papers/v18/16-558.html>), as Optuna's `HyperbandPruner`: brackets of
//! successive halving that begin to prune later and later. A trial's bracket follows from the study's name and the
//! trial's number.

use super::{
    Judged, Pruning, Verdict,
    halving::{self, Rules},
};
use crate::{settings::Resource, trial::TrialRecord};

/// How trials are dealt to brackets.
pub(super) struct Brackets {
    /// Shares of the trials.
    budgets: Vec<u64>,
    min_resource: u64,
    reduction_factor: u64,
}

impl Brackets {
    /// As set; `None` while the steps of a whole trial are not known.
    pub(super) fn of(pruning: &Pruning<'_>) -> Option<Self> {
        let settings = pruning.settings;
        let reduction_factor = settings.reduction_factor.unwrap_or(3);
        let min_resource = match settings.min_resource {
            Resource::Steps(steps) => steps,
            Resource::Auto => 1,
        };
        let max_resource = match settings.max_resource {
            Resource::Steps(steps) => steps,
            Resource::Auto => halving::first_complete(pruning.trials)?.saturating_add(1),
        };
        let ratio = max_resource.max(min_resource) as f64 / min_resource as f64;
        // Natural logarithms, as Optuna's: the rounding decides at whole powers.
        let brackets = (ratio.ln() / (reduction_factor as f64).ln()).floor() as u64 + 1;
        let budget = |bracket: u64| {
            let s = brackets - 1 - bracket;
            let power = u32::try_from(s).map_or(u64::MAX, |s| reduction_factor.saturating_pow(s));
            brackets.saturating_mul(power).div_ceil(s + 1)
        };
        Some(Self { budgets: (0..brackets).map(budget).collect(), min_resource, reduction_factor })
    }

    /// The bracket of a trial.
    pub(super) fn bracket_of(&self, study_name: &str, number: usize) -> usize {
        let total = self.budgets.iter().fold(0u64, |sum, b| sum.saturating_add(*b)).max(1);
        let mut at = u64::from(crc32fast::hash(format!("{study_name}_{number}").as_bytes())) % total;
        for (bracket, budget) in self.budgets.iter().enumerate() {
            if at < *budget {
                return bracket;
            }
            at -= budget;
        }
        0
    }
}

/// Judges a trial within its bracket.
pub(super) fn judge(of: &Pruning<'_>, judged: &Judged<'_>) -> Verdict {
    let Some(brackets) = Brackets::of(of) else { return Verdict::default() };
    let bracket = brackets.bracket_of(of.study_name, judged.trial.number);
    let same = |t: &&&TrialRecord| brackets.bracket_of(of.study_name, t.number) == bracket;
    let trials: Vec<&TrialRecord> = of.trials.iter().filter(same).copied().collect();
    let rules = Rules {
        min_resource: Some(brackets.min_resource),
        reduction_factor: brackets.reduction_factor,
        min_early_stopping_rate: bracket as u64,
        bootstrap_count: of.settings.bootstrap_count,
    };
    halving::judge(&Pruning { trials: &trials, ..*of }, judged, &rules)
}
