//! What a store no longer needs.

use std::{collections::HashSet, fs, path::PathBuf};

use kidu_core::{Progress, Sha256Hex, run::timestamp};

use super::{
    error::{Result, VersionError},
    lock,
    log::{Event, LogEntry},
    objects,
    store::VersionStore,
};

/// Which versions stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepRule {
    /// Of each dataset the last so many different versions, besides those with a tag. Without a number all stay.
    pub last: Option<usize>,
}

/// What can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Versions that no rule keeps, sorted.
    pub versions: Vec<Sha256Hex>,
    /// Contents that no version that stays names.
    pub objects: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Versions that stay.
    pub kept: usize,
}

/// Says what [`gc()`] would remove.
///
/// # Errors
/// [`VersionError::Setting`] for keeping no version at all; a version that cannot be read, since nobody knows then what
/// it needs.
pub fn plan_gc(store: &VersionStore, rule: KeepRule, progress: &dyn Progress) -> Result<Garbage> {
    let _held = lock::shared(store.dir(), progress)?;
    Ok(plan(store, rule)?.0)
}

/// Removes the versions that no rule keeps, and the contents that nothing needs then. A content that a version or a tag
/// needs is never removed: versions go first, so that an interruption leaves contents too many, never too few.
///
/// # Errors
/// As [`plan_gc`], and I/O.
pub fn gc(store: &VersionStore, rule: KeepRule, author: &str, progress: &dyn Progress) -> Result<Garbage> {
    let _held = lock::exclusive(store.dir(), progress)?;
    store.tidy()?;
    let (garbage, files) = plan(store, rule)?;
    if !garbage.versions.is_empty() {
        let event = Event::Gc { versions: garbage.versions.clone() };
        store.journal().append(LogEntry { time: timestamp(), author: author.into(), event })?;
    }
    for id in &garbage.versions {
        progress.set_message("versions");
        objects::remove(&store.version_file(id))?;
        let pinned = store.pinned_dir(id);
        if pinned.exists() {
            fs::remove_dir_all(&pinned).map_err(|e| VersionError::io("remove", &pinned, e))?;
        }
    }
    // The versions must be gone for good before what they name goes.
    objects::sync_all(store.dir())?;
    progress.begin("remove", "objects", Some(files.len() as u64));
    for file in &files {
        objects::remove(file)?;
        progress.advance(1);
    }
    progress.end();
    Ok(garbage)
}

fn plan(store: &VersionStore, rule: KeepRule) -> Result<(Garbage, Vec<PathBuf>)> {
    if rule.last == Some(0) {
        let reason = "must be at least 1: a dataset's last version always stays".into();
        return Err(VersionError::Setting { key: "--keep-last".into(), reason });
    }
    let (stay, go): (Vec<_>, Vec<_>) = {
        let keep = kept_by(store, rule)?;
        store.ids()?.into_iter().partition(|id| keep.as_ref().is_none_or(|keep| keep.contains(id)))
    };
    let mut needed: HashSet<Sha256Hex> = HashSet::new();
    for id in &stay {
        needed.extend(store.load(id)?.files.into_iter().map(|f| f.sha256));
    }
    let unneeded: Vec<_> = store.objects.all()?.into_iter().filter(|(hash, _, _)| !needed.contains(hash)).collect();
    let garbage = Garbage {
        versions: go,
        objects: unneeded.len(),
        bytes: unneeded.iter().map(|(_, _, bytes)| bytes).sum(),
        kept: stay.len(),
    };
    Ok((garbage, unneeded.into_iter().map(|(_, path, _)| path).collect()))
}

/// The versions that a rule keeps; nothing for all.
fn kept_by(store: &VersionStore, rule: KeepRule) -> Result<Option<HashSet<Sha256Hex>>> {
    let Some(last) = rule.last else { return Ok(None) };
    let mut keep: HashSet<Sha256Hex> = store.tags()?.into_iter().map(|t| t.version).collect();
    for dataset in store.datasets()? {
        let mut recent: Vec<Sha256Hex> = Vec::new();
        for id in store.history(&dataset)?.into_iter().rev() {
            if recent.len() == last {
                break;
            }
            if !recent.contains(&id) {
                recent.push(id);
            }
        }
        keep.extend(recent);
    }
    Ok(Some(keep))
}
