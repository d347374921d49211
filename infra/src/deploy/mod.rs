//! Stacks into an account and out of it again, by change sets.
//!
//! What is decided is in [`judge`]; [`deploy`] and [`destroy`] ask an [`Account`], which the binary brings. Each step may be
//! repeated: a run that was cut off, or its operation, is taken up by the next one.

pub mod account;
mod compare;
mod down;
pub mod judge;
mod up;

use std::fmt::Write;

use self::judge::{Cause, Risk};
pub use self::{
    account::{Account, CallError, ChangeSet, DeployedStack, NewChangeSet, ResourceChange, StackEvent, TemplateSource},
    compare::{Wanted, compare},
    down::{destroy, kept},
    up::{Deployed, Deployment, Ended, bucket_of, deploy},
};

/// The stacks that make an installation, in their order. `inference` is deployed by `model-deploy`, once for each stage;
/// `project` is `model-build`, `model-deploy` and `monitoring` for SageMaker Studio.
pub const INSTALLATION: [&str; 5] = ["foundation", "model-build", "model-deploy", "monitoring", "catalog"];

/// The stack of the roles by which GitHub's workflows come into an account. It is no part of an installation: who may deploy is
/// decided by a person, not by a workflow.
pub const GITHUB: &str = "github";

/// What CloudFormation does with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Creation,
    /// It is changed.
    Update,
    /// It is deleted.
    Deletion,
    /// What somebody else, or an earlier run, began.
    Other,
}

/// What an observer is told of.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// Something is begun with a stack.
    Begins {
        /// The stack in the account.
        stack: &'a str,
        /// What, as a sentence.
        what: &'a str,
    },
    /// What a change set does.
    Changes {
        /// The stack in the account.
        stack: &'a str,
        /// The changes.
        changes: &'a [ResourceChange],
    },
    /// What a change set takes out of the stack and leaves in the account.
    Left {
        /// The stack in the account.
        stack: &'a str,
        /// The resource.
        resource: &'a Risk,
    },
    /// What a planned change set takes away that cannot be made again.
    Lost {
        /// The stack in the account.
        stack: &'a str,
        /// The resource.
        resource: &'a Risk,
        /// Whether a deployment refuses it.
        refused: bool,
    },
    /// From here on the account goes on by itself, whoever watches.
    Underway {
        /// The stack in the account.
        stack: &'a str,
        /// What goes on.
        operation: Operation,
    },
    /// Something happened to a resource.
    Event {
        /// The stack in the account.
        stack: &'a str,
        /// What happened.
        event: &'a StackEvent,
    },
}

/// Who watches.
pub trait Observer {
    /// Called as things happen.
    fn tell(&self, told: Told<'_>);
}

/// Why stacks are not as they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// A call failed.
    #[error("{}", .0.0)]
    Call(CallError),
    /// CloudFormation could not do it.
    #[error("stack '{stack}' ended as {status}{}", list(.causes))]
    Failed {
        /// The stack in the account.
        stack: String,
        /// How it ended.
        status: String,
        /// Why.
        causes: Vec<Cause>,
    },
    /// CloudFormation does not take the template or its parameters.
    #[error("stack '{stack}': no change set can be made: {reason}")]
    ChangeSet {
        /// The stack in the account.
        stack: String,
        /// Why.
        reason: String,
    },
    /// Content would be lost.
    #[error(
        "stack '{stack}': nothing was changed, since content would be lost: {}; --allow-replacement does it all the same",
        risks.iter().map(|r| format!("{} ({}) {}", r.logical_id, r.kind, r.what)).collect::<Vec<_>>().join(", ")
    )]
    Refused {
        /// The stack in the account.
        stack: String,
        /// What would be lost.
        risks: Vec<Risk>,
    },
    /// A person is needed.
    #[error("stack '{stack}' is {status}: {what}")]
    Stuck {
        /// The stack in the account.
        stack: String,
        /// Its status.
        status: String,
        /// What to do.
        what: String,
    },
    /// A parameter is missing or not known.
    #[error("parameter '{name}': {reason}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A stack whose template nobody here has made.
    #[error("stack '{stack}': its template is no JSON ({reason}): it was not made by kidu-infra; leave the stack out")]
    NotOurs {
        /// The stack in the account.
        stack: String,
        /// Where its text is no JSON.
        reason: String,
    },
    /// A template that is too large for a request, and no bucket for it.
    #[error(
        "stack '{stack}': its template has {bytes} bytes, and a request takes {}; deploy '{}' first, whose bucket takes it",
        up::MAX_BODY,
        INSTALLATION[0]
    )]
    TooLarge {
        /// The stack in the account.
        stack: String,
        /// Bytes of the template.
        bytes: usize,
    },
}

impl From<CallError> for DeployError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

fn list(causes: &[Cause]) -> String {
    let mut text = String::new();
    for cause in causes.iter().take(5) {
        let remedy = cause.remedy.map(|r| format!("; {r}")).unwrap_or_default();
        // Writing to a text does not fail.
        let _ = write!(text, "\n  {} ({}): {}{remedy}", cause.logical_id, cause.kind, cause.reason);
    }
    if causes.len() > 5 {
        let _ = write!(text, "\n  and {} more", causes.len() - 5);
    }
    text
}

/// Waits for the end of what is under way, telling each event after `after`. Gives the stack as it is then, and the events.
fn wait(
    account: &dyn Account,
    observer: &dyn Observer,
    stack: &str,
    after: Option<String>,
) -> Result<(Option<DeployedStack>, Vec<StackEvent>), DeployError> {
    let (mut last, mut all) = (after, Vec::new());
    loop {
        // The state before the events: those that led to it are among them.
        let now = account.stack(stack)?;
        if now.is_some() {
            for event in account.events(stack, last.as_deref())? {
                observer.tell(Told::Event { stack, event: &event });
                last = Some(event.id.clone());
                all.push(event);
            }
        }
        if judge::next(now.as_ref()) != judge::Next::Wait {
            return Ok((now, all));
        }
        account.pause();
    }
}

/// The newest event, after which an operation's own ones come.
fn newest(account: &dyn Account, stack: &str) -> Result<Option<String>, DeployError> {
    Ok(account.newest_event(stack)?)
}

#[cfg(test)]
mod tests;
