//! `kidu-infra deploy` by AWS's SDK against moto, which makes what it knows of the foundation.

use std::process::{Command, Output};

use kidu_testing::MotoServer;
use serde_json::Value;

fn call(moto: &MotoServer, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kidu-infra"));
    command.env_clear().envs(moto.environment()).args(arguments).output().unwrap()
}

#[track_caller]
fn ok(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out.into_owned()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&ok(output)).unwrap()
}

#[test]
fn a_stack_comes_into_an_account_and_out_of_it_again() {
    let Some(moto) = MotoServer::start("a_stack_comes_into_an_account_and_out_of_it_again") else { return };
    let nothing = json(&call(&moto, &["status", "foundation", "--json"]));
    assert!(nothing[0]["deployed"].is_null(), "{nothing}");
    let early = call(&moto, &["deploy", "model-deploy"]);
    let told = String::from_utf8_lossy(&early.stderr);
    assert!(!early.status.success() && told.contains("model-deploy"), "{told}");

    let plan = call(&moto, &["deploy", "foundation", "--plan"]);
    assert!(ok(&plan).contains("planned") && String::from_utf8_lossy(&plan.stderr).contains("+ "), "{plan:?}");
    let created = call(&moto, &["deploy", "foundation", "--json"]);
    let told = String::from_utf8_lossy(&created.stderr);
    assert!(told.contains("CREATE_COMPLETE"), "{told}");
    let created = json(&created);
    assert_eq!((&created[0]["stack"], &created[0]["ended"]), (&"kidu-foundation".into(), &"created".into()));
    // moto tells no outputs of what change sets made, but it did make it.
    assert!(moto.request("GET", "/", &[], b"").1.contains("kidu-artifacts-"), "no bucket");

    let again = json(&call(&moto, &["deploy", "foundation", "--json"]));
    assert_eq!(again[0]["ended"], "unchanged");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("cdk.out").display().to_string();
    ok(&call(&moto, &["synth", "--out", &out]));
    let file = dir.path().join("cdk.out/foundation.template.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let more = r#""Resources": {"Topic": {"Type": "AWS::SNS::Topic"},"#;
    std::fs::write(&file, text.replacen("\"Resources\": {", more, 1)).unwrap();
    let changed = call(&moto, &["deploy", "foundation", "--dir", &out, "--json"]);
    assert!(String::from_utf8_lossy(&changed.stderr).contains("+ Topic (AWS::SNS::Topic)"), "{changed:?}");
    assert_eq!(json(&changed)[0]["ended"], "updated");

    let status = json(&call(&moto, &["status", "foundation", "--json"]));
    assert!(status[0]["deployed"]["status"].as_str().unwrap().ends_with("_COMPLETE"), "{status}");
    let asked = call(&moto, &["destroy", "foundation"]);
    assert_eq!(asked.status.code(), Some(3), "{asked:?}");
    let told = String::from_utf8_lossy(&asked.stderr);
    assert!(told.contains("these stay: ") && told.contains("give --yes"), "{told}");
    assert!(ok(&call(&moto, &["destroy", "foundation", "--yes"])).contains("deleted"));
    assert!(json(&call(&moto, &["status", "foundation", "--json"]))[0]["deployed"].is_null());
}

#[test]
fn what_is_asked_for_is_checked_before_anything_is_done() {
    let Some(moto) = MotoServer::start("what_is_asked_for_is_checked_before_anything_is_done") else { return };
    for (arguments, told) in [
        (vec!["deploy", "foundaton"], "did you mean 'foundation'"),
        (vec!["deploy", "foundation", "--parameter", "AlertMail=x"], "did you mean 'AlertEmail'"),
        (vec!["deploy", "foundation", "--parameter", "AlertEmail"], "write it as NAME=VALUE"),
        (vec!["deploy", "--stack-name", "x"], "it names one stack"),
        (vec!["deploy", "inference", "--stack-name", "kidu-staging"], "has no default"),
    ] {
        let output = call(&moto, &arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && err.contains(told), "{arguments:?}: {output:?}");
    }
    let mut lost = Command::new(env!("CARGO_BIN_EXE_kidu-infra"));
    lost.env_clear().envs(moto.environment()).env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    let output = lost.args(["status", "foundation"]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("set AWS_REGION"), "{err}");
}
