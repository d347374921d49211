//! A study: asks for trials, takes in what became of them, and survives its process.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    journal::{Journal, Replay, from_number, op, to_number},
    pruner::{Judged, Pruning, rung_key},
    sampler::Sampling,
    settings::{Direction, SearchSettings},
    trial::{Assigned, TrialRecord, TrialState, best},
    value::ParamValue,
};

/// How often a trial was begun.
const ATTEMPTS: &str = "kidu:attempts";
/// The settings that a study must keep.
const SETTINGS: &str = "kidu:settings";
/// Optuna's name for the names of the objectives.
const METRIC_NAMES: &str = "study:metric_names";

/// A trial to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Counted from 0. A trial that is run again after its process died keeps its number.
    pub number: usize,
    /// The values to run with, by key; those of conditional parameters only where their conditions hold.
    pub params: BTreeMap<String, ParamValue>,
    /// How often it was begun, this time included: 1 unless a process died while it ran.
    pub attempt: usize,
}

impl Trial {
    /// The parameters as overrides of the configuration: `model.name='resnet18'`.
    pub fn overrides(&self) -> Vec<String> {
        self.params.iter().map(|(key, value)| format!("{key}={}", value.to_override())).collect()
    }
}

/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The objective. What is not a number is a failure.
    Complete(f64),
    /// The objective in each fold of a cross-validation; their mean counts.
    Folds(Vec<f64>),
    /// It was given up after [`Study::should_prune`] said so; its last report counts.
    Pruned,
    /// It could not be run, and why.
    Failed(String),
}

/// A study in a journal. It may be used from several threads; one process at a time opens a journal.
///
/// With one trial at a time the parameters depend on the settings alone: a study that was killed at any point and opened
/// again goes on exactly as if nothing had happened. The trial that was running is asked for again with its number and
/// parameters, and what it reports again counts as reported for the first time.
#[derive(Debug)]
pub struct Study {
    settings: SearchSettings,
    path: PathBuf,
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    /// The study's number in the journal.
    id: usize,
    /// Trials that were running when their process died.
    interrupted: VecDeque<usize>,
    /// Trials that were asked for and not told about.
    live: BTreeMap<usize, Live>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Live {
    /// The step of the last report of this process.
    step: Option<u64>,
    prune: bool,
}

impl Study {
    /// Opens the study of `settings` in a journal, or begins it; likewise the journal.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings outside their ranges, [`Error::Study`] if the journal holds the study with other
    /// settings (`n_trials`, `timeout`, `n_jobs` and `max_attempts` may change), [`Error::Busy`], [`Error::File`] or
    /// [`Error::Journal`].
    pub fn open(journal: &Path, settings: SearchSettings) -> Result<Self> {
        Self::open_with_facts(journal, settings, &BTreeMap::new())
    }

    /// As [`Study::open`], with what else must stay the same for the trials to be comparable: the version of the data,
    /// the other settings of the training.
    ///
    /// # Errors
    /// As [`Study::open`].
    pub fn open_with_facts(journal: &Path, settings: SearchSettings, facts: &BTreeMap<String, String>) -> Result<Self> {
        let settings = settings.checked()?;
        let mut opened = Journal::open(journal)?;
        let id = opened.append(|replay| enrol(replay, journal, &settings, facts))?;
        let running = opened.replay().trials(id).into_iter().filter(|t| t.state == TrialState::Running && t.ours);
        let interrupted = running.map(|t| t.number).collect();
        let inner = Inner { journal: opened, id, interrupted, live: BTreeMap::new() };
        Ok(Self { settings, path: journal.to_path_buf(), began: Instant::now(), inner: Mutex::new(inner) })
    }

    /// The trials of a study in a journal that need not be ours, without opening it for a search.
    ///
    /// # Errors
    /// [`Error::Study`] if there is none of that name, [`Error::File`] or [`Error::Journal`].
    pub fn read_trials(journal: &Path, study: &str) -> Result<Vec<TrialRecord>> {
        let replay = Journal::read(journal)?;
        let Some((id, _)) = replay.find(study) else {
            let reason = format!("does not exist; there are: {}", replay.names().join(", "));
            return Err(Error::Study { path: journal.to_path_buf(), study: study.into(), reason });
        };
        Ok(replay.trials(id).into_iter().cloned().collect())
    }

