//! The verbs around training: configuration, sweeps, quick looks, help.

use std::fs;

use serde_json::json;

use crate::{
    command::run,
    fixture::{scratch, short, snapshot, words},
};

#[test]
fn config_show_prints_what_a_run_would_use() {
    let dir = scratch();
    let ended = run(dir.path(), &["config", "show", "model=resnet18", "trainer.max_epochs=3"]).ok();
    assert!(ended.out.contains("name: resnet18") && ended.out.contains("max_epochs: 3"), "{ended:#?}");

    let shown =
        run(dir.path(), &["config", "show", "--json", "--entry", "pipeline", "experiment=finetune"]).ok().json();
    assert!(shown["gate"]["min_accuracy"].is_number(), "{shown}");
    // What is shown can be run again as it is.
    fs::write(dir.path().join("shown.yaml"), &ended.out).unwrap();
    let again = run(dir.path(), &["config", "show", "--config", "shown.yaml"]).ok();
    assert_eq!(again.out, ended.out);
}

#[test]
fn config_explain_says_where_a_value_came_from() {
    let dir = scratch();
    let arguments = ["config", "explain", "trainer.max_epochs", "experiment=finetune", "trainer.max_epochs=3"];
    let ended = run(dir.path(), &arguments).ok();
    for words in ["trainer.max_epochs = 3", "override 'trainer.max_epochs=3'", "configs/experiment/finetune.yaml:"] {
        assert!(ended.out.contains(words), "{ended:#?}");
    }
    let explained = run(dir.path(), &[&arguments[..], &["--json"]].concat()).ok().json();
    assert_eq!(explained["value"], json!(3));
    assert_eq!(explained["key"], json!("trainer.max_epochs"));

    run(dir.path(), &["config", "explain", "trainer.max_epoch"]).fails(2, &["did you mean 'trainer.max_epochs'"]);
}

#[test]
fn the_environment_and_local_files_take_part() {
    let dir = scratch();
    fs::create_dir_all(dir.path().join("mine/local")).unwrap();
    fs::write(dir.path().join("mine/local/default.yaml"), "# @package _global_\ntrainer:\n  max_epochs: 7\n").unwrap();
    let mut command = crate::command::kidu(dir.path(), &["config", "show", "--json"]);
    command.env("KIDU_ROOT", "/elsewhere").env("KIDU_CONFIG_DIR", "mine");
    let shown = crate::command::end_of(command).ok().json();
    assert_eq!(shown["paths"]["log_dir"], json!("/elsewhere/runs"));
    assert_eq!(shown["trainer"]["max_epochs"], json!(7));
}

#[test]
fn a_sweep_makes_one_run_for_each_value() {
    let dir = scratch();
    let short = short();
    let swept = ["train", "-m", "model.learning_rate=0.01,0.02", "callbacks=none", "--out", "sweep", "--json"];
    let ended = run(dir.path(), &[&swept[..], &words(&short)].concat()).ok();
    let runs = ended.json();
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 2, "{ended:#?}");
    for (number, rate) in ["0.01", "0.02"].iter().enumerate() {
        let overrides = fs::read_to_string(dir.path().join(format!("sweep/{number}/overrides.txt"))).unwrap();
        assert!(overrides.contains(&format!("model.learning_rate={rate}\n")), "{overrides}");
        assert_eq!(runs[number]["exit_code"], json!(0));
        assert!(runs[number]["summary"]["metrics"]["val/acc"].is_number(), "{runs:?}");
    }
    assert!(dir.path().join("sweep/multirun.json").is_file());

    let before = snapshot(dir.path());
    run(dir.path(), &[&swept[..], &words(&short)].concat()).fails(2, &["sweep holds a sweep", "another folder"]);
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_sweep_is_checked_before_its_first_run() {
    let dir = scratch();
    let short = short();
    let swept = ["train", "-m", "model.learning_rate=0.01,much"];
    let ended = run(dir.path(), &[&swept[..], &words(&short)].concat());
    ended.fails(2, &["model.learning_rate", "much"]);
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn a_quick_look_goes_through_everything_and_keeps_nothing() {
    let dir = scratch();
    let short = short();
    let ended = run(dir.path(), &[vec!["train", "debug=fdr", "--out", "look"], words(&short)].concat()).ok();
    assert!(ended.err.contains("run folder: look"), "{ended:#?}");
    let kept: Vec<_> = ["bundle", "checkpoints"].iter().filter(|n| dir.path().join("look").join(n).exists()).collect();
    assert!(kept.is_empty(), "{kept:?}");
    assert!(dir.path().join("look/config.yaml").is_file());
}

#[test]
fn a_run_keeps_what_is_needed_to_understand_it() {
    let run = &*crate::fixture::TRAINED;
    for name in [
        "config.yaml",
        "overrides.txt",
        "run.json",
        "kidu.log",
        "metrics.csv",
        "metrics.jsonl",
        "curves.svg",
        "checkpoints/last.ckpt",
        "bundle/bundle.json",
        "bundle/weights.safetensors",
        "model.tar.gz",
        "data/manifest.json",
        "summary.json",
    ] {
        assert!(run.join(name).is_file(), "{name}");
    }
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(run.join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("bundle/bundle.json")["dataset_version"], read("data/manifest.json")["version"]);
    assert_eq!(read("bundle/bundle.json")["config_hash"], read("run.json")["config_hash"]);
    assert_eq!(fs::read_to_string(run.join("metrics.csv")).unwrap().lines().count(), 3, "a header and two epochs");
}

#[test]
fn doctor_says_what_this_machine_can_do() {
    let checks = run(scratch().path(), &["doctor", "--json"]).ok().json();
    let flex = checks.as_array().unwrap().iter().find(|c| c["name"] == "flex").expect("the default backend");
    assert_eq!(flex["ok"], json!(true), "{checks}");
}

#[test]
fn completions_and_help_cover_the_verbs() {
    let dir = scratch();
    let script = run(dir.path(), &["completions", "bash"]).ok().out;
    let help = run(dir.path(), &["--help"]).ok().out;
    let verbs = [
        "demo",
        "data",
        "train",
        "evaluate",
        "predict",
        "gate",
        "pipeline",
        "model",
        "config",
        "bench",
        "doctor",
        "completions",
    ];
    for verb in verbs {
        assert!(script.contains(verb), "{verb} is missing in the completions");
        assert!(help.contains(verb), "{verb} is missing in {help}");
        run(dir.path(), &[verb, "--help"]).ok();
    }
    assert!(help.contains("Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a gate said no"), "{help}");
    assert!(help.contains("Examples:"), "{help}");
}
