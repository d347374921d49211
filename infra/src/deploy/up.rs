//! A stack into an account.

use std::collections::BTreeMap;

use kidu_core::Sha256Hex;
use serde::Serialize;

use super::{
    Account, DeployError, NewChangeSet, Observer, Operation, TemplateSource, Told,
    account::{ChangeSet, DeployedStack, ResourceChange},
    judge::{self, Next, Risk},
    newest, wait,
};
use crate::core::{StackArtifact, Template, capabilities};

/// The most bytes of a template within a request.
pub(super) const MAX_BODY: usize = 51_200;

/// A stack that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Deployment<'a> {
    /// Its template.
    pub artifact: &'a StackArtifact,
    /// Its name in the account.
    pub stack: &'a str,
    /// Values of parameters. Others keep theirs, or take their default.
    pub parameters: &'a BTreeMap<String, String>,
    /// The bucket for templates that are too large for a request.
    pub bucket: Option<&'a str>,
    /// Whether what holds content may be replaced or removed.
    pub allow_replacement: bool,
    /// Whether to end after the change set was shown.
    pub plan_only: bool,
    /// The role by which CloudFormation makes the resources; nothing: the one of before, or the caller's rights.
    pub role: Option<&'a str>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It is new.
    Created,
    /// It was changed.
    Updated,
    /// It was as wanted already.
    Unchanged,
    /// Changes were shown, nothing was done.
    Planned,
}

/// What was done with a stack, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// How it ended.
    pub ended: Ended,
    /// The stack as it is now, if it is there.
    pub stack: Option<DeployedStack>,
    /// The changes of the change set.
    pub changes: Vec<ResourceChange>,
    /// What leaves the stack and stays in the account without an owner.
    pub left: Vec<Risk>,
    /// What is lost, which only a plan or `allow_replacement` lets pass.
    pub lost: Vec<Risk>,
}

/// Makes a stack what its template says.
///
/// # Errors
/// [`DeployError`].
pub fn deploy(
    account: &dyn Account,
    observer: &dyn Observer,
    wanted: &Deployment<'_>,
) -> Result<Deployed, DeployError> {
    let stack = wanted.stack;
    let present = settle(account, observer, wanted)?;
    let create = judge::next(present.as_ref()) == Next::Create;
    let parameters = parameters(&wanted.artifact.template, wanted.parameters, present.as_ref().filter(|_| !create))?;
    // Without white space: foundation, whose bucket takes what is too large, has to fit into a request itself.
    let text = wanted.artifact.template.json().to_string();
    let name = change_set_name(&text, &parameters);
    observer.tell(Told::Begins { stack, what: if create { "is made" } else { "is compared" } });
    let address = match (text.len() > MAX_BODY, wanted.bucket) {
        (false, _) => None,
        (true, Some(bucket)) => {
            let hash = Sha256Hex::of_bytes(text.as_bytes());
            Some(account.upload(bucket, &format!("templates/deployed/{hash}.template.json"), &text)?)
        }
        (true, None) => return Err(DeployError::TooLarge { stack: stack.into(), bytes: text.len() }),
    };
    let request = NewChangeSet {
        stack,
        name: &name,
        create,
        template: address.as_deref().map_or(TemplateSource::Body(&text), TemplateSource::Url),
        parameters: &parameters,
        capabilities: &capabilities(&wanted.artifact.template),
        role: wanted.role,
    };
    let set = change_set(account, &request).inspect_err(|_| {
        // The reason is told already; what it leaves is found by the next run.
        let _ = discard(account, &request, present.is_none());
    })?;
    if judge::is_empty(&set) {
        discard(account, &request, present.is_none())?;
        let stack = present;
        return Ok(Deployed { ended: Ended::Unchanged, stack, changes: vec![], left: vec![], lost: vec![] });
    }
    observer.tell(Told::Changes { stack, changes: &set.changes });
    let (left, lost) = (judge::left(&set.changes), judge::risks(&set.changes));
    left.iter().for_each(|resource| observer.tell(Told::Left { stack, resource }));
    if !set.executable {
        discard(account, &request, present.is_none())?;
        let reason = set.reason.unwrap_or_else(|| format!("it is {}", set.status));
        return Err(DeployError::ChangeSet { stack: stack.into(), reason });
    }
    let refused = !lost.is_empty() && !wanted.allow_replacement;
    if wanted.plan_only {
        // A deployment names them in its refusal.
        lost.iter().for_each(|resource| observer.tell(Told::Lost { stack, resource, refused }));
        discard(account, &request, present.is_none())?;
        return Ok(Deployed { ended: Ended::Planned, stack: present, changes: set.changes, left, lost });
    }
    if refused {
        discard(account, &request, present.is_none())?;
        return Err(DeployError::Refused { stack: stack.into(), risks: lost });
    }
    let before = newest(account, stack)?;
    // Before the call: when its answer does not come, the operation may have begun all the same.
    observer.tell(Told::Underway { stack, operation: if create { Operation::Creation } else { Operation::Update } });
    account.execute(stack, &name, &token(&name, before.as_deref()))?;
    let (after, events) = wait_for_change(account, observer, stack, before)?;
    let status = after.as_ref().map_or_else(|| "DELETE_COMPLETE".to_string(), |s| s.status.clone());
    match judge::is_done(&status) {
        true => {
            let ended = if create { Ended::Created } else { Ended::Updated };
            Ok(Deployed { ended, stack: after, changes: set.changes, left, lost })
        }
        false => Err(DeployError::Failed { stack: stack.into(), status, causes: judge::causes(&events, stack) }),
    }
}

