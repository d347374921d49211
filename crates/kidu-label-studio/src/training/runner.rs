//! What runs a build.

use std::{future::Future, path::PathBuf, pin::Pin};

use tokio::sync::watch;

use super::BuildEnd;

/// A build to run. Its id is what makes it one: a runner that gets the same order again goes on with that build, or
/// tells how it ended; it never begins a second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOrder {
    /// The id, unique for ever; usable as a file name and as an idempotency token.
    pub id: String,
    /// How many annotations are new to it.
    pub annotations: usize,
    /// Projects with annotations of it that Label Studio has not written into its target storages.
    pub unwritten: Vec<u64>,
    /// A folder of its own, for its log.
    pub dir: PathBuf,
}

/// How a run of a build ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The build has ended.
    Done(BuildEnd, String),
    /// The build was interrupted, and can be gone on with.
    Interrupted(String),
}

/// A build that cannot be run now, for a reason that is not its own: no process, no network. Tried again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RunnerError(pub String);

/// Turns true when the backend ends: a runner lets go of its build, in a state from which it can be gone on with.
pub type Stop = watch::Receiver<bool>;

/// Waits until the backend is to end.
pub(super) async fn stopped(stop: &mut Stop) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What comes of a run, later.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<RunEnd, RunnerError>> + Send + 'a>>;

/// Runs builds, one at a time: a local process, or a pipeline in the cloud.
pub trait Runner: Send + Sync + 'static {
    /// What it runs, in words, without secrets.
    fn describe(&self) -> String;

    /// Begins a build, or goes on with it, and waits for its end. Dropping the future may leave the build running; the
    /// next call with the same order finds it.
    fn run(&self, order: BuildOrder, stop: Stop) -> Running<'_>;
}
