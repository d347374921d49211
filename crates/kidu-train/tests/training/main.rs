//! Training as a whole: against PyTorch's numbers, and against itself after interruptions.

#![allow(clippy::unwrap_used, reason = "a test's helper may fail like the test itself")]

mod behaviour;
mod files;
mod goldens;
mod resume;
mod tiny;
