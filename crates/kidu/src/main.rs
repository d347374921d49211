//! The `kidu` command: from a folder of images to a judged, registered and approved classifier.

// Burn's module tree is deep.
#![recursion_limit = "256"]

mod cli;
mod failure;
mod git;
mod hyperparameters;
mod run_dir;
mod settings;
mod step;
mod stop;
mod stores;
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

/// `mi_option_purge_delay` of mimalloc.h, which the binding does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Keeps freed memory in the process: every training step needs as much again, and faulting it in anew takes a seventh
/// of the step. A server needs it again, too, but shall be small between its bursts. `MIMALLOC_PURGE_DELAY` in the
/// environment still decides.
#[allow(unsafe_code, reason = "an option of the allocator, set before any other thread exists")]
fn keep_freed_memory() {
    // SAFETY: sets an integer that mimalloc reads; a default does not override the environment.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, -1) };
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(cli.command, cli::Command::Serve(_)) {
        keep_freed_memory();
    }
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
