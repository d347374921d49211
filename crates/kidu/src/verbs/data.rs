//! `kidu data`: one file a verb.

mod preview;
mod split;
mod synth;

use crate::{Outcome, cli::DataCommand};

pub(super) fn run(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Preview(arguments) => preview::run(arguments),
        DataCommand::Split(arguments) => split::run(arguments),
        DataCommand::Synth(arguments) => synth::run(arguments),
    }
}
