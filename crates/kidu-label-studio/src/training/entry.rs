//! The lines of the journal.

use serde::{Deserialize, Serialize};

use super::State;
use crate::{endpoint::ModelName, event::Event};

/// A line of the journal. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// Something happened in Label Studio.
    Event {
        /// When it was taken.
        at: u64,
        /// What.
        event: Event,
    },
    /// A build takes over everything that is pending.
    Planned {
        /// When.
        at: u64,
        /// Its id.
        build: String,
        /// Why now.
        reason: Reason,
    },
    /// The build is begun, or begun again after an interruption.
    Attempt {
        /// When.
        at: u64,
        /// Its id.
        build: String,
    },
    /// The build has ended by itself.
    Ended {
        /// When.
        at: u64,
        /// Its id.
        build: String,
        /// How.
        end: BuildEnd,
        /// In words.
        detail: String,
    },
    /// All that stood before it, as what it amounts to.
    Compacted {
        /// When.
        at: u64,
        /// What.
        state: Box<State>,
    },
    /// The endpoint serves another model.
    Model {
        /// When it was noticed.
        at: u64,
        /// The model.
        #[serde(flatten)]
        model: ModelName,
    },
}

/// Why a build starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody asked: START_TRAINING.
    Asked,
    /// Enough annotations are new or changed.
    Annotations,
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildEnd {
    /// There is a new, gated version.
    Succeeded,
    /// The gate said no: trained on, and not better.
    Refused,
    /// It failed: nothing was learned, so what it took over is pending again.
    Failed,
    /// It cannot be run as it is configured; not tried again unless somebody asks.
    Misconfigured,
}

/// A build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its id.
    pub id: String,
    /// Why it started.
    pub reason: Reason,
    /// How many annotations it took over.
    pub annotations: usize,
    /// When it was planned.
    pub planned: u64,
    /// How often it was begun.
    pub attempts: u32,
    /// When it ended.
    pub ended: Option<u64>,
    /// How it ended.
    pub end: Option<BuildEnd>,
    /// How it ended, in words.
    pub detail: String,
}
