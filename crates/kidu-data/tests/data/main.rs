//! The crate from outside: folders, lists and archives in temporary folders, and the real scenes where they are.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, which the allowance for tests does not reach"
)]

mod archives;
mod checking;
mod dvc;
mod gallery;
mod loading;
mod odd_trees;
mod peer;
mod preparing;
mod real;
mod sources;
mod support;
mod versions;
