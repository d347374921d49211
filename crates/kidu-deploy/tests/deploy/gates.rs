//! What must not get through.

use kidu_core::Bundle;
use kidu_deploy::{
    DeployError,
    control::Command,
    package::package,
    state::{Ending, Phase},
};
use serde_json::json;

use crate::support::{World, world};

#[test]
fn what_is_not_approved_is_not_deployed() {
    let world = world(2).with("/on_approval", json!(false));
    let supervisor = world.up();
    let refused = |result: Result<_, DeployError>| match result {
        Err(DeployError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(supervisor.run(1));
    assert!(why.contains("version 1 of 'scenes' is PendingManualApproval and is not deployed"), "{why}");
    let newest = Command::Run { version: None, actor: "ana".into(), reason: None };
    assert!(refused(supervisor.call(&newest)).contains("no version of 'scenes' is approved"));
    world.registry().reject(2, "eve", "bad on fog").unwrap();
    assert!(refused(supervisor.run(2)).contains("is Rejected and is not deployed"));
    assert!(supervisor.run(9).unwrap_err().to_string().contains("no version 9"));
    assert!(supervisor.status().release.is_none() && supervisor.status().history.is_empty());

    // Approved, but withdrawn before it was in production.
    world.approve(1);
    supervisor.run(1).unwrap();
    supervisor.wait_for_approval(1);
    world.registry().reject(1, "eve", "second thoughts").unwrap();
    let status = supervisor.wait_for("withdrawn", |s| s.release.is_none());
    let ended = status.ended.last().unwrap();
    assert_eq!((ended.ending, status.live), (Ending::Rejected, None));
    assert!(ended.reason.as_ref().unwrap().contains("second thoughts"), "{ended:?}");
    let rollback = Command::Rollback { to: None, actor: "eve".into(), reason: None };
    assert!(supervisor.call(&rollback).unwrap_err().to_string().contains("no earlier version"));
}

#[test]
fn what_was_edited_after_its_approval_is_not_packaged() {
    let world = world(1);
    world.approve(1);
    let out = world.path().join("out");
    let mut kept = Bundle::open(&world.registry().show(1).unwrap().bundle_dir).unwrap();
    package(&world.registry(), 1, &out).unwrap();
    // Nothing that the answers depend on: a metric that it boasts of.
    kept.update(|manifest| manifest.metrics.extend([("test/acc".into(), 0.99)])).unwrap();
    let told = package(&world.registry(), 1, &world.path().join("anew")).unwrap_err().to_string();
    assert!(told.contains("bundle.json") && told.contains("is not what was registered"), "{told}");
    // What was packaged before is what was approved; it is not, once somebody edits it there, too.
    package(&world.registry(), 1, &out).unwrap();
    let mut packaged = Bundle::open(&out.join("bundle")).unwrap();
    packaged.update(|manifest| manifest.metrics.extend([("test/acc".into(), 0.99)])).unwrap();
    assert!(package(&world.registry(), 1, &out).is_err());
}

/// The release of the only version ends in that step, in that way, for that reason.
fn ends(world: World, step: &str, ending: Ending, says: &str) {
    world.approve(1);
    let supervisor = world.up();
    let status = supervisor.wait_for("the end", |s| !s.ended.is_empty());
    let ended = status.ended.last().unwrap();
    assert_eq!((ended.step.as_str(), ended.ending, status.live), (step, ending, None), "{ended:?}");
    assert!(ended.reason.as_ref().unwrap().contains(says), "{ended:?}");
    let entry = status.history.last().unwrap();
    assert_eq!((entry.deployment.as_ref().unwrap().to.as_str(), &entry.reason), (ending.name(), &ended.reason));
}

#[test]
fn a_smoke_test_that_says_no_ends_it() {
    let world = world(1).with("/smoke/expected_label", json!("zebra"));
    ends(world, "smoke", Ending::Refused, "prediction: the label is 'glacier' instead of 'zebra'");
}

#[test]
fn a_robustness_test_that_says_no_ends_it() {
    let command = json!(["sh", "-c", "echo 'refused: accuracy 0.41 under fog, below 0.60' >&2; exit 3"]);
    let world = world(1).with("/robustness/command", command);
    ends(world, "robustness", Ending::Refused, "accuracy 0.41 under fog, below 0.60");
}

#[test]
fn a_robustness_test_that_cannot_be_done_is_no_yes() {
    let failing = json!(["sh", "-c", "echo 'error: no images' >&2; exit 1"]);
    ends(world(1).with("/robustness/command", failing), "robustness", Ending::Failed, "no images");
    let missing = json!(["/nowhere/at/all"]);
    ends(world(1).with("/robustness/command", missing), "robustness", Ending::Failed, "cannot start /nowhere/at/all");
    let slow = world(1).with("/robustness/command", json!(["sleep", "100"])).with("/robustness/timeout", json!(0.3));
    ends(slow, "robustness", Ending::Failed, "took longer than 0.3 s");
}

#[test]
fn a_server_that_does_not_start_ends_it() {
    let command = json!(["sh", "-c", "echo no model >&2; exit 7"]);
    ends(world(1).with("/server/command", command), "staging", Ending::Failed, "exit status: 7");
}

#[test]
fn a_person_decides() {
    let world = world(2);
    world.approve(1);
    let supervisor = world.up();
    supervisor.wait_for_approval(1);
    let other = Command::Approve { version: Some(2), actor: "bob".into(), reason: None };
    assert!(supervisor.call(&other).unwrap_err().to_string().contains("is of version 1, not of 2"));
    let nobody = Command::Approve { version: None, actor: " ".into(), reason: None };
    assert!(supervisor.call(&nobody).unwrap_err().to_string().contains("actor"));
    assert!(supervisor.run(1).unwrap_err().to_string().contains("on its way already"));
    let reject = Command::Reject { actor: "bob".into(), reason: "looks odd".into() };
    let status = supervisor.call(&reject).unwrap();
    assert_eq!((status.ended.last().unwrap().ending, status.live), (Ending::Rejected, None));
    assert!(supervisor.call(&reject).unwrap_err().to_string().contains("no release is under way"));
    // A newer one takes the place of one that waits.
    supervisor.run(1).unwrap();
    supervisor.wait_for_approval(1);
    world.approve(2);
    supervisor.wait_for_approval(2);
    let status = supervisor.status();
    assert_eq!(status.ended.last().unwrap().ending, Ending::Superseded);
    assert_eq!(status.release.unwrap().phase, Phase::Waiting);
}
