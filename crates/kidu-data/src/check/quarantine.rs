//! Moving offenders out of a data set, and back.
//!
//! Nothing is ever deleted or copied: a file is renamed into a folder beside the data, on the same file system, so that
//! it is at every moment in one of two places. Before the first move, all moves are written to a journal; undoing goes by
//! that journal and by where each file is, so that it does not matter where a fix or an undo was interrupted.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Sha256Hex, dataset::is_inside, files, journal::Journal, run};
use serde::{Deserialize, Serialize};

use super::{finding::Finding, kind::Kind, survey::Survey};
use crate::error::{DataError, Result};

/// The journal's name in the quarantine folder.
pub const JOURNAL: &str = "journal.jsonl";

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum Entry {
    /// The first line.
    Begin {
        /// The data's root.
        root: PathBuf,
        time: String,
    },
    /// A file that is moved.
    Move {
        /// Path relative to the root, and to the quarantine folder.
        path: String,
        /// Hash of its bytes; of a symbolic link, of the path that it holds.
        sha256: Sha256Hex,
        /// Why.
        kinds: BTreeSet<Kind>,
    },
    /// An undo has put back all that it could.
    Undone { time: String, files: usize },
}

/// What a fix moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Path relative to the root.
    pub path: String,
    /// Why.
    pub kinds: BTreeSet<Kind>,
}

/// What a fix did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fixed {
    /// The quarantine folder; `None` when nothing was to be moved or nothing was moved (dry run).
    pub quarantine: Option<PathBuf>,
    /// The journal that undoes it.
    pub journal: Option<PathBuf>,
    /// The files.
    pub moved: Vec<Removal>,
}

/// What an undo did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// The data's root.
    pub root: PathBuf,
    /// Files that were put back now.
    pub restored: Vec<String>,
    /// Files that were in their place already.
    pub in_place: usize,
    /// Files that stay in quarantine, and why.
    pub kept: Vec<(String, String)>,
}

/// The files that findings of these kinds would have moved, sorted by path.
pub fn plan(findings: &[Finding], wanted: impl Fn(&Finding) -> bool) -> Vec<Removal> {
    let mut removals: std::collections::BTreeMap<&str, BTreeSet<Kind>> = std::collections::BTreeMap::new();
    for finding in findings.iter().filter(|f| wanted(f)) {
        for path in &finding.removable {
            removals.entry(path).or_default().insert(finding.kind);
        }
    }
    removals.into_iter().map(|(path, kinds)| Removal { path: path.to_string(), kinds }).collect()
}

/// Moves files into a new folder beside the data's root. `pause` is called before each move and may end it (for an
/// interruption that is asked for); what was moved until then can be undone like the whole.
///
/// # Errors
/// [`DataError::Setting`] for data that is a list, an archive or a manifest; [`DataError::Core`] where the folder cannot
/// be written or lies on another file system. What was moved before an error can be undone by the journal.
pub fn fix(survey: &Survey, removals: &[Removal], pause: &dyn Fn() -> bool) -> Result<Fixed> {
    if !survey.can_fix {
        let reason = "moves files of a folder; a list, an archive or a manifest would go on naming them".into();
        return Err(DataError::Setting { key: "--fix".into(), reason });
    }
    if removals.is_empty() {
        return Ok(Fixed { quarantine: None, journal: None, moved: Vec::new() });
    }
    let quarantine = new_folder(&survey.root)?;
    let path = quarantine.join(JOURNAL);
    let journal = Journal::<Entry>::new(&path);
    let mut entries = vec![Entry::Begin { root: survey.root.clone(), time: run::timestamp() }];
    for removal in removals {
        let sha256 = fingerprint(&survey.root.join(&removal.path))?;
        entries.push(Entry::Move { path: removal.path.clone(), sha256, kinds: removal.kinds.clone() });
    }
    journal.append_with::<kidu_core::Error>(|_| Ok(entries))?;
    let mut moved = Vec::new();
    for removal in removals {
        if pause() {
            break;
        }
        rename(&survey.root.join(&removal.path), &quarantine.join(&removal.path))?;
        moved.push(removal.clone());
    }
    Ok(Fixed { quarantine: Some(quarantine), journal: Some(path), moved })
}

