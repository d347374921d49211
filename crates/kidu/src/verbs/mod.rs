//! One file a verb.

mod bench;
mod config;
mod data;
mod dataset;
mod demo;
mod doctor;
mod evaluate;
mod explain;
mod gate;
mod model;
mod multirun;
mod pipeline;
mod predict;
mod train;

use clap::CommandFactory;

use crate::{
    Outcome,
    cli::{Cli, Command},
};

/// Carries out the command line.
pub(crate) fn run(cli: &Cli) -> Outcome {
    match &cli.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Data(command) => data::run(command),
        Command::Train(arguments) if arguments.multirun => multirun::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::TuneLr(arguments) => train::tune_lr::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Gate(arguments) => gate::run(arguments),
        Command::Pipeline(command) => pipeline::run(command),
        Command::Model(command) => model::run(command),
        Command::Config(command) => config::run(command),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "kidu", &mut script);
            crate::ui::line(String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}
