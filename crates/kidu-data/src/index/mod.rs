//! From a path to the list of labelled image files, before any of them is opened.

mod csv_list;
mod folder;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use kidu_core::{ClassNames, Split, suggest};
use serde::{Deserialize, Serialize};

use crate::{
    check::{FOREIGN, Survey, SurveyFile},
    error::{DataError, Result},
};

/// Extensions of the image files that are read, in lower case; any case is recognised.
pub const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// How the images were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One folder for each class, no split given.
    ClassFolders,
    /// `train/`, and `test/` or `val/` or both, with class folders.
    SplitFolders,
    /// The Intel scenes' own: `seg_train/seg_train/<class>`, `seg_test/seg_test/<class>`.
    Intel,
    /// A CSV list.
    Csv,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClassFolders => "class folders",
            Self::SplitFolders => "train/test folders",
            Self::Intel => "seg_train/seg_test folders",
            Self::Csv => "a CSV list",
        })
    }
}

/// One labelled file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Path relative to [`Index::root`], with forward slashes.
    pub path: String,
    /// Index into the class names.
    pub label: usize,
    /// The split that the data itself states.
    pub given: Option<Split>,
}

/// What lies in the folders and is no labelled image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Files and folders whose name begins with a dot, and `__MACOSX`.
    pub hidden: usize,
    /// Number of files by extension that is not one of [`EXTENSIONS`].
    pub by_extension: BTreeMap<String, usize>,
    /// Image files that lie outside any class folder.
    pub stray_images: usize,
    /// Folders that are not part of the layout, relative to the root.
    pub folders: Vec<String>,
}

/// The labelled files below one folder.
#[derive(Clone, Debug)]
pub struct Index {
    /// Where the paths begin: an absolute path without symbolic links.
    pub root: PathBuf,
    /// How the images were found.
    pub layout: Layout,
    /// Class names, sorted.
    pub classes: ClassNames,
    /// The files, sorted by path.
    pub entries: Vec<IndexEntry>,
    /// What was left aside.
    pub ignored: Ignored,
    /// Sentences about what was left aside and other oddities, for the person who gave the path.
    pub notes: Vec<String>,
}

impl Index {
    /// Lists the images of a folder or of a CSV list. Archives are extracted first, see [`crate::archive`].
    ///
    /// # Errors
    /// [`DataError::Source`], [`DataError::Layout`], [`DataError::Classes`] (fewer than two classes, a class without
    /// images to train on), [`DataError::Link`], [`DataError::Name`], [`DataError::Csv`] or an I/O error.
    pub fn of(path: &Path) -> Result<Self> {
        let root = canonical(path)?;
        let found = open(path, &root)?;
        found.into_index(path)
    }
}

/// Everything below a folder or in a list that is an image or pretends to be one, for [`crate::check`]: what cannot be
/// trained on is no error.
pub(crate) fn survey(path: &Path) -> Result<Survey> {
    let root = canonical(path)?;
    let (found, others, empty, can_fix) = if root.is_dir() {
        let (found, extra) = folder::survey(&root)?;
        (found, extra.others, extra.empty, true)
    } else {
        (open(path, &root)?, Vec::new(), Vec::new(), false)
    };
    let mut ignored = found.ignored.clone();
    // These are looked at, in class folders at least.
    ignored.by_extension.retain(|extension, _| !FOREIGN.contains(&extension.trim_start_matches('.')));
    let mut notes = found.notes.clone();
    notes.extend(notes_on(&ignored));
    let files: Vec<_> = found.files.into_iter().chain(others).collect();
    let mut classes: Vec<String> = files.iter().map(|f| f.1.clone()).chain(empty).collect();
    classes.sort_unstable();
    classes.dedup();
    // The names hold every class.
    let class = |name: &String| classes.binary_search(name).unwrap_or_default();
    let mut files: Vec<SurveyFile> = files
        .iter()
        .map(|(path, name, split)| SurveyFile { path: path.clone(), class: class(name), split: *split })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Survey { root: found.root, layout: Some(found.layout), classes, files, notes, can_fix })
}

fn canonical(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(root) => Ok(root),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(DataError::Source { path: path.into(), reason: "there is no such file or folder".into() })
        }
        Err(e) => Err(DataError::io("read", path, e)),
    }
}

/// `root` is the canonical form of `path`.
fn open(path: &Path, root: &Path) -> Result<Found> {
    if root.is_dir() {
        folder::scan(root)
    } else if has_extension(root, &["csv"]) {
        csv_list::read(root)
    } else {
        Err(DataError::Source { path: path.into(), reason: "is not a folder or a list of images".into() })
    }
}

/// What the readers of the layouts hand over: class names still as text.
#[derive(Debug)]
struct Found {
    root: PathBuf,
    layout: Layout,
    /// Path, class, given split.
    files: Vec<(String, String, Option<Split>)>,
    ignored: Ignored,
    notes: Vec<String>,
}

