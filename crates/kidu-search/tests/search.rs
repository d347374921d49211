//! Whole searches: resumed after interruptions, and together with the real Optuna.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{collections::BTreeMap, path::Path, process::Command};

use kidu_search::{Error, Fanova, Outcome, SearchSettings, Study, Trial, TrialRecord, TrialState};
use serde_json::{Value, json};

fn settings(extra: Value) -> SearchSettings {
    let mut all = json!({
        "study_name": "s", "metric": "val/loss", "direction": "minimize", "n_trials": 25, "seed": 3,
        "sampler": {"n_startup_trials": 6},
        "pruner": {"name": "median", "n_startup_trials": 4, "n_warmup_steps": 1},
        "params": {"x": "float(interval(-5, 5))", "n": "range(1, 9, 2)", "kind": "choice(a, b)",
                   "m": {"type": "float", "low": 1e-3, "high": 1.0, "log": true, "when": {"kind": "b"}}}
    });
    all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn loss(trial: &Trial) -> f64 {
    let at = |key: &str| trial.params.get(key).and_then(kidu_search::ParamValue::as_f64);
    at("x").unwrap().powi(2) + at("n").unwrap() + at("m").map_or(3.0, |m| (m - 0.1).abs())
}

/// Runs a study; after `operations` reports and ends it is dropped as by a kill. True when it came to its end.
fn run(path: &Path, settings: SearchSettings, mut operations: usize) -> bool {
    let study = Study::open(path, settings).unwrap();
    let mut spend = || {
        let left = operations > 0;
        operations = operations.saturating_sub(1);
        left
    };
    while let Some(trial) = study.ask().unwrap() {
        let mut outcome = None;
        for step in 0..4u64 {
            if !spend() {
                return false;
            }
            study.report(trial.number, step, loss(&trial) + 1.0 / (step + 1) as f64).unwrap();
            if study.should_prune(trial.number).unwrap() {
                outcome = Some(Outcome::Pruned);
                break;
            }
        }
        if !spend() {
            return false;
        }
        study.tell(trial.number, outcome.unwrap_or_else(|| Outcome::Complete(loss(&trial)))).unwrap();
    }
    true
}

type Essence = (usize, TrialState, Option<u64>, BTreeMap<String, u64>, BTreeMap<u64, u64>);

fn essence(trials: &[TrialRecord]) -> Vec<Essence> {
    let one = |t: &TrialRecord| {
        let params = t.params.iter().map(|(k, a)| (k.clone(), a.internal.to_bits())).collect();
        let intermediate = t.intermediate.iter().map(|(s, v)| (*s, v.to_bits())).collect();
        (t.number, t.state, t.value.map(f64::to_bits), params, intermediate)
    };
    trials.iter().map(one).collect()
}

#[test]
fn a_study_killed_and_resumed_equals_the_uninterrupted_one() {
    for pruner in [
        json!({"name": "median", "n_startup_trials": 4, "n_warmup_steps": 1}),
        json!({"name": "successive_halving", "min_resource": 1, "reduction_factor": 2}),
        json!({"name": "hyperband", "reduction_factor": 2}),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.log");
        assert!(run(&whole, settings(json!({"pruner": pruner})), usize::MAX));
        let expected = Study::read_trials(&whole, "s").unwrap();
        assert!(expected.iter().any(|t| t.state == TrialState::Pruned), "{pruner}: nothing was pruned");
        for seed in 0..3usize {
            let path = dir.path().join(format!("{seed}.log"));
            for kill in 0..3usize {
                assert!(!run(&path, settings(json!({"pruner": pruner})), 3 + (seed * 7 + kill * 5) % 13));
                // A tail that a power cut tore.
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.extend_from_slice(b"{\"op_code\":7,\"wor");
                std::fs::write(&path, bytes).unwrap();
            }
            assert!(run(&path, settings(json!({"pruner": pruner})), usize::MAX));
            assert_eq!(essence(&Study::read_trials(&path, "s").unwrap()), essence(&expected), "{pruner}");
        }
    }
}

#[test]
fn an_infinite_value_at_a_rung_counts_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let halving = json!({"name": "successive_halving", "min_resource": 1, "reduction_factor": 2});
    let wish = settings(json!({"direction": "maximize", "metric": "val/acc", "pruner": halving}));
    let study = Study::open(&path, wish.clone()).unwrap();
    let pruned = |study: &Study, value: f64| {
        let trial = study.ask().unwrap().unwrap();
        study.report(trial.number, 1, value).unwrap();
        let pruned = study.should_prune(trial.number).unwrap();
        study.tell(trial.number, if pruned { Outcome::Pruned } else { Outcome::Complete(value) }).unwrap();
        pruned
    };
    assert!(!pruned(&study, f64::INFINITY));
    drop(study);
    let journal = std::fs::read_to_string(&path).unwrap();
    assert!(journal.contains(r#""completed_rung_0":Infinity"#), "{journal}");
    let study = Study::open(&path, wish).unwrap();
    assert!(pruned(&study, 5.0), "the infinite one is the better half");
}

#[test]
fn a_study_is_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let study = Study::open(&path, settings(json!({"max_attempts": 1}))).unwrap();
    assert!(matches!(Study::open(&path, settings(json!({}))), Err(Error::Busy { .. })));
    let trial = study.ask().unwrap().unwrap();
    assert!(study.report(99, 0, 1.0).is_err());
    study.report(trial.number, 1, 1.0).unwrap();
    assert!(study.report(trial.number, 1, 1.0).unwrap_err().to_string().contains("reported already"));
    drop(study);
    let changed = Study::open(&path, settings(json!({"seed": 4}))).unwrap_err().to_string();
    assert!(changed.contains("seed") && changed.contains("study_name"), "{changed}");
    let study = Study::open(&path, settings(json!({"max_attempts": 1, "n_trials": 2}))).unwrap();
    // The only attempt was spent, so the second trial comes.
    let next = study.ask().unwrap().unwrap();
    assert_eq!((next.number, study.trials()[0].state), (1, TrialState::Failed));
    assert_eq!(study.tell(1, Outcome::Complete(f64::NAN)).unwrap(), TrialState::Failed);
    assert!(study.tell(1, Outcome::Pruned).is_err());
    assert!(study.ask().unwrap().is_none() && study.best().is_none());
    let files = study.write_results(dir.path()).unwrap();
    assert!(
        std::fs::read_to_string(&files[0]).unwrap().starts_with("name: optuna\nbest_params: {}\nbest_value: null\n")
    );
}

#[test]
fn threads_share_a_study() {
    let dir = tempfile::tempdir().unwrap();
    let study = Study::open(&dir.path().join("s.log"), settings(json!({"n_jobs": 4}))).unwrap();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                while let Some(trial) = study.ask().unwrap() {
                    study.tell(trial.number, Outcome::Folds(vec![loss(&trial), loss(&trial) + 1.0])).unwrap();
                }
            });
        }
    });
    let trials = study.trials();
    assert_eq!(trials.len(), 25);
    assert!(trials.iter().enumerate().all(|(i, t)| t.number == i && t.state == TrialState::Complete));
}

