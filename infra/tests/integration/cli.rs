//! The command as people call it.

use std::{fs, path::Path};

use assert_cmd::Command;
use serde_json::Value;

fn infra(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("kidu-infra").unwrap();
    command.env_remove("KIDU_OUT").args(arguments).output().unwrap()
}

fn out(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn synth_lint_diff_and_outputs() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let made = infra(&["synth", "--out", text(&a)]);
    assert!(made.status.success() && out(&made).contains("wrote 10 files"), "{}", out(&made));
    infra(&["synth", "--out", text(&b)]);
    for entry in fs::read_dir(&a).unwrap() {
        let name = entry.unwrap().file_name();
        assert_eq!(fs::read(a.join(&name)).unwrap(), fs::read(b.join(&name)).unwrap(), "{name:?}");
    }
    let lint = infra(&["lint", "--no-cfn-lint"]);
    assert!(lint.status.success() && out(&lint).contains("0 findings by our own checks"), "{}", out(&lint));
    let missing = infra(&["lint", "--cfn-lint", "no-such-linter"]);
    assert!(missing.status.success() && out(&missing).contains("not installed"), "{}", out(&missing));
    let same = infra(&["diff", "--from", text(&a), "--fail"]);
    assert!(same.status.success() && out(&same).starts_with("0 added"), "{}", out(&same));
    let other = infra(&["diff", "--from", text(&a), "--fail", "--training-instance", "ml.g5.xlarge"]);
    assert_eq!(other.status.code(), Some(3), "{}", out(&other));
    assert!(out(&other).contains("ml.c5.4xlarge") && out(&other).contains("ml.g5.xlarge"), "{}", out(&other));
    let outputs = infra(&["outputs", "--dir", text(&a), "--json"]);
    let outputs: Value = serde_json::from_slice(&outputs.stdout).unwrap();
    assert!(outputs.as_array().unwrap().iter().any(|o| o["name"] == "Url" && o["stack"] == "inference"));
}

#[test]
fn a_damaged_folder_is_found_by_lint_and_told_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    infra(&["synth", "--out", text(&path)]);
    let file = path.join("model-deploy.template.json");
    let broken = fs::read_to_string(&file).unwrap().replace("\"Ref\": \"Branch\"", "\"Ref\": \"Brunch\"");
    fs::write(&file, broken).unwrap();
    let lint = infra(&["lint", "--dir", text(&path), "--no-cfn-lint", "--json"]);
    assert_eq!(lint.status.code(), Some(3), "{}", out(&lint));
    fs::remove_file(path.join("manifest.json")).unwrap();
    let lint = infra(&["lint", "--dir", text(&path)]);
    assert_eq!(lint.status.code(), Some(2));
    assert!(out(&lint).contains("kidu-infra synth --out DIR"), "{}", out(&lint));
}

#[test]
fn mistakes_are_usage_errors() {
    for (arguments, part) in [
        (vec!["synth", "--out", "x", "--account", "12"], "12 digits"),
        (vec!["synth", "--out", "x", "--image-tag", "latest"], "another image tomorrow"),
        (vec!["diff", "--from", "/nonexistent"], "manifest.json"),
        (vec!["synth"], "--out"),
        (vec!["diff"], "--from"),
        (vec!["diff", "--from", "x", "--deployed"], "cannot be used with"),
        (vec!["diff", "--from", "x", "foundation"], "cannot be used with"),
    ] {
        let output = infra(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", out(&output));
        assert!(out(&output).contains(part), "{arguments:?}: {}", out(&output));
    }
}

/// Files of an earlier synthesis that are not made any more go; what is somebody else's stays.
#[test]
fn synth_cleans_up_after_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    infra(&["synth", "--out", text(path)]);
    let manifest = path.join("manifest.json");
    let old = fs::read_to_string(&manifest).unwrap().replace("monitoring.template.json", "gone.template.json");
    fs::write(&manifest, old).unwrap();
    fs::write(path.join("gone.template.json"), "{}").unwrap();
    fs::write(path.join("mine.txt"), "mine").unwrap();
    infra(&["synth", "--out", text(path)]);
    assert!(!path.join("gone.template.json").exists());
    assert!(path.join("mine.txt").exists() && path.join("monitoring.template.json").exists());
}
