//! A frozen dataset as a folder of its own: `<dir>/{train,val,test}/<class>/<file>` and a manifest.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{DatasetItem, DatasetManifest, Progress, Sha256Hex, Split, dataset::is_inside, files};
use rayon::prelude::*;

use crate::error::{DataError, Result};

/// Copies the images to `<dir>/<split>/<class>/` and writes their manifest last, so that a folder with a manifest is
/// whole. The files are hard links where the file system allows it; each is compared with its recorded hash. Files that
/// would get the same name have the start of their hash put before the extension. The content version stays the same.
///
/// # Errors
/// [`DataError::Source`] when `dir` already holds a split, [`kidu_core::Error::HashMismatch`] for a file that is not
/// what it was when the manifest was made, or an I/O error.
pub fn materialize(manifest: &DatasetManifest, dir: &Path, progress: &dyn Progress) -> Result<DatasetManifest> {
    for split in Split::ALL {
        let folder = dir.join(split.name());
        if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            let reason = format!("already holds a dataset ({}); choose an empty folder", folder.display());
            return Err(DataError::Source { path: dir.into(), reason });
        }
    }
    let items = placed(manifest)?;
    let folders: HashSet<PathBuf> = items.iter().map(|i| files::parent_of(&dir.join(&i.path))).collect();
    folders.iter().try_for_each(|f| files::create_dir_all(f))?;
    progress.begin("write images", "images", Some(items.len() as u64));
    let written: Result<()> = manifest.items.par_iter().zip(&items).try_for_each(|(from, to)| {
        let target = dir.join(&to.path);
        place(&manifest.file_of(from), &target)?;
        progress.advance(1);
        check_hash(&target, &to.sha256)
    });
    progress.end();
    if let Err(error) = written {
        // The folders were empty before: what is in them is ours.
        Split::ALL.iter().for_each(|s| drop(fs::remove_dir_all(dir.join(s.name()))));
        return Err(error);
    }
    let path = dir.join(DatasetManifest::FILE);
    DatasetManifest::new(manifest.classes.clone(), PathBuf::from("."), manifest.seed, items).save(&path)?;
    Ok(DatasetManifest::load(&path)?)
}

/// The items under their new paths, in the order of the manifest.
fn placed(manifest: &DatasetManifest) -> Result<Vec<DatasetItem>> {
    // Compared in lower case: some file systems do not tell cases apart.
    let mut taken = HashSet::new();
    let mut items = Vec::with_capacity(manifest.items.len());
    for item in &manifest.items {
        let class = &manifest.classes[item.label];
        let name = item.path.rsplit('/').next().unwrap_or(&item.path);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let short = item.sha256.short();
        let names = std::iter::once(name.to_string()).chain((0..).map(|n| {
            if n == 0 { format!("{stem}-{short}.{extension}") } else { format!("{stem}-{short}-{n}.{extension}") }
        }));
        for candidate in names {
            let path = format!("{}/{class}/{candidate}", item.split);
            if !is_inside(&path) || class.contains('/') {
                let reason = format!("the class name '{class}' cannot name a folder; rename it");
                return Err(DataError::Classes { path: manifest.root.clone(), reason });
            }
            if taken.insert(path.to_lowercase()) {
                items.push(DatasetItem { path, ..item.clone() });
                break;
            }
        }
    }
    Ok(items)
}

/// A hard link, or a copy where that is not possible (another file system).
fn place(from: &Path, to: &Path) -> Result<()> {
    // A link to a symbolic link would lead nowhere from its new place.
    let from = from.canonicalize().map_err(|e| DataError::io("read", from, e))?;
    if fs::hard_link(&from, to).is_err() {
        fs::copy(&from, to).map_err(|e| DataError::io("write", to, e))?;
    }
    Ok(())
}

fn check_hash(path: &Path, expected: &Sha256Hex) -> Result<()> {
    let found = Sha256Hex::of_file(path)?;
    if found == *expected {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(kidu_core::Error::HashMismatch { path: path.into(), expected, found }.into())
}
