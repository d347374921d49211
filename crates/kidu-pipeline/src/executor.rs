//! The two sides of the runner that others implement: who executes steps, and who hears of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use kidu_core::Sha256Hex;

use crate::{
    fingerprint::RerunReason,
    graph::Step,
    resolve::ResolvedStep,
    run::{RunRecord, StepRecord},
};

/// An error of an executor, of whatever kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How an executed step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// Well; its outputs are written.
    Done,
    /// A gate said no (exit code 3).
    Refused {
        /// The rule that said no, as a sentence for people.
        rule: String,
    },
    /// It failed.
    Failed {
        /// Why, and what to do.
        message: String,
    },
    /// It was stopped and left what it needs to go on.
    Interrupted,
}

/// What a step may need beside its arguments.
#[derive(Debug)]
pub struct StepContext<'a> {
    /// The run's folder.
    pub run_dir: &'a Path,
    /// Where the step's own output to the terminal belongs.
    pub log: PathBuf,
    /// The run's resolved configuration as JSON.
    pub config: PathBuf,
    /// Whether an earlier attempt's files are in the step's folder, from which it should go on.
    pub resume: bool,
    /// A file that a process which writes to the step's folder holds locked: should it outlive the run, the next run
    /// waits for it.
    pub lock: &'a Path,
    /// Raised when the step should stop soon.
    pub stop: &'a AtomicBool,
}

/// Executes steps; the `kidu` command does it with a process of its own executable.
pub trait StepExecutor {
    /// Executes a step. An error counts as [`StepOutcome::Failed`].
    ///
    /// # Errors
    /// Whatever kept the step from running.
    fn execute(&self, step: &ResolvedStep, context: &StepContext<'_>) -> Result<StepOutcome, BoxError>;

    /// The content of an external input at the moment the step is about to run; `inputs` are the step's inputs by
    /// name. `None` leaves it to [`RunRequest::externals`](crate::RunRequest::externals).
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn external(
        &self,
        step: &Step,
        name: &str,
        inputs: &BTreeMap<String, PathBuf>,
    ) -> Result<Option<External>, BoxError> {
        let _ = (step, name, inputs);
        Ok(None)
    }

    /// Whether what a cached step did outside its folder is no longer so (a registered version that was removed), as
    /// a clause that says what. Outputs are by name.
    fn undone(&self, step: &Step, outputs: &BTreeMap<String, PathBuf>) -> Option<String> {
        let _ = (step, outputs);
        None
    }
}

/// The content of an external input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Hash of all that counts in it.
    pub hash: Sha256Hex,
}

impl External {
    /// An input with that content.
    pub fn new(hash: Sha256Hex) -> Self {
        Self { hash }
    }

    /// That there is no such input in this run.
    pub fn none() -> Self {
        Self { hash: Sha256Hex::of_bytes(b"") }
    }
}

/// What a run tells of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// The run begins; steps follow.
    RunStarted {
        /// Its record.
        record: &'a RunRecord,
        /// Its folder.
        dir: &'a Path,
    },
    /// Another run makes the same step; this one waits for it.
    StepWaiting {
        /// The step.
        step: &'a str,
    },
    /// A step is executed.
    StepStarted {
        /// The step.
        step: &'a str,
        /// Its place among the steps, from 1.
        number: usize,
        /// How many steps there are.
        of: usize,
        /// Why it is not taken from the cache.
        reason: &'a RerunReason,
        /// Whether it goes on from an unfinished attempt.
        resume: bool,
    },
    /// A step ended: from the cache, well, refused, failed, stopped or skipped.
    StepEnded {
        /// Its record.
        record: &'a StepRecord,
        /// Its place among the steps, from 1.
        number: usize,
        /// How many steps there are.
        of: usize,
    },
    /// The run is over.
    RunEnded {
        /// Its record.
        record: &'a RunRecord,
        /// Its folder.
        dir: &'a Path,
    },
}

/// Hears what a run tells of itself.
pub trait RunObserver {
    /// Something happened.
    fn event(&self, event: &RunEvent<'_>);
}

/// An observer that does not listen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl RunObserver for Unobserved {
    fn event(&self, _: &RunEvent<'_>) {}
}
