//! From a working folder to a version.

use std::path::Path;

use kidu_core::{Progress, run::timestamp};
use serde_json::Value;

use super::{
    diff::{ChangeCounts, diff},
    error::{Result, VersionError},
    lock,
    log::{Event, LogEntry},
    objects::{self, LinkMode},
    refs::{Tag, check_name},
    scan::{Keep, LinkPolicy, Source, scan},
    stat_index::StatIndex,
    store::VersionStore,
    version::Version,
};

/// How a snapshot is taken.
#[derive(Clone, Debug, Default)]
pub struct SnapshotOptions {
    /// Why it is taken.
    pub message: String,
    /// Who takes it.
    pub author: String,
    /// The dataset's name; that of its folder unless given.
    pub dataset: Option<String>,
    /// Where the data came from.
    pub source: Option<Value>,
    /// A tag for the version.
    pub tag: Option<String>,
    /// What is done about symbolic links.
    pub links: LinkPolicy,
    /// How contents get into the store.
    pub link: LinkMode,
}

/// What a snapshot found.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The version that the folder is.
    pub version: Version,
    /// Whether it is the dataset's latest version already, so that nothing was added.
    pub unchanged: bool,
    /// Whether the store did not have it before. A folder that was changed back is an old version again.
    pub new: bool,
    /// What changed since the dataset's version before.
    pub changes: ChangeCounts,
    /// Files that had to be read; the others had not changed since they were read last.
    pub hashed: usize,
    /// Contents that the store did not have.
    pub stored: usize,
    /// Sentences for the person who takes it.
    pub notes: Vec<String>,
}

/// Takes a snapshot of a folder, or of the folder of a CSV list, into a store, which is made if there is none.
///
/// Only one snapshot is taken at a time: another waits. Contents come first, then the version, then the log, so that an
/// interrupted snapshot leaves nothing but contents that nobody names; the next one finds them.
///
/// # Errors
/// [`VersionError`]: links, names or files that cannot be kept, a tag that is taken, a file that changes meanwhile, I/O.
pub fn snapshot(store: &Path, path: &Path, options: &SnapshotOptions, progress: &dyn Progress) -> Result<Snapshot> {
    let source = Source::of(path)?;
    if let Some(tag) = &options.tag {
        check_name(tag)?;
    }
    let dataset = options.dataset.clone().unwrap_or_else(|| source.name());
    check_dataset(&dataset)?;
    let store = VersionStore::create(store)?;
    if source.root.starts_with(store.dir()) {
        let reason = format!("lies in the version store {}; name another folder", store.dir().display());
        return Err(VersionError::Source { path: path.into(), reason });
    }
    let _held = lock::exclusive(store.dir(), progress)?;
    store.tidy()?;
    let index = StatIndex::load(store.dir(), &source.root);
    let scanned = scan(&source, store.dir(), options.links, &index, Keep::In(&store, options.link), progress)?;
    if scanned.files.is_empty() {
        return Err(VersionError::Source {
            path: path.into(),
            reason: "holds no file; there is nothing to keep".into(),
        });
    }
    let (hashed, stored, mut notes) = (scanned.hashed, scanned.stored, scanned.notes.clone());
    let mut index = scanned.index(&source.root, None);
    let mut version = scanned.into_version(&source, dataset.clone());
    version.message.clone_from(&options.message);
    version.author.clone_from(&options.author);
    version.source.clone_from(&options.source);
    let parent = store.history(&dataset)?.pop().filter(|id| store.has(id));
    let unchanged = parent.as_ref() == Some(&version.id);
    version.parents = parent.iter().filter(|_| !unchanged).cloned().collect();
    if let Some(tag) = &options.tag {
        store.check_tag_is_free(tag, &version.id, false)?;
    }
    let before = parent.as_ref().filter(|id| **id != version.id).and_then(|id| {
        // A damaged version must not keep the folder from getting a new one.
        store.load(id).map_err(|e| notes.push(format!("the version before cannot be compared with: {e}"))).ok()
    });
    let changes = if unchanged { ChangeCounts::default() } else { diff(before.as_ref(), &version).counts() };

    // From here on each step leaves a store that is whole.
    progress.set_message("contents");
    objects::sync_all(store.dir())?;
    progress.set_message("version");
    let new = store.write(&version)?;
    if !new {
        // The message and the time of the first one stay its own.
        version = store.load(&version.id)?;
    }
    progress.set_message("log");
    if !unchanged {
        let event = Event::Snapshot {
            dataset,
            version: version.id.clone(),
            parent,
            message: options.message.clone(),
            files: version.statistics.files,
            bytes: version.statistics.bytes,
            images: version.statistics.images,
            changes,
        };
        store.journal().append(LogEntry { time: timestamp(), author: options.author.clone(), event })?;
    }
    if let Some(name) = &options.tag {
        store.set_tag(&Tag { name: name.clone(), version: version.id.clone() }, &options.author, false)?;
    }
    progress.set_message("index");
    index.version = Some(version.id.clone());
    index.save(store.dir())?;
    Ok(Snapshot { version, unchanged, new, changes, hashed, stored, notes })
}

/// `photos@latest` must stay readable, and a name is a line of a table.
fn check_dataset(name: &str) -> Result<()> {
    let fail = |reason: &str| Err(VersionError::Setting { key: "--name".into(), reason: format!("'{name}' {reason}") });
    if name.trim().is_empty() || name.len() > 200 {
        fail("is no name; give 1 to 200 letters")
    } else if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        fail("has a slash or a control character in it; give the dataset another name by --name")
    } else {
        Ok(())
    }
}
