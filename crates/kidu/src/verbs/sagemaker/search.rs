//! `kidu search --on sagemaker`: the same search as an Automatic Model Tuning job. What that cannot express is an error
//! under the key that asks for it, not another search.

use kidu_aws::sagemaker::{Range, SageMaker, Strategy, TrainingJob, TuningJob, TuningStatus, Values};
use kidu_infra::sagemaker::cost::{Estimate, JobCost};
use kidu_search::{Direction, Distribution, Param, ParamValue, PrunerName, Resource, SamplerName, SearchSettings};
use serde_json::json;

use super::{connect, job, may_start, not_there, wait_for};
use crate::{
    Outcome,
    cli::SearchArgs,
    failure::Failure,
    settings::{self, need},
    ui,
    verbs::train::{in_shell, search::searched},
};

/// SageMaker's limits.
const MAX_RANGES: usize = 30;
const MAX_CATEGORIES: usize = 30;
const MAX_JOBS: usize = 750;
const MAX_PARALLEL: usize = 100;
const MAX_NAME: usize = 32;

pub(in crate::verbs) fn run(arguments: &SearchArgs) -> Outcome {
    if arguments.resume.is_some() {
        return Err(not_there("--resume", "a tuning job cannot go on once it has ended; start another one"));
    }
    job::check_options(&arguments.config, &arguments.dataset, &arguments.output)?;
    let configuration = settings::load(&arguments.config, "train")?;
    let search = searched(&configuration)?;
    let epochs = need(&configuration.settings.trainer, "trainer")?.max_epochs;
    let sagemaker = connect(&arguments.place)?;
    let planned = job::plan(&sagemaker, &configuration, &arguments.config, &arguments.job)?;
    let tuning = tuning_job(&search, epochs, planned.training)?;
    let training = &tuning.training;
    let jobs = tuning.max_jobs.unwrap_or_else(|| grid_points(&tuning.ranges));
    let cost = JobCost::new("trial", &training.instance, training.max_seconds, &planned.region).times(jobs);
    let estimate = Estimate::of_jobs(vec![cost.on_spot(training.spot.is_some())], &planned.region);
    let what = format!("tuning job {}", tuning.name);
    if !may_start(&estimate, &what, arguments.job.start)? {
        let ranges: Vec<String> = tuning.ranges.iter().map(|r| format!("{}: {:?}", r.name, r.values)).collect();
        let planned = json!({"job": tuning.name, "jobs": jobs, "ranges": ranges, "estimate": estimate});
        return if arguments.output.json { ui::json(&planned) } else { Ok(()) };
    }
    let arn = sagemaker.start_tuning(&tuning)?;
    if arguments.job.start.wait {
        ui::note(format!("started {what}"));
        return finish(&sagemaker, &tuning, &arguments.config.overrides, arguments.output.json);
    }
    if arguments.output.json {
        return ui::json(&json!({"job": tuning.name, "arn": arn, "output": training.output, "estimate": estimate}));
    }
    ui::line(format!("started {what}"));
    ui::line(format!(
        "see it with: aws sagemaker describe-hyper-parameter-tuning-job --hyper-parameter-tuning-job-name {} --region {}",
        tuning.name, planned.region
    ));
    Ok(())
}

