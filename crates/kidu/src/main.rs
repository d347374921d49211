//! The `kidu` command: from a folder of images to a judged, registered and approved classifier.

// Burn's module tree is deep.
#![recursion_limit = "256"]

mod cli;
mod failure;
mod git;
mod run_dir;
mod settings;
mod step;
mod stop;
mod ui;
mod verbs;

use std::process::ExitCode;

use clap::Parser;
use kidu_kernels::CacheAligned;

use crate::{cli::Cli, failure::Failure};

/// Networks allocate and free large tensors all the time; the system's allocator gives each back to the kernel, and a
/// third of the time of a forward pass goes into page faults. The kernels want their memory at cache lines.
#[global_allocator]
static ALLOCATOR: CacheAligned<mimalloc::MiMalloc> = CacheAligned(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match step::bind().and_then(|_held| verbs::run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported(_)) {
                ui::error(&failure);
            }
            failure.exit_code()
        }
    }
}

/// What a verb returns.
type Outcome<T = ()> = Result<T, Failure>;