    /// The settings.
    pub fn settings(&self) -> &SearchSettings {
        &self.settings
    }

    /// The journal.
    pub fn journal(&self) -> &Path {
        &self.path
    }

    /// The next trial to run; `None` when there are `n_trials`, the time is over, or a grid is exhausted. Trials that
    /// were running when their process died come first.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Journal`] or [`Error::Locked`].
    pub fn ask(&self) -> Result<Option<Trial>> {
        let mut inner = self.lock();
        if self.settings.timeout.is_some_and(|t| self.began.elapsed().as_secs_f64() >= t.seconds()) {
            return Ok(None);
        }
        while let Some(number) = inner.interrupted.front().copied() {
            let again = inner.begin_again(number, self.settings.max_attempts)?;
            inner.interrupted.pop_front();
            if again.is_some() {
                return Ok(again);
            }
        }
        let id = inner.id;
        let number = inner.journal.append(|replay| self.begin(replay, id))?;
        Ok(number.and_then(|number| inner.hand_out(number, 1)))
    }

    /// Notes a value of a trial on the way, and judges whether it should go on.
    ///
    /// # Errors
    /// [`Error::Trial`] for a trial that is not running here or a step that is not above the last one;
    /// [`Error::File`], [`Error::Journal`] or [`Error::Locked`].
    pub fn report(&self, number: usize, step: u64, value: f64) -> Result<()> {
        let mut inner = self.lock();
        let live = inner.live(number)?;
        if live.step.is_some_and(|last| step <= last) {
            return Err(Error::trial(number, format!("step {step} was reported already, or a later one")));
        }
        let id = inner.id;
        let prune = inner.journal.append(|replay| {
            let trial = running(replay, id, number)?;
            let known = trial.intermediate.get(&step);
            let mut lines = Vec::new();
            if known.is_none_or(|known| known.to_bits() != value.to_bits()) {
                lines.push(op::set_intermediate(trial.id, step, value));
            }
            let mut values: BTreeMap<u64, f64> = trial.intermediate.range(..step).map(|(s, v)| (*s, *v)).collect();
            values.insert(step, value);
            let trials = replay.trials(id);
            let verdict = self.pruning(&trials).judge(&Judged { trial, values: &values });
            for (rung, value) in verdict.rungs {
                let key = rung_key(rung);
                if trial.system_attrs.get(&key).and_then(to_number) != Some(value) {
                    lines.push(op::set_system_attr(trial.id, &key, from_number(value)));
                }
            }
            Ok((lines, verdict.prune))
        })?;
        inner.live.insert(number, Live { step: Some(step), prune });
        Ok(())
    }

    /// Whether the trial should be given up, by its last report.
    ///
    /// # Errors
    /// [`Error::Trial`] for a trial that is not running here.
    pub fn should_prune(&self, number: usize) -> Result<bool> {
        Ok(self.lock().live(number)?.prune)
    }

    /// Notes something with a trial that runs: it is shown by Optuna's dashboard and written to `trials.csv`.
    ///
    /// # Errors
    /// [`Error::Trial`] for a trial that is not running here; [`Error::File`], [`Error::Journal`] or [`Error::Locked`].
    pub fn note(&self, number: usize, key: &str, value: Value) -> Result<()> {
        let mut inner = self.lock();
        inner.live(number)?;
        let id = inner.id;
        inner.journal.append(|replay| {
            let trial = running(replay, id, number)?;
            Ok((vec![op::set_user_attr(trial.id, key, value)], ()))
        })
    }

    /// Ends a trial, and says in which state.
    ///
    /// # Errors
    /// [`Error::Trial`] for a trial that is not running here; [`Error::File`], [`Error::Journal`] or [`Error::Locked`].
    pub fn tell(&self, number: usize, outcome: Outcome) -> Result<TrialState> {
        let mut inner = self.lock();
        let live = inner.live(number)?;
        let id = inner.id;
        let state = inner.journal.append(|replay| {
            let trial = running(replay, id, number)?;
            let last = live.step.and_then(|step| trial.intermediate.get(&step).copied());
            Ok(finish(trial.id, outcome, last))
        })?;
        inner.live.remove(&number);
        Ok(state)
    }

