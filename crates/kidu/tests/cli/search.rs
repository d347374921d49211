//! `kidu search`: killed and gone on with, folded, read by Optuna, and what it refuses.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    command::{Running, kidu, run},
    fixture::{SCENES, scratch, set, short, words},
};

/// A search on the scenes, one epoch a trial unless told otherwise.
fn searching(out: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["search".to_string(), "--out".into(), out.display().to_string()];
    arguments.extend(short());
    arguments.extend([set("data.root", &SCENES), "hparams_search=default".into()]);
    arguments.extend(more.iter().map(|word| (*word).to_string()));
    arguments
}

/// What must be the same: numbers, states, values, steps and parameters; not how long it took.
fn trials(out: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(out.join("trials.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_string).collect::<Vec<_>>());
    let heading = lines.next().unwrap();
    let keep: Vec<usize> = (0..heading.len()).filter(|i| heading[*i] != "seconds").collect();
    lines.map(|row| keep.iter().map(|i| row[*i].clone()).collect()).collect()
}

#[test]
fn a_search_killed_three_times_equals_the_uninterrupted_one() {
    let dir = scratch();
    let settings = ["hparams_search.n_trials=5", "hparams_search.sampler.n_startup_trials=2"];
    let whole = dir.path().join("whole");
    let told = run(dir.path(), &words(&searching(&whole, &settings))).ok();
    let config = whole.join("config.yaml");
    let command = format!("train with: kidu train --config {} task_name=train model.learning_rate=", config.display());
    assert!(told.out.contains(&command), "{told:#?}");
    let killed = dir.path().join("killed");
    let journal = killed.join("study.log");
    let lines = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    for more in [8, 5, 7] {
        let mut running =
            Running::start(kidu(dir.path(), &words(&searching(&killed, &settings))), &dir.path().join("err.txt"));
        let goal = lines() + more;
        running.until("more of the journal", |_| lines() >= goal || killed.join("plots").exists());
        running.signal("KILL");
        running.wait();
    }
    let ended = run(dir.path(), &["search", "--resume", &killed.display().to_string(), "--json"]).ok().json();
    assert_eq!(ended["complete"].as_u64().unwrap() + ended["pruned"].as_u64().unwrap(), 5);
    assert_eq!(trials(&killed), trials(&whole));
    let best = |out: &Path| fs::read_to_string(out.join("optimization_results.yaml")).unwrap();
    assert_eq!(best(&killed), best(&whole));
    for plot in ["optimization_history", "slice", "parallel_coordinates", "importance"] {
        assert!(killed.join("plots").join(plot).with_extension("png").is_file(), "{plot}");
    }
    let importance = |out: &Path| fs::read_to_string(out.join("importance.json")).unwrap();
    assert_eq!(importance(&killed), importance(&whole));
    let shares = ended["importance"].as_object().unwrap();
    assert_eq!(shares.keys().collect::<Vec<_>>(), ["model.learning_rate", "model.optimizer.name"]);
    assert!((shares.values().filter_map(Value::as_f64).sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    assert!(told.out.contains("importance: model."), "{told:#?}");
    assert!(!killed.join("trials/0/checkpoints").exists(), "a trial's checkpoints go");
    optuna_reads(&journal, &ended);
}

fn optuna_reads(journal: &Path, ended: &Value) {
    let test = "a_search_killed_three_times_equals_the_uninterrupted_one";
    let Some(python) = kidu_testing::peer_python(test, &["optuna"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/optuna_study.py");
    let output = Command::new(python).arg(script).arg("read").arg(journal).arg("learning_rate").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let study: Value = serde_json::from_slice(&output.stdout).unwrap();
    let trials = study.get("trials").unwrap_or(&study).as_array().unwrap();
    let best = &trials[ended["best_trial"].as_u64().unwrap() as usize];
    assert_eq!((trials.len(), &best["value"], &best["params"]), (5, &ended["best_value"], &ended["best_params"]));
}

#[test]
fn folds_and_jobs_and_a_longer_search() {
    let dir = scratch();
    let out = dir.path().join("folds");
    let settings = ["hparams_search.n_trials=2", "hparams_search.folds=2", "hparams_search.n_jobs=2"];
    run(dir.path(), &words(&searching(&out, &settings))).ok();
    let more = ["search", "--resume", out.to_str().unwrap(), "hparams_search.n_trials=3", "--json"];
    let ended = run(dir.path(), &more).ok().json();
    assert_eq!(ended["complete"].as_u64().unwrap() + ended["pruned"].as_u64().unwrap(), 3, "{ended}");
    assert!(out.join("trials/0/fold-1/metrics.csv").is_file());
    // Another space would make it another study.
    let other = "hparams_search.params={model.learning_rate: 'interval(0.1, 0.2)'}";
    run(dir.path(), &["search", "--resume", out.to_str().unwrap(), other]).fails(1, &["study"]);
}

#[test]
fn sigterm_leaves_a_search_to_go_on_with() {
    let dir = scratch();
    let out = dir.path().join("run");
    let arguments = searching(&out, &["hparams_search.n_trials=50"]);
    let mut command = kidu(dir.path(), &words(&arguments));
    command.stdout(Stdio::null());
    let mut running = Running::start(command, &dir.path().join("err.txt"));
    running.until("a trial", |err| err.contains("trial 0:"));
    thread::sleep(Duration::from_millis(50));
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(130), "{}", running.err());
    assert!(running.err().contains(&format!("kidu search --resume {}", out.display())), "{}", running.err());
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_runs() {
    let dir = scratch();
    let out = dir.path().join("none");
    let refused = |more: &[&str], words_of: &[&str]| {
        run(dir.path(), &words(&searching(&out, more))).fails(2, words_of);
        assert!(!out.exists(), "{more:?}");
    };
    refused(&["hparams_search.metric=test/acc"], &["test/acc", "never searched on", "val/acc"]);
    refused(&["optimized_metric=test/acc"], &["test/acc", "never searched on"]);
    refused(
        &["hparams_search.params={model.lerning_rate: 'interval(0.1, 0.2)'}"],
        &["model.lerning_rate", "learning_rate"],
    );
    refused(&["hparams_search.n_trials=0"], &["hparams_search.n_trials", "1 to"]);
    run(dir.path(), &["search", &set("data.root", &SCENES)]).fails(2, &["hparams_search=default"]);
}
