//! Supervisors, servers and clients as processes on loopback.
//!
//! The supervisor and the servers are this very test binary, started with the name of one of the tests in `roles`: so
//! nothing else has to be built.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what helps to understand a failure, and what was measured"
)]

mod canary;
mod front;
mod gates;
mod promotion;
mod recovery;
mod roles;
mod support;
