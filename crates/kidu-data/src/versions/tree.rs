//! What lies below a folder: files with what the file system says of them, without opening any.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    error::{Result, VersionError},
    scan::LinkPolicy,
    store::STORE_FOLDER,
    version::MARKER,
};

/// Folders of version control, at any depth, that are no part of a dataset; the same as DVC leaves out, and our own.
const PASSED_OVER: [&str; 5] = [".git", ".hg", ".svn", ".dvc", STORE_FOLDER];

/// What the file system says of a file. As long as it stays, the content is taken to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    pub(super) bytes: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub(super) modified: i64,
    /// Last change of content or attributes, which nobody can set back; 0 where the system has none.
    pub(super) changed: i64,
    /// Number of the file on its file system; 0 where the system has none.
    pub(super) inode: u64,
}

impl Stat {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or_default();
        let (changed, inode) = changed_and_inode(metadata);
        Self { bytes: metadata.len(), modified, changed, inode }
    }
}

#[cfg(unix)]
fn changed_and_inode(metadata: &Metadata) -> (i64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec()), metadata.ino())
}

#[cfg(not(unix))]
fn changed_and_inode(_: &Metadata) -> (i64, u64) {
    (0, 0)
}

/// A file of a tree.
#[derive(Clone, Debug)]
pub(super) struct TreeFile {
    /// Relative to the root, with forward slashes.
    pub(super) path: String,
    pub(super) stat: Stat,
}

/// Everything below a folder.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Sorted by path.
    pub(super) files: Vec<TreeFile>,
    /// Folders with nothing in them, sorted.
    pub(super) empty_folders: Vec<String>,
    /// Folders of version control that were left out.
    pub(super) passed_over: Vec<String>,
    links: Vec<String>,
    special: Vec<String>,
    bad_names: Vec<String>,
}

/// Lists everything below `root`, folder by folder in parallel. `store` is left out wherever it lies.
///
/// # Errors
/// [`VersionError::Entries`] for links (unless they are followed), sockets and the like, and names that are no UTF-8
/// text or hold backslashes or control characters; an I/O error.
pub(super) fn walk(root: &Path, store: &Path, links: LinkPolicy) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut level = vec![String::new()];
    while !level.is_empty() {
        let listed: Vec<(Tree, Vec<String>)> =
            level.par_iter().map(|folder| list(root, folder, store, links)).collect::<Result<_>>()?;
        level.clear();
        for (part, folders) in listed {
            tree.files.extend(part.files);
            tree.empty_folders.extend(part.empty_folders);
            tree.passed_over.extend(part.passed_over);
            tree.links.extend(part.links);
            tree.special.extend(part.special);
            tree.bad_names.extend(part.bad_names);
            level.extend(folders);
        }
    }
    tree.files.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
    tree.empty_folders.sort_unstable();
    tree.refuse_what_cannot_be_kept(root)?;
    Ok(tree)
}

impl Tree {
    fn refuse_what_cannot_be_kept(&self, root: &Path) -> Result<()> {
        const LINKS: &str = "a version keeps no symbolic links; copy the files in their place, or give --follow-links \
                             to keep the content of the files that links lead to (links to folders are never followed)";
        const SPECIAL: &str = "these are no files or folders; remove them";
        const NAMES: &str = "a version cannot keep names that are no UTF-8 text or have a backslash or a control \
                             character in them; rename";
        for (entries, reason) in [(&self.bad_names, NAMES), (&self.links, LINKS), (&self.special, SPECIAL)] {
            if !entries.is_empty() {
                let mut entries = entries.clone();
                entries.sort_unstable();
                return Err(VersionError::Entries { root: root.into(), reason, entries });
            }
        }
        Ok(())
    }
}

/// One folder: its own entries, and the folders in it.
fn list(root: &Path, folder: &str, store: &Path, links: LinkPolicy) -> Result<(Tree, Vec<String>)> {
    let dir = root.join(folder);
    let (mut tree, mut folders, mut entries) = (Tree::default(), Vec::new(), 0_usize);
    for entry in fs::read_dir(&dir).map_err(|e| VersionError::io("list", &dir, e))? {
        let entry = entry.map_err(|e| VersionError::io("list", &dir, e))?;
        let name = entry.file_name();
        let path = inside(folder, &name.to_string_lossy());
        let kind = entry.file_type().map_err(|e| VersionError::io("look at", entry.path(), e))?;
        if PASSED_OVER.iter().any(|n| name == *n) || (kind.is_dir() && entry.path() == store) {
            tree.passed_over.push(path);
            continue;
        }
        if folder.is_empty() && name == MARKER {
            continue;
        }
        entries += 1;
        if name.to_str().is_none_or(|n| n.contains('\\') || n.chars().any(char::is_control)) {
            tree.bad_names.push(path.escape_debug().to_string());
        } else if kind.is_dir() {
            folders.push(path);
        } else if kind.is_symlink() {
            follow(&entry.path(), path, links, &mut tree);
        } else if kind.is_file() {
            let metadata = entry.metadata().map_err(|e| VersionError::io("look at", entry.path(), e))?;
            tree.files.push(TreeFile { path, stat: Stat::of(&metadata) });
        } else {
            tree.special.push(path);
        }
    }
    if entries == 0 && !folder.is_empty() {
        tree.empty_folders.push(folder.to_string());
    }
    Ok((tree, folders))
}

/// A link stands for the file it leads to, if that is wanted and there is one.
fn follow(link: &PathBuf, path: String, links: LinkPolicy, tree: &mut Tree) {
    match fs::metadata(link) {
        Ok(metadata) if metadata.is_file() && links == LinkPolicy::Follow => {
            tree.files.push(TreeFile { path, stat: Stat::of(&metadata) });
        }
        _ => tree.links.push(path),
    }
}

fn inside(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    #[test]
    fn lists_files_at_any_depth_and_leaves_out_version_control() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in ["b", "a/1", "a/c/2", ".hidden/3", ".git/x", "a/.dvc/y", "stored/z", MARKER] {
            put(root, path);
        }
        fs::create_dir_all(root.join("e/f")).unwrap();
        let tree = walk(root, &root.join("stored"), LinkPolicy::Refuse).unwrap();
        let paths: Vec<_> = tree.files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, [".hidden/3", "a/1", "a/c/2", "b"]);
        assert_eq!(tree.empty_folders, ["e/f"]);
        assert_eq!(tree.passed_over.len(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_refused_or_stand_for_their_files() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        put(&root, "a/1");
        put(dir.path(), "elsewhere");
        symlink(dir.path().join("elsewhere"), root.join("a/2")).unwrap();
        let message = walk(&root, &root.join("s"), LinkPolicy::Refuse).unwrap_err().to_string();
        assert!(message.contains("a/2") && message.contains("--follow-links"), "{message}");
        assert_eq!(walk(&root, &root.join("s"), LinkPolicy::Follow).unwrap().files.len(), 2);
        symlink(&root, root.join("a/loop")).unwrap();
        let message = walk(&root, &root.join("s"), LinkPolicy::Follow).unwrap_err().to_string();
        assert!(message.contains("a/loop") && !message.contains("a/2"), "{message}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_no_list_can_hold_are_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"a\xff")), "x").unwrap();
        fs::write(dir.path().join("b\nc"), "x").unwrap();
        let message = walk(dir.path(), Path::new("/none"), LinkPolicy::Refuse).unwrap_err().to_string();
        assert!(message.contains("b\\nc") && message.contains("rename"), "{message}");
    }
}
