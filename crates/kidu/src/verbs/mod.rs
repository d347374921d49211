//! One file a verb.

mod annotate;
mod bench;
mod config;
mod data;
mod dataset;
mod demo;
mod deploy;
mod doctor;
mod evaluate;
mod explain;
mod gate;
mod graph;
mod model;
mod multirun;
mod pipeline;
mod predict;
mod report;
mod robustness;
#[cfg_attr(not(feature = "sagemaker"), path = "no_sagemaker.rs")]
mod sagemaker;
mod serve;
mod track;
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
        Command::Annotate(command) => annotate::run(command),
        Command::Train(arguments) if arguments.place.is_sagemaker() => sagemaker::train(arguments),
        Command::Train(arguments) if arguments.multirun => multirun::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::TuneLr(arguments) => train::tune_lr::run(arguments),
        Command::Search(arguments) if arguments.place.is_sagemaker() => sagemaker::search(arguments),
        Command::Search(arguments) => train::search::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Serve(options) => serve::run(options),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Robustness(arguments) => robustness::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Track(command) => track::run(command),
        Command::Gate(arguments) => gate::run(arguments),
        Command::Pipeline(command) if command.is_sagemaker() => sagemaker::pipeline(command),
        Command::Pipeline(command) => pipeline::run(command),
        Command::Model(command) if command.needs_sagemaker() => sagemaker::model(command),
        Command::Model(command) => model::run(command),
        Command::Deploy(command) => deploy::run(command),
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
