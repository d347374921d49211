//! `kidu-infra diff --deployed` by AWS's SDK: against answers in the shapes of the API's reference, and against moto.

use std::process::{Command, Output};

use kidu_core::markup::escape;
use kidu_testing::{MotoServer, RecordedAws};
use serde_json::Value;

use crate::synthesised;

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";

fn call(environment: Vec<(&'static str, String)>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kidu-infra"));
    command.env_clear().envs(environment).args(arguments).output().unwrap()
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    out.into_owned()
}

fn answer(operation: &str, content: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{content}</{operation}Result></{operation}Response>"
    )
}

fn missing() -> String {
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>ValidationError</Code>\
         <Message>Stack with id x does not exist</Message></Error></ErrorResponse>"
    )
}

fn there(status: &str, parameters: &str) -> String {
    answer(
        "DescribeStacks",
        &format!(
            "<Stacks><member><StackName>x</StackName><CreationTime>2026-11-26T10:00:00Z</CreationTime>\
             <StackStatus>{status}</StackStatus><Parameters>{parameters}</Parameters></member></Stacks>"
        ),
    )
}

#[test]
fn an_account_is_compared_stack_by_stack() {
    let old = synthesised().stack("foundation").unwrap().template.to_text();
    let old = old.replace("\"PendingWindowInDays\": 30", "\"PendingWindowInDays\": 7");
    let foundation = answer("GetTemplate", &format!("<TemplateBody>{}</TemplateBody>", escape(&old)));
    let monitoring = synthesised().stack("monitoring").unwrap().template.to_text();
    let monitoring = answer("GetTemplate", &format!("<TemplateBody>{}</TemplateBody>", escape(&monitoring)));
    let other =
        "<member><ParameterKey>SageMakerProjectName</ParameterKey><ParameterValue>other</ParameterValue></member>";
    let (complete, changed, gone) = (there("UPDATE_COMPLETE", ""), there("UPDATE_COMPLETE", other), missing());
    let server = RecordedAws::start(&[
        ("DescribeStacks", 200, &complete),
        ("DescribeStacks", 200, &changed),
        ("DescribeStacks", 400, &gone),
        ("GetTemplate", 200, &foundation),
        ("GetTemplate", 200, &monitoring),
    ]);
    let arguments = ["diff", "--deployed", "foundation", "monitoring", "catalog", "--fail"];
    let told = ended(&call(server.environment(), &arguments), 3);
    assert!(told.contains("kidu-foundation\n  ~ AWS::KMS::Key Key"), "{told}");
    assert!(told.contains("Properties.PendingWindowInDays: 7 → 30"), "{told}");
    assert!(told.contains("kidu-monitoring\n  ~ value SageMakerProjectName"), "{told}");
    assert!(told.contains("Value: \"other\" → \"kidu\""), "{told}");
    assert!(told.contains("kidu-catalog (new)\n"), "{told}");
    assert_eq!(server.bodies("GetTemplate").len(), 2);
    assert!(
        server.requests().iter().all(|r| ["DescribeStacks", "GetTemplate"].contains(&r.operation.as_str())),
        "it reads only"
    );
}

/// Without names: the installation, and the stages and GitHub's stack where they are there.
#[test]
fn what_not_every_installation_has_is_not_missed() {
    let gone = missing();
    let server = RecordedAws::start(&[("DescribeStacks", 400, &gone)]);
    let told = ended(&call(server.environment(), &["diff", "--deployed", "--json"]), 0);
    let diffs: Value = serde_json::from_str(&told).unwrap();
    let names: Vec<&str> = diffs.as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(diffs.as_array().unwrap().iter().all(|d| d["whole"] == "new"), "{names:?}");
    let asked = server.bodies("DescribeStacks").concat();
    for stack in ["kidu-github", "kidu-staging", "kidu-production"] {
        assert!(asked.contains(&format!("StackName={stack}")), "{stack}: {asked}");
    }
}

#[test]
fn what_was_deployed_does_not_differ() {
    let Some(moto) = MotoServer::start("what_was_deployed_does_not_differ") else { return };
    let all = |arguments: &[&str], code: i32| ended(&call(moto.environment(), arguments), code);
    assert!(all(&["diff", "--deployed", "foundation"], 0).starts_with("kidu-foundation (new)\n"));
    all(&["deploy", "foundation"], 0);
    let same = all(&["diff", "--deployed", "foundation", "--fail"], 0);
    assert!(same.starts_with("0 added, 0 changed"), "{same}");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("cdk.out").display().to_string();
    all(&["synth", "--out", &out], 0);
    let file = dir.path().join("cdk.out/foundation.template.json");
    let more = r#""Resources": {"Topic": {"Type": "AWS::SNS::Topic"},"#;
    let text = std::fs::read_to_string(&file).unwrap().replacen("\"Resources\": {", more, 1);
    std::fs::write(&file, text).unwrap();
    let changed = all(&["diff", "--deployed", "foundation", "--to", &out, "--fail"], 3);
    assert!(changed.starts_with("kidu-foundation\n  + AWS::SNS::Topic Topic\n1 added"), "{changed}");
}