#[test]
fn tpe_finds_better_points_than_chance() {
    let mean = |sampler: &str| {
        let best = |seed: u64| {
            let dir = tempfile::tempdir().unwrap();
            let wish = json!({"n_trials": 60, "seed": seed, "sampler": {"name": sampler}, "pruner": {"name": "none"}});
            let study = Study::open(&dir.path().join("s.log"), settings(wish)).unwrap();
            while let Some(trial) = study.ask().unwrap() {
                study.tell(trial.number, Outcome::Complete(loss(&trial))).unwrap();
            }
            study.best().unwrap().value.unwrap() - 1.0
        };
        (0..8).map(best).sum::<f64>() / 8.0
    };
    let (tpe, random) = (mean("tpe"), mean("random"));
    assert!(tpe < 0.6 * random, "tpe {tpe} random {random}");
}

fn optuna(mode: &str, path: &Path, python: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/optuna_study.py");
    let out = Command::new(python).arg(script).args([mode.as_ref(), path.as_os_str(), "s".as_ref()]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn assert_same(seen: &Value, ours: &[TrialRecord]) {
    let theirs = seen["trials"].as_array().unwrap();
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(ours) {
        assert_eq!(theirs["state"], ours.state.name());
        assert_eq!(theirs["value"].as_f64(), ours.value);
        assert_eq!(theirs["params"], json!(ours.values()));
        for (key, assigned) in &ours.params {
            let text = theirs["distributions"][key].as_str().unwrap();
            assert_eq!(kidu_search::Distribution::from_json(text).unwrap(), assigned.distribution);
        }
        let steps = theirs["intermediate"].as_array().unwrap();
        assert_eq!(steps.len(), ours.intermediate.len());
        for (step, (at, value)) in steps.iter().zip(&ours.intermediate) {
            assert_eq!(step[0].as_u64(), Some(*at));
            let text = step[1].as_str().unwrap();
            assert!(text.parse::<f64>().unwrap().to_bits() == value.to_bits() || (text == "nan" && value.is_nan()));
        }
    }
}

#[test]
fn optuna_opens_and_continues_our_study() {
    let test = "optuna_opens_and_continues_our_study";
    let Some(python) = kidu_testing::peer_python(test, &["optuna"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    assert!(run(&path, settings(json!({"n_trials": 12})), usize::MAX));
    let study = Study::open(&path, settings(json!({"n_trials": 14}))).unwrap();
    let trial = study.ask().unwrap().unwrap();
    study.report(trial.number, 0, f64::NAN).unwrap();
    study.tell(trial.number, Outcome::Failed("a, \"reason\"".into())).unwrap();
    let seen = optuna("read", &path, &python);
    assert_eq!(seen["direction"], "MINIMIZE");
    assert_eq!(seen["best"].as_u64(), study.best().map(|t| t.number as u64));
    assert_same(&seen, &study.trials());
    // Optuna adds two while the study is open here.
    let seen = optuna("run", &path, &python);
    drop(study);
    assert_eq!(seen["trials"].as_array().unwrap().len(), 15);
    assert_same(&seen, &Study::read_trials(&path, "s").unwrap());
}

#[test]
fn a_study_of_optuna_is_resumed() {
    let Some(python) = kidu_testing::peer_python("a_study_of_optuna_is_resumed", &["optuna"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let seen = optuna("write", &path, &python);
    assert_same(&seen, &Study::read_trials(&path, "s").unwrap());
    assert!(run(&path, settings(json!({"n_trials": 10})), usize::MAX));
    let ours = Study::read_trials(&path, "s").unwrap();
    assert_eq!(ours.len(), 10);
    assert_same(&optuna("read", &path, &python), &ours);
}

/// What a training with these parameters might report at a step; not every trial is better from step to step.
fn curve(trial: &Trial, step: u64) -> f64 {
    let noise = ((trial.number as f64 * 12.9898 + step as f64 * 78.233).sin() * 43_758.545_3).fract();
    loss(trial) + 20.0 / (step + 1) as f64 + 3.0 * noise
}

#[test]
fn every_decision_of_the_pruners_is_optunas() {
    let Some(python) = kidu_testing::peer_python("every_decision_of_the_pruners_is_optunas", &["optuna"]) else {
        return;
    };
    for (pruner, direction) in [
        (json!({"name": "median"}), "minimize"),
        (json!({"name": "median", "n_startup_trials": 3, "n_warmup_steps": 2, "interval_steps": 3}), "maximize"),
        (json!({"name": "median", "n_startup_trials": 0, "n_min_trials": 4}), "minimize"),
        (json!({"name": "successive_halving", "min_resource": 1, "reduction_factor": 2}), "minimize"),
        (
            json!({"name": "successive_halving", "min_resource": 2, "reduction_factor": 3,
                "min_early_stopping_rate": 1}),
            "maximize",
        ),
        (
            json!({"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "bootstrap_count": 1}),
            "minimize",
        ),
        (json!({"name": "successive_halving", "min_resource": "auto"}), "minimize"),
        (json!({"name": "hyperband", "min_resource": 1, "max_resource": 16, "reduction_factor": 2}), "minimize"),
        (json!({"name": "hyperband", "max_resource": 20}), "maximize"),
        (json!({"name": "hyperband", "max_resource": "auto", "reduction_factor": 2}), "minimize"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.log");
        let wish = json!({"n_trials": 60, "direction": direction, "pruner": pruner, "sampler": {"name": "random"}});
        let study = Study::open(&path, settings(wish)).unwrap();
        while let Some(trial) = study.ask().unwrap() {
            let mut outcome = Outcome::Complete(loss(&trial));
            for step in 1..=16 {
                // Some report what is no number.
                let value = if trial.number % 11 == 5 && step == 4 { f64::NAN } else { curve(&trial, step) };
                let value = if trial.number % 13 == 6 && step == 2 { f64::INFINITY } else { value };
                study.report(trial.number, step, value).unwrap();
                if study.should_prune(trial.number).unwrap() {
                    outcome = Outcome::Pruned;
                    break;
                }
            }
            study.tell(trial.number, outcome).unwrap();
        }
        let count = |state| study.trials().iter().filter(|t| t.state == state).count();
        let (complete, pruned) = (count(TrialState::Complete), count(TrialState::Pruned));
        // Until there is one more than `bootstrap_count` at a rung, none passes it.
        assert!(
            (complete > 0 || pruner["bootstrap_count"] == 1) && pruned > 5,
            "{pruner}: {complete} complete, {pruned} pruned"
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/optuna_pruners.py");
        let mut command = Command::new(&python);
        let out = command.arg(script).arg(&path).arg("s").arg(pruner.to_string()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let seen: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert!(seen["judged"].as_u64().unwrap() > 100, "{pruner}: {seen}");
        assert_eq!((&seen["different"], &seen["rungs"]), (&json!([]), &json!([])), "{pruner} {direction}");
    }
}

/// A study at random over parameters that all trials have.
fn explored(
    path: &Path,
    params: &Value,
    objective: impl Fn(&BTreeMap<String, kidu_search::ParamValue>) -> f64,
) -> Study {
    let wish = json!({"n_trials": 150, "params": params, "sampler": {"name": "random"}, "pruner": {"name": "none"}});
    let study = Study::open(path, settings(wish)).unwrap();
    while let Some(trial) = study.ask().unwrap() {
        study.tell(trial.number, Outcome::Complete(objective(&trial.params))).unwrap();
    }
    study
}

#[test]
fn importance_is_that_of_optunas_fanova() {
    let Some(python) = kidu_testing::peer_python("importance_is_that_of_optunas_fanova", &["optuna", "sklearn"]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let number = |p: &BTreeMap<String, kidu_search::ParamValue>, key: &str| p[key].as_f64().unwrap();
    let path = dir.path().join("numbers.log");
    let params = json!({"x": "float(interval(-2, 2))", "y": "float(interval(0, 1))", "n": "range(1, 9, 2)",
                        "lr": "tag(log, interval(0.001, 1.0))", "idle": "float(interval(0, 1))"});
    let study = explored(&path, &params, |p| {
        number(p, "x").powi(2) + 2.0 * number(p, "y") * number(p, "n") / 9.0 + 0.8 * number(p, "lr")
    });
    compare(&study, &path, &python, 0.05);
    let path = dir.path().join("choices.log");
    let params = json!({"x": "float(interval(-2, 2))", "kind": "choice(a, b, c)", "flag": "choice(yes, no)"});
    let study = explored(&path, &params, |p| {
        let kind = match &p["kind"] {
            kind if *kind == "a".into() => 0.0,
            kind if *kind == "b".into() => 1.0,
            _ => 4.0,
        };
        number(p, "x") + kind + if p["flag"] == "yes".into() { 0.7 } else { 0.0 }
    });
    // Optuna spreads a choice over a cube of one axis for each value, most corners of which are no value.
    compare(&study, &path, &python, 0.1);
}

/// Compares with Optuna's evaluator along its scale: the same order, and shares within `tolerance`.
fn compare(study: &Study, path: &Path, python: &Path, tolerance: f64) {
    let ours = Fanova { linear: true, ..Fanova::default() }.assess(&study.trials());
    let theirs = optuna("importance", path, python);
    for importance in &ours {
        let share = theirs[&importance.key].as_f64().unwrap();
        assert!((importance.share - share).abs() < tolerance, "{} {share} {theirs} {ours:?}", importance.key);
    }
    let share = |key: &str| theirs[key].as_f64().unwrap();
    let clear = |pair: &&[kidu_search::Importance]| pair[0].share - pair[1].share > 0.02;
    for pair in ours.windows(2).filter(clear) {
        assert!(share(&pair[0].key) > share(&pair[1].key), "{theirs} {ours:?}");
    }
    assert_eq!(theirs.as_object().unwrap().len(), ours.len());
}

#[test]
fn optunas_dashboard_shows_our_study() {
    let modules = ["optuna", "optuna_dashboard"];
    let Some(python) = kidu_testing::peer_python("optunas_dashboard_shows_our_study", &modules) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let study = Study::open(&path, settings(json!({"n_trials": 12}))).unwrap();
    while let Some(trial) = study.ask().unwrap() {
        study.report(trial.number, 0, if trial.number == 3 { f64::INFINITY } else { 2.0 * loss(&trial) }).unwrap();
        study.note(trial.number, "origin", json!("a test")).unwrap();
        let outcome = match trial.number {
            3 => Outcome::Failed("out of memory".into()),
            _ => Outcome::Complete(loss(&trial)),
        };
        study.tell(trial.number, outcome).unwrap();
    }
    let seen = optuna("dashboard", &path, &python);
    assert_eq!(seen["page"], json!([200, true]));
    assert_eq!(seen["studies"], json!([200, ["s"]]));
    assert_eq!(seen["study"][0], 200);
    let trials = seen["study"][1]["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 12);
    for (theirs, ours) in trials.iter().zip(study.trials()) {
        assert_eq!(theirs["number"], ours.number);
        assert_eq!(theirs["values"].get(0).and_then(Value::as_f64), ours.value, "{theirs}");
        assert_eq!(theirs["params"].as_array().unwrap().len(), ours.params.len());
        assert_eq!(theirs["intermediate_values"].as_array().unwrap().len(), 1);
    }
    assert!(trials[3]["user_attrs"].to_string().contains("out of memory"), "{}", trials[3]);
    assert_eq!(seen["study"][1]["objective_names"], json!(["val/loss"]));
}
