//! `kidu data`: one file a verb.

mod import;
mod split;
mod synth;

use crate::{Outcome, cli::DataCommand};

pub(super) fn run(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Import(arguments) => import::run(arguments),
        DataCommand::Split(arguments) => split::run(arguments),
        DataCommand::Synth(arguments) => synth::run(arguments),
    }
}
