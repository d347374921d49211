//! `kidu-infra`: templates and the pipeline definition, checked, compared, and brought into an account.

#[cfg(feature = "deploy")]
mod account;
mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
