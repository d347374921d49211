//! Whether a store holds what it says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, files};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    error::{Result, VersionError},
    lock,
    store::VersionStore,
};

/// What a check of a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Versions that were read.
    pub versions: usize,
    /// Contents that were hashed.
    pub objects: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Contents that no version names; `gc` removes them.
    pub unneeded: usize,
    /// What is wrong.
    pub damage: Vec<Damage>,
}

/// A file of the store that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub kind: DamageKind,
    /// The error, of a version; a path in a version that has the content, of a content.
    pub detail: String,
}

/// What is wrong with a file of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageKind {
    /// A version cannot be read or is not the one that its id says.
    Version,
    /// A content that a version names is not there.
    Missing,
    /// A content does not have the hash that its name says.
    Changed,
}

/// Reads every version and hashes every content.
///
/// # Errors
/// I/O; damage is a result, not an error.
pub fn verify(store: &VersionStore, progress: &dyn Progress) -> Result<Verified> {
    let _held = lock::shared(store.dir(), progress)?;
    let mut result = Verified::default();
    let mut needed: BTreeMap<Sha256Hex, String> = BTreeMap::new();
    for id in store.ids()? {
        match store.load(&id) {
            Ok(version) => {
                result.versions += 1;
                for file in version.files {
                    needed.entry(file.sha256).or_insert_with(|| format!("{} of {}", file.path, id.short()));
                }
            }
            Err(e) => result.damage.push(Damage {
                file: store.version_file(&id),
                kind: DamageKind::Version,
                detail: e.to_string(),
            }),
        }
    }
    let all = store.objects.all()?;
    progress.begin("verify", "objects", Some(all.len() as u64));
    let changed: Vec<Option<Damage>> = all
        .par_iter()
        .map(|(hash, path, _)| {
            // What cannot be read is as good as changed.
            let found = Sha256Hex::of_file(path).ok();
            progress.advance(1);
            (found.as_ref() != Some(hash)).then(|| Damage {
                file: path.clone(),
                kind: DamageKind::Changed,
                detail: needed.get(hash).cloned().unwrap_or_else(|| "named by no version".into()),
            })
        })
        .collect();
    progress.end();
    result.damage.extend(changed.into_iter().flatten());
    result.objects = all.len();
    result.bytes = all.iter().map(|(_, _, bytes)| bytes).sum();
    result.unneeded = all.iter().filter(|(hash, _, _)| !needed.contains_key(hash)).count();
    let there = |hash: &Sha256Hex| all.binary_search_by(|(h, _, _)| h.cmp(hash)).is_ok();
    let missing = needed.iter().filter(|(hash, _)| !there(hash));
    result.damage.extend(missing.map(|(hash, path)| Damage {
        file: store.objects.path(hash),
        kind: DamageKind::Missing,
        detail: path.clone(),
    }));
    Ok(result)
}

/// Moves changed contents out of the way, to `damaged/` in the store, so that the next snapshot of a folder that still
/// has them stores them again. Returns how many.
///
/// # Errors
/// I/O.
pub fn quarantine(store: &VersionStore, found: &Verified, progress: &dyn Progress) -> Result<usize> {
    let _held = lock::exclusive(store.dir(), progress)?;
    let to = store.dir().join("damaged");
    let changed: Vec<&Path> =
        found.damage.iter().filter(|d| d.kind == DamageKind::Changed).map(|d| d.file.as_path()).collect();
    let mut moved = 0;
    for file in changed {
        let names: Vec<_> = file.iter().rev().take(2).map(|n| n.to_string_lossy()).collect();
        let name: String = names.into_iter().rev().collect();
        // Somebody may have mended it meanwhile.
        if Sha256Hex::of_file(file).is_ok_and(|found| found.as_str() == name) {
            continue;
        }
        files::create_dir_all(&to)?;
        fs::rename(file, to.join(name)).map_err(|e| VersionError::io("move", file, e))?;
        moved += 1;
    }
    Ok(moved)
}
