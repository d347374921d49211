//! Which trials are given up early: functions of the values reported so far, of nothing else.

mod halving;
mod hyperband;
mod median;

use std::collections::BTreeMap;

use crate::{
    settings::{Direction, PrunerName, PrunerSettings},
    trial::TrialRecord,
};

/// What a pruner knows.
#[derive(Clone, Copy)]
pub(crate) struct Pruning<'a> {
    pub(crate) settings: &'a PrunerSettings,
    pub(crate) study_name: &'a str,
    pub(crate) direction: Direction,
    /// All trials of the study, that which is judged included.
    pub(crate) trials: &'a [&'a TrialRecord],
}

/// The trial that is judged. A trial that is run again after a kill has values in the journal that lie ahead of it;
/// they are not in here.
pub(crate) struct Judged<'a> {
    pub(crate) trial: &'a TrialRecord,
    /// Reported values up to the present step, which is the last.
    pub(crate) values: &'a BTreeMap<u64, f64>,
}

/// What a pruner says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Whether the trial ends here.
    pub(crate) prune: bool,
    /// Rungs that the trial reached with this report, and its value there.
    pub(crate) rungs: Vec<(usize, f64)>,
}

impl Pruning<'_> {
    /// Judges a trial after a report.
    pub(crate) fn judge(&self, judged: &Judged<'_>) -> Verdict {
        match self.settings.name {
            PrunerName::None => Verdict::default(),
            PrunerName::Median => Verdict { prune: median::prune(self, judged), ..Verdict::default() },
            PrunerName::SuccessiveHalving => halving::judge(self, judged, &halving::Rules::of(self)),
            PrunerName::Hyperband => hyperband::judge(self, judged),
        }
    }
}

/// The name under which Optuna notes a rung that was reached.
pub(crate) fn rung_key(rung: usize) -> String {
    format!("completed_rung_{rung}")
}