    /// All trials by number.
    pub fn trials(&self) -> Vec<TrialRecord> {
        let inner = self.lock();
        inner.journal.replay().trials(inner.id).into_iter().cloned().collect()
    }

    /// One trial, if there is one of that number.
    pub fn trial(&self, number: usize) -> Option<TrialRecord> {
        let inner = self.lock();
        inner.journal.replay().trials(inner.id).into_iter().find(|t| t.number == number).cloned()
    }

    /// The best complete trial, the earliest of equal ones.
    pub fn best(&self) -> Option<TrialRecord> {
        let inner = self.lock();
        best(inner.journal.replay().trials(inner.id), self.settings.direction).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state follows from the journal line by line, so a thread that panicked left nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pruning<'a>(&'a self, trials: &'a [&'a TrialRecord]) -> Pruning<'a> {
        let settings = &self.settings;
        Pruning { settings: &settings.pruner, study_name: &settings.study_name, direction: settings.direction, trials }
    }

    /// The line of a new trial and its number.
    fn begin(&self, replay: &Replay, id: usize) -> Result<(Vec<Value>, Option<usize>)> {
        let trials = replay.trials(id);
        let number = trials.len();
        if number >= self.settings.n_trials {
            return Ok((Vec::new(), None));
        }
        let sampling = Sampling {
            settings: &self.settings.sampler,
            space: &self.settings.params,
            direction: self.settings.direction,
            seed: self.settings.seed,
            number,
            trials: &trials,
        };
        let Some(point) = sampling.sample() else { return Ok((Vec::new(), None)) };
        let assigned = |(key, internal): (String, f64)| {
            let distribution = self.settings.params.get(&key)?.distribution.clone();
            Some((key, Assigned { distribution, internal }))
        };
        let params = point.into_iter().filter_map(assigned).collect();
        Ok((vec![op::create_trial(id, &params)], Some(number)))
    }
}

impl Inner {
    fn live(&self, number: usize) -> Result<Live> {
        let reason = "it is not running here; ask for a trial first, and tell once";
        self.live.get(&number).copied().ok_or_else(|| Error::trial(number, reason))
    }

    fn hand_out(&mut self, number: usize, attempt: usize) -> Option<Trial> {
        let params = self.journal.replay().trial(self.id, number)?.values();
        self.live.insert(number, Live::default());
        Some(Trial { number, params, attempt })
    }

    /// Hands out a trial whose process died, unless that happened too often.
    fn begin_again(&mut self, number: usize, max_attempts: usize) -> Result<Option<Trial>> {
        let id = self.id;
        let attempt = self.journal.append(|replay| {
            // Somebody else may have ended it in between.
            let Ok(trial) = running(replay, id, number) else { return Ok((Vec::new(), None)) };
            let before = trial.system_attrs.get(ATTEMPTS).and_then(Value::as_u64).unwrap_or(1) as usize;
            if before >= max_attempts {
                let reason = format!("the process died {before} times while it ran; it is not begun again");
                return Ok((finish(trial.id, Outcome::Failed(reason), None).0, None));
            }
            Ok((vec![op::set_system_attr(trial.id, ATTEMPTS, json!(before + 1))], Some(before + 1)))
        })?;
        Ok(attempt.and_then(|attempt| self.hand_out(number, attempt)))
    }
}

fn running(replay: &Replay, id: usize, number: usize) -> Result<&TrialRecord> {
    let trial = replay.trial(id, number).filter(|t| t.state == TrialState::Running);
    trial.ok_or_else(|| Error::trial(number, "another program has ended it in the journal"))
}

