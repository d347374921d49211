//! What is said where the account's calls were left out of the build.

use std::process::ExitCode;

use clap::Args;

use kidu_infra::{core::Assembly, diff::StackDiff};

use super::{DiffArgs, OutputsArgs};

/// Whatever was written after the verb.
#[derive(Args, Debug)]
pub(super) struct AnyArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<String>,
}

pub(super) type DeployArgs = AnyArgs;
pub(super) type DestroyArgs = AnyArgs;
pub(super) type StatusArgs = AnyArgs;

fn missing<T>() -> anyhow::Result<T> {
    anyhow::bail!("this kidu-infra was built without AWS; build it with the cargo feature 'deploy' (on by default)")
}

pub(super) fn deploy(_: &DeployArgs) -> anyhow::Result<ExitCode> {
    missing()
}

pub(super) fn destroy(_: &DestroyArgs) -> anyhow::Result<ExitCode> {
    missing()
}

pub(super) fn status(_: &StatusArgs) -> anyhow::Result<ExitCode> {
    missing()
}

pub(super) fn diff(_: &DiffArgs, _: &Assembly) -> anyhow::Result<Vec<StackDiff>> {
    missing()
}

pub(super) fn outputs(_: &OutputsArgs) -> anyhow::Result<ExitCode> {
    missing()
}

pub(super) fn exit_code(_: &anyhow::Error) -> Option<u8> {
    None
}
