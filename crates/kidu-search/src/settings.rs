//! The typed settings of the group `hparams_search`, with their ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    space::Space,
};

/// The most trials of a study.
const MAX_TRIALS: usize = 100_000;

/// A setting outside its range: the full key (`hparams_search.metric`) and what it must be.
pub type Problem = (String, String);

/// What is searched, how, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// The study's name in the journal.
    pub study_name: String,
    /// The metric that is optimised: one of the validation split, `val/...`.
    pub metric: String,
    /// Whether larger or smaller is better.
    pub direction: Direction,
    /// Trials in all, those of earlier runs of this study included.
    pub n_trials: usize,
    /// No trial begins after this time; null for no limit.
    pub timeout: Option<Timeout>,
    /// Trials at the same time.
    pub n_jobs: usize,
    /// Folds of a cross-validation whose mean is the objective; null for the one validation split.
    pub folds: Option<usize>,
    /// Seed of the sampler.
    pub seed: u64,
    /// How often a trial is begun, if the process dies while it runs; after that it has failed.
    pub max_attempts: usize,
    /// How parameters are chosen.
    pub sampler: SamplerSettings,
    /// Which trials are given up early.
    pub pruner: PrunerSettings,
    /// The search space.
    pub params: Space,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            study_name: "search".into(),
            metric: "val/acc".into(),
            direction: Direction::Maximize,
            n_trials: 20,
            timeout: None,
            n_jobs: 1,
            folds: None,
            seed: 0,
            max_attempts: 10,
            sampler: SamplerSettings::default(),
            pruner: PrunerSettings::default(),
            params: Space::default(),
        }
    }
}

impl SearchSettings {
    /// All settings outside their ranges.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |ok: bool, key: &str, reason: &str| {
            if !ok {
                problems.push((format!("hparams_search.{key}"), reason.to_string()));
            }
        };
        let name = &self.study_name;
        check(!name.trim().is_empty() && name.len() <= 200, "study_name", "must be a name of at most 200 bytes");
        let metric = metric_problem(&self.metric);
        check(metric.is_none(), "metric", metric.as_deref().unwrap_or_default());
        check((1..=MAX_TRIALS).contains(&self.n_trials), "n_trials", "must be in 1 to 100000");
        check((1..=256).contains(&self.n_jobs), "n_jobs", "must be in 1 to 256");
        check(self.folds.is_none_or(|k| (2..=100).contains(&k)), "folds", "must be in 2 to 100, or null");
        check(self.max_attempts >= 1, "max_attempts", "must be at least 1");
        check(!self.params.is_empty(), "params", "is empty: name at least one key and its range of values");
        let sampler = &self.sampler;
        check((1..=10_000).contains(&sampler.n_ei_candidates), "sampler.n_ei_candidates", "must be in 1 to 10000");
        let prior = sampler.prior_weight;
        check(prior > 0.0 && prior.is_finite(), "sampler.prior_weight", "must be above 0");
        if sampler.name == SamplerName::Grid
            && let Err(error) = crate::sampler::check_grid(&self.params, sampler.points)
        {
            problems.push(match error {
                Error::Space { key, reason } => (format!("hparams_search.params.{key}"), reason),
                other => ("hparams_search.sampler".into(), other.to_string()),
            });
        }
        problems.extend(self.pruner.validate());
        problems
    }

    /// The settings, if all are in range.
    ///
    /// # Errors
    /// [`Error::Setting`] with the first that is not.
    pub fn checked(self) -> Result<Self> {
        match self.validate().into_iter().next() {
            Some((key, reason)) => Err(Error::Setting { key, reason }),
            None => Ok(self),
        }
    }
}

/// Why a metric cannot be searched on, if it cannot.
pub(crate) fn metric_problem(metric: &str) -> Option<String> {
    if metric.starts_with("test/") {
        let instead = metric.replacen("test/", "val/", 1);
        return Some(format!(
            "'{metric}' belongs to the test split, which is never searched on: the best of many trials on it would \
             say more of luck than of the model, and nothing unseen would be left to judge it; use {instead}"
        ));
    }
    let rest = metric.strip_prefix("val/").filter(|rest| !rest.is_empty());
    rest.is_none()
        .then(|| format!("'{metric}' is no metric of the validation split; use one such as val/acc or val/loss"))
}

/// Whether larger or smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smaller.
    Minimize,
    /// Larger.
    Maximize,
}

