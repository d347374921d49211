//! Ctrl-C while an operation goes on: what is said, and the exit code.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kidu_testing::RecordedAws;

fn answer(operation: &str, content: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><{operation}Result>{content}\
         </{operation}Result></{operation}Response>"
    )
}

#[test]
fn ctrl_c_ends_the_watching_and_says_what_goes_on() {
    let stack = |status: &str| {
        answer(
            "DescribeStacks",
            &format!(
                "<Stacks><member><StackName>kidu-monitoring</StackName><CreationTime>2026-11-26T10:00:00Z</CreationTime>\
                 <StackStatus>{status}</StackStatus></member></Stacks>"
            ),
        )
    };
    let change = "<Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus><Changes><member>\
                  <Type>Resource</Type><ResourceChange><Action>Add</Action><LogicalResourceId>Alarm</LogicalResourceId>\
                  <ResourceType>AWS::CloudWatch::Alarm</ResourceType></ResourceChange></member></Changes>";
    let (done, goes_on, set) =
        (stack("UPDATE_COMPLETE"), stack("UPDATE_IN_PROGRESS"), answer("DescribeChangeSet", change));
    let executed = answer("ExecuteChangeSet", "");
    let event = answer(
        "DescribeStackEvents",
        "<StackEvents><member><StackId>s</StackId><EventId>1</EventId><StackName>kidu-monitoring</StackName>\
         <LogicalResourceId>kidu-monitoring</LogicalResourceId><ResourceType>AWS::CloudFormation::Stack</ResourceType>\
         <Timestamp>2026-11-26T10:00:00Z</Timestamp><ResourceStatus>UPDATE_IN_PROGRESS</ResourceStatus></member></StackEvents>",
    );
    let none = answer("DescribeStackEvents", "<StackEvents/>");
    let server = RecordedAws::start(&[
        // The foundation, whose bucket takes large templates; then the stack as it is, and for ever as it becomes.
        ("DescribeStacks", 200, &done),
        ("DescribeStacks", 200, &done),
        ("DescribeStacks", 200, &goes_on),
        ("DescribeChangeSet", 200, &set),
        ("ExecuteChangeSet", 200, &executed),
        ("DescribeStackEvents", 200, &none),
        ("DescribeStackEvents", 200, &event),
    ]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kidu-infra"));
    command.env_clear().envs(server.environment()).args(["deploy", "monitoring"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    // Three looks after the execution: it watches.
    while server.bodies("ExecuteChangeSet").is_empty() || server.bodies("DescribeStackEvents").len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", server.requests());
        thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("goes on in the account"), "{told}");
    assert!(told.contains("kidu-infra status monitoring --stack-name kidu-monitoring"), "{told}");
    assert!(told.contains("aws cloudformation cancel-update-stack --stack-name kidu-monitoring"), "{told}");
}
