//! What people ask for.

use kidu_pipeline::ledger::entry_text;

use super::Supervisor;
use crate::{
    control::{Answer, Command},
    error::{DeployError, Result},
    machine::Event,
    package,
    state::{Environment, Kind, Request},
};

impl Supervisor {
    /// Does what is asked for, or says why not.
    pub(super) fn command(&mut self, command: Command) -> Answer {
        match self.carry_out(command) {
            Ok(()) => {
                self.settle();
                self.read_ledger();
                Answer::Done(Box::new(self.status()))
            }
            Err(DeployError::Refused(why)) => Answer::Refused(why),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Run { version, actor, reason } => {
                let version = match version {
                    Some(version) => version,
                    None => self.newest_approved()?,
                };
                self.request(version, Kind::Deploy, &actor, reason.as_deref())
            }
            Command::Approve { version, actor, reason } => self.approve(version, &actor, reason.as_deref()),
            Command::Reject { actor, reason } => {
                let (actor, reason) = (entry_text("actor", &actor)?, entry_text("reason", &reason)?);
                self.apply(&Event::Rejected { actor, reason })
            }
            Command::Rollback { to, actor, reason } => {
                let to = self.rollback_target(to)?;
                self.request(to, Kind::Rollback, &actor, reason.as_deref())
            }
            // Stop is the loop's.
            Command::Status | Command::Stop => Ok(()),
        }
    }

    fn request(&mut self, version: u32, kind: Kind, actor: &str, reason: Option<&str>) -> Result<()> {
        // Nothing is deployed where the live version takes back what a canary had.
        if kind == Kind::Deploy || self.state.live != Some(version) {
            package::approved(&self.registry, version)?;
        }
        let actor = entry_text("actor", actor)?;
        let reason = reason.map(|r| entry_text("reason", r)).transpose()?;
        self.apply(&Event::Requested(Request { version, kind, actor, reason }))
    }

    fn newest_approved(&self) -> Result<u32> {
        let newest = self.registry.incumbent()?.map(|v| v.version);
        newest.ok_or_else(|| {
            DeployError::Refused(format!(
                "no version of '{}' is approved: only approved versions are deployed; `kidu model list` shows them",
                self.registry.group()
            ))
        })
    }

    fn approve(&mut self, version: Option<u32>, actor: &str, reason: Option<&str>) -> Result<()> {
        let release = self.state.release.as_ref().map(|r| (r.number, r.request.version));
        if let Some((number, under_way)) = release {
            if let Some(meant) = version.filter(|v| *v != under_way) {
                let why = format!("release {number} is of version {under_way}, not of {meant}; nothing was approved");
                return Err(DeployError::State(why));
            }
            package::approved(&self.registry, under_way)?;
        }
        let actor = entry_text("actor", actor)?;
        let reason = reason.map(|r| entry_text("reason", r)).transpose()?;
        self.apply(&Event::Approved { actor, reason })
    }

    /// The version that a rollback brings back: the live one while a canary is under way, else the last one before it
    /// that is still approved.
    fn rollback_target(&self, to: Option<u32>) -> Result<u32> {
        if let Some(to) = to {
            return Ok(to);
        }
        let release = self.state.release.as_ref().filter(|r| r.request.kind == Kind::Deploy);
        let in_production = release.is_some_and(|r| self.machine.place(&r.step) == Some(Environment::Production));
        if let Some(live) = self.state.live.filter(|_| in_production) {
            return Ok(live);
        }
        let approved = |v: &&u32| package::approved(&self.registry, **v).is_ok();
        self.state.earlier.iter().rev().find(approved).copied().ok_or_else(|| {
            DeployError::State(
                "there is no earlier version to go back to: none was in production that is still approved".into(),
            )
        })
    }
}