impl Direction {
    /// A number that is smaller for a better value.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// A time: `90s`, `5m`, `2h`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TimeoutText", into = "String")]
pub struct Timeout(f64);

impl Timeout {
    /// In seconds, above 0.
    pub fn seconds(self) -> f64 {
        self.0
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TimeoutText {
    Seconds(f64),
    Text(String),
}

impl TryFrom<TimeoutText> for Timeout {
    type Error = String;

    fn try_from(text: TimeoutText) -> Result<Self, String> {
        let (shown, seconds) = match text {
            TimeoutText::Seconds(seconds) => (seconds.to_string(), Some(seconds)),
            TimeoutText::Text(text) => {
                let unit = text.trim().char_indices().last().map_or(0, |(at, _)| at);
                let (number, unit) = text.trim().split_at(unit);
                let scale = [("s", 1.0), ("m", 60.0), ("h", 3600.0)].into_iter().find(|(name, _)| *name == unit);
                let seconds = scale.and_then(|(_, scale)| Some(number.trim().parse::<f64>().ok()? * scale));
                (text, seconds)
            }
        };
        match seconds {
            Some(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(Self(seconds)),
            _ => Err(format!("'{shown}' is not a time; write 90s, 5m or 2h")),
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl From<Timeout> for String {
    fn from(timeout: Timeout) -> Self {
        timeout.to_string()
    }
}

/// The known samplers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerName {
    /// Tree-structured Parzen estimator, Bergstra et al. 2011.
    #[default]
    Tpe,
    /// Each parameter at random.
    Random,
    /// Every combination, once.
    Grid,
}

/// How parameters are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerSettings {
    /// Which sampler.
    pub name: SamplerName,
    /// `tpe`: trials at random before it learns.
    pub n_startup_trials: usize,
    /// `tpe`: candidates of which the most promising is tried.
    pub n_ei_candidates: usize,
    /// `tpe`: whether the parameters that every trial has are chosen together, so that their interplay is learned.
    /// Conditional parameters are chosen one by one in any case.
    pub multivariate: bool,
    /// `tpe`: whether running trials count as bad ones, so that trials at the same time differ.
    pub constant_liar: bool,
    /// `tpe`: weight of the prior among the trials, each of which weighs at most 1.
    pub prior_weight: f64,
    /// `grid`: points of a range that has neither step nor choices, both ends included.
    pub points: Option<usize>,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self {
            name: SamplerName::Tpe,
            n_startup_trials: 10,
            n_ei_candidates: 24,
            multivariate: true,
            constant_liar: true,
            prior_weight: 1.0,
            points: None,
        }
    }
}

/// The known pruners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrunerName {
    /// Every trial runs to its end.
    #[default]
    None,
    /// A trial ends whose best value so far is worse than the median of the others at that step.
    Median,
    /// Asynchronous successive halving, Li et al. 2020: at each rung the best share goes on.
    SuccessiveHalving,
    /// Hyperband, Li et al. 2018: successive halving in brackets of different patience.
    Hyperband,
}

/// A number of steps, or `auto`: what the first complete trial shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ResourceText", into = "ResourceText")]
pub enum Resource {
    /// From the first complete trial; nothing is pruned before.
    #[default]
    Auto,
    /// So many steps, at least 1.
    Steps(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ResourceText {
    Steps(u64),
    Word(String),
}

impl TryFrom<ResourceText> for Resource {
    type Error = String;

    fn try_from(text: ResourceText) -> Result<Self, String> {
        match text {
            ResourceText::Steps(steps) if steps >= 1 => Ok(Self::Steps(steps)),
            ResourceText::Word(word) if word == "auto" => Ok(Self::Auto),
            ResourceText::Steps(steps) => Err(format!("{steps} is not auto or a number of steps >= 1")),
            ResourceText::Word(word) => Err(format!("'{word}' is not auto or a number of steps >= 1")),
        }
    }
}

impl From<Resource> for ResourceText {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::Auto => Self::Word("auto".into()),
            Resource::Steps(steps) => Self::Steps(steps),
        }
    }
}

/// Which trials are given up early. The names and meanings are those of Optuna's pruners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrunerSettings {
    /// Which pruner.
    pub name: PrunerName,
    /// `median`: complete trials before any is pruned.
    pub n_startup_trials: usize,
    /// `median`: steps of a trial before it is pruned.
    pub n_warmup_steps: u64,
    /// `median`: steps from one check to the next.
    pub interval_steps: u64,
    /// `median`: complete trials that must have reported at the step.
    pub n_min_trials: usize,
    /// `successive_halving`, `hyperband`: steps before the first rung; `auto` is a hundredth of the first complete
    /// trial's for the one, 1 for the other.
    pub min_resource: Resource,
    /// `hyperband`: steps of a whole trial.
    pub max_resource: Resource,
    /// `successive_halving`, `hyperband`: one in so many trials goes on at each rung; null for 4 and 3.
    pub reduction_factor: Option<u64>,
    /// `successive_halving`: rungs left out at the beginning.
    pub min_early_stopping_rate: u64,
    /// `successive_halving`, `hyperband`: trials that must reach a rung before any goes on.
    pub bootstrap_count: usize,
}

impl Default for PrunerSettings {
    fn default() -> Self {
        Self {
            name: PrunerName::None,
            n_startup_trials: 5,
            n_warmup_steps: 0,
            interval_steps: 1,
            n_min_trials: 1,
            min_resource: Resource::Auto,
            max_resource: Resource::Auto,
            reduction_factor: None,
            min_early_stopping_rate: 0,
            bootstrap_count: 0,
        }
    }
}

impl PrunerSettings {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |ok: bool, key: &str, reason: &str| {
            if !ok {
                problems.push((format!("hparams_search.pruner.{key}"), reason.to_string()));
            }
        };
        check(self.interval_steps >= 1, "interval_steps", "must be at least 1");
        check(self.n_min_trials >= 1, "n_min_trials", "must be at least 1");
        check(
            self.reduction_factor.is_none_or(|f| (2..=1000).contains(&f)),
            "reduction_factor",
            "must be in 2 to 1000",
        );
        check(self.min_early_stopping_rate <= 30, "min_early_stopping_rate", "must be in 0 to 30");
        let open = match self.name {
            PrunerName::SuccessiveHalving => self.min_resource == Resource::Auto,
            PrunerName::Hyperband => self.max_resource == Resource::Auto,
            _ => false,
        };
        let reason = "needs the resource to be given, not auto (min_resource, or max_resource for hyperband)";
        check(self.bootstrap_count == 0 || !open, "bootstrap_count", reason);
        if let (Resource::Steps(least), Resource::Steps(most)) = (self.min_resource, self.max_resource) {
            check(least <= most, "max_resource", "must not be below min_resource");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(json: serde_json::Value) -> SearchSettings {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn settings_are_read_and_survive_json() {
        let read = settings(json!({
            "study_name": "s", "timeout": "90m", "direction": "minimize", "metric": "val/loss",
            "sampler": {"name": "grid", "points": 3}, "pruner": {"name": "hyperband", "max_resource": 9, "min_resource": 1},
            "params": {"lr": "tag(log, interval(1e-4, 0.1))"}
        }));
        assert_eq!(read.timeout.unwrap().seconds(), 5400.0);
        assert!(read.validate().is_empty());
        assert_eq!(settings(serde_json::to_value(&read).unwrap()), read);
        for wrong in [json!({"timeout": "1 parsec"}), json!({"n_trial": 1}), json!({"pruner": {"min_resource": 0}})] {
            assert!(serde_json::from_value::<SearchSettings>(wrong).is_err());
        }
    }

    #[test]
    fn the_test_split_is_never_searched_on() {
        let params = json!({"a": "range(3)"});
        let error = settings(json!({"metric": "test/acc", "params": params})).checked().unwrap_err().to_string();
        assert!(error.contains("hparams_search.metric") && error.contains("never searched on"), "{error}");
        assert!(error.contains("use val/acc"));
        assert!(!settings(json!({"metric": "train/acc", "params": params})).validate().is_empty());
        assert!(settings(json!({"metric": "val/f1", "params": params})).validate().is_empty());
    }

    #[test]
    fn each_range_is_checked_under_its_full_key() {
        let wrong = settings(json!({
            "study_name": " ", "n_trials": 0, "n_jobs": 0, "folds": 1, "max_attempts": 0,
            "sampler": {"n_ei_candidates": 0, "prior_weight": 0.0},
            "pruner": {"interval_steps": 0, "n_min_trials": 0, "reduction_factor": 1, "bootstrap_count": 1,
                       "name": "hyperband"}
        }));
        let keys: Vec<String> = wrong.validate().into_iter().map(|p| p.0).collect();
        let tails = [
            "study_name",
            "n_trials",
            "n_jobs",
            "folds",
            "max_attempts",
            "params",
            "sampler.n_ei_candidates",
            "sampler.prior_weight",
            "pruner.interval_steps",
            "pruner.n_min_trials",
            "pruner.reduction_factor",
            "pruner.bootstrap_count",
        ];
        assert_eq!(keys, tails.map(|t| format!("hparams_search.{t}")));
        let grid = settings(json!({"sampler": {"name": "grid"}, "params": {"lr": "interval(0.1, 1)"}}));
        assert_eq!(grid.validate()[0].0, "hparams_search.params.lr");
    }
}
