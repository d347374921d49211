//! What is deployed and what is under way: all that a supervisor needs to go on after any end.

use std::fmt;

use kidu_pipeline::Transition;
use serde::{Deserialize, Serialize};

/// Where servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Where a version is tested.
    Staging,
    /// Where it answers people.
    Production,
}

impl Environment {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Staging, Self::Production];

    /// The name, as in the deploy pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staging => kidu_pipeline::deploy_pipeline::STAGING,
            Self::Production => kidu_pipeline::deploy_pipeline::PRODUCTION,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state of a folder of deployments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's form.
    pub format: u32,
    /// Identity of the folder in the ledger.
    pub keeper: String,
    /// The group of the registry whose versions are deployed; nothing before the first supervisor.
    pub group: Option<String>,
    /// Transitions so far.
    pub sequence: u64,
    /// Releases so far.
    pub releases: u64,
    /// Entries of the registry's ledger that were looked at for approvals; nothing before the first look.
    pub ledger_seen: Option<usize>,
    /// The version in production.
    pub live: Option<u32>,
    /// Versions that were in production before, oldest first.
    pub earlier: Vec<u32>,
    /// The version in staging.
    pub staging: Option<u32>,
    /// The release under way.
    pub release: Option<Release>,
    /// The release that comes after it.
    pub next: Option<Request>,
    /// The last releases that ended, oldest first.
    pub ended: Vec<Ended>,
    /// Entries that the ledger may not have yet.
    pub outbox: Vec<Outgoing>,
}

/// Why there is a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An approved version takes the whole way.
    Deploy,
    /// A version that was in production comes back: no tests, no canary.
    Rollback,
}

/// Somebody wants a version in production.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version.
    pub version: u32,
    /// Why there is a release.
    pub kind: Kind,
    /// Who wants it.
    pub actor: String,
    /// What for.
    pub reason: Option<String>,
}

/// A release under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// What was asked for.
    pub request: Request,
    /// The step of the deploy pipeline that it is in.
    pub step: String,
    /// How far it is in the step.
    pub phase: Phase,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it came into the step or phase.
    pub since: String,
}

/// How far a release is in its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Phase {
    /// The step's work is being done.
    Working,
    /// The environment's server is to become ready.
    Starting,
    /// It gets a share of production's requests.
    Canary {
        /// Which of the shares.
        share: usize,
    },
    /// It waits for a person.
    Waiting,
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is in production.
    Live,
    /// A step failed.
    Failed,
    /// A test said no.
    Refused,
    /// A person said no, or the registry took the approval back.
    Rejected,
    /// It was in production, in part or whole, and was taken back.
    RolledBack,
    /// A newer request took its place.
    Superseded,
}

impl Ending {
    /// The name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled back",
            Self::Superseded => "superseded",
        }
    }
}

/// A release that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its number.
    pub number: u64,
    /// Its version.
    pub version: u32,
    /// How it ended.
    pub ending: Ending,
    /// The step it was in.
    pub step: String,
    /// Why.
    pub reason: Option<String>,
    /// When, RFC 3339.
    pub time: String,
}

/// An entry on its way to the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The version.
    pub version: u32,
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// What.
    pub what: Transition,
}

impl State {
    /// The form of the file that this code writes.
    pub const FORMAT: u32 = 1;

    /// Nothing is deployed.
    pub fn new(keeper: String) -> Self {
        Self {
            format: Self::FORMAT,
            keeper,
            group: None,
            sequence: 0,
            releases: 0,
            ledger_seen: None,
            live: None,
            earlier: Vec::new(),
            staging: None,
            release: None,
            next: None,
            ended: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// The versions whose packages are in use, or would be by a rollback.
    pub fn versions_in_use(&self) -> Vec<u32> {
        let under_way = self.release.as_ref().map(|r| r.request.version);
        [self.live, self.staging, under_way, self.earlier.last().copied()].into_iter().flatten().collect()
    }
}
