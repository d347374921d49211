mod compare;
mod script;

use std::collections::BTreeMap;

use serde_json::json;

use self::script::{Script, Watch, modify};
use super::*;
use crate::core::{StackArtifact, Template};

fn artifact() -> StackArtifact {
    let template = json!({
        "Parameters": {"Old": {"Type": "String"}, "New": {"Type": "String", "Default": "x"}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"}},
    });
    StackArtifact { name: "foundation".into(), template: Template::new(template), after: vec![] }
}

fn run(script: &Script, change: impl FnOnce(&mut Deployment<'_>)) -> (Result<Ended, DeployError>, Vec<String>) {
    run_with(script, &BTreeMap::new(), change)
}

fn run_with(
    script: &Script,
    parameters: &BTreeMap<String, String>,
    change: impl FnOnce(&mut Deployment<'_>),
) -> (Result<Ended, DeployError>, Vec<String>) {
    let (artifact, watch) = (artifact(), Watch::default());
    let mut wanted = Deployment {
        artifact: &artifact,
        stack: "kidu-foundation",
        parameters,
        bucket: None,
        allow_replacement: false,
        plan_only: false,
        role: None,
    };
    change(&mut wanted);
    let ended = deploy(script, &watch, &wanted).map(|done| done.ended);
    (ended, watch.0.into_inner())
}

#[test]
fn an_update_keeps_parameters_and_is_told_event_by_event() {
    let script = Script { happens: vec![("Queue", "UPDATE_COMPLETE", "")], ..Script::with("CREATE_COMPLETE") };
    let (ended, told) = run(&script, |_| {});
    assert_eq!(ended.unwrap(), Ended::Updated);
    assert_eq!(
        told,
        ["is compared", "1 changes", "Update", "kidu-foundation UPDATE_IN_PROGRESS", "Queue UPDATE_COMPLETE"]
    );
    assert_eq!(script.calls(), ["update kidu-foundation body [(\"Old\", None)] []", "execute"]);
}

#[test]
fn a_new_stack_needs_its_parameters() {
    let script = Script::with("");
    let error = run(&script, |_| {}).0.unwrap_err().to_string();
    assert!(error.contains("parameter 'Old': has no default; give it: --parameter Old=VALUE"), "{error}");
    let given = BTreeMap::from([("Old".to_string(), "1".to_string())]);
    let artifact = artifact();
    let wanted = Deployment {
        artifact: &artifact,
        stack: "s",
        parameters: &given,
        bucket: None,
        allow_replacement: false,
        plan_only: false,
        role: None,
    };
    assert_eq!(deploy(&script, &Watch::default(), &wanted).unwrap().ended, Ended::Created);
    assert!(script.calls()[0].starts_with("create s body [(\"Old\", Some(\"1\"))]"), "{:?}", script.calls());
}

#[test]
fn nothing_to_change_is_no_failure_and_leaves_no_change_set() {
    let script =
        Script { fails: Some("The submitted information didn't contain changes."), ..Script::with("UPDATE_COMPLETE") };
    assert_eq!(run(&script, |_| {}).0.unwrap(), Ended::Unchanged);
    assert_eq!(script.calls().last().unwrap(), "remove change set");
    let script = Script { fails: Some("Template error: no such condition"), ..Script::with("UPDATE_COMPLETE") };
    let error = run(&script, |_| {}).0.unwrap_err().to_string();
    assert!(error.contains("no change set can be made: Template error"), "{error}");
    assert!(script.state.borrow().sets.is_empty());
}

#[test]
fn a_plan_shows_and_changes_nothing() {
    let script = Script::with("CREATE_COMPLETE");
    let (ended, told) = run(&script, |wanted| wanted.plan_only = true);
    assert_eq!(ended.unwrap(), Ended::Planned);
    assert_eq!(told, ["is compared", "1 changes"]);
    assert!(!script.calls().contains(&"execute".to_string()) && script.state.borrow().sets.is_empty());
}

#[test]
fn a_plan_of_a_new_stack_leaves_nothing_behind() {
    let given = BTreeMap::from([("Old".to_string(), "1".to_string())]);
    let script = Script { ends_as: "DELETE_COMPLETE", ..Script::with("") };
    assert_eq!(run_with(&script, &given, |wanted| wanted.plan_only = true).0.unwrap(), Ended::Planned);
    assert_eq!(script.calls()[1..], ["remove change set", "delete kidu-foundation"]);
    let script = Script { ends_as: "DELETE_COMPLETE", fails: Some("Template error"), ..Script::with("") };
    assert!(run_with(&script, &given, |_| {}).0.is_err());
    assert_eq!(script.calls()[1..], ["remove change set", "delete kidu-foundation"]);
}

#[test]
fn the_same_change_again_later_is_another_operation() {
    let script = Script::with("CREATE_COMPLETE");
    assert_eq!(run(&script, |_| {}).0.unwrap(), Ended::Updated);
    script.state.borrow_mut().sets.clear();
    assert_eq!(run(&script, |_| {}).0.unwrap(), Ended::Updated);
}

#[test]
fn content_is_not_lost_unless_that_is_allowed() {
    let replaced = ResourceChange { replacement: Some("True".into()), ..modify("Raw", "AWS::S3::Bucket") };
    let script = Script { changes: vec![replaced], ..Script::with("CREATE_COMPLETE") };
    let error = run(&script, |_| {}).0.unwrap_err().to_string();
    assert!(error.contains("Raw (AWS::S3::Bucket) is replaced; --allow-replacement"), "{error}");
    assert!(!script.calls().contains(&"execute".to_string()));
    let plan = |allowed| run(&script, |wanted| (wanted.plan_only, wanted.allow_replacement) = (true, allowed));
    for (allowed, told) in [(false, "Raw is replaced true"), (true, "Raw is replaced false")] {
        let (ended, said) = plan(allowed);
        assert_eq!((ended.unwrap(), said.last().unwrap().as_str()), (Ended::Planned, told));
    }
    assert_eq!(run(&script, |wanted| wanted.allow_replacement = true).0.unwrap(), Ended::Updated);
}

#[test]
fn a_failure_tells_its_first_cause_and_what_to_do() {
    let script = Script {
        ends_as: "UPDATE_ROLLBACK_COMPLETE",
        happens: vec![
            ("Raw", "CREATE_FAILED", "kidu-raw already exists in bucket form"),
            ("Role", "CREATE_FAILED", "Resource creation cancelled"),
        ],
        ..Script::with("CREATE_COMPLETE")
    };
    let error = run(&script, |_| {}).0.unwrap_err().to_string();
    assert!(error.contains("ended as UPDATE_ROLLBACK_COMPLETE\n  Raw (AWS::S3::Bucket): kidu-raw already"), "{error}");
    assert!(error.contains("unique in the world") && !error.contains("cancelled"), "{error}");
}

#[test]
fn what_is_under_way_is_waited_for() {
    let script = Script::with("UPDATE_IN_PROGRESS");
    script.state.borrow_mut().pending = Some((3, "UPDATE_COMPLETE".into()));
    let (ended, told) = run(&script, |_| {});
    assert_eq!(ended.unwrap(), Ended::Updated);
    assert_eq!(told[0], "has an operation under way, which is waited for");
}

#[test]
fn a_stack_that_never_was_whole_is_made_again() {
    let script = Script { ends_as: "DELETE_COMPLETE", ..Script::with("ROLLBACK_COMPLETE") };
    let given = BTreeMap::from([("Old".to_string(), "1".to_string())]);
    // Here every operation ends as a deletion: that it is created at all is what counts.
    let error = run_with(&script, &given, |_| {}).0.unwrap_err().to_string();
    assert!(error.contains("ended as DELETE_COMPLETE"), "{error}");
    assert_eq!(script.calls()[0], "delete kidu-foundation");
    assert!(script.calls()[1].starts_with("create kidu-foundation") && script.calls()[2] == "execute");
    let error = run(&Script::with("ROLLBACK_COMPLETE"), |wanted| wanted.plan_only = true).0.unwrap_err().to_string();
    assert!(error.contains("a plan cannot"), "{error}");
    let error = run(&Script::with("UPDATE_ROLLBACK_FAILED"), |_| {}).0.unwrap_err().to_string();
    assert!(error.contains("continue-update-rollback"), "{error}");
}

#[test]
fn a_large_template_goes_through_the_bucket() {
    let mut large = artifact();
    let mut text = json!({"Parameters": {}, "Resources": {}});
    text["Description"] = json!("x".repeat(60_000));
    large.template = Template::new(text);
    let parameters = BTreeMap::new();
    let script = Script::with("CREATE_COMPLETE");
    let wanted = |bucket| Deployment {
        artifact: &large,
        stack: "kidu-model-build",
        parameters: &parameters,
        bucket,
        allow_replacement: false,
        plan_only: false,
        role: None,
    };
    let error = deploy(&script, &Watch::default(), &wanted(None)).unwrap_err().to_string();
    assert!(error.contains("a request takes 51200; deploy 'foundation' first"), "{error}");
    deploy(&script, &Watch::default(), &wanted(Some("artifacts"))).unwrap();
    assert!(script.calls()[0].contains("https://artifacts/"), "{:?}", script.calls());
}

#[test]
fn a_stack_is_deleted_and_what_stays_is_known() {
    let script = Script { ends_as: "DELETE_COMPLETE", ..Script::with("CREATE_COMPLETE") };
    assert!(destroy(&script, &Watch::default(), "s", None).unwrap());
    assert!(!destroy(&script, &Watch::default(), "s", None).unwrap());
    let script = Script { ends_as: "DELETE_FAILED", ..Script::with("CREATE_COMPLETE") };
    let error = destroy(&script, &Watch::default(), "s", None).unwrap_err().to_string();
    assert!(error.contains("ended as DELETE_FAILED"), "{error}");
    let script = Script::with("CREATE_COMPLETE");
    script.state.borrow_mut().stack.as_mut().unwrap().protected = true;
    assert!(destroy(&script, &Watch::default(), "s", None).unwrap_err().to_string().contains("protected"));
    assert_eq!(kept(&artifact().template), [("Queue".to_string(), "AWS::SQS::Queue".to_string())]);
}

#[test]
fn a_role_is_handed_to_cloudformation_with_every_operation() {
    let role = Some("arn:aws:iam::111122223333:role/r");
    let script = Script::with("CREATE_COMPLETE");
    run(&script, |wanted| wanted.role = role).0.unwrap();
    assert!(script.calls()[0].ends_with("by arn:aws:iam::111122223333:role/r"), "{:?}", script.calls());
    let script = Script { ends_as: "DELETE_COMPLETE", ..Script::with("CREATE_COMPLETE") };
    assert!(destroy(&script, &Watch::default(), "s", role).unwrap());
    assert_eq!(script.calls(), ["delete s by arn:aws:iam::111122223333:role/r"]);
    // The empty stack of a plan, too.
    let given = BTreeMap::from([("Old".to_string(), "1".to_string())]);
    let script = Script { ends_as: "DELETE_COMPLETE", ..Script::with("") };
    let plan = run_with(&script, &given, |wanted| (wanted.role, wanted.plan_only) = (role, true));
    assert_eq!(plan.0.unwrap(), Ended::Planned);
    assert!(script.calls()[2].starts_with("delete kidu-foundation by arn:"), "{:?}", script.calls());
}

#[test]
fn what_stays_without_an_owner_is_told_and_not_refused() {
    let policy = Some("Retain".to_string());
    let removed = ResourceChange { action: "Remove".into(), policy, ..modify("Raw", "AWS::S3::Bucket") };
    let script = Script { changes: vec![removed.clone()], ..Script::with("CREATE_COMPLETE") };
    // For who reads the plan as JSON.
    let (artifact, parameters) = (artifact(), BTreeMap::new());
    let wanted = Deployment {
        artifact: &artifact,
        stack: "kidu-foundation",
        parameters: &parameters,
        bucket: None,
        allow_replacement: false,
        plan_only: true,
        role: None,
    };
    let plan = deploy(&script, &Watch::default(), &wanted).unwrap();
    assert_eq!((plan.changes, plan.left[0].logical_id.as_str(), plan.lost), (vec![removed], "Raw", vec![]));
    let (ended, told) = run(&script, |wanted| wanted.plan_only = true);
    assert_eq!(ended.unwrap(), Ended::Planned);
    assert_eq!(told, ["is compared", "1 changes", "Raw stays in the account without an owner"]);
    assert_eq!(run(&script, |_| {}).0.unwrap(), Ended::Updated);
}
