//! The backend as Label Studio sees it: real requests, a real endpoint, real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "for whoever reads the test's output")]

mod batch;
mod exchanges;
mod guard;
mod hanging;
#[cfg(feature = "aws")]
mod lambda;
mod matrix;
mod model;
mod process;
mod sdk;
mod storages;
mod support;
mod tls;
