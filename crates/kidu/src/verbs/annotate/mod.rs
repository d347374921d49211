//! `kidu annotate`: one file a verb.

mod backbone;
mod project;
mod rank;
mod server;
mod simulate;
mod sync;

use crate::{Outcome, cli::AnnotateCommand};

pub(super) fn run(command: &AnnotateCommand) -> Outcome {
    match command {
        AnnotateCommand::Project(arguments) => project::run(arguments),
        AnnotateCommand::Sync(arguments) => sync::run(arguments),
        AnnotateCommand::Rank(arguments) => rank::run(arguments),
        AnnotateCommand::Simulate(arguments) => simulate::run(arguments),
    }
}
