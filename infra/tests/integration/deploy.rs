//! `kidu-infra deploy` by AWS's SDK against moto, which makes what it knows of the foundation, and against recorded answers.

use std::process::{Command, Output};

use kidu_testing::{MotoServer, RecordedAws};
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

/// The product is made of what lies in the bucket, also in a run that leaves the foundation as it is.
#[test]
fn the_catalog_finds_the_templates_of_its_own_run() {
    let namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
    let there = format!(
        "<DescribeStacksResponse xmlns=\"{namespace}\"><DescribeStacksResult><Stacks><member>\
         <StackName>kidu-foundation</StackName><CreationTime>2026-11-26T10:00:00Z</CreationTime>\
         <StackStatus>CREATE_COMPLETE</StackStatus><Outputs><member><OutputKey>ArtifactsBucket</OutputKey>\
         <OutputValue>kidu-artifacts-1</OutputValue></member></Outputs></member></Stacks></DescribeStacksResult>\
         </DescribeStacksResponse>"
    );
    let missing = format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>ValidationError</Code>\
         <Message>Stack with id x does not exist</Message></Error></ErrorResponse>"
    );
    // S3 has no operation. Change sets are not recorded: there it ends.
    let answers: [(&str, u16, &str); 3] =
        [("DescribeStacks", 200, &there), ("DescribeStacks", 400, &missing), ("", 200, "")];
    let written = |arguments: &[&str]| {
        let server = RecordedAws::start(&answers);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kidu-infra"));
        let output = command.env_clear().envs(server.environment()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let operations: Vec<String> = server.requests().into_iter().map(|r| r.operation).collect();
        let first = operations.iter().position(|o| o.contains("ChangeSet")).unwrap();
        operations[..first].iter().filter(|o| o.is_empty()).count()
    };
    assert_eq!(written(&["deploy", "catalog"]), crate::synthesised().stacks.len());
    assert_eq!(written(&["deploy", "catalog", "--plan"]), 0);
    assert_eq!(written(&["deploy", "monitoring"]), 0);
}
