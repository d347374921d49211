//! Imports from outside: the recorded files of a real Label Studio, one project in every format, and what must not
//! happen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod behaviour;
mod contract;
mod formats;
mod fuzz;
mod sources;
mod support;
mod withdrawn;
