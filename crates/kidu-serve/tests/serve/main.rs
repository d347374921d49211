//! The server as its clients see it: over sockets, in this process and as a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "for whoever reads the test's output")]

mod browser;
mod contract;
mod fuzz;
mod limits;
mod load;
#[cfg(target_os = "linux")]
mod memory;
mod peers;
mod process;
mod support;
