//! The crate from outside: folders, lists and archives in temporary folders, and the real scenes where they are.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, which the allowance for tests does not reach"
)]

mod archives;
mod checking;
mod dvc;
mod loading;
mod peer;
mod preparing;
mod real;
mod sources;
mod support;
mod versions;
