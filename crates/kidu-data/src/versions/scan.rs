//! From a folder to the list of a version: what is there, what it hashes to, which class and split it has.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, Split, files, run::timestamp};
use rayon::prelude::*;

use super::{
    error::{Result, VersionError},
    lock,
    objects::LinkMode,
    stat_index::{self, StatIndex},
    store::VersionStore,
    tree::{self, Stat, Tree, TreeFile},
    version::{Statistics, Version, VersionFile},
};
use crate::{
    error::DataError,
    index::{Index, Layout, has_extension},
};

/// What is done about symbolic links in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkPolicy {
    /// The snapshot stops and names them.
    #[default]
    Refuse,
    /// A link to a file stands for the file's content, wherever it is. A link to a folder is refused.
    Follow,
}

/// The tree that a path names.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The folder, absolute, without links.
    pub(super) root: PathBuf,
    /// The CSV list that labels come from, relative to the folder.
    pub(super) list: Option<String>,
}

impl Source {
    /// A folder, or a CSV list, whose folder is the tree.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let fail = |reason: &str| Err(VersionError::Source { path: path.into(), reason: reason.into() });
        let full = match path.canonicalize() {
            Ok(full) => full,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return fail("there is no such folder"),
            Err(e) => return Err(VersionError::io("read", path, e)),
        };
        if full.is_dir() {
            return Ok(Self { root: full, list: None });
        }
        if !has_extension(&full, &["csv"]) {
            return fail("is not a folder or a CSV list; extract an archive first, or put the file into a folder");
        }
        match full.file_name().and_then(|n| n.to_str()) {
            Some(name) => Ok(Self { list: Some(name.into()), root: files::parent_of(&full) }),
            None => fail("the name is not valid UTF-8; rename it"),
        }
    }

    /// The dataset's name: that of its folder.
    pub(super) fn name(&self) -> String {
        self.root.file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy().into_owned())
    }
}

/// Where scanned contents go.
#[derive(Clone, Copy)]
pub(super) enum Keep<'a> {
    /// Nowhere: they are only hashed.
    Nothing,
    /// Into the store.
    In(&'a VersionStore, LinkMode),
}

/// A folder as it is.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) files: Vec<VersionFile>,
    pub(super) stats: Vec<Stat>,
    pub(super) empty_folders: Vec<String>,
    /// Folders of version control that were left out.
    pub(super) passed_over: Vec<String>,
    pub(super) layout: Option<Layout>,
    /// Before the listing began, nanoseconds since 1970.
    pub(super) taken: i64,
    /// Files that had to be read.
    pub(super) hashed: usize,
    /// Contents that the store did not have.
    pub(super) stored: usize,
    pub(super) notes: Vec<String>,
}

/// Lists, hashes and perhaps stores a tree, in parallel. What the index is certain of is not read.
pub(super) fn scan(
    source: &Source,
    store: &Path,
    links: LinkPolicy,
    index: &StatIndex,
    keep: Keep<'_>,
    progress: &dyn Progress,
) -> Result<Scanned> {
    let taken = stat_index::now();
    let tree = tree::walk(&source.root, store, links)?;
    let labels = Labels::of(source);
    progress.begin("snapshot", "files", Some(tree.files.len() as u64));
    let taken_files: Result<Vec<Taken>> = tree
        .files
        .par_iter()
        .map(|file| {
            let result = take(&source.root, file, index, keep);
            progress.advance(1);
            result
        })
        .collect();
    progress.end();
    let taken_files = taken_files?;
    let hashed = taken_files.iter().filter(|t| t.hashed).count();
    let stored = taken_files.iter().filter(|t| t.stored).count();
    let stats = taken_files.iter().map(|t| t.stat).collect();
    let notes = notes(&tree, &labels);
    let files = tree.files.into_iter().zip(taken_files).map(|(file, taken)| labels.apply(file.path, taken)).collect();
    Ok(Scanned {
        files,
        stats,
        empty_folders: tree.empty_folders,
        passed_over: tree.passed_over,
        layout: labels.layout,
        taken,
        hashed,
        stored,
        notes,
    })
}

fn notes(tree: &Tree, labels: &Labels) -> Vec<String> {
    let mut notes = Vec::new();
    if !tree.passed_over.is_empty() {
        notes.push(format!("left out: {}", crate::error::listed(&tree.passed_over, ", ")));
    }
    notes.extend(labels.reason.as_ref().map(|reason| format!("classes and splits are not recorded: {reason}")));
    notes
}

/// One file, taken.
#[derive(Debug)]
struct Taken {
    sha256: Sha256Hex,
    stat: Stat,
    hashed: bool,
    stored: bool,
}

/// How often a file that changes under the reader's eyes is read again.
const ATTEMPTS: usize = 3;

