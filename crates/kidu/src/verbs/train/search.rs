//! `kidu search`: many trainings, each with other settings, to find the best of them on the validation split.

mod folds;
mod importance;
mod plots;
mod trial;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use kidu_core::{ContentHasher, DatasetManifest, Progress};
use kidu_search::{Fanova, Importance, SearchSettings, Study, TrialRecord, TrialState};
use serde_json::json;

use self::trial::{Ended, Runner};
use super::{super::dataset, with_training_settings};
use crate::{
    Outcome,
    cli::{ConfigArgs, SearchArgs},
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, Configuration, need, need_root},
    stop,
    ui::{self, Console},
};

/// The study, in Optuna's journal format.
const JOURNAL: &str = "study.log";

pub(in crate::verbs) fn run(arguments: &SearchArgs) -> Outcome {
    let (base, resumed) = configuration_arguments(arguments)?;
    let configuration = settings::load(&base, "train")?;
    let search = searched(&configuration)?;
    let known = arguments.dataset.manifest.clone().or(resumed);
    if known.is_none() {
        need_root(&configuration.settings.data)?;
    }
    stop::on_signals()?;
    let out = arguments.resume.as_deref().or(arguments.output.out.as_deref());
    let held = run_dir::create(&configuration, Verb::Search, out)?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let data = need(&configuration.settings.data, "data")?;
    let manifest = dataset::open(known.as_deref(), data, configuration.settings.seed, &dir.join("data"), &console)?;
    let facts = facts(&configuration, &manifest);
    let study = Study::open_with_facts(&dir.join(JOURNAL), search.clone(), &facts).map_err(search_failure)?;
    let study = Arc::new(study);
    let runner = Runner { base, study: Arc::clone(&study), manifest, dir: dir.to_path_buf() };
    let outcome = carry_out(&runner, &search, &console);
    study.write_results(dir).map_err(search_failure)?;
    let trials = study.trials();
    let importance = Fanova::default().assess(&trials);
    importance::save(&importance, &trials, dir)?;
    plots::save(&trials, &importance, &search, dir)?;
    let finished = tell(&study, &importance, arguments, dir);
    ui::place("wrote", dir);
    outcome.and(finished)
}

/// What the trials' configurations begin with, and the division of an earlier start.
fn configuration_arguments(arguments: &SearchArgs) -> Outcome<(ConfigArgs, Option<std::path::PathBuf>)> {
    let Some(run) = &arguments.resume else { return Ok((arguments.config.clone(), None)) };
    let config = run.join("config.yaml");
    if !config.is_file() {
        return Err(Failure::usage(format!("--resume {}: no search, it has no config.yaml", run.display())));
    }
    let manifest = run.join("data").join(DatasetManifest::FILE);
    Ok((ConfigArgs { config: Some(config), ..arguments.config.clone() }, manifest.is_file().then_some(manifest)))
}

/// The settings of the search, whose keys must be the configuration's own.
pub(in crate::verbs) fn searched(configuration: &Configuration) -> Outcome<SearchSettings> {
    let Some(search) = configuration.settings.hparams_search.clone() else {
        return Err(Failure::usage(
            "nothing to search for: choose a search with hparams_search=default or hparams_search=intel_scene_optuna",
        ));
    };
    let keys = configuration.composed.keys();
    for param in search.params.params() {
        let key = param.key.as_str();
        if configuration.composed.get(key).is_none() {
            let nearest = kidu_core::suggest::nearest(key, keys.iter().map(String::as_str));
            let hint = kidu_core::suggest::did_you_mean(nearest);
            return Err(Failure::usage(format!(
                "hparams_search.params.{key}: the configuration has no such key{hint}"
            )));
        }
    }
    Ok(search)
}

/// What must be the same when a study goes on: the images and every setting but those of the search.
fn facts(configuration: &Configuration, manifest: &DatasetManifest) -> BTreeMap<String, String> {
    let mut hasher = with_training_settings(ContentHasher::new("kidu search"), &configuration.composed);
    if let Some(size) = configuration.composed.get("data.image_size") {
        hasher = hasher.field("data.image_size", size.to_json().to_string());
    }
    [("dataset".to_string(), manifest.version.clone()), ("configuration".to_string(), hasher.finish().to_string())]
        .into()
}

/// Asks and tells until the study has enough, on as many threads as it wants trials at once.
fn carry_out(runner: &Runner, search: &SearchSettings, console: &Console) -> Outcome {
    let done = runner.study.trials().iter().filter(|t| t.state.is_finished()).count();
    console.begin("search", "trials", Some(search.n_trials as u64));
    console.begin_at(done as u64);
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        while !stop::is_asked_for() && failed().is_none() {
            let ended = match runner.study.ask().map_err(search_failure) {
                Ok(None) => return,
                Ok(Some(trial)) => runner.run(&trial).map(|ended| (trial, ended)),
                Err(error) => Err(error),
            };
            match ended {
                Ok((_, Ended::Interrupted)) => return,
                Ok((trial, ended)) => {
                    console.note(&format!("trial {}: {ended}  {}", trial.number, trial.overrides().join(" ")));
                    console.advance(1);
                }
                Err(error) => *failed() = Some(error),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..search.n_jobs {
            scope.spawn(work);
        }
        work();
    });
    console.end();
    if let Some(failure) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    if stop::is_asked_for() {
        return Err(Failure::Interrupted(format!("go on with: kidu search --resume {}", runner.dir.display())));
    }
    Ok(())
}

fn tell(study: &Study, importance: &[Importance], arguments: &SearchArgs, dir: &Path) -> Outcome {
    let trials = study.trials();
    let count = |state: TrialState| trials.iter().filter(|t| t.state == state).count();
    let (complete, pruned, failed) =
        (count(TrialState::Complete), count(TrialState::Pruned), count(TrialState::Failed));
    let best = study.best();
    if arguments.output.json {
        ui::json(&json!({
            "study_name": study.settings().study_name,
            "metric": study.settings().metric,
            "best_trial": best.as_ref().map(|t| t.number),
            "best_value": best.as_ref().and_then(|t| t.value),
            "best_params": best.as_ref().map(TrialRecord::values),
            "importance": importance::shares(importance),
            "complete": complete,
            "pruned": pruned,
            "failed": failed,
            "journal": study.journal(),
            "results": dir.join("optimization_results.yaml"),
        }))?;
    } else {
        ui::line(format!("{complete} trials complete, {pruned} pruned, {failed} failed"));
        if let Some(best) = &best {
            let value = best.value.unwrap_or(f64::NAN);
            ui::line(format!("best: trial {}, {} {value:.4}", best.number, study.settings().metric));
            if let Some(line) = importance::line(importance) {
                ui::line(line);
            }
            let set = |(key, value): (String, kidu_search::ParamValue)| format!("{key}={}", value.to_override());
            let words: Vec<String> = best.values().into_iter().map(set).collect();
            ui::line(format!("train with: {}", super::train_with(dir, arguments.dataset.manifest.is_some(), &words)));
        }
    }
    match best {
        Some(_) => Ok(()),
        None if complete + pruned + failed == 0 => Ok(()),
        None => Err(Failure::Failed(anyhow::anyhow!(
            "no trial came to its end; the reasons are in {}",
            dir.join("trials.csv").display()
        ))),
    }
}

fn search_failure(error: kidu_search::Error) -> Failure {
    match error {
        kidu_search::Error::Setting { .. } | kidu_search::Error::Space { .. } => Failure::Usage(error.into()),
        other => Failure::Failed(other.into()),
    }
}
