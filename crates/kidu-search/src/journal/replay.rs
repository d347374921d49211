//! The state that follows from a journal. Operations that Optuna passes over are passed over here too.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::operation::{NewTrial, Operation};
use crate::{
    settings::Direction,
    trial::{TrialRecord, TrialState},
};

/// A study in a journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct StudyRecord {
    pub(crate) name: String,
    pub(crate) directions: Vec<Direction>,
    pub(crate) user_attrs: Map<String, Value>,
    pub(crate) system_attrs: Map<String, Value>,
    /// By number, their places among all trials.
    trials: Vec<usize>,
}

/// All studies and trials of a journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replay {
    studies: BTreeMap<usize, StudyRecord>,
    next_study: usize,
    trials: Vec<TrialRecord>,
    finished: usize,
}

impl Replay {
    /// The study of a name and its number.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &StudyRecord)> {
        self.studies.iter().find(|(_, s)| s.name == name).map(|(id, s)| (*id, s))
    }

    /// The names of all studies.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.studies.values().map(|s| s.name.as_str()).collect()
    }

    /// The number that the next study gets.
    pub(crate) fn next_study(&self) -> usize {
        self.next_study
    }

    /// The trials of a study by number.
    pub(crate) fn trials(&self, study: usize) -> Vec<&TrialRecord> {
        let ids = self.studies.get(&study).map(|s| s.trials.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| self.trials.get(*id)).collect()
    }

    /// A trial of a study.
    pub(crate) fn trial(&self, study: usize, number: usize) -> Option<&TrialRecord> {
        self.trials.get(*self.studies.get(&study)?.trials.get(number)?)
    }

    pub(super) fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::CreateStudy { name, directions } => {
                if self.find(&name).is_none() {
                    let record = StudyRecord { name, directions, ..StudyRecord::default() };
                    self.studies.insert(self.next_study, record);
                    self.next_study += 1;
                }
            }
            Operation::DeleteStudy { study } => {
                self.studies.remove(&study);
            }
            Operation::StudyAttr { study, system, entry } => {
                if let Some(record) = self.studies.get_mut(&study) {
                    if system { &mut record.system_attrs } else { &mut record.user_attrs }.extend(entry);
                }
            }
            Operation::CreateTrial(new) => self.create_trial(*new),
            Operation::TrialParam { trial, key, assigned } => {
                let known = self.distribution_of(trial, &key);
                if known.is_none_or(|d| d.is_compatible(&assigned.distribution))
                    && let Some(trial) = self.unfinished(trial)
                {
                    trial.params.insert(key, assigned);
                }
            }
            Operation::TrialState { trial, state, value, time, ours } => {
                self.set_state(trial, state, value, time, ours)
            }
            Operation::TrialValue { trial, step, value } => {
                if let Some(trial) = self.unfinished(trial) {
                    trial.intermediate.insert(step, value);
                }
            }
            Operation::TrialAttr { trial, system, entry } => {
                if let Some(trial) = self.unfinished(trial) {
                    if system { &mut trial.system_attrs } else { &mut trial.user_attrs }.extend(entry);
                }
            }
            Operation::Other => {}
        }
    }

    fn create_trial(&mut self, new: NewTrial) {
        let id = self.trials.len();
        let Some(study) = self.studies.get_mut(&new.study) else { return };
        let number = study.trials.len();
        study.trials.push(id);
        let finished = new.state.is_finished().then(|| {
            self.finished += 1;
            self.finished
        });
        let NewTrial { state, params, value, intermediate, user_attrs, system_attrs, started, completed, ours, .. } =
            new;
        self.trials.push(TrialRecord {
            number,
            state,
            params,
            value,
            intermediate,
            user_attrs,
            system_attrs,
            started,
            completed,
            ours,
            id,
            finished,
        });
    }

    fn set_state(&mut self, id: usize, state: TrialState, value: Option<f64>, time: Option<String>, ours: bool) {
        let order = self.finished + 1;
        let Some(trial) = self.unfinished(id) else { return };
        if state == TrialState::Running && trial.state == TrialState::Running {
            return;
        }
        trial.state = state;
        trial.value = value.or(trial.value);
        if state == TrialState::Running {
            trial.started = time;
            trial.ours = ours;
        } else if state.is_finished() {
            trial.completed = time;
            trial.finished = Some(order);
            self.finished = order;
        }
    }

    fn unfinished(&mut self, id: usize) -> Option<&mut TrialRecord> {
        self.trials.get_mut(id).filter(|t| !t.state.is_finished())
    }

    /// What the study of a trial has under a key already.
    fn distribution_of(&self, trial: usize, key: &str) -> Option<&crate::space::Distribution> {
        let study = self.studies.values().find(|s| s.trials.contains(&trial))?;
        study.trials.iter().find_map(|id| self.trials.get(*id)?.params.get(key).map(|a| &a.distribution))
    }
}
