//! Trials as the journal tells of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{settings::Direction, space::Distribution, value::ParamValue};

/// Where a trial stands, by Optuna's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// It was begun.
    Running,
    /// It ended with a value.
    Complete,
    /// It was given up early.
    Pruned,
    /// It ended without a value.
    Failed,
    /// Somebody else put it into the journal and nobody has begun it.
    Waiting,
}

impl TrialState {
    /// Whether nothing more happens to it.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }

    /// Its name in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }

    pub(crate) fn code(self) -> u64 {
        self as u64
    }

    pub(crate) fn from_code(code: u64) -> Option<Self> {
        [Self::Running, Self::Complete, Self::Pruned, Self::Failed, Self::Waiting].into_iter().nth(code as usize)
    }
}

/// A value of a trial and what it was chosen from.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// What it was chosen from.
    pub distribution: Distribution,
    /// The number inside the samplers, see [`Distribution::to_value`].
    pub internal: f64,
}

/// A trial of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRecord {
    /// Counted from 0 within the study.
    pub number: usize,
    /// Where it stands.
    pub state: TrialState,
    /// Its parameters by key.
    pub params: BTreeMap<String, Assigned>,
    /// The objective: of a complete trial, or the last one of a pruned trial.
    pub value: Option<f64>,
    /// Reported values by step; may be infinite or not a number.
    pub intermediate: BTreeMap<u64, f64>,
    /// What anybody noted: folds, reasons of failure.
    pub user_attrs: Map<String, Value>,
    /// What samplers and pruners noted.
    pub system_attrs: Map<String, Value>,
    /// ISO 8601.
    pub started: Option<String>,
    /// ISO 8601.
    pub completed: Option<String>,
    /// Whether this project began it.
    pub(crate) ours: bool,
    /// Among all trials of the journal.
    pub(crate) id: usize,
    /// The how manyth of the journal's trials it was to finish.
    pub(crate) finished: Option<usize>,
}

impl TrialRecord {
    /// Its parameters' values by key.
    pub fn values(&self) -> BTreeMap<String, ParamValue> {
        self.params.iter().map(|(key, a)| (key.clone(), a.distribution.to_value(a.internal))).collect()
    }

    /// From beginning to end in seconds, once it is over.
    pub fn seconds(&self) -> Option<f64> {
        let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
        let (from, to) = (time(&self.started)?, time(&self.completed)?);
        Some(to.duration_since(from).as_secs_f64())
    }

    /// The step of the last report.
    pub fn last_step(&self) -> Option<u64> {
        self.intermediate.last_key_value().map(|(step, _)| *step)
    }
}

/// The best of the complete trials, the earliest of equal ones.
pub(crate) fn best<'a>(
    trials: impl IntoIterator<Item = &'a TrialRecord>,
    direction: Direction,
) -> Option<&'a TrialRecord> {
    let complete = trials.into_iter().filter(|t| t.state == TrialState::Complete);
    let valued = complete.filter_map(|t| Some((direction.loss(t.value?), t))).filter(|(loss, _)| !loss.is_nan());
    valued.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, t)| t)
}
