//! An account that does what is written, and an observer that remembers.

use std::{cell::RefCell, collections::BTreeMap};

use crate::deploy::{
    Account, ChangeSet, DeployedStack, NewChangeSet, Observer, ResourceChange, StackEvent, TemplateSource, Told,
    account::Called,
};

/// An account that plays CloudFormation for one stack: what is executed happens after two looks.
#[derive(Default)]
pub(super) struct Script {
    pub(super) state: RefCell<State>,
    /// How an execution ends.
    pub(super) ends_as: &'static str,
    /// Events of an execution: name, status, reason.
    pub(super) happens: Vec<(&'static str, &'static str, &'static str)>,
    /// What a change set holds, or why it failed.
    pub(super) changes: Vec<ResourceChange>,
    pub(super) fails: Option<&'static str>,
    /// The template in the account.
    pub(super) template: Option<&'static str>,
    pub(super) tokens: RefCell<Vec<String>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) stack: Option<DeployedStack>,
    pub(super) pending: Option<(u32, String)>,
    pub(super) sets: BTreeMap<String, ChangeSet>,
    events: Vec<StackEvent>,
    calls: Vec<String>,
}

impl Script {
    pub(super) fn with(status: &str) -> Self {
        let script =
            Self { ends_as: "UPDATE_COMPLETE", changes: vec![modify("Queue", "AWS::SQS::Queue")], ..Self::default() };
        if !status.is_empty() {
            let stack = DeployedStack {
                status: status.into(),
                parameters: vec![("Old".into(), "1".into())],
                ..DeployedStack::default()
            };
            script.state.borrow_mut().stack = Some(stack);
        }
        script
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.state.borrow().calls.clone()
    }

    fn call(&self, what: impl Into<String>) {
        self.state.borrow_mut().calls.push(what.into());
    }
}

pub(super) fn modify(id: &str, kind: &str) -> ResourceChange {
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

    fn template(&self, stack: &str) -> Called<Option<String>> {
        self.call(format!("read {stack}"));
        Ok(self.template.map(str::to_string))
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
        let role = wanted.role.map(|role| format!(" by {role}")).unwrap_or_default();
        self.call(format!("{what} {} {place} {:?} {:?}{role}", wanted.stack, wanted.parameters, wanted.capabilities));
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

    fn delete_stack(&self, name: &str, _: &str, role: Option<&str>) -> Called<()> {
        self.call(format!("delete {name}{}", role.map(|role| format!(" by {role}")).unwrap_or_default()));
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
pub(super) struct Watch(pub(super) RefCell<Vec<String>>);

impl Observer for Watch {
    fn tell(&self, told: Told<'_>) {
        self.0.borrow_mut().push(match told {
            Told::Begins { what, .. } => what.into(),
            Told::Changes { changes, .. } => format!("{} changes", changes.len()),
            Told::Left { resource, .. } => format!("{} {}", resource.logical_id, resource.what),
            Told::Lost { resource, refused, .. } => format!("{} {} {refused}", resource.logical_id, resource.what),
            Told::Underway { operation, .. } => format!("{operation:?}"),
            Told::Event { event, .. } => format!("{} {}", event.logical_id, event.status),
        });
    }
}