impl Found {
    fn into_index(mut self, given: &Path) -> Result<Index> {
        let mut names: Vec<&str> = self.files.iter().map(|f| f.1.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        check_classes(given, &names, &self.files)?;
        let classes = ClassNames::new(names.iter().copied())?;
        self.notes.extend(notes_on(&self.ignored));
        self.notes.extend(missing_in_given_splits(&names, &self.files));
        let mut entries: Vec<IndexEntry> = Vec::with_capacity(self.files.len());
        for (path, class, split) in &self.files {
            // The names are sorted and hold every class.
            let label = names.binary_search(&class.as_str()).unwrap_or_default();
            entries.push(IndexEntry { path: path.clone(), label, given: *split });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Index { root: self.root, layout: self.layout, classes, entries, ignored: self.ignored, notes: self.notes })
    }
}

/// At least two classes, and each of them can be trained on.
fn check_classes(given: &Path, names: &[&str], files: &[(String, String, Option<Split>)]) -> Result<()> {
    let fail = |reason| Err(DataError::Classes { path: given.into(), reason });
    if let [only] = names {
        return fail(format!(
            "all {} images are of one class, '{only}'; a classifier needs at least two classes",
            files.len()
        ));
    }
    let trainable: Vec<&str> = {
        let pool = files.iter().filter(|f| matches!(f.2, None | Some(Split::Train)));
        let mut pool: Vec<&str> = pool.map(|f| f.1.as_str()).collect();
        pool.sort_unstable();
        pool.dedup();
        pool
    };
    let untrained: Vec<String> = names
        .iter()
        .filter(|n| trainable.binary_search(n).is_err())
        .map(|n| format!("'{n}'{}", suggest::did_you_mean(suggest::nearest(n, trainable.iter().copied()))))
        .collect();
    if untrained.is_empty() {
        return Ok(());
    }
    fail(format!(
        "the val or test split has images of {}, but there is none to train on; add training images or rename the class",
        untrained.join(", ")
    ))
}

fn notes_on(ignored: &Ignored) -> Vec<String> {
    let mut notes = Vec::new();
    if ignored.hidden > 0 {
        notes.push(format!("{} hidden files or folders were left aside", ignored.hidden));
    }
    if !ignored.by_extension.is_empty() {
        let list: Vec<String> = ignored.by_extension.iter().map(|(e, n)| format!("{n} {e}")).collect();
        notes.push(format!("files that are not images by their extension were left aside: {}", list.join(", ")));
    }
    if ignored.stray_images > 0 {
        notes.push(format!("{} image files outside of class folders were left aside", ignored.stray_images));
    }
    if !ignored.folders.is_empty() {
        let folders = crate::error::listed(&ignored.folders, ", ");
        notes.push(format!("folders that are no part of the layout were left aside: {folders}"));
    }
    notes
}

/// A class without images in a given val or test split has no figures of its own there: worth a line.
fn missing_in_given_splits(names: &[&str], files: &[(String, String, Option<Split>)]) -> Vec<String> {
    let mut notes = Vec::new();
    for split in [Split::Val, Split::Test] {
        let present: Vec<&str> = files.iter().filter(|f| f.2 == Some(split)).map(|f| f.1.as_str()).collect();
        let missing: Vec<&str> = names.iter().copied().filter(|n| !present.contains(n)).collect();
        if !present.is_empty() && !missing.is_empty() {
            notes.push(format!("the given {split} split has no image of: {}", missing.join(", ")));
        }
    }
    notes
}

/// The images below a folder, in folders of any depth, sorted by path. Hidden files and folders are left out, as are
/// links to folders, which could lead in a circle.
///
/// # Errors
/// An I/O error with the folder's path.
pub fn images_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| DataError::io("list", &folder, e))? {
            let path = entry.map_err(|e| DataError::io("list", &folder, e))?.path();
            match path.is_dir() {
                _ if is_hidden(&path) => {}
                true if path.is_symlink() => {}
                true => folders.push(path),
                false if has_extension(&path, &EXTENSIONS) => images.push(path),
                false => {}
            }
        }
    }
    images.sort_unstable();
    Ok(images)
}

/// Whether files and folders of that name are never part of a dataset.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n == "__MACOSX" || n.to_string_lossy().starts_with('.'))
}

/// Whether the path ends in one of the (lower-case) extensions, whatever its case.
pub(crate) fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| known.contains(&e.to_ascii_lowercase().as_str()))
}

/// The name as text that a manifest can hold.
fn usable_name(path: &Path) -> Result<&str> {
    let fail = |reason| Err(DataError::Name { path: path.into(), reason });
    match path.file_name().and_then(|n| n.to_str()) {
        None => fail("is not valid UTF-8"),
        Some(name) if name.contains('\\') => fail("contains a backslash"),
        Some(name) if name.chars().any(char::is_control) => fail("contains a control character"),
        Some(name) => Ok(name),
    }
}

/// Refuses a symbolic link that is broken or leads out of the root, which must be canonical.
fn check_link(root: &Path, link: &Path) -> Result<()> {
    let fail = |reason: String| Err(DataError::Link { path: link.into(), reason });
    match link.canonicalize() {
        Ok(target) if target.starts_with(root) => Ok(()),
        Ok(target) => fail(format!("leaves the dataset's folder ({})", target.display())),
        Err(e) => fail(format!("leads nowhere ({e})")),
    }
}
