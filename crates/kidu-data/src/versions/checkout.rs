//! From a version back to a folder, byte for byte.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, files};
use rayon::prelude::*;

use super::{
    case,
    error::{Result, VersionError},
    lock,
    objects::{self, LinkMode},
    scan::{Keep, LinkPolicy, Scanned, Source, scan},
    staging::Staging,
    stat_index::{self, StatIndex},
    store::VersionStore,
    tree::Stat,
    version::{MARKER, Version, VersionFile},
};

/// How a version is checked out.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckoutOptions {
    /// Copies, or links to the store.
    pub link: LinkMode,
    /// Replace files that are in no version, which are lost then.
    pub force: bool,
}

/// What a checkout did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedOut {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// Files that came from the store.
    pub restored: usize,
    /// Files that were there already.
    pub kept: usize,
    /// Files that were there and are no more.
    pub removed: usize,
}

/// Makes a folder exactly what a version says: every file with its content, and nothing else but a file at the root that
/// names the version ([`MARKER`]). Each content is checked against its hash.
///
/// The tree is built beside the folder and takes its place at once: an interruption leaves the folder as it was. A
/// folder that exists is replaced if everything in it is known to be in a version: the one that was checked out there,
/// or the one that was last a snapshot of it.
///
/// # Errors
/// [`VersionError::WouldLose`] for files that are in no version, unless `force`; [`VersionError::Target`],
/// [`VersionError::Object`] for a content that is missing or damaged (the folder is then as it was), I/O.
pub fn checkout(
    store: &VersionStore,
    version: &Version,
    dir: &Path,
    options: CheckoutOptions,
    progress: &dyn Progress,
) -> Result<CheckedOut> {
    let _held = lock::shared(store.dir(), progress)?;
    let dir = absolute(dir)?;
    store.refuse_own(&dir)?;
    place(store, version, &dir, options, progress)
}

/// As [`checkout`], for the one who holds the store; `dir` is absolute.
pub(super) fn place(
    store: &VersionStore,
    version: &Version,
    dir: &Path,
    options: CheckoutOptions,
    progress: &dyn Progress,
) -> Result<CheckedOut> {
    let present = present(store, dir, options.force, progress)?;
    let staging = Staging::beside(dir)?;
    let tree = staging.tree();
    if case::is_folded(&tree)
        && let Some(clash) = case::clash(version.files.iter().map(|f| f.path.as_str()))
    {
        return Err(VersionError::Target { dir: dir.into(), reason: clash.reason() });
    }
    make_folders(version, &tree)?;
    progress.begin("check out", "files", Some(version.files.len() as u64));
    let restored: Result<Vec<bool>> = version
        .files
        .par_iter()
        .map(|file| {
            let kept = present.as_ref().is_some_and(|p| reuse(p, file, dir, &tree, options.link));
            if !kept {
                store.objects.restore(file, &tree.join(&file.path), options.link)?;
            }
            progress.advance(1);
            Ok(!kept)
        })
        .collect();
    progress.end();
    let restored = restored?.into_iter().filter(|r| *r).count();
    write_marker(store, version, &tree)?;
    objects::sync_all(&tree)?;
    progress.set_message("place");
    staging.place(dir)?;
    // Saves time later; the store may be read-only.
    let _ = remember(store, version, dir);
    let before = present.map_or(0, |p| p.files.len());
    let kept = version.files.len() - restored;
    Ok(CheckedOut { dir: dir.to_path_buf(), restored, kept, removed: before.saturating_sub(kept) })
}

/// The path without links, whether it exists or not.
fn absolute(dir: &Path) -> Result<PathBuf> {
    if let Ok(full) = dir.canonicalize() {
        return Ok(full);
    }
    let full = std::path::absolute(dir).map_err(|e| VersionError::io("read", dir, e))?;
    let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else {
        return Err(VersionError::Target { dir: dir.into(), reason: "it has no name".into() });
    };
    Ok(parent.canonicalize().unwrap_or_else(|_| parent.into()).join(name))
}

