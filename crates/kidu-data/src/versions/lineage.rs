//! Which version a dataset is: what a training run records.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex};

use super::{
    checkout::{CheckoutOptions, place},
    error::{Result, VersionError},
    lock,
    objects::LinkMode,
    stat_index::StatIndex,
    store::VersionStore,
    version::{MARKER, Version},
};
use crate::settings::DataSettings;

/// What is known of the version that images belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataLineage {
    /// They lie in no checked out or snapshotted folder.
    None,
    /// They are those of this version, each at its path and with its content.
    Version(Sha256Hex),
    /// The folder was this version, and has changed.
    Changed {
        /// The version.
        version: Sha256Hex,
        /// Images that are not in it, are in it with another content, or are missing.
        differing: usize,
    },
}

/// A file that a dataset was read from.
#[derive(Clone, Copy, Debug)]
pub struct FoundFile<'a> {
    /// Path relative to the dataset's root.
    pub path: &'a str,
    /// Its hash; nothing for one that could not be read.
    pub sha256: Option<&'a Sha256Hex>,
}

/// Finds the version of which the folder `root` (or one above it) is a checkout or was last a snapshot, and holds the
/// files that were found to it: each must be in it, and with `all` none of its labelled images below `root` may be
/// missing. `store` is where snapshots are; without it the store beside each folder is looked at.
///
/// # Errors
/// A marker or version that is damaged.
pub fn lineage_of(root: &Path, found: &[FoundFile<'_>], all: bool, store: Option<&Path>) -> Result<DataLineage> {
    let Ok(root) = root.canonicalize() else { return Ok(DataLineage::None) };
    for folder in root.ancestors() {
        let Some(version) = version_at(folder, store)? else { continue };
        let prefix = root.strip_prefix(folder).unwrap_or(Path::new(""));
        let prefix: String = prefix.components().map(|c| format!("{}/", c.as_os_str().to_string_lossy())).collect();
        let same = |f: &FoundFile<'_>| {
            let known = version.file(&format!("{prefix}{}", f.path));
            known.is_some_and(|known| f.sha256.is_none_or(|found| *found == known.sha256))
        };
        let mut differing = found.iter().filter(|f| !same(f)).count();
        if all {
            let paths: HashSet<&str> = found.iter().map(|f| f.path).collect();
            let labelled = version.files.iter().filter(|f| f.class.is_some());
            let below = labelled.filter_map(|f| f.path.strip_prefix(&prefix));
            differing += below.filter(|path| !paths.contains(path)).count();
        }
        return Ok(match differing {
            0 => DataLineage::Version(version.id),
            _ => DataLineage::Changed { version: version.id, differing },
        });
    }
    Ok(DataLineage::None)
}

/// The version that a folder was checked out as or was last a snapshot of. The later of the two, where both are known.
fn version_at(folder: &Path, store: Option<&Path>) -> Result<Option<Version>> {
    let beside = || folder.parent().map(|p| p.join(super::store::STORE_FOLDER));
    let store = store.map(Path::to_path_buf).or_else(beside).and_then(|dir| VersionStore::open(&dir).ok());
    let snapshot = store.and_then(|store| {
        let id = StatIndex::load(store.dir(), folder).version.filter(|id| store.has(id))?;
        Some(store.load(&id))
    });
    let marker = folder.join(MARKER);
    match snapshot {
        Some(version) => version.map(Some),
        None if marker.is_file() => Version::load(&marker).map(Some),
        None => Ok(None),
    }
}

/// Where a dataset is read from: `data.root`, or with `data.version` a read-only checkout of that version in the store,
/// made now if need be. The same version has the same images whatever happened to the folder since.
///
/// # Errors
/// [`VersionError::Setting`] for a version that is no id (a tag or `latest` would mean another version tomorrow),
/// [`VersionError::NoStore`], [`VersionError::Unknown`], or what [`checkout`](super::checkout()) finds.
pub fn pinned_source(settings: &DataSettings, progress: &dyn Progress) -> Result<Option<PathBuf>> {
    let Some(reference) = &settings.version else { return Ok(settings.root.clone()) };
    let dir = match (&settings.store, &settings.root) {
        (Some(store), _) => store.clone(),
        (None, Some(root)) => VersionStore::beside(root)?,
        (None, None) => {
            let reason = "needs data.store, or data.root with the store beside it".to_string();
            return Err(VersionError::Setting { key: "data.version".into(), reason });
        }
    };
    let store = VersionStore::open(&dir)?;
    let id = store.resolve_id(reference)?;
    if !id.as_str().starts_with(&reference.to_ascii_lowercase()) {
        let reason = format!("'{reference}' may stand for another version tomorrow; give its id, {}", id.short());
        return Err(VersionError::Setting { key: "data.version".into(), reason });
    }
    let version = store.load(&id)?;
    let folder = store.pinned_dir(&id);
    {
        let _held = lock::exclusive(store.dir(), progress)?;
        // It takes its place at once, when it is whole.
        if Version::load(&folder.join(MARKER)).ok().is_none_or(|v| v.id != id) {
            let options = CheckoutOptions { link: LinkMode::Hard, force: true };
            place(&store, &version, &folder, options, progress)?;
        }
    }
    progress.note(&format!("data version {} of '{}'", id.short(), version.dataset));
    Ok(Some(version.list.map_or(folder.clone(), |list| folder.join(list))))
}