/// Removes a change set, and the empty stack that CloudFormation makes to hold the first one.
fn discard(account: &dyn Account, request: &NewChangeSet<'_>, is_first: bool) -> Result<(), DeployError> {
    if account.change_set(request.stack, request.name)?.is_some() {
        account.delete_change_set(request.stack, request.name)?;
    }
    let holds = |s: &DeployedStack| s.status == "REVIEW_IN_PROGRESS";
    if is_first && account.stack(request.stack)?.as_ref().is_some_and(holds) {
        account.delete_stack(request.stack, &token("kidu-discard", Some(request.name)), request.role)?;
    }
    Ok(())
}

/// A token for an operation after an event: the same operation again, later, has another one.
pub(super) fn token(operation: &str, event: Option<&str>) -> String {
    format!("{operation}-{}", &Sha256Hex::of_bytes(event.unwrap_or_default().as_bytes()).as_str()[..16])
}

/// Waits for what is under way, and removes what nothing can become of.
fn settle(
    account: &dyn Account,
    observer: &dyn Observer,
    wanted: &Deployment<'_>,
) -> Result<Option<DeployedStack>, DeployError> {
    let stack = wanted.stack;
    let mut present = account.stack(stack)?;
    if judge::next(present.as_ref()) == Next::Wait {
        observer.tell(Told::Begins { stack, what: "has an operation under way, which is waited for" });
        observer.tell(Told::Underway { stack, operation: Operation::Other });
        present = wait(account, observer, stack, newest(account, stack)?)?.0;
    }
    match (judge::next(present.as_ref()), &present) {
        (Next::Stuck(what), Some(now)) => {
            Err(DeployError::Stuck { stack: stack.into(), status: now.status.clone(), what: what.into() })
        }
        (Next::Recreate, Some(now)) if wanted.plan_only => Err(DeployError::Stuck {
            stack: stack.into(),
            status: now.status.clone(),
            what: "it was never made whole: a deployment deletes it and makes it again, a plan cannot".into(),
        }),
        (Next::Recreate, Some(_)) => {
            observer.tell(Told::Begins { stack, what: "was never made whole: it is deleted and made again" });
            super::destroy(account, observer, stack, wanted.role)?;
            Ok(None)
        }
        _ => Ok(present),
    }
}