/// Waits for the end and says what was best.
fn finish(sagemaker: &SageMaker, tuning: &TuningJob, given: &[String], json: bool) -> Outcome {
    let name = tuning.name.as_str();
    let ended = |s: &TuningStatus| ["Completed", "Failed", "Stopped"].contains(&s.status.as_str());
    let say = |s: &TuningStatus| {
        let best = s.best_value.map(|v| format!(", best {} {v:.4}", tuning.metric)).unwrap_or_default();
        let counts =
            format!("{} complete, {} running, {} given up, {} failed", s.completed, s.running, s.stopped, s.failed);
        format!("{name}: {} ({counts}{best})", s.status)
    };
    let status = wait_for(&format!("tuning job {name}"), || Ok(sagemaker.tuning_status(name)?), ended, say)?;
    if json {
        ui::json(&status)?;
    } else if let (Some(best), Some(value)) = (&status.best_job, status.best_value) {
        ui::line(format!("best: {best}, {} {value:.4}", tuning.metric));
        let found = status.best_parameters.iter().filter(|(key, _)| !key.starts_with('_'));
        ui::line(format!("train with: {}", train_with(given, found)));
    }
    match status.failure {
        None if status.status == "Completed" => Ok(()),
        reason => {
            let reason = reason.unwrap_or_else(|| format!("it ended as {}", status.status));
            Err(Failure::Failed(anyhow::anyhow!("tuning job {name}: {reason}")))
        }
    }
}

/// The command that trains with what was given to the search and what it found.
fn train_with<'a>(given: &[String], found: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let given = given.iter().filter(|word| !word.trim_start_matches('+').starts_with("hparams_search")).cloned();
    let words = given.chain(found.map(|(key, value)| format!("{key}={value}")));
    words.fold("kidu train".into(), |command, word| command + " " + &in_shell(word))
}

/// The tuning job of a search.
fn tuning_job(search: &SearchSettings, epochs: usize, mut training: TrainingJob) -> Outcome<TuningJob> {
    let log_tells = job::METRICS.iter().any(|(name, _)| *name == search.metric);
    if !log_tells {
        let known: Vec<&str> = job::METRICS.iter().map(|(name, _)| *name).filter(|n| n.starts_with("val/")).collect();
        return Err(cannot("metric", &format!("SageMaker reads it from the log, which tells {}", known.join(" and "))));
    }
    if search.folds.is_some() {
        return Err(cannot("folds", "a trial is one training; leave it out"));
    }
    if training.name.len() > MAX_NAME {
        return Err(Failure::usage(format!(
            "--job-name {}: a tuning job's name has at most 32 characters",
            training.name
        )));
    }
    let grid = search.sampler.name == SamplerName::Grid;
    let mut ranges = Vec::new();
    for param in search.params.params() {
        let values = if grid { grid_values(param, search.sampler.points)? } else { values(param)? };
        match values {
            // One value is no range.
            Values::Categorical(only) if only.len() == 1 => {
                training.hyperparameters.insert(param.key.clone(), only[0].clone());
            }
            values => {
                // A key of the command line that is searched is the search's.
                training.hyperparameters.remove(&param.key);
                ranges.push(Range { name: param.key.clone(), values });
            }
        }
    }
    if ranges.is_empty() || ranges.len() > MAX_RANGES {
        return Err(cannot("params", &format!("there must be 1 to {MAX_RANGES} ranges, not {}", ranges.len())));
    }
    // Not from one another's checkpoints: whether SageMaker gives each trial a place of its own is not to be relied on. An
    // interrupted trial starts afresh. Nor into one TensorBoard folder.
    (training.checkpoints, training.tensorboard) = (None, None);
    // The keys of the search itself are no trial's.
    training.hyperparameters.retain(|key, _| key != "hparams_search" && !key.starts_with("hparams_search."));
    let (strategy, early_stopping) = strategy(search, epochs)?;
    Ok(TuningJob {
        name: training.name.clone(),
        strategy,
        metric: search.metric.clone(),
        maximize: search.direction == Direction::Maximize,
        early_stopping,
        max_jobs: max_jobs(search, grid, &ranges)?,
        parallel: parallel(search)?,
        max_seconds: max_seconds(search)?,
        // SageMaker's seeds are half as long.
        seed: u32::try_from(search.seed & 0x7fff_ffff).ok(),
        ranges,
        training,
    })
}

fn cannot(key: &str, reason: &str) -> Failure {
    Failure::usage(format!("hparams_search.{key}: SageMaker's tuning cannot express it: {reason}"))
}

