//! The model registry: versions, decisions, lineage.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    command::{Ended, end_of, kidu, run},
    fixture::{SCENES, TRAINED, assert_kept, copy, scratch, set, snapshot},
};

fn model(dir: &Path, arguments: &[&str]) -> Ended {
    run(dir, &[&["model"], arguments].concat())
}

/// Registers the shared bundle with an evaluation that says `seed`.
fn register(dir: &Path, evaluation: &str) -> Value {
    let bundle = TRAINED.join("bundle").display().to_string();
    model(dir, &["register", "--bundle", &bundle, "--evaluation", evaluation, "--actor", "eve", "--json"]).ok().json()
}

#[test]
fn versions_are_registered_shown_approved_and_rejected() {
    let dir = scratch();
    let dir = dir.path();
    let bundle = TRAINED.join("bundle").display().to_string();
    let root = set("data.root", &SCENES);
    for (out, split) in [("one", "test"), ("two", "train")] {
        run(dir, &["evaluate", "--bundle", &bundle, &root, "--out", out, "--split", split]).ok();
    }
    assert_eq!(register(dir, "one/evaluation.json")["version"], 1);
    let again = register(dir, "one/evaluation.json");
    assert_eq!((&again["version"], &again["new"]), (&json!(1), &json!(false)), "the same model is one version");
    assert_eq!(register(dir, "two/evaluation.json")["version"], 2);

    let approved = ["approve", "1", "--actor", "ana", "--reason", "good on glaciers", "--json"];
    assert_eq!(model(dir, &approved).ok().json()["status"], "Approved");
    model(dir, &["reject", "2", "--actor", "bob"]).fails(2, &["a rejection needs a reason", "--reason"]);
    assert_eq!(
        model(dir, &["reject", "2", "--actor", "bob", "--reason", "too old", "--json"]).ok().json()["status"],
        "Rejected"
    );
    model(dir, &["approve", "9", "--actor", "ana"]).fails(2, &["no version 9", "versions 1 to 2"]);
    model(dir, &["show", "9"]).fails(2, &["no version 9"]);

    let listed = model(dir, &["list", "--json"]).ok().json();
    let statuses: Vec<_> =
        listed.as_array().unwrap().iter().map(|v| (v["version"].as_u64(), v["status"].as_str())).collect();
    assert_eq!(statuses, [(Some(1), Some("Approved")), (Some(2), Some("Rejected"))]);
    let table = model(dir, &["list"]).ok().out;
    assert!(table.contains("Approved") && table.contains("Rejected"), "{table}");

    lineage_and_history_are_shown(dir);
}

/// What is registered or approved in one place is not looked for in another.
#[test]
fn every_verb_means_the_same_registry() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle").display().to_string();
    run(dir.path(), &["evaluate", "--bundle", &bundle, &set("data.root", &SCENES), "--out", "judged"]).ok();
    let cases =
        [(&[][..], "registry"), (&[("KIDU_ROOT", "root")], "root/registry"), (&[("KIDU_REGISTRY", "reg")], "reg")];
    for (variables, expected) in cases {
        let run = |arguments: &[&str]| {
            let mut command = kidu(dir.path(), arguments);
            command.envs(variables.iter().copied());
            end_of(command)
        };
        for entry in ["pipeline", "deploy"] {
            let shown = run(&["config", "show", "--entry", entry, "--json"]).ok().json();
            let configured = shown["registry"]["dir"].as_str().unwrap();
            assert_eq!(configured.trim_start_matches("./"), expected, "{entry}");
        }
        run(&["model", "register", "--bundle", &bundle, "--evaluation", "judged/evaluation.json"]).ok();
        assert!(dir.path().join(expected).join("kidu/versions/1").is_dir(), "{expected}");
    }
}

