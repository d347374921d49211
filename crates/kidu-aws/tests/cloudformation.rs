//! CloudFormation by the real SDK against answers in the shapes of the API's reference.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kidu_aws::{
    Aws, AwsSettings,
    cloudformation::{ChangeSetRequest, CloudFormation},
};
use kidu_testing::RecordedAws;

fn client(server: &RecordedAws) -> CloudFormation {
    let aws = Aws::load_blocking(&AwsSettings::emulator(server.url()).with_region("eu-west-1")).unwrap();
    CloudFormation::open_with(&aws).unwrap()
}

fn answer(operation: &str, content: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><{operation}Result>{content}\
         </{operation}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
    )
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

#[test]
fn a_stack_that_is_not_there_is_none() {
    let missing = refusal("ValidationError", "Stack with id kidu-foundation does not exist");
    let there = answer(
        "DescribeStacks",
        "<Stacks><member><StackName>kidu-foundation</StackName><CreationTime>2026-11-26T10:00:00Z</CreationTime>\
         <StackStatus>UPDATE_ROLLBACK_COMPLETE</StackStatus><StackStatusReason>no</StackStatusReason>\
         <Parameters><member><ParameterKey>AlertEmail</ParameterKey><ParameterValue>a@b.c</ParameterValue></member></Parameters>\
         <Outputs><member><OutputKey>ArtifactsBucket</OutputKey><OutputValue>kidu-artifacts-1</OutputValue></member></Outputs>\
         <EnableTerminationProtection>true</EnableTerminationProtection></member></Stacks>",
    );
    let server = RecordedAws::start(&[("DescribeStacks", 400, &missing), ("DescribeStacks", 200, &there)]);
    let client = client(&server);
    assert_eq!(client.stack("kidu-foundation").unwrap(), None);
    let stack = client.stack("kidu-foundation").unwrap().unwrap();
    assert_eq!((stack.status.as_str(), stack.reason.as_deref()), ("UPDATE_ROLLBACK_COMPLETE", Some("no")));
    assert_eq!(stack.parameters, [("AlertEmail".to_string(), "a@b.c".to_string())]);
    assert_eq!(stack.outputs, [("ArtifactsBucket".to_string(), "kidu-artifacts-1".to_string())]);
    assert!(stack.protected);
}

#[test]
fn a_template_is_read_as_it_was_given() {
    let there = answer("GetTemplate", "<TemplateBody>{&quot;Resources&quot;: {}}</TemplateBody>");
    let missing = refusal("ValidationError", "Stack with id s does not exist");
    let denied = refusal("AccessDenied", "no");
    let server = RecordedAws::start(&[
        ("GetTemplate", 200, &there),
        ("GetTemplate", 400, &missing),
        ("GetTemplate", 403, &denied),
    ]);
    let client = client(&server);
    assert_eq!(client.template("s").unwrap().as_deref(), Some("{\"Resources\": {}}"));
    assert!(server.bodies("GetTemplate")[0].contains("TemplateStage=Original"), "{:?}", server.bodies("GetTemplate"));
    assert_eq!(client.template("s").unwrap(), None);
    let error = client.template("s").unwrap_err().to_string();
    assert!(error.contains("allow cloudformation:GetTemplate"), "{error}");
}

