//! The registry, from which approvals come.

use std::time::Instant;

use kidu_pipeline::{LedgerEntry, Status};

use super::{AUTOMATIC, Supervisor};
use crate::{
    error::{DeployError, Result},
    machine::Event,
    settings::seconds,
    state::{Kind, Request},
};

impl Supervisor {
    /// Looks, if it is time, at what the registry's ledger has got since the last look.
    pub(super) fn watch(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < seconds(self.settings.watch_seconds)) {
            return;
        }
        self.looked = Some(Instant::now());
        let len = self.len_of_ledger();
        if len == self.ledger_len && self.state.ledger_seen.is_some() {
            return;
        }
        match self.registry.history() {
            Ok(entries) => {
                self.ledger_len = len;
                self.look(&entries);
            }
            Err(error) => tracing::error!(%error, "the registry cannot be read; it is tried again"),
        }
    }

    fn look(&mut self, entries: &[LedgerEntry]) {
        let before = self.state.ledger_seen;
        let (found, dir) = (entries.len(), self.registry.dir().display());
        let lost = before.filter(|seen| found < *seen);
        // Gone for a moment, as where its disk is: what comes back is no news.
        if let Some(seen) = lost.filter(|_| found == 0) {
            tracing::error!(%dir, seen, "the registry's ledger is gone; it is looked at again when it changes");
            return;
        }
        if let Some(seen) = lost {
            tracing::error!(%dir, seen, found, "the registry's ledger has lost entries; from here on it is taken as it is");
        }
        let events = match before {
            Some(seen) => news(entries.get(seen..).unwrap_or_default()),
            // The first look ever: what is approved already is deployed, if nothing is.
            None if self.state.live.is_none() && self.state.release.is_none() => self.incumbent().into_iter().collect(),
            None => Vec::new(),
        };
        let wanted = |event: &Event| self.settings.on_approval || !matches!(event, Event::Requested(_));
        let events: Vec<Event> = events.into_iter().filter(wanted).collect();
        if let Err(error) = self.take_in(&events, found) {
            tracing::error!(%error, "the state cannot be written; it is tried again");
            self.state.ledger_seen = before;
            self.ledger_len = None;
        }
        self.settle();
    }

    /// What the ledger's first `seen` entries have brought, written down with the last of it, so that nothing is lost: what came
    /// before that may well be taken in twice.
    fn take_in(&mut self, events: &[Event], seen: usize) -> Result<()> {
        for (i, event) in events.iter().enumerate() {
            if i + 1 == events.len() {
                self.state.ledger_seen = Some(seen);
            }
            match self.apply(event) {
                Ok(()) => {}
                Err(error @ DeployError::Core(_)) => return Err(error),
                Err(error) => tracing::info!(%error, ?event, "nothing to do for the registry's news"),
            }
        }
        self.state.ledger_seen = Some(seen);
        self.store.save(&self.state)
    }

    fn incumbent(&self) -> Option<Event> {
        let version = self.registry.incumbent().ok().flatten()?.version;
        let reason = Some("the newest approved version".to_string());
        Some(Event::Requested(Request { version, kind: Kind::Deploy, actor: AUTOMATIC.into(), reason }))
    }
}

/// What new entries mean: withdrawn versions, and the newest approval that was not withdrawn.
fn news(entries: &[LedgerEntry]) -> Vec<Event> {
    let decisions = || entries.iter().filter(|e| e.deployment.is_none());
    let last = |version| decisions().rfind(move |e| e.version == version).map(|e| e.to);
    let mut events: Vec<Event> = decisions()
        .filter(|e| e.to == Status::Rejected && last(e.version) == Some(Status::Rejected))
        .map(|e| Event::Withdrawn { version: e.version, actor: e.actor.clone(), reason: e.reason.clone() })
        .collect();
    let approved = decisions().rfind(|e| e.to == Status::Approved && last(e.version) == Some(Status::Approved));
    events.extend(approved.map(|e| {
        let reason = match &e.reason {
            Some(reason) => format!("approved in the registry: {reason}"),
            None => "approved in the registry".into(),
        };
        Event::Requested(Request {
            version: e.version,
            kind: Kind::Deploy,
            actor: e.actor.clone(),
            reason: Some(reason),
        })
    }));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u32, from: Option<Status>, to: Status) -> LedgerEntry {
        let (actor, time) = ("ana".into(), "2026-11-26T06:00:00Z".into());
        LedgerEntry { time, version, actor, reason: None, from, to, registered: None, deployment: None }
    }

    #[test]
    fn the_newest_approval_counts_and_withdrawals_do() {
        use Status::{Approved, PendingManualApproval as Pending, Rejected};
        let versions = |events: Vec<Event>| -> Vec<(bool, u32)> {
            let one = |e: &Event| match e {
                Event::Requested(r) => (true, r.version),
                Event::Withdrawn { version, .. } => (false, *version),
                other => panic!("{other:?}"),
            };
            events.iter().map(one).collect()
        };
        assert_eq!(versions(news(&[entry(1, None, Pending)])), []);
        assert_eq!(versions(news(&[entry(1, Some(Pending), Approved), entry(2, None, Approved)])), [(true, 2)]);
        let withdrawn = [entry(1, Some(Pending), Approved), entry(1, Some(Approved), Rejected)];
        assert_eq!(versions(news(&withdrawn)), [(false, 1)]);
        let again = [withdrawn.as_slice(), &[entry(1, Some(Rejected), Approved)]].concat();
        assert_eq!(versions(news(&again)), [(true, 1)]);
    }
}