fn lineage_and_history_are_shown(dir: &Path) {
    let read =
        |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(TRAINED.join(name)).unwrap()).unwrap() };
    let shown = model(dir, &["show", "1", "--json"]).ok().json();
    let lineage = &shown["registered"]["lineage"];
    for key in ["dataset_version", "config_hash"] {
        assert_eq!(lineage[key], read("bundle/bundle.json")[key], "{key} in {lineage}");
    }
    assert!(lineage["metrics"]["test/acc"].is_number(), "{lineage}");
    let history = shown["history"].as_array().unwrap();
    let decision = history.last().unwrap();
    assert_eq!(history.len(), 2, "{history:?}");
    assert_eq!((&decision["actor"], &decision["reason"]), (&json!("ana"), &json!("good on glaciers")));
    assert_eq!((&decision["from"], &decision["to"]), (&json!("PendingManualApproval"), &json!("Approved")));

    let text = model(dir, &["show", "1"]).ok().out;
    let dataset = lineage["dataset_version"].as_str().unwrap();
    for word in ["Approved", "ana", "good on glaciers", dataset, "test/acc"] {
        assert!(text.contains(word), "'{word}' in {text}");
    }
    let (_, metrics) = text.split_once("\nMetrics\n").unwrap();
    let (metrics, _) = metrics.split_once("\n\n").unwrap();
    for (name, value) in lineage["metrics"].as_object().unwrap() {
        let line = metrics.lines().find(|l| l.split_whitespace().next() == Some(name)).unwrap_or(metrics);
        let shown: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!((shown - value.as_f64().unwrap()).abs() <= 5e-5, "{name} in {text}");
    }
    // The registered bundle can be used.
    let bundle = shown["bundle_dir"].as_str().unwrap();
    let image = SCENES.join("test/sea/00001.jpg").display().to_string();
    run(dir, &["predict", "--bundle", bundle, &image]).ok();
}

#[test]
fn a_changed_bundle_is_not_registered() {
    let dir = scratch();
    let dir = dir.path();
    let root = set("data.root", &SCENES);
    copy(&TRAINED.join("bundle"), &dir.join("bundle"));
    run(dir, &["evaluate", "--bundle", "bundle", &root, "--out", "judged"]).ok();
    register(dir, "judged/evaluation.json");
    let before = snapshot(&dir.join("registry"));

    fs::write(dir.join("bundle/weights.safetensors"), "other").unwrap();
    let arguments = ["register", "--bundle", "bundle", "--evaluation", "judged/evaluation.json"];
    model(dir, &arguments).fails(1, &["weights.safetensors", "SHA-256"]);
    assert_kept(&before);
    assert_eq!(model(dir, &["list", "--json"]).ok().json().as_array().unwrap().len(), 1);
}

/// The manifest says what becomes of the weights' answers; no hash in it covers itself.
#[test]
fn a_bundle_that_was_edited_after_it_was_judged_is_not_registered() {
    let dir = scratch();
    let dir = dir.path();
    copy(&TRAINED.join("bundle"), &dir.join("bundle"));
    run(dir, &["evaluate", "--bundle", "bundle", &set("data.root", &SCENES), "--out", "judged"]).ok();
    let mut manifest: Value = serde_json::from_slice(&fs::read(dir.join("bundle/bundle.json")).unwrap()).unwrap();
    manifest["temperature"] = json!(0.1);
    fs::write(dir.join("bundle/bundle.json"), manifest.to_string()).unwrap();
    let arguments = ["register", "--bundle", "bundle", "--evaluation", "judged/evaluation.json"];
    model(dir, &arguments).fails(2, &["judged another bundle", "kidu evaluate --bundle bundle"]);
    assert!(!dir.join("registry/kidu/ledger.jsonl").exists());
    run(dir, &["evaluate", "--bundle", "bundle", &set("data.root", &SCENES), "--out", "again"]).ok();
    let told = model(dir, &["register", "--bundle", "bundle", "--evaluation", "again/evaluation.json"]).ok();
    assert!(!told.err.contains("warning"), "{}", told.err);

    // As evaluations were before they named their bundle.
    let mut old: Value = serde_json::from_slice(&fs::read(dir.join("again/evaluation.json")).unwrap()).unwrap();
    old["kidu"].as_object_mut().unwrap().remove("bundle_sha256").unwrap();
    fs::write(dir.join("old.json"), old.to_string()).unwrap();
    let told = model(dir, &["register", "--bundle", "bundle", "--evaluation", "old.json"]).ok();
    assert!(told.err.contains("warning: old.json does not say which bundle"), "{}", told.err);
}

#[test]
fn an_empty_registry_is_no_error() {
    let dir = scratch();
    assert_eq!(model(dir.path(), &["list", "--json"]).ok().json(), json!([]));
    model(dir.path(), &["show", "1"]).fails(2, &["no version"]);
}
