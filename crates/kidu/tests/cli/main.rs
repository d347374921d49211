//! The `kidu` command as people and machines call it: whole processes, small images, few steps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod active;
#[cfg(unix)]
mod annotate;
mod annotate_target;
mod bad_config;
mod bad_data;
#[cfg(unix)]
mod bad_disk;
mod bench;
mod check;
mod command;
#[cfg(unix)]
mod container;
mod deploy;
#[cfg(feature = "aws")]
mod doctor;
mod fixture;
mod import;
mod judged;
mod peer;
mod pipeline;
mod predict;
mod preprocess;
mod preview;
mod registry;
#[cfg(unix)]
mod resume;
mod robustness;
mod run_folder;
mod s3;
mod sagemaker;
#[cfg(unix)]
mod search;
mod tools;
#[cfg(unix)]
mod tracking;
mod versions;
