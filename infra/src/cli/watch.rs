//! Who watches an operation at the terminal, and what is said when that is broken off.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::Context;
use kidu_infra::deploy::{Observer, Operation, ResourceChange, Told, judge::Risk};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

use super::note;

/// As shells tell that Ctrl-C ended a program.
const INTERRUPTED: i32 = 130;

/// What goes on in the account.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The template at work.
    template: String,
    /// The stack in the account and what is done with it; nothing as long as nothing was begun.
    underway: Option<(String, Operation)>,
}

/// Progress as lines on standard error.
pub(super) struct Console {
    started: Instant,
    progress: Arc<Mutex<Progress>>,
}

impl Console {
    /// Begins to watch, and to wait for Ctrl-C.
    pub(super) fn start() -> anyhow::Result<Self> {
        let progress = Arc::<Mutex<Progress>>::default();
        let seen = Arc::clone(&progress);
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot wait for Ctrl-C")?;
        thread::Builder::new().name("ctrl-c".into()).spawn(move || {
            if signals.forever().next().is_some() {
                let progress = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = writeln!(io::stderr(), "\n{}", interrupted(&progress));
                low_level::exit(INTERRUPTED);
            }
        })?;
        Ok(Self { started: Instant::now(), progress })
    }

    /// The next template: what was begun with the one before has ended.
    pub(super) fn turn_to(&self, template: &str) {
        self.change(|progress| *progress = Progress { template: template.into(), underway: None });
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What goes on in the account, how to follow it and how to stop it.
fn interrupted(progress: &Progress) -> String {
    let Some((stack, operation)) = &progress.underway else {
        return "interrupted: nothing was changed in the stack at work; a change set that was made already is taken up by the \
                same command"
            .into();
    };
    let (what, stop) = match operation {
        Operation::Creation => (
            "the change set that makes it goes on",
            format!("\n  to stop it:   aws cloudformation delete-stack --stack-name {stack}"),
        ),
        Operation::Update => (
            "the change set that changes it goes on",
            format!("\n  to cancel it: aws cloudformation cancel-update-stack --stack-name {stack}"),
        ),
        Operation::Deletion => ("its deletion goes on, and cannot be cancelled", String::new()),
        Operation::Other => ("the operation that it had under way goes on", String::new()),
    };
    format!(
        "interrupted: this ends the watching alone. Stack {stack}: {what} in the account.\n  to follow it: kidu-infra status {} \
         --stack-name {stack}, or the same command again{stop}",
        progress.template
    )
}

impl Observer for Console {
    fn tell(&self, told: Told<'_>) {
        let seconds = self.started.elapsed().as_secs();
        let clock = format!("{:>3}:{:02}", seconds / 60, seconds % 60);
        match told {
            Told::Begins { stack, what } => note(&format!("{clock}  {stack} {what}")),
            Told::Changes { changes, .. } => {
                changes.iter().for_each(|change| note(&format!("        {}", line(change))))
            }
            Told::Left { resource, .. } => {
                note(&format!("        ! {} ({}) {}", resource.logical_id, resource.kind, resource.what));
            }
            Told::Lost { resource: Risk { logical_id, kind, what }, refused, .. } => {
                let then = if refused { ": a deployment refuses that without --allow-replacement" } else { "" };
                note(&format!("        ! {logical_id} ({kind}) {what}{then}"));
            }
            Told::Underway { stack, operation } => {
                self.change(|progress| progress.underway = Some((stack.into(), operation)));
            }
            Told::Event { event, .. } => {
                let reason = event.reason.as_deref().filter(|r| !r.is_empty());
                let reason = reason.map(|r| format!(": {r}")).unwrap_or_default();
                note(&format!("{clock}  {:40} {}{reason}", event.logical_id, event.status));
            }
        }
    }
}

fn line(change: &ResourceChange) -> String {
    let sign = match change.action.as_str() {
        "Add" => "+",
        "Remove" => "-",
        _ => "~",
    };
    let replaced = match change.replacement.as_deref() {
        Some("True") => ", replaced",
        Some("Conditional") => ", perhaps replaced",
        _ => "",
    };
    format!("{sign} {} ({}){replaced}", change.logical_id, change.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_breaks_off_is_told_what_goes_on() {
        let of = |operation| {
            let underway = Some(("kidu-staging".to_string(), operation));
            interrupted(&Progress { template: "inference".into(), underway })
        };
        assert!(interrupted(&Progress::default()).contains("nothing was changed"));
        for operation in [Operation::Creation, Operation::Update, Operation::Deletion, Operation::Other] {
            let told = of(operation);
            assert!(told.contains("kidu-infra status inference --stack-name kidu-staging"), "{told}");
        }
        assert!(of(Operation::Update).contains("cancel-update-stack --stack-name kidu-staging"));
        assert!(of(Operation::Creation).contains("delete-stack --stack-name kidu-staging"));
        assert!(of(Operation::Deletion).contains("cannot be cancelled"));
    }
}