/// The lines that end a trial, and its state.
fn finish(trial: usize, outcome: Outcome, last_report: Option<f64>) -> (Vec<Value>, TrialState) {
    let mut lines = Vec::new();
    let (state, value) = match outcome {
        Outcome::Folds(values) => {
            let each: Vec<Value> = values.iter().map(|v| from_number(*v)).collect();
            lines.push(op::set_user_attr(trial, "folds", each.into()));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            let deviation = (squares / (values.len() as f64 - 1.0)).sqrt();
            lines.push(op::set_user_attr(trial, "folds_std", from_number(deviation)));
            (TrialState::Complete, Some(mean))
        }
        Outcome::Complete(value) => (TrialState::Complete, Some(value)),
        Outcome::Pruned => (TrialState::Pruned, last_report.filter(|v| !v.is_nan())),
        Outcome::Failed(reason) => {
            lines.push(op::set_user_attr(trial, "failure", json!(reason)));
            (TrialState::Failed, None)
        }
    };
    let (state, value) = match (state, value) {
        (TrialState::Complete, Some(value)) if value.is_nan() => {
            lines.push(op::set_user_attr(trial, "failure", json!("the objective is not a number")));
            (TrialState::Failed, None)
        }
        other => other,
    };
    lines.push(op::finish_trial(trial, state, value));
    (lines, state)
}

/// The study's number, with the lines that begin it where it is new.
fn enrol(
    replay: &Replay,
    path: &Path,
    settings: &SearchSettings,
    facts: &BTreeMap<String, String>,
) -> Result<(Vec<Value>, usize)> {
    let wanted = kept(settings, facts);
    let Some((id, study)) = replay.find(&settings.study_name) else {
        let id = replay.next_study();
        let lines = vec![
            op::create_study(&settings.study_name, settings.direction),
            op::set_study_system_attr(id, METRIC_NAMES, json!([settings.metric])),
            op::set_study_user_attr(id, SETTINGS, wanted),
        ];
        return Ok((lines, id));
    };
    let fail = |reason| Error::Study { path: path.to_path_buf(), study: settings.study_name.clone(), reason };
    if study.directions != [settings.direction] {
        return Err(fail(format!(
            "optimises {:?}, not [{:?}]; give it another hparams_search.study_name",
            study.directions, settings.direction
        )));
    }
    if let Some(changed) = study.user_attrs.get(SETTINGS).and_then(|before| first_change(before, &wanted)) {
        return Err(fail(format!(
            "was begun with other settings ({changed}), so its trials and new ones are not comparable; restore them or \
             give it another hparams_search.study_name"
        )));
    }
    for trial in replay.trials(id) {
        for (key, assigned) in &trial.params {
            let same = |p: &crate::space::Param| p.distribution.is_compatible(&assigned.distribution);
            if !settings.params.get(key).is_none_or(same) {
                return Err(fail(format!(
                    "has values of '{key}' of another kind (trial {}); restore hparams_search.params.{key} or give it \
                     another hparams_search.study_name",
                    trial.number
                )));
            }
        }
    }
    let known = study.user_attrs.contains_key(SETTINGS);
    let lines = if known { Vec::new() } else { vec![op::set_study_user_attr(id, SETTINGS, wanted)] };
    Ok((lines, id))
}

/// What must not change between runs of a study.
fn kept(settings: &SearchSettings, facts: &BTreeMap<String, String>) -> Value {
    json!({
        "metric": settings.metric,
        "folds": settings.folds,
        "seed": settings.seed,
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "params": settings.params.to_json(),
        "facts": facts,
    })
}

/// The first key whose value differs.
fn first_change(before: &Value, now: &Value) -> Option<String> {
    let (before, now) = (before.as_object()?, now.as_object()?);
    let changed = now.iter().find(|(key, value)| before.get(*key).unwrap_or(&Value::Null) != *value);
    changed.map(|(key, value)| match (before.get(key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let inner = new.iter().find(|(k, v)| old.get(*k) != Some(*v)).map(|(k, _)| k.as_str());
            format!("{key}.{}", inner.or(old.keys().next().map(String::as_str)).unwrap_or("?"))
        }
        _ => key.clone(),
    })
}

impl Study {
    /// Whether larger or smaller is better.
    pub fn direction(&self) -> Direction {
        self.settings.direction
    }
}
