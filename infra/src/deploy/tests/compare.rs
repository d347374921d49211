//! Templates beside those of an account.

use std::collections::BTreeMap;

use super::{artifact, script::Script};
use crate::deploy::{Wanted, compare};

#[test]
fn templates_are_compared_with_those_of_the_account() {
    let deployed = r#"{"Parameters": {"Old": {"Type": "String"}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"}, "Raw": {"Type": "AWS::S3::Bucket"}}}"#;
    let artifact = artifact();
    let values = BTreeMap::from([("Old".to_string(), "2".to_string()), ("Elsewhere".to_string(), "3".to_string())]);
    let with = |script: &Script, optional: bool| {
        compare(script, &[Wanted { artifact: &artifact, stack: "kidu-foundation", optional }], &values)
    };
    let script = Script { template: Some(deployed), ..Script::with("UPDATE_COMPLETE") };
    let text = crate::diff::to_text(&with(&script, false).unwrap());
    assert!(
        text.starts_with("kidu-foundation\n  + parameter New\n  - AWS::S3::Bucket Raw  its content is lost\n"),
        "{text}"
    );
    assert!(text.contains("~ value Old") && text.contains("Value: \"1\" → \"2\""), "{text}");
    assert!(text.ends_with("0 added, 0 changed (0 replaced), 1 removed; content of 1 lost\n"), "{text}");
    assert_eq!(script.calls(), ["read kidu-foundation"]);
    // A stack that is not there, or only holds its first change set, is new, and nothing is read of it.
    for status in ["", "REVIEW_IN_PROGRESS"] {
        let script = Script { template: Some(deployed), ..Script::with(status) };
        let diffs = with(&script, false).unwrap();
        assert_eq!((diffs[0].whole, diffs[0].entries.len()), (Some("new"), 3), "{status}");
        assert_eq!(with(&script, true).unwrap(), []);
        assert!(script.calls().is_empty());
    }
    let script = Script { template: Some("Resources: {}"), ..Script::with("CREATE_COMPLETE") };
    let error = with(&script, false).unwrap_err().to_string();
    assert!(error.contains("not made by kidu-infra"), "{error}");
    // Nothing differs.
    let same = Box::leak(artifact.template.to_text().into_boxed_str());
    let script = Script { template: Some(same), ..Script::with("CREATE_COMPLETE") };
    assert_eq!(
        compare(&script, &[Wanted { artifact: &artifact, stack: "s", optional: false }], &BTreeMap::new()).unwrap(),
        []
    );
}
