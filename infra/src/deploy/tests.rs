use std::{cell::RefCell, collections::BTreeMap};

use serde_json::json;

use super::{account::Called, *};
use crate::core::{StackArtifact, Template};

/// An account that plays CloudFormation for one stack: what is executed happens after two looks.
#[derive(Default)]
struct Script {
    state: RefCell<State>,
    /// How an execution ends.
    ends_as: &'static str,
    /// Events of an execution: name, status, reason.
    happens: Vec<(&'static str, &'static str, &'static str)>,
    /// What a change set holds, or why it failed.
    changes: Vec<ResourceChange>,
    fails: Option<&'static str>,
    tokens: RefCell<Vec<String>>,
}

#[derive(Default)]
struct State {
    stack: Option<DeployedStack>,
    pending: Option<(u32, String)>,
    sets: BTreeMap<String, ChangeSet>,
    events: Vec<StackEvent>,
    calls: Vec<String>,
}

impl Script {
    fn with(status: &str) -> Self {
        let script =
            Self { ends_as: "UPDATE_COMPLETE", changes: vec![modify("Queue", "AWS::SQS::Queue")], ..Self::default() };
        if !status.is_empty() {
            let stack =
                DeployedStack { status: status.into(), parameters: vec!["Old".into()], ..DeployedStack::default() };
            script.state.borrow_mut().stack = Some(stack);
        }
        script
    }

    fn calls(&self) -> Vec<String> {
        self.state.borrow().calls.clone()
    }

    fn call(&self, what: impl Into<String>) {
        self.state.borrow_mut().calls.push(what.into());
    }
}

fn modify(id: &str, kind: &str) -> ResourceChange {
    ResourceChange { action: "Modify".into(), logical_id: id.into(), kind: kind.into(), ..ResourceChange::default() }
}

impl Account for Script {
    fn stack(&self, _: &str) -> Called<Option<DeployedStack>> {
        let mut state = self.state.borrow_mut();
        if let Some((looks, end)) = state.pending.take() {
            if looks > 0 {
                state.pending = Some((looks - 1, end));
            } else if end == "DELETE_COMPLETE" {
                state.stack = None;
            } else if let Some(stack) = &mut state.stack {
                stack.status = end;
            }
        }
        Ok(state.stack.clone())
    }

    fn create_change_set(&self, wanted: &NewChangeSet<'_>) -> Called<()> {
        if wanted.create {
            let holds = DeployedStack { status: "REVIEW_IN_PROGRESS".into(), ..DeployedStack::default() };
            self.state.borrow_mut().stack.get_or_insert(holds);
        }
        let what = if wanted.create { "create" } else { "update" };
        let place = match wanted.template {
            TemplateSource::Body(_) => "body",
            TemplateSource::Url(url) => url,
        };
        self.call(format!("{what} {} {place} {:?} {:?}", wanted.stack, wanted.parameters, wanted.capabilities));
        let set = match self.fails {
            Some(reason) => ChangeSet { status: "FAILED".into(), reason: Some(reason.into()), ..ChangeSet::default() },
            None => ChangeSet {
                status: "CREATE_COMPLETE".into(),
                executable: true,
                changes: self.changes.clone(),
                ..ChangeSet::default()
            },
        };
        self.state.borrow_mut().sets.insert(wanted.name.into(), set);
        Ok(())
    }

    fn change_set(&self, _: &str, name: &str) -> Called<Option<ChangeSet>> {
        Ok(self.state.borrow().sets.get(name).cloned())
    }

    fn delete_change_set(&self, _: &str, name: &str) -> Called<()> {
        self.call("remove change set");
        self.state.borrow_mut().sets.remove(name);
        Ok(())
    }

    fn execute(&self, stack: &str, _: &str, token: &str) -> Called<()> {
        self.call("execute");
        let mut tokens = self.tokens.borrow_mut();
        assert!(!tokens.contains(&token.to_string()), "the token {token} again");
        tokens.push(token.into());
        let mut state = self.state.borrow_mut();
        let running = DeployedStack { status: "UPDATE_IN_PROGRESS".into(), ..DeployedStack::default() };
        state.stack.get_or_insert_with(|| running.clone()).status = running.status.clone();
        state.pending = Some((2, self.ends_as.into()));
        let first = (stack, "UPDATE_IN_PROGRESS", "");
        for (n, (id, status, reason)) in [first].into_iter().chain(self.happens.iter().copied()).enumerate() {
            state.events.push(StackEvent {
                id: format!("e{}-{n}", tokens.len()),
                logical_id: id.into(),
                kind: "AWS::S3::Bucket".into(),
                status: status.into(),
                reason: Some(reason.into()),
            });
        }
        Ok(())
    }

