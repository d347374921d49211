//! The pipeline, its runner, cache and registry together, with an executor that writes small files.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod registry;
mod runner;