/// The hash of what a rename moves. A symbolic link is moved as such, and may lead nowhere from its new place.
fn fingerprint(path: &Path) -> Result<Sha256Hex> {
    if path.is_symlink() {
        let target = fs::read_link(path).map_err(|e| DataError::io("read", path, e))?;
        return Ok(Sha256Hex::of_bytes(target.as_os_str().as_encoded_bytes()));
    }
    Ok(Sha256Hex::of_file(path)?)
}

/// A folder of its own beside `root`, by the time.
fn new_folder(root: &Path) -> Result<PathBuf> {
    let name = root.file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy().into_owned());
    let parent = files::parent_of(root).join(format!("{name}-quarantine"));
    files::create_dir_all(&parent)?;
    Ok(run::create_run_dir(&parent)?)
}

/// Renames without replacing anything.
fn rename(from: &Path, to: &Path) -> Result<()> {
    files::create_dir_all(&files::parent_of(to))?;
    if to.symlink_metadata().is_ok() {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(DataError::io("move a file to", to, there));
    }
    fs::rename(from, to).map_err(|e| DataError::io("move (on one file system)", from, e))
}

/// Puts back everything that a journal names. Doing it again does no harm.
///
/// A file stays in quarantine where another one has taken its place, or where its bytes are no longer those that were
/// moved.
///
/// # Errors
/// [`DataError::Core`] for a journal that cannot be read or is none, or a file that cannot be moved; what was put back
/// before stays.
pub fn undo(journal: &Path) -> Result<Undone> {
    let path = if journal.is_dir() { journal.join(JOURNAL) } else { journal.to_path_buf() };
    if !path.is_file() {
        let absent = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DataError::io("read the journal", &path, absent));
    }
    let journal = Journal::<Entry>::new(&path);
    let entries = journal.read()?;
    let Some(Entry::Begin { root, .. }) = entries.first() else {
        let reason = "is no journal of `kidu data check --fix`; give the journal.jsonl of its quarantine folder";
        return Err(kidu_core::Error::format(&path, reason).into());
    };
    let quarantine = files::parent_of(&path);
    let mut undone = Undone { root: root.clone(), restored: Vec::new(), in_place: 0, kept: Vec::new() };
    for entry in &entries {
        let Entry::Move { path, sha256, .. } = entry else { continue };
        if !is_inside(path) {
            undone.kept.push((path.clone(), "its path leaves the data's folder".into()));
            continue;
        }
        put_back(&quarantine.join(path), &root.join(path), path, sha256, &mut undone)?;
    }
    journal.append(Entry::Undone { time: run::timestamp(), files: undone.restored.len() })?;
    remove_empty_folders(&quarantine);
    Ok(undone)
}

fn put_back(away: &Path, home: &Path, path: &str, sha256: &Sha256Hex, undone: &mut Undone) -> Result<()> {
    let (is_away, is_home) = (away.symlink_metadata().is_ok(), home.symlink_metadata().is_ok());
    let mut keep = |why: &str| undone.kept.push((path.to_string(), why.to_string()));
    match (is_away, is_home) {
        (true, true) => keep("another file has taken its place"),
        (true, false) if fingerprint(away)? != *sha256 => keep("it was changed in quarantine"),
        (true, false) => {
            rename(away, home)?;
            undone.restored.push(path.to_string());
        }
        (false, true) => undone.in_place += 1,
        (false, false) => keep("it is neither in quarantine nor in its place"),
    }
    Ok(())
}