    fn events(&self, _: &str, after: Option<&str>) -> Called<Vec<StackEvent>> {
        let events = self.state.borrow().events.clone();
        let start = after.and_then(|id| events.iter().position(|e| e.id == id)).map_or(0, |at| at + 1);
        Ok(events[start..].to_vec())
    }

    fn delete_stack(&self, name: &str, _: &str) -> Called<()> {
        self.call(format!("delete {name}"));
        let mut state = self.state.borrow_mut();
        let id = format!("d{}", state.events.len());
        let status = "DELETE_IN_PROGRESS".into();
        state.events.push(StackEvent { id, logical_id: name.into(), status, ..StackEvent::default() });
        if let Some(stack) = &mut state.stack {
            stack.status = "DELETE_IN_PROGRESS".into();
        }
        state.pending = Some((1, self.ends_as.into()));
        Ok(())
    }

    fn upload(&self, bucket: &str, key: &str, _: &str) -> Called<String> {
        Ok(format!("https://{bucket}/{}", key.rsplit('/').next().unwrap().len()))
    }

    fn pause(&self) {}
}

/// Who remembers what it was told.
#[derive(Default)]
struct Watch(RefCell<Vec<String>>);

impl Observer for Watch {
    fn tell(&self, told: Told<'_>) {
        self.0.borrow_mut().push(match told {
            Told::Begins { what, .. } => what.into(),
            Told::Changes { changes, .. } => format!("{} changes", changes.len()),
            Told::Event { event, .. } => format!("{} {}", event.logical_id, event.status),
        });
    }
}

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
    };
    change(&mut wanted);
    let ended = deploy(script, &watch, &wanted).map(|(ended, _)| ended);
    (ended, watch.0.into_inner())
}

#[test]
fn an_update_keeps_parameters_and_is_told_event_by_event() {
    let script = Script { happens: vec![("Queue", "UPDATE_COMPLETE", "")], ..Script::with("CREATE_COMPLETE") };
    let (ended, told) = run(&script, |_| {});
    assert_eq!(ended.unwrap(), Ended::Updated);
    assert_eq!(told, ["is compared", "1 changes", "kidu-foundation UPDATE_IN_PROGRESS", "Queue UPDATE_COMPLETE"]);
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
    };
    assert_eq!(deploy(&script, &Watch::default(), &wanted).unwrap().0, Ended::Created);
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
    };
    let error = deploy(&script, &Watch::default(), &wanted(None)).unwrap_err().to_string();
    assert!(error.contains("a request takes 51200; deploy 'foundation' first"), "{error}");
    deploy(&script, &Watch::default(), &wanted(Some("artifacts"))).unwrap();
    assert!(script.calls()[0].contains("https://artifacts/"), "{:?}", script.calls());
}

#[test]
fn a_stack_is_deleted_and_what_stays_is_known() {
    let script = Script { ends_as: "DELETE_COMPLETE", ..Script::with("CREATE_COMPLETE") };
    assert!(destroy(&script, &Watch::default(), "s").unwrap());
    assert!(!destroy(&script, &Watch::default(), "s").unwrap());
    let script = Script { ends_as: "DELETE_FAILED", ..Script::with("CREATE_COMPLETE") };
    let error = destroy(&script, &Watch::default(), "s").unwrap_err().to_string();
    assert!(error.contains("ended as DELETE_FAILED"), "{error}");
    let script = Script::with("CREATE_COMPLETE");
    script.state.borrow_mut().stack.as_mut().unwrap().protected = true;
    assert!(destroy(&script, &Watch::default(), "s").unwrap_err().to_string().contains("protected"));
    assert_eq!(kept(&artifact().template), [("Queue".to_string(), "AWS::SQS::Queue".to_string())]);
}
