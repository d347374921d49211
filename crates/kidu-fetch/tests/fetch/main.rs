//! Fetching from a real server over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod guard;
mod label_studio;
mod limits;
mod server;
mod tls;
