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
    let mut places = Places::new(&manifest.root);
    let item = |item: &DatasetItem| {
        let class = &manifest.classes[item.label];
        let path = places.path(Some(item.split), class, &item.path, &item.sha256)?;
        Ok(DatasetItem { path, ..item.clone() })
    };
    manifest.items.iter().map(item).collect()
}

/// Bytes that the name of a file may have on any usual file system.
const LONGEST_NAME: usize = 255;

/// Hands out the paths `<class>/<file>` or `<split>/<class>/<file>`, each once.
pub(crate) struct Places<'a> {
    /// Where the images come from, for messages.
    root: &'a Path,
    /// In lower case: some file systems do not tell cases apart.
    taken: HashSet<String>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(root: &'a Path) -> Self {
        Self { root, taken: HashSet::new() }
    }

    /// Where a file of a class goes. One whose name is taken gets the start of a hash, and then a number, before its
    /// extension, and is shortened where it would be too long for a file system.
    pub(crate) fn path(&mut self, split: Option<Split>, class: &str, from: &str, hash: &Sha256Hex) -> Result<String> {
        let name = from.rsplit('/').next().unwrap_or(from);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let short = hash.short();
        let folder = split.map_or_else(|| class.to_string(), |split| format!("{split}/{class}"));
        let names = std::iter::once(name.to_string()).chain((0..).map(|n| {
            let tail = if n == 0 { format!("-{short}.{extension}") } else { format!("-{short}-{n}.{extension}") };
            format!("{}{tail}", &stem[..stem.floor_char_boundary(LONGEST_NAME.saturating_sub(tail.len()))])
        }));
        for candidate in names {
            let path = format!("{folder}/{candidate}");
            if !is_inside(&path) || class.contains('/') {
                break;
            }
            if self.taken.insert(path.to_lowercase()) {
                return Ok(path);
            }
        }
        let reason = format!("the class name '{class}' cannot name a folder; rename it");
        Err(DataError::Classes { path: self.root.into(), reason })
    }
}

/// A hard link, or a copy where that is not possible (another file system).
pub(crate) fn place(from: &Path, to: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_that_are_taken_stay_names_of_files() {
        let mut places = Places::new(Path::new("root"));
        let hash = Sha256Hex::of_bytes(b"x");
        // Two bytes each: the cut must not part one.
        let name = format!("{}.jpg", "é".repeat(125));
        let paths: Vec<String> =
            (0..3).map(|n| places.path(None, "sea", &format!("{n}/{name}"), &hash).unwrap()).collect();
        assert_eq!(paths[0], format!("sea/{name}"));
        assert!(paths[1].ends_with(&format!("é-{}.jpg", hash.short())) && paths[2].ends_with("-1.jpg"), "{paths:?}");
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sea")).unwrap();
        paths.iter().for_each(|path| fs::write(dir.path().join(path), "x").unwrap());
        assert_eq!(fs::read_dir(dir.path().join("sea")).unwrap().count(), 3);
    }
}
