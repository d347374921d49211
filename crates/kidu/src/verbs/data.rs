//! `kidu data`: one file a verb.

mod split;
mod synth;

use crate::{Outcome, cli::DataCommand};

pub(super) fn run(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Split(arguments) => split::run(arguments),
        DataCommand::Synth(arguments) => synth::run(arguments),
    }
}