#[test]
fn a_change_set_is_asked_for_and_read_page_by_page() {
    let change = |id: &str, replacement: &str| {
        format!(
            "<member><Type>Resource</Type><ResourceChange><Action>Modify</Action><LogicalResourceId>{id}</LogicalResourceId>\
             <ResourceType>AWS::S3::Bucket</ResourceType><Replacement>{replacement}</Replacement>\
             <PolicyAction>Retain</PolicyAction></ResourceChange></member>"
        )
    };
    let page = |change: String, next: &str| {
        answer(
            "DescribeChangeSet",
            &format!(
                "<Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus><Changes>{change}</Changes>{next}"
            ),
        )
    };
    let pages = [
        page(change("Raw", "True"), "<NextToken>second</NextToken>"),
        page(change("Logs", "False"), ""),
        refusal("ChangeSetNotFound", "ChangeSet [x] does not exist"),
    ];
    let server = RecordedAws::start(&[
        ("CreateChangeSet", 200, &answer("CreateChangeSet", "<Id>arn:x</Id>")),
        ("DescribeChangeSet", 200, &pages[0]),
        ("DescribeChangeSet", 200, &pages[1]),
        ("DescribeChangeSet", 404, &pages[2]),
        ("ExecuteChangeSet", 200, &answer("ExecuteChangeSet", "")),
    ]);
    let client = client(&server);
    let parameters = [("Email".to_string(), Some("a b".to_string())), ("Kept".to_string(), None)];
    let request = ChangeSetRequest {
        stack: "s",
        name: "kidu-1",
        create: true,
        template: Err("https://bucket/template.json"),
        parameters: &parameters,
        capabilities: &["CAPABILITY_NAMED_IAM"],
        role: Some("arn:aws:iam::111122223333:role/kidu-github-cloudformation-eu-west-1"),
    };
    client.create_change_set(&request).unwrap();
    let sent = &server.bodies("CreateChangeSet")[0];
    for part in [
        "ChangeSetType=CREATE",
        "TemplateURL=https%3A%2F%2Fbucket%2Ftemplate.json",
        "Parameters.member.1.ParameterValue=a%20b",
        "Parameters.member.2.UsePreviousValue=true",
        "Capabilities.member.1=CAPABILITY_NAMED_IAM",
        "RoleARN=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fkidu-github-cloudformation-eu-west-1",
    ] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    let set = client.change_set("s", "kidu-1").unwrap().unwrap();
    assert!(set.executable);
    let changes: Vec<_> = set.changes.iter().map(|c| (c.logical_id.as_str(), c.replacement.as_deref())).collect();
    assert_eq!(changes, [("Raw", Some("True")), ("Logs", Some("False"))]);
    assert!(server.bodies("DescribeChangeSet")[1].contains("NextToken=second"));
    assert_eq!(client.change_set("s", "kidu-1").unwrap(), None);
    client.execute_change_set("s", "kidu-1", "token").unwrap();
    let sent = &server.bodies("ExecuteChangeSet")[0];
    assert!(sent.contains("ClientRequestToken=token") && sent.contains("RetainExceptOnCreate=true"), "{sent}");
}

#[test]
fn events_come_oldest_first_and_only_new_ones() {
    let event = |id: &str| {
        format!(
            "<member><StackId>s</StackId><EventId>{id}</EventId><StackName>s</StackName><LogicalResourceId>Raw</LogicalResourceId>\
             <ResourceType>AWS::S3::Bucket</ResourceType><Timestamp>2026-11-26T10:00:00Z</Timestamp>\
             <ResourceStatus>CREATE_FAILED</ResourceStatus><ResourceStatusReason>taken</ResourceStatusReason></member>"
        )
    };
    let first = format!("<StackEvents>{}{}</StackEvents><NextToken>more</NextToken>", event("4"), event("3"));
    let second = format!("<StackEvents>{}{}</StackEvents>", event("2"), event("1"));
    let [first, second] = [first, second].map(|content| answer("DescribeStackEvents", &content));
    let pages = [("DescribeStackEvents", 200, first.as_str()), ("DescribeStackEvents", 200, second.as_str())];
    let ids = |after: Option<&str>| {
        let server = RecordedAws::start(&pages);
        let events = client(&server).events("s", after).unwrap();
        (events.iter().map(|e| e.id.clone()).collect::<Vec<_>>().concat(), server.requests().len())
    };
    assert_eq!(ids(None), ("1234".into(), 2));
    assert_eq!(ids(Some("2")), ("34".into(), 2));
    assert_eq!(ids(Some("3")), ("4".into(), 1), "no page is asked for that holds nothing new");
}

#[test]
fn throttling_is_tried_again_and_refusals_say_what_to_allow() {
    let throttled = refusal("Throttling", "Rate exceeded");
    let done = answer("DeleteStack", "");
    let server = RecordedAws::start(&[("DeleteStack", 400, &throttled), ("DeleteStack", 200, &done)]);
    client(&server).delete_stack("s", "token", None).unwrap();
    assert_eq!(server.requests().len(), 2);
    let denied = refusal("AccessDenied", "User: arn:aws:iam::1:user/ana is not authorized");
    let server = RecordedAws::start(&[("DeleteStack", 403, &denied)]);
    let error = client(&server).delete_stack("s", "token", None).unwrap_err().to_string();
    assert!(error.contains("cannot delete stack s") && error.contains("allow cloudformation:DeleteStack"), "{error}");
}
