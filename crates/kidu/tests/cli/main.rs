//! The `kidu` command as people and machines call it: whole processes, small images, few steps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod bad_config;
mod bad_data;
#[cfg(unix)]
mod bad_disk;
mod bench;
mod check;
mod command;
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
mod run_folder;
mod s3;
mod tools;
mod versions;