/// What is in the folder, once it is certain that nothing of it would be lost. Nothing for a folder that does not exist
/// or is empty.
fn present(store: &VersionStore, dir: &Path, force: bool, progress: &dyn Progress) -> Result<Option<Scanned>> {
    let refuse = |reason: String| Err(VersionError::Target { dir: dir.into(), reason });
    if dir.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
        return refuse("it is no folder; name another".into());
    }
    if !dir.exists() || objects::entries(dir)?.is_empty() {
        return Ok(None);
    }
    let index = StatIndex::load(store.dir(), dir);
    let source = Source { root: dir.into(), list: None };
    let links = if force { LinkPolicy::Follow } else { LinkPolicy::Refuse };
    let scanned = scan(&source, store.dir(), links, &index, Keep::Nothing, progress)?;
    if !scanned.passed_over.is_empty() {
        let inner = crate::error::listed(&scanned.passed_over, ", ");
        return refuse(format!(
            "it has folders of version control in it, which would be lost: {inner}; name another folder"
        ));
    }
    if !force {
        refuse_loss(store, dir, &index, &scanned)?;
    }
    Ok(Some(scanned))
}

/// Every file must be in the version that the folder last was, at its path, with its content.
fn refuse_loss(store: &VersionStore, dir: &Path, index: &StatIndex, scanned: &Scanned) -> Result<()> {
    let seen = index.version.as_ref().and_then(|id| store.load(id).ok());
    let marked = Version::load(&dir.join(MARKER)).ok().filter(|v| store.has(&v.id));
    let known: Vec<Version> = seen.into_iter().chain(marked).collect();
    let is_known = |f: &VersionFile| known.iter().any(|v| v.file(&f.path).is_some_and(|k| k.sha256 == f.sha256));
    let lost: Vec<String> = scanned.files.iter().filter(|f| !is_known(f)).map(|f| f.path.clone()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let reason = match known.first() {
        Some(v) => format!(
            "{} files were changed or added since version {} and would be lost; take a snapshot first, or give --force",
            lost.len(),
            v.id.short()
        ),
        None => format!(
            "the folder is in no version of this store and its {} files would be lost; name another folder, take a \
             snapshot of it first, or give --force",
            lost.len()
        ),
    };
    Err(VersionError::WouldLose { dir: dir.into(), reason, files: lost })
}

fn make_folders(version: &Version, tree: &Path) -> Result<()> {
    let above = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_string());
    let mut folders: Vec<String> = version.files.iter().filter_map(|f| above(&f.path)).collect();
    folders.extend(version.empty_folders.iter().cloned());
    folders.sort_unstable();
    folders.dedup();
    Ok(folders.iter().try_for_each(|folder| files::create_dir_all(&tree.join(folder)))?)
}

/// Takes a file over from the folder that is replaced, if it is what the version has there.
fn reuse(present: &Scanned, file: &VersionFile, dir: &Path, tree: &Path, link: LinkMode) -> bool {
    let from = dir.join(&file.path);
    let same = present
        .files
        .binary_search_by(|p| p.path.cmp(&file.path))
        .is_ok_and(|i| present.files[i].sha256 == file.sha256);
    // A file that is linked to the store stays so unless a copy is asked for, and the other way round.
    // A symbolic link, which only --force lets pass, is no file of the version whatever it leads to.
    let linked = fs::symlink_metadata(&from).ok().filter(fs::Metadata::is_file).map(|m| m.permissions().readonly());
    same && linked == Some(link == LinkMode::Hard) && fs::hard_link(&from, tree.join(&file.path)).is_ok()
}

fn write_marker(store: &VersionStore, version: &Version, tree: &Path) -> Result<()> {
    let to = tree.join(MARKER);
    let from = store.version_file(&version.id);
    fs::copy(&from, &to).map(|_| ()).map_err(|e| VersionError::io("copy", &from, e))
}

fn remember(store: &VersionStore, version: &Version, dir: &Path) -> Result<()> {
    let stat = |f: &VersionFile| {
        let path = dir.join(&f.path);
        let metadata = fs::metadata(&path).map_err(|e| VersionError::io("look at", &path, e))?;
        Ok((f.path.clone(), Stat::of(&metadata), f.sha256.clone()))
    };
    let taken = stat_index::now();
    let entries: Vec<(String, Stat, Sha256Hex)> = version.files.par_iter().map(stat).collect::<Result<_>>()?;
    StatIndex::new(dir, Some(version.id.clone()), taken, entries).save(store.dir())
}
