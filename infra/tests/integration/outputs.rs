//! `kidu-infra outputs --deployed` by AWS's SDK against answers in the shapes of the API's reference.

use std::process::Command;

use kidu_testing::RecordedAws;
use serde_json::Value;

#[test]
fn outputs_of_an_account_are_those_of_its_stacks() {
    let there = "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
        <Stacks><member><StackName>kidu-foundation</StackName><CreationTime>2026-11-26T10:00:00Z</CreationTime>\
        <StackStatus>CREATE_COMPLETE</StackStatus><Outputs><member><OutputKey>ArtifactsBucket</OutputKey>\
        <OutputValue>kidu-artifacts-1</OutputValue></member></Outputs></member></Stacks></DescribeStacksResult>\
        </DescribeStacksResponse>";
    let missing = "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
        <Code>ValidationError</Code><Message>Stack with id x does not exist</Message></Error></ErrorResponse>";
    let answers: Vec<(&str, u16, &str)> = std::iter::once(("DescribeStacks", 200, there))
        .chain(std::iter::repeat_n(("DescribeStacks", 400, missing), 6))
        .collect();
    let server = RecordedAws::start(&answers);
    let output = Command::new(env!("CARGO_BIN_EXE_kidu-infra"))
        .env_clear()
        .envs([("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")])
        .env("AWS_ENDPOINT_URL", server.url())
        .args(["outputs", "--deployed", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let outputs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected =
        [serde_json::json!({"stack": "kidu-foundation", "name": "ArtifactsBucket", "value": "kidu-artifacts-1"})];
    assert_eq!(outputs.as_array().unwrap(), &expected);
    assert_eq!(server.bodies("DescribeStacks").len(), 7, "five stacks and two stages");
    assert!(server.bodies("DescribeStacks")[6].contains("StackName=kidu-production"));
}