/// As [`wait`], but a stack whose operation has not shown yet is not taken for done: its first event must have come.
fn wait_for_change(
    account: &dyn Account,
    observer: &dyn Observer,
    stack: &str,
    before: Option<String>,
) -> Result<(Option<DeployedStack>, Vec<super::StackEvent>), DeployError> {
    for _ in 0..30 {
        if !account.events(stack, before.as_deref())?.is_empty() {
            break;
        }
        account.pause();
    }
    wait(account, observer, stack, before)
}

/// The change set of that name, made if it is not there or cannot be used.
fn change_set(account: &dyn Account, wanted: &NewChangeSet<'_>) -> Result<ChangeSet, DeployError> {
    let usable =
        |set: &ChangeSet| set.executable || set.status.ends_with("PENDING") || set.status.ends_with("PROGRESS");
    match account.change_set(wanted.stack, wanted.name)? {
        Some(set) if usable(&set) => {}
        left_over => {
            if left_over.is_some() {
                account.delete_change_set(wanted.stack, wanted.name)?;
            }
            match account.create_change_set(wanted) {
                // Some servers refuse at once what CloudFormation makes a failed change set of.
                Err(error) if error.0.contains(judge::NO_UPDATES) => {
                    let reason = Some(judge::NO_UPDATES.into());
                    return Ok(ChangeSet { status: "FAILED".into(), reason, ..ChangeSet::default() });
                }
                other => other?,
            }
        }
    }
    loop {
        match account.change_set(wanted.stack, wanted.name)? {
            Some(set) if set.status.ends_with("PENDING") || set.status.ends_with("PROGRESS") => account.pause(),
            Some(set) if set.status == "FAILED" && !judge::is_empty(&set) => {
                let reason = set.reason.unwrap_or_else(|| "no reason given".into());
                return Err(DeployError::ChangeSet { stack: wanted.stack.into(), reason });
            }
            Some(set) => return Ok(set),
            None => {
                let reason = "it vanished while it was made; somebody else deploys this stack".to_string();
                return Err(DeployError::ChangeSet { stack: wanted.stack.into(), reason });
            }
        }
    }
}

/// A name that depends on what is deployed alone, so that a run that was cut off finds its change set again.
fn change_set_name(template: &str, parameters: &[(String, Option<String>)]) -> String {
    let text = format!("{template}\n{parameters:?}");
    format!("kidu-{}", &Sha256Hex::of_bytes(text.as_bytes()).as_str()[..16])
}

/// Each parameter of a template with its value: given, kept (`None`), or left to its default (not listed).
fn parameters(
    template: &Template,
    given: &BTreeMap<String, String>,
    present: Option<&DeployedStack>,
) -> Result<Vec<(String, Option<String>)>, DeployError> {
    let mut values = Vec::new();
    for (name, parameter) in template.section("Parameters") {
        if let Some(value) = given.get(name) {
            values.push((name.to_string(), Some(value.clone())));
        } else if present.is_some_and(|stack| stack.parameters.iter().any(|(known, _)| known == name)) {
            values.push((name.to_string(), None));
        } else if parameter.get("Default").is_none() {
            let what = parameter["Description"].as_str().map(|d| format!(" ({d})")).unwrap_or_default();
            let reason = format!("has no default{what}; give it: --parameter {name}=VALUE");
            return Err(DeployError::Parameter { name: name.into(), reason });
        }
    }
    Ok(values)
}

/// The bucket of templates that a deployed `foundation` hands out.
pub fn bucket_of(foundation: &DeployedStack) -> Option<&str> {
    foundation.outputs.iter().find(|(name, _)| name == "ArtifactsBucket").map(|(_, value)| value.as_str())
}

impl Ended {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Planned => "planned",
        }
    }
}
