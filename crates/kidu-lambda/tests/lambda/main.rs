//! The real binary under a runtime API of our own, with recorded events.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod emulator;
mod events;
mod runtime_api;
mod s3;