fn take(root: &Path, file: &TreeFile, index: &StatIndex, keep: Keep<'_>) -> Result<Taken> {
    let path = root.join(&file.path);
    if let Some(known) = index.hash_of(&file.path, &file.stat) {
        let there = match keep {
            Keep::Nothing => true,
            Keep::In(store, _) => store.objects.has(known, file.stat.bytes),
        };
        if there {
            return Ok(Taken { sha256: known.clone(), stat: file.stat, hashed: false, stored: false });
        }
    }
    for _ in 0..ATTEMPTS {
        let before = stat(&path)?;
        let sha256 = Sha256Hex::of_file(&path)?;
        let stored = match keep {
            Keep::In(store, link) if !store.objects.has(&sha256, before.bytes) => {
                if !store.objects.add(&path, &sha256, link)? {
                    continue;
                }
                true
            }
            _ => false,
        };
        // A hard link changes the time of the attributes, not that of the content.
        let after = stat(&path)?;
        if (after.bytes, after.modified, after.inode) == (before.bytes, before.modified, before.inode) {
            return Ok(Taken { sha256, stat: after, hashed: true, stored });
        }
    }
    Err(VersionError::Changing { path })
}

fn stat(path: &Path) -> Result<Stat> {
    Ok(Stat::of(&std::fs::metadata(path).map_err(|e| VersionError::io("look at", path, e))?))
}

/// Class and split of each labelled image.
#[derive(Debug, Default)]
struct Labels {
    layout: Option<Layout>,
    of: HashMap<String, (String, Option<Split>)>,
    /// Why there are none.
    reason: Option<String>,
}

impl Labels {
    /// As `kidu train` would see the folder. A tree that it could not train on is kept all the same, without labels.
    fn of(source: &Source) -> Self {
        let path = source.list.as_ref().map_or_else(|| source.root.clone(), |list| source.root.join(list));
        match Index::of(&path) {
            Ok(index) => {
                let label = |e: crate::index::IndexEntry| (e.path, (index.classes[e.label].to_string(), e.given));
                Self { layout: Some(index.layout), of: index.entries.into_iter().map(label).collect(), reason: None }
            }
            Err(error) => Self { reason: Some(first_sentence(&error)), ..Self::default() },
        }
    }

    fn apply(&self, path: String, taken: Taken) -> VersionFile {
        let (class, split) = self.of.get(&path).cloned().map_or((None, None), |(class, split)| (Some(class), split));
        VersionFile { path, sha256: taken.sha256, bytes: taken.stat.bytes, class, split }
    }
}

fn first_sentence(error: &DataError) -> String {
    let text = error.to_string();
    text.split_once(". ").map_or(text.as_str(), |(first, _)| first).to_string()
}

impl Scanned {
    /// The version that this is, if it were one.
    pub(super) fn into_version(self, source: &Source, dataset: String) -> Version {
        Version {
            format_version: Version::FORMAT,
            id: Version::id_of(&self.files, &self.empty_folders, source.list.as_deref()),
            dataset,
            parents: Vec::new(),
            message: String::new(),
            author: String::new(),
            created: timestamp(),
            kidu_version: env!("CARGO_PKG_VERSION").into(),
            source: None,
            layout: self.layout,
            list: source.list.clone(),
            statistics: Statistics::of(&self.files),
            empty_folders: self.empty_folders,
            files: self.files,
        }
    }

    /// What to remember of the folder.
    pub(super) fn index(&self, root: &Path, version: Option<Sha256Hex>) -> StatIndex {
        let entries = self.files.iter().zip(&self.stats).map(|(f, stat)| (f.path.clone(), *stat, f.sha256.clone()));
        StatIndex::new(root, version, self.taken, entries)
    }
}

/// A working folder (or the folder of a CSV list) as the version that a snapshot would make of it; nothing is stored.
/// With a `store` its memory of the folder is used, so that unchanged files are not read.
///
/// # Errors
/// As [`snapshot`](super::snapshot()).
pub fn working_version(
    path: &Path,
    store: Option<&VersionStore>,
    links: LinkPolicy,
    progress: &dyn Progress,
) -> Result<Version> {
    let source = Source::of(path)?;
    let Some(store) = store else {
        let nowhere = source.root.join(super::store::STORE_FOLDER);
        let scanned = scan(&source, &nowhere, links, &StatIndex::default(), Keep::Nothing, progress)?;
        return Ok(scanned.into_version(&source, source.name()));
    };
    let _held = lock::shared(store.dir(), progress)?;
    let index = StatIndex::load(store.dir(), &source.root);
    let scanned = scan(&source, store.dir(), links, &index, Keep::Nothing, progress)?;
    // Only saves time, and the store may be read-only.
    let _ = scanned.index(&source.root, index.version).save(store.dir());
    Ok(scanned.into_version(&source, source.name()))
}
