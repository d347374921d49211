//! A stack out of an account.

use super::{
    Account, DeployError, Observer, Operation, Told,
    judge::{self, Next},
    newest,
    up::token,
    wait,
};
use crate::core::Template;

/// How often a stack is looked at that shows no sign of its deletion.
const LOOKS: u32 = 60;

/// Deletes a stack, by a role or by that which made it, and waits for the end. Gives whether it was there.
///
/// # Errors
/// [`DeployError`].
pub fn destroy(
    account: &dyn Account,
    observer: &dyn Observer,
    stack: &str,
    role: Option<&str>,
) -> Result<bool, DeployError> {
    let mut present = account.stack(stack)?;
    if judge::next(present.as_ref()) == Next::Wait {
        observer.tell(Told::Begins { stack, what: "has an operation under way, which is waited for" });
        observer.tell(Told::Underway { stack, operation: Operation::Other });
        present = wait(account, observer, stack, newest(account, stack)?)?.0;
    }
    let Some(now) = present else { return Ok(false) };
    if now.protected {
        let what = "it is protected against deletion; lift that in the console or with \
                    `aws cloudformation update-termination-protection` first";
        return Err(DeployError::Stuck { stack: stack.into(), status: now.status, what: what.into() });
    }
    observer.tell(Told::Begins { stack, what: "is deleted" });
    let before = newest(account, stack)?;
    observer.tell(Told::Underway { stack, operation: Operation::Deletion });
    account.delete_stack(stack, &token("kidu-delete", before.as_deref()), role)?;
    let mut events = Vec::new();
    for _ in 0..LOOKS {
        let (after, seen) = wait(account, observer, stack, events.last().map_or(before.clone(), id_of))?;
        events.extend(seen);
        match after {
            None => return Ok(true),
            // Without an event it is how an earlier deletion ended.
            Some(after) if after.status == "DELETE_FAILED" && !events.is_empty() => {
                let causes = judge::causes(&events, stack);
                return Err(DeployError::Failed { stack: stack.into(), status: after.status, causes });
            }
            // It has not begun yet, or is gone at the next look.
            Some(_) => account.pause(),
        }
    }
    let what = "its deletion did not begin; look at its events in the console".to_string();
    Err(DeployError::Stuck { stack: stack.into(), status: now.status, what })
}

fn id_of(event: &super::StackEvent) -> Option<String> {
    Some(event.id.clone())
}

/// What stays in the account when a stack goes: names and types.
pub fn kept(template: &Template) -> Vec<(String, String)> {
    let stays =
        template.resources().filter(|(_, r)| r["DeletionPolicy"].as_str().is_some_and(|p| p.starts_with("Retain")));
    stays.map(|(id, r)| (id.to_string(), r["Type"].as_str().unwrap_or_default().to_string())).collect()
}
