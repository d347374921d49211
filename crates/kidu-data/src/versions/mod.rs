//! Immutable, content-addressed versions of a dataset.
//!
//! A [`VersionStore`] is a folder (by default `.kidu-data` beside the data) that keeps every file content once, by its
//! SHA-256, and every version as one JSON file that lists paths, hashes, classes and splits. A version's id is the hash
//! of that list: the same tree has the same id everywhere, whoever takes the snapshot and wherever the folder lies.
//!
//! What is written is written in an order that makes an interruption harmless: contents, then the version, then the log.
//! A version that can be read is therefore whole; contents that no version names are removed by [`gc()`].

mod case;
mod checkout;
mod diff;
pub mod dvc;
mod error;
mod gc;
mod lineage;
mod lock;
mod log;
mod objects;
mod refs;
mod scan;
mod snapshot;
mod staging;
mod stat_index;
mod store;
mod tree;
mod verify;
mod version;

pub use checkout::{CheckedOut, CheckoutOptions, checkout};
pub use diff::{ChangeCounts, ClassChange, Diff, FileChange, Move, diff};
pub use error::{Result, VersionError};
pub use gc::{Garbage, KeepRule, gc, plan_gc};
pub use lineage::{DataLineage, FoundFile, lineage_of, pinned_source};
pub use log::{Event, LogEntry, LogRow};
pub use objects::LinkMode;
pub use refs::Tag;
pub use scan::{LinkPolicy, working_version};
pub use snapshot::{Snapshot, SnapshotOptions, snapshot};
pub use store::VersionStore;
pub use verify::{Damage, DamageKind, Verified, quarantine, verify};
pub use version::{ClassCount, MARKER, Statistics, Version, VersionFile};
