//! What happened to a store, in order.

use std::collections::HashMap;

use kidu_core::Sha256Hex;
use serde::{Deserialize, Serialize};

use super::{diff::ChangeCounts, error::Result, store::VersionStore};

/// One line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub author: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A dataset's latest version changed.
    Snapshot {
        /// Name of the dataset.
        dataset: String,
        /// The version that it is now.
        version: Sha256Hex,
        /// What it was before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Sha256Hex>,
        /// Why.
        message: String,
        /// Number of files.
        files: u64,
        /// Their size in bytes.
        bytes: u64,
        /// Labelled images among them.
        images: u64,
        /// What changed since the parent.
        changes: ChangeCounts,
    },
    /// A tag was set or moved.
    Tag {
        /// The tag.
        name: String,
        /// The version it stands for.
        version: Sha256Hex,
    },
    /// A tag was removed.
    Untag {
        /// The tag.
        name: String,
    },
    /// Versions were dropped.
    Gc {
        /// Their ids.
        versions: Vec<Sha256Hex>,
    },
}

/// A snapshot as the log shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogRow {
    /// The entry.
    #[serde(flatten)]
    pub entry: LogEntry,
    /// Tags of its version.
    pub tags: Vec<String>,
    /// Whether it is the dataset's latest.
    pub latest: bool,
    /// Whether the version is still there.
    pub kept: bool,
}

impl VersionStore {
    /// The snapshots of a dataset, or of all, newest first.
    ///
    /// # Errors
    /// An I/O error, or a line of the log that is none.
    pub fn log(&self, dataset: Option<&str>) -> Result<Vec<LogRow>> {
        let tags = self.tags()?;
        let mut seen: HashMap<String, ()> = HashMap::new();
        let mut rows = Vec::new();
        for entry in self.journal().read()?.into_iter().rev() {
            let Event::Snapshot { dataset: of, version, .. } = &entry.event else { continue };
            if dataset.is_some_and(|wanted| wanted != of) {
                continue;
            }
            let latest = seen.insert(of.clone(), ()).is_none();
            let tags = tags.iter().filter(|t| t.version == *version).map(|t| t.name.clone()).collect();
            let kept = self.has(version);
            rows.push(LogRow { tags, latest, kept, entry });
        }
        Ok(rows)
    }

    /// A dataset's versions as they followed each other, oldest first; a version that came back stands twice.
    pub(super) fn history(&self, dataset: &str) -> Result<Vec<Sha256Hex>> {
        let of = |entry: LogEntry| match entry.event {
            Event::Snapshot { dataset: of, version, .. } if of == dataset => Some(version),
            _ => None,
        };
        Ok(self.journal().read()?.into_iter().filter_map(of).collect())
    }

    /// The names of the datasets, sorted.
    ///
    /// # Errors
    /// As [`VersionStore::log`].
    pub fn datasets(&self) -> Result<Vec<String>> {
        let of = |entry: LogEntry| match entry.event {
            Event::Snapshot { dataset, .. } => Some(dataset),
            _ => None,
        };
        let mut names: Vec<_> = self.journal().read()?.into_iter().filter_map(of).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
