//! From annotations to a new model: what happened is written to a journal, a pure decision says when a build starts, a
//! [`Runner`] runs it.
//!
//! Everything follows from the journal, so that a kill at any point loses no event and has none trained on twice: an event
//! is answered only after it is on disk; a build takes over what is pending by one line, before it begins, and runs again
//! under the same name until its end is written.

mod entry;
mod group;
mod journal;
mod local;
mod pairs;
mod runner;
mod state;
mod storages;
mod supervisor;

pub use entry::{Build, BuildEnd, Entry, Reason};
pub use journal::LoopJournal;
pub use local::{BuildLimits, LocalRunner};
pub use runner::{BuildOrder, RunEnd, Runner, RunnerError, Running, Stop};
pub use state::{Decision, State, Trigger, decide};
pub use storages::TargetStorages;
pub use supervisor::Supervisor;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