/// Best effort: folders that hold something stay.
fn remove_empty_folders(dir: &Path) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()) {
        if path.is_dir() && !path.is_symlink() {
            remove_empty_folders(&path);
            let _ = fs::remove_dir(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::BTreeMap};

    use tempfile::TempDir;

    use super::*;

    fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    fn data() -> (TempDir, Survey, Vec<Removal>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("photos");
        for i in 0..6 {
            let path = root.join(format!("class{}/{i}.jpg", i % 2));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, [i; 9]).unwrap();
        }
        let survey = Survey { root, layout: None, classes: vec![], files: vec![], notes: vec![], can_fix: true };
        let removal = |i| Removal { path: format!("class{}/{i}.jpg", i % 2), kinds: [Kind::Corrupt].into() };
        (dir, survey, (0..5).map(removal).collect())
    }

    #[test]
    fn wherever_it_is_interrupted_undo_restores_the_tree() {
        for stop in 0..=5 {
            let (_dir, survey, removals) = data();
            let before = tree(&survey.root);
            let left: Cell<usize> = Cell::new(stop);
            let pause = || left.replace(left.get().saturating_sub(1)) == 0;
            let fixed = fix(&survey, &removals, &pause).unwrap();
            assert_eq!((fixed.moved.len(), tree(&survey.root).len()), (stop, 6 - stop));
            let journal = fixed.journal.unwrap();
            // An undo that was itself interrupted after the first file.
            if stop > 0 {
                let quarantine = fixed.quarantine.unwrap();
                fs::rename(quarantine.join(&removals[0].path), survey.root.join(&removals[0].path)).unwrap();
            }
            let undone = undo(&journal).unwrap();
            assert_eq!((undone.restored.len(), undone.kept.len()), (stop.saturating_sub(1), 0));
            assert_eq!(tree(&survey.root), before);
            assert_eq!(undo(&journal).unwrap().in_place, 5);
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_moved_and_put_back_as_links() {
        let (_dir, survey, _) = data();
        let link = survey.root.join("class0/link.jpg");
        std::os::unix::fs::symlink("../class1/1.jpg", &link).unwrap();
        let removals = ["class0/link.jpg", "class1/3.jpg"].map(|path| Removal { path: path.into(), kinds: [].into() });
        let before = tree(&survey.root);
        let fixed = fix(&survey, &removals, &|| false).unwrap();
        assert_eq!(tree(&survey.root).len(), before.len() - 2);
        // From its quarantine it leads nowhere.
        assert!(!fixed.quarantine.unwrap().join("class0/link.jpg").exists());
        let undone = undo(&fixed.journal.unwrap()).unwrap();
        assert_eq!((undone.restored.len(), undone.kept), (2, vec![]));
        assert!(link.is_symlink() && tree(&survey.root) == before);
    }

    #[test]
    fn nothing_is_written_over() {
        let (_dir, survey, removals) = data();
        let fixed = fix(&survey, &removals, &|| false).unwrap();
        fs::write(survey.root.join("class0/0.jpg"), b"new").unwrap();
        fs::write(fixed.quarantine.as_ref().unwrap().join("class1/1.jpg"), b"changed").unwrap();
        let undone = undo(fixed.quarantine.as_ref().unwrap()).unwrap();
        let kept: Vec<&str> = undone.kept.iter().map(|k| k.0.as_str()).collect();
        assert_eq!(kept, ["class0/0.jpg", "class1/1.jpg"]);
        assert_eq!(fs::read(survey.root.join("class0/0.jpg")).unwrap(), b"new");
        assert_eq!(fs::read(fixed.quarantine.unwrap().join("class0/0.jpg")).unwrap(), [0; 9]);
    }

    #[test]
    fn a_journal_that_leaves_the_folder_or_is_none_is_refused() {
        let (dir, survey, _) = data();
        let path = dir.path().join("j.jsonl");
        let journal = Journal::<Entry>::new(&path);
        journal.append(Entry::Begin { root: survey.root.clone(), time: "now".into() }).unwrap();
        let sha256 = Sha256Hex::of_bytes(b"");
        journal.append(Entry::Move { path: "../x".into(), sha256, kinds: BTreeSet::new() }).unwrap();
        assert_eq!(undo(&path).unwrap().kept.len(), 1);
        fs::write(&path, "{}\n").unwrap();
        assert!(undo(&path).unwrap_err().to_string().contains("line 1 is not a valid entry"));
        assert!(undo(dir.path()).is_err());
        assert!(fix(&Survey { can_fix: false, ..survey }, &[], &|| false).is_err());
    }
}