/// The values of a parameter, as ranges.
fn values(param: &Param) -> Outcome<Values> {
    let key = format!("params.{}", param.key);
    check_unconditional(param)?;
    if param.distribution.is_single() {
        let only = param.distribution.to_value(param.distribution.bounds().0);
        return Ok(Values::Categorical(vec![written(&only)]));
    }
    match &param.distribution {
        Distribution::Float { step: Some(step), .. } => Err(cannot(
            &key,
            &format!("a range has no step of {step}; leave it out, or list the values as choice(...)"),
        )),
        Distribution::Int { step, .. } if *step != 1 => Err(cannot(
            &key,
            &format!("a range has no step of {step}; leave it out, or list the values as choice(...)"),
        )),
        Distribution::Float { low, high, log, .. } => Ok(Values::Continuous { low: *low, high: *high, log: *log }),
        Distribution::Int { low, high, log, .. } => Ok(Values::Integer { low: *low, high: *high, log: *log }),
        Distribution::Categorical { choices } => categories(&key, choices.iter().map(written).collect()),
        _ => Err(cannot(&key, "it is of a kind that SageMaker does not have")),
    }
}

/// SageMaker's grids are of categories: the points of the grid, listed.
fn grid_values(param: &Param, points: Option<usize>) -> Outcome<Values> {
    let key = format!("params.{}", param.key);
    check_unconditional(param)?;
    let grid = param.distribution.grid(points).map_err(|reason| cannot(&key, &reason))?;
    categories(&key, grid.into_iter().map(|at| written(&param.distribution.to_value(at))).collect())
}

fn check_unconditional(param: &Param) -> Outcome {
    match param.when.first() {
        Some(condition) => Err(cannot(
            &format!("params.{}", param.key),
            &format!("every trial has every parameter, but this one depends on {}; leave `when` out", condition.key),
        )),
        None => Ok(()),
    }
}

fn categories(key: &str, values: Vec<String>) -> Outcome<Values> {
    if values.len() > MAX_CATEGORIES {
        return Err(cannot(key, &format!("{} values are too many, at most {MAX_CATEGORIES}", values.len())));
    }
    Ok(Values::Categorical(values))
}

/// As the right-hand side of an override; simple words without quotes.
fn written(value: &ParamValue) -> String {
    let simple = |text: &str| {
        let word = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        word && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && !["true", "false", "null", "yes", "no", "on", "off", "nan", "inf"]
                .contains(&text.to_lowercase().as_str())
    };
    match value {
        ParamValue::Text(text) if simple(text) => text.clone(),
        other => other.to_override(),
    }
}

/// How trials are chosen, and whether they are given up early.
fn strategy(search: &SearchSettings, epochs: usize) -> Outcome<(Strategy, bool)> {
    let chosen = match search.sampler.name {
        SamplerName::Tpe => Strategy::Bayesian,
        SamplerName::Random => Strategy::Random,
        SamplerName::Grid => Strategy::Grid,
    };
    match search.pruner.name {
        PrunerName::None => Ok((chosen, false)),
        PrunerName::Median => Ok((chosen, true)),
        PrunerName::Hyperband => {
            let steps = |resource, auto: usize| match resource {
                Resource::Auto => u32::try_from(auto).unwrap_or(u32::MAX),
                Resource::Steps(steps) => u32::try_from(steps).unwrap_or(u32::MAX),
            };
            let min_resource = steps(search.pruner.min_resource, 1);
            let max_resource = steps(search.pruner.max_resource, epochs);
            if chosen == Strategy::Grid {
                return Err(cannot("pruner.name", "Hyperband chooses trials itself; leave the grid out"));
            }
            Ok((Strategy::Hyperband { min_resource, max_resource }, false))
        }
        _ => Err(cannot("pruner.name", "use median (its early stopping), hyperband or none")),
    }
}

