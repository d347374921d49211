//! Tests of the whole: what synthesis writes, against snapshots, AWS's own models and the linters.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod authorization;
mod boundary;
#[cfg(unix)]
mod builds;
mod cli;
#[cfg(unix)]
mod container;
mod debounce;
mod definition;
#[cfg(feature = "deploy")]
mod deploy;
#[cfg(feature = "deploy")]
mod deployed;
#[cfg(unix)]
mod execute;
#[cfg(unix)]
mod files;
mod github;
mod handlers;
mod hook;
#[cfg(all(feature = "deploy", unix))]
mod interrupt;
mod linters;
mod moto;
mod original;
#[cfg(feature = "deploy")]
mod outputs;
mod policies;
mod schemas;
mod snapshots;
mod templates;

use kidu_infra::{Settings, core::Assembly};

/// Everything, with the settings that are the defaults.
fn synthesised() -> Assembly {
    kidu_infra::synth(&Settings::default()).unwrap()
}
