//! `kidu data`: one file a verb.

mod check;
mod checkout;
mod diff;
mod gc;
pub(super) mod import;
mod log;
mod preprocess;
pub(super) mod preview;
mod push;
mod snapshot;
mod split;
pub(super) mod store;
mod synth;
mod tag;
mod verify;

use kidu_data::versions::ChangeCounts;

use crate::{Outcome, cli::DataCommand};

pub(super) fn run(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Import(arguments) => import::run(arguments),
        DataCommand::Check(arguments) => check::run(arguments),
        DataCommand::Preview(arguments) => preview::run(arguments),
        DataCommand::Split(arguments) => split::run(arguments),
        DataCommand::Synth(arguments) => synth::run(arguments),
        DataCommand::Snapshot(arguments) => snapshot::run(arguments),
        DataCommand::Log(arguments) => log::run(arguments),
        DataCommand::Diff(arguments) => diff::run(arguments),
        DataCommand::Checkout(arguments) => checkout::run(arguments),
        DataCommand::Push(arguments) => push::run(arguments),
        DataCommand::Gc(arguments) => gc::run(arguments),
        DataCommand::Verify(arguments) => verify::run(arguments),
        DataCommand::Tag(command) => tag::run(command),
    }
}

/// "3 added, 1 relabelled".
pub(super) fn changes(counts: &ChangeCounts) -> String {
    let ChangeCounts { added, removed, changed, moved, relabelled } = *counts;
    let all =
        [(added, "added"), (removed, "removed"), (changed, "changed"), (moved, "moved"), (relabelled, "relabelled")];
    let told: Vec<_> = all.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if told.is_empty() { "no file changed".into() } else { told.join(", ") }
}

/// "+3 ~1": added, removed, changed, moved or relabelled.
fn short_changes(counts: &ChangeCounts) -> String {
    let ChangeCounts { added, removed, changed, moved, relabelled } = *counts;
    let all = [('+', added), ('-', removed), ('~', changed), ('>', moved + relabelled)];
    let told: Vec<_> = all.into_iter().filter(|(_, n)| *n > 0).map(|(sign, n)| format!("{sign}{n}")).collect();
    if told.is_empty() { "none".into() } else { told.join(" ") }
}
