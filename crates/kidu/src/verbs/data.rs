//! `kidu data`: one file a verb.

mod check;
mod split;
mod synth;

use crate::{Outcome, cli::DataCommand};

pub(super) fn run(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Check(arguments) => check::run(arguments),
        DataCommand::Split(arguments) => split::run(arguments),
        DataCommand::Synth(arguments) => synth::run(arguments),
    }
}