fn max_jobs(search: &SearchSettings, grid: bool, ranges: &[Range]) -> Outcome<Option<u32>> {
    if grid {
        let points = grid_points(ranges);
        if search.n_trials < points as usize {
            let reason = format!("a grid is searched whole: it has {points} points, and {} trials", search.n_trials);
            return Err(cannot("n_trials", &reason));
        }
        return Ok(None);
    }
    if search.n_trials > MAX_JOBS {
        return Err(cannot("n_trials", &format!("{} are too many, at most {MAX_JOBS}", search.n_trials)));
    }
    Ok(u32::try_from(search.n_trials).ok())
}

fn parallel(search: &SearchSettings) -> Outcome<u32> {
    let jobs = u32::try_from(search.n_jobs).ok().filter(|_| search.n_jobs <= MAX_PARALLEL);
    jobs.ok_or_else(|| {
        cannot("n_jobs", &format!("{} at the same time are too many, at most {MAX_PARALLEL}", search.n_jobs))
    })
}

/// SageMaker's limit of a tuning job is at least two minutes.
fn max_seconds(search: &SearchSettings) -> Outcome<Option<u32>> {
    let Some(timeout) = search.timeout else { return Ok(None) };
    let seconds = timeout.seconds();
    if !(120.0..=15_768_000.0).contains(&seconds) {
        return Err(cannot("timeout", "give two minutes to half a year"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the limits above")]
    let whole = seconds.ceil() as u32;
    Ok(Some(whole))
}

/// The points of a grid of categories.
fn grid_points(ranges: &[Range]) -> u32 {
    let count = |r: &Range| match &r.values {
        Values::Categorical(values) => u32::try_from(values.len()).unwrap_or(u32::MAX),
        _ => 1,
    };
    ranges.iter().map(count).fold(1, u32::saturating_mul)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(json: serde_json::Value) -> SearchSettings {
        serde_json::from_value::<SearchSettings>(json).unwrap().checked().unwrap()
    }

    fn training() -> TrainingJob {
        TrainingJob {
            name: "kidu-1".into(),
            image: "kidu/job:v1".into(),
            command: vec![],
            hyperparameters: BTreeMap::from([
                ("model".to_string(), "resnet18".to_string()),
                ("hparams_search".to_string(), "default".to_string()),
                ("hparams_search.n_trials".to_string(), "4".to_string()),
                ("model.learning_rate".to_string(), "0.1".to_string()),
            ]),
            environment: BTreeMap::new(),
            role_arn: "arn:aws:iam::1:role/r".into(),
            channels: vec![],
            output: "s3://b/o".into(),
            key: None,
            checkpoints: Some("s3://b/c".into()),
            tensorboard: None,
            instance: "ml.c5.4xlarge".into(),
            volume_gb: 30,
            max_seconds: 3600,
            spot: None,
            metrics: vec![],
        }
    }

    fn made(json: serde_json::Value) -> TuningJob {
        tuning_job(&settings(json), 9, training()).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_same_space_is_searched() {
        let job = made(json!({
            "metric": "val/acc", "n_trials": 4, "n_jobs": 2, "timeout": "1h", "seed": 7, "pruner": {"name": "median"},
            "params": {
                "model.learning_rate": "tag(log, interval(0.0001, 0.05))",
                "model.optimizer.name": "choice(adam, sgd, 'on', 'two words')",
                "trainer.max_epochs": "range(1, 9)",
                "data.batch_size": "choice(8, 16)",
                "seed": "choice(3)",
            }
        }));
        let text = |words: &[&str]| Values::Categorical(words.iter().map(|w| (*w).to_string()).collect());
        let found = |key: &str| job.ranges.iter().find(|r| r.name == key).map(|r| r.values.clone());
        assert_eq!(found("model.learning_rate"), Some(Values::Continuous { low: 0.0001, high: 0.05, log: true }));
        assert_eq!(found("model.optimizer.name"), Some(text(&["adam", "sgd", "'on'", "'two words'"])));
        assert_eq!(found("trainer.max_epochs"), Some(Values::Integer { low: 1, high: 9, log: false }));
        assert_eq!(found("data.batch_size"), Some(text(&["8", "16"])));
        assert_eq!(found("seed"), None);
        let kept: Vec<(&str, &str)> =
            job.training.hyperparameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(kept, [("model", "resnet18"), ("seed", "3")]);
        assert_eq!((job.strategy, job.early_stopping, job.maximize), (Strategy::Bayesian, true, true));
        assert_eq!((job.max_jobs, job.parallel, job.max_seconds, job.seed), (Some(4), 2, Some(3600), Some(7)));
        assert_eq!(job.training.checkpoints, None);
    }

    #[test]
    fn a_grid_is_listed_and_hyperband_has_its_epochs() {
        let job = made(json!({
            "metric": "val/loss", "direction": "minimize", "n_trials": 6, "sampler": {"name": "grid", "points": 3},
            "params": {"model.learning_rate": "tag(log, interval(0.001, 0.1))", "model.optimizer.name": "choice(adam, sgd)"}
        }));
        assert_eq!((job.strategy, job.max_jobs, grid_points(&job.ranges)), (Strategy::Grid, None, 6));
        assert!(!job.maximize && !job.early_stopping);
        let job = made(json!({
            "metric": "val/acc", "pruner": {"name": "hyperband", "min_resource": 2},
            "params": {"model.learning_rate": "interval(0.001, 0.1)"}
        }));
        assert_eq!(job.strategy, Strategy::Hyperband { min_resource: 2, max_resource: 9 });
    }

    #[test]
    fn the_command_that_trains_keeps_what_was_given_and_needs_no_editing() {
        let given =
            ["experiment=transfer", "hparams_search=default", "hparams_search.n_trials=9", "data.root=my photos"];
        let found = [("model.learning_rate".to_owned(), "0.002".to_owned())];
        assert_eq!(
            train_with(&given.map(str::to_owned), found.iter().map(|(key, value)| (key, value))),
            "kidu train experiment=transfer 'data.root=my photos' model.learning_rate=0.002"
        );
    }

    #[test]
    fn what_cannot_be_expressed_is_an_error_under_its_key() {
        let params = json!({"model.learning_rate": "interval(0.001, 0.1)"});
        let with = |key: &str, value: serde_json::Value| {
            let mut json = json!({"metric": "val/acc", "params": params});
            json[key] = value;
            json
        };
        let conditional = json!({
            "model.optimizer.name": "choice(adam, sgd)",
            "model.optimizer.momentum": {"type": "float", "low": 0.1, "high": 0.9, "when": {"model.optimizer.name": "sgd"}},
        });
        let many: Vec<i64> = (0..31).collect();
        for (json, expected) in [
            (with("params", conditional), "params.model.optimizer.momentum"),
            (with("params", json!({"a": "range(0.0, 1.0, 0.25)"})), "no step of 0.25"),
            (with("params", json!({"a": {"type": "int", "low": 1, "high": 9, "step": 2}})), "no step of 2"),
            (with("params", json!({ "a": many })), "31 values are too many"),
            (with("folds", json!(3)), "hparams_search.folds"),
            (with("metric", json!("val/f1")), "val/loss and val/acc"),
            (with("n_trials", json!(751)), "at most 750"),
            (with("n_jobs", json!(101)), "at most 100"),
            (with("timeout", json!("90s")), "two minutes"),
            (with("pruner", json!({"name": "successive_halving"})), "use median"),
        ] {
            let error = tuning_job(&settings(json), 9, training()).err().unwrap_or_else(|| panic!("{expected}"));
            let message = error.to_string();
            assert!(message.contains(expected) && message.contains("hparams_search."), "{message}");
        }
    }
}
