//! What DVC pushed, back into a folder.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use kidu_core::{
    Progress,
    dataset::is_inside,
    files,
    store::{GetOptions, ObjectStore},
};
use rayon::prelude::*;

use super::{
    super::{
        case,
        error::{Result, VersionError},
        objects,
        staging::Staging,
    },
    file::DvcFile,
    layout::{DirEntry, key_of, md5_of, md5_of_bytes, read_dir_object},
};

/// The longest list of a folder, in bytes: some ten million files.
const MAX_LIST: u64 = 1 << 30;

/// What a pull did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The folder.
    pub dir: PathBuf,
    /// Number of files.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Restores what a `.dvc` file stands for from a remote in DVC 3's layout (a remote, or `.dvc/cache` of a repository)
/// into a folder that does not exist or is empty, `jobs` files at a time. Every content is checked against its MD5; the
/// folder appears whole or not at all. A `.dvc` file of a single file gives a folder with that file.
///
/// # Errors
/// [`VersionError::Remote`], [`VersionError::Dvc`] for content that is not what its name says,
/// [`VersionError::Target`].
pub fn pull(
    file: &DvcFile,
    remote: &dyn ObjectStore,
    dir: &Path,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Pulled> {
    if (dir.exists() && !dir.is_dir()) || !objects::entries(dir)?.is_empty() {
        return Err(VersionError::Target { dir: dir.into(), reason: "something is there; name a new folder".into() });
    }
    let entries = if file.is_dir() { list(file, remote)? } else { vec![single(file)?] };
    let staging = Staging::beside(&std::path::absolute(dir).map_err(|e| VersionError::io("read", dir, e))?)?;
    let tree = staging.tree();
    if case::is_folded(&tree)
        && let Some(clash) = case::clash(entries.iter().map(|e| e.relpath.as_str()))
    {
        return Err(VersionError::Target { dir: dir.into(), reason: clash.reason() });
    }
    let folders: BTreeSet<PathBuf> = entries.iter().map(|e| files::parent_of(&tree.join(&e.relpath))).collect();
    folders.iter().try_for_each(|folder| files::create_dir_all(folder))?;
    let pool = super::pool(jobs)?;
    progress.begin("pull", "files", Some(entries.len() as u64));
    let fetched: Result<Vec<u64>> = pool.install(|| {
        entries
            .par_iter()
            .map(|entry| {
                let bytes = fetch(remote, entry, &tree)?;
                progress.advance(1);
                Ok(bytes)
            })
            .collect()
    });
    progress.end();
    let bytes = fetched?.iter().sum();
    objects::sync_all(&tree)?;
    staging.place(&std::path::absolute(dir).map_err(|e| VersionError::io("read", dir, e))?)?;
    Ok(Pulled { dir: dir.into(), files: entries.len(), bytes })
}

fn list(file: &DvcFile, remote: &dyn ObjectStore) -> Result<Vec<DirEntry>> {
    let key = key_of(&file.md5);
    let place = remote.uri_of(&key).to_string();
    let bytes = remote.get(&key, MAX_LIST)?;
    if format!("{}.dir", md5_of_bytes(&bytes)) != file.md5 {
        return Err(damaged(place));
    }
    read_dir_object(&bytes, &place)
}

fn single(file: &DvcFile) -> Result<DirEntry> {
    let name = file.path.rsplit('/').next().unwrap_or_default().to_string();
    if is_inside(&name) {
        return Ok(DirEntry { md5: file.md5.clone(), relpath: name });
    }
    Err(VersionError::Dvc { place: file.path.clone(), reason: "is no name of a file".into() })
}

fn fetch(remote: &dyn ObjectStore, entry: &DirEntry, tree: &Path) -> Result<u64> {
    let (key, to) = (key_of(&entry.md5), tree.join(&entry.relpath));
    let info = remote.get_to_file(&key, &to, &GetOptions::default())?;
    if md5_of(&to)? == entry.md5 { Ok(info.size) } else { Err(damaged(remote.uri_of(&key).to_string())) }
}

fn damaged(place: String) -> VersionError {
    let reason = "does not have the content that its name says; push it again with dvc, from a cache that has it";
    VersionError::Dvc { place, reason: reason.into() }
}
