//! The folder layouts: class folders, train/test folders, the Intel scenes' own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use kidu_core::Split;

use super::{EXTENSIONS, Found, Ignored, Layout, check_link, has_extension, is_hidden, usable_name};
use crate::{
    check::FOREIGN,
    error::{DataError, Result, listed},
    versions::MARKER,
};

/// Names of the folder that holds the validation split.
const VAL_NAMES: [&str; 3] = ["val", "valid", "validation"];
/// How many folders with nothing but one folder in them are stepped through.
const MAX_WRAPPERS: usize = 4;

/// One level of a folder, sorted by name.
#[derive(Debug, Default)]
struct Listing {
    folders: Vec<String>,
    images: Vec<String>,
    /// Names of images of types that are not read.
    foreign: Vec<String>,
    other: BTreeMap<String, usize>,
    hidden: usize,
}

/// Lists the labelled images below `root`, which must be canonical.
pub(super) fn scan(root: &Path) -> Result<Found> {
    let (found, extra) = survey(root)?;
    match extra.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(found),
    }
}

/// What a survey tells of and training refuses or passes over.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Files in class folders whose extension is that of an image that is not read: path, class, split.
    pub(super) others: Vec<(String, String, Option<Split>)>,
    /// Class folders without an image.
    pub(super) empty: Vec<String>,
    /// Why there is nothing to train on for some class.
    refusal: Option<DataError>,
}

/// As [`scan`], with what it refuses or passes over beside it.
pub(super) fn survey(root: &Path) -> Result<(Found, Extra)> {
    let mut scan =
        Scan { root: root.to_path_buf(), files: Vec::new(), ignored: Ignored::default(), extra: Extra::default() };
    let mut notes = Vec::new();
    let mut top = root.to_path_buf();
    let mut listing = scan.list(&top)?;
    // An archive often holds one folder that holds the dataset.
    for _ in 0..MAX_WRAPPERS {
        let [only] = listing.folders.as_slice() else { break };
        let inner = top.join(only);
        let next = scan.list(&inner)?;
        if !listing.images.is_empty() || next.folders.is_empty() || !next.images.is_empty() {
            break;
        }
        notes.push(format!("the dataset was looked for in '{only}', the only folder of {}", top.display()));
        scan.set_aside(&listing);
        (top, listing) = (inner, next);
    }
    scan.set_aside(&listing);
    let has = |name: &str| listing.folders.iter().any(|f| f == name);
    let layout = if has("seg_train") {
        scan.intel(&top, &listing)?;
        Layout::Intel
    } else if has("train") && scan.is_split_layout(&top, &listing)? {
        scan.split_folders(&top, &listing)?;
        Layout::SplitFolders
    } else {
        scan.class_folders(&top, &listing)?;
        Layout::ClassFolders
    };
    let found = Found { root: scan.root, layout, files: scan.files, ignored: scan.ignored, notes };
    Ok((found, scan.extra))
}

struct Scan {
    root: PathBuf,
    files: Vec<(String, String, Option<Split>)>,
    ignored: Ignored,
    extra: Extra,
}

impl Scan {
    /// Lists one level; symbolic links must stay inside the root.
    fn list(&self, folder: &Path) -> Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(folder).map_err(|e| DataError::io("list", folder, e))? {
            let entry = entry.map_err(|e| DataError::io("list", folder, e))?;
            let path = entry.path();
            if is_hidden(&path) {
                // Our own file at the root of a checked out version is nothing to tell of.
                listing.hidden += usize::from(entry.file_name() != MARKER);
                continue;
            }
            let kind = entry.file_type().map_err(|e| DataError::io("read", &path, e))?;
            if kind.is_symlink() {
                check_link(&self.root, &path)?;
            }
            if path.is_dir() {
                listing.folders.push(usable_name(&path)?.to_string());
            } else if has_extension(&path, &EXTENSIONS) {
                listing.images.push(usable_name(&path)?.to_string());
            } else {
                let extension = path.extension().map_or_else(
                    || "without extension".to_string(),
                    |e| format!(".{}", e.to_string_lossy().to_lowercase()),
                );
                *listing.other.entry(extension).or_default() += 1;
                if let (true, Ok(name)) = (has_extension(&path, &FOREIGN), usable_name(&path)) {
                    listing.foreign.push(name.to_string());
                }
            }
        }
        listing.folders.sort_unstable();
        listing.images.sort_unstable();
        Ok(listing)
    }

    /// Counts what a level holds besides folders.
    fn set_aside(&mut self, listing: &Listing) {
        self.ignored.hidden += listing.hidden;
        self.ignored.stray_images += listing.images.len();
        for (extension, n) in &listing.other {
            *self.ignored.by_extension.entry(extension.clone()).or_default() += n;
        }
    }

    fn relative(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        inside.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// `train` beside `test` or `val`, or `train` with class folders in it; otherwise it is a class called "train".
    fn is_split_layout(&self, top: &Path, listing: &Listing) -> Result<bool> {
        let train = self.list(&top.join("train"))?;
        let sibling = |f: &String| f == "test" || VAL_NAMES.contains(&f.as_str());
        Ok(!train.folders.is_empty() || (train.images.is_empty() && listing.folders.iter().any(sibling)))
    }

    fn intel(&mut self, top: &Path, listing: &Listing) -> Result<()> {
        for name in &listing.folders {
            let split = match name.as_str() {
                "seg_train" => Split::Train,
                "seg_test" => Split::Test,
                _ => {
                    self.ignored.folders.push(self.relative(&top.join(name)));
                    continue;
                }
            };
            let outer = top.join(name);
            let inner = outer.join(name);
            let folder = if inner.is_dir() { inner } else { outer };
            let level = self.list(&folder)?;
            self.set_aside(&level);
            self.classes_of(&folder, &level, Some(split))?;
        }
        Ok(())
    }

    fn split_folders(&mut self, top: &Path, listing: &Listing) -> Result<()> {
        let vals: Vec<&str> = VAL_NAMES.into_iter().filter(|n| listing.folders.iter().any(|f| f == n)).collect();
        if vals.len() > 1 {
            let found = format!("found several folders for the validation split: {}", vals.join(", "));
            return Err(DataError::Layout { path: top.into(), found });
        }
        for name in &listing.folders {
            let split = match name.as_str() {
                "train" => Split::Train,
                "test" => Split::Test,
                n if vals.contains(&n) => Split::Val,
                _ => {
                    self.ignored.folders.push(self.relative(&top.join(name)));
                    continue;
                }
            };
            let folder = top.join(name);
            let level = self.list(&folder)?;
            self.set_aside(&level);
            self.classes_of(&folder, &level, Some(split))?;
        }
        Ok(())
    }

    fn class_folders(&mut self, top: &Path, listing: &Listing) -> Result<()> {
        let fail = |found: String| Err(DataError::Layout { path: top.into(), found });
        if listing.folders.is_empty() {
            return fail(match (listing.images.len(), listing.other.values().sum::<usize>()) {
                (0, 0) => "the folder is empty".into(),
                (0, n) => format!("found {n} files ({}) and no folder", kinds(listing)),
                (n, _) => format!("found {n} images directly in the folder, so their classes are not known"),
            });
        }
        if listing.folders.iter().any(|f| f == "test" || f == "seg_test") && !self.is_class(&top.join("test"))? {
            return fail(format!("found {} but no train folder", listed(&listing.folders, ", ")));
        }
        self.classes_of(top, listing, None)
    }

    /// Whether a folder holds images itself; a folder that is not there holds none.
    fn is_class(&self, folder: &Path) -> Result<bool> {
        Ok(folder.is_dir() && !self.list(folder)?.images.is_empty())
    }

    /// Takes each folder of the level as a class. In a folder to train on, a class without images is an error; in val
    /// and test it is only not there.
    fn classes_of(&mut self, folder: &Path, level: &Listing, split: Option<Split>) -> Result<()> {
        let to_train_on = matches!(split, None | Some(Split::Train));
        let (mut taken, mut empty) = (0, Vec::new());
        for class in &level.folders {
            let path = folder.join(class);
            let files = self.list(&path)?;
            self.ignored.hidden += files.hidden;
            for (extension, n) in &files.other {
                *self.ignored.by_extension.entry(extension.clone()).or_default() += n;
            }
            for inner in &files.folders {
                if self.is_class(&path.join(inner))? {
                    let found = format!(
                        "found images one level too deep, in '{class}/{inner}'{}",
                        if files.images.is_empty() { "" } else { ", beside images of the class itself" }
                    );
                    return Err(DataError::Layout { path: folder.into(), found });
                }
                self.ignored.folders.push(self.relative(&path.join(inner)));
            }
            if files.images.is_empty() {
                if to_train_on {
                    self.extra.empty.push(class.clone());
                }
                empty.push(match kinds(&files) {
                    k if k.is_empty() => format!("'{class}'"),
                    k => format!("'{class}' (found {k})"),
                });
            }
            taken += files.images.len();
            let prefix = self.relative(&path);
            let others = files.foreign.iter().map(|i| (format!("{prefix}/{i}"), class.clone(), split));
            self.extra.others.extend(others);
            self.files.extend(files.images.iter().map(|i| (format!("{prefix}/{i}"), class.clone(), split)));
        }
        if taken == 0 {
            let found = format!(
                "found {} and no image in class folders",
                if level.folders.is_empty() { "no folder".into() } else { listed(&level.folders, ", ") }
            );
            return Err(DataError::Layout { path: folder.into(), found });
        }
        if to_train_on && !empty.is_empty() {
            let reason = format!(
                "class folders without an image: {}; add .jpg, .jpeg, .png or .webp files or remove the folder",
                listed(&empty, ", ")
            );
            self.extra.refusal.get_or_insert(DataError::Classes { path: folder.into(), reason });
        }
        Ok(())
    }
}

/// "3 .gif, 1 .txt".
fn kinds(listing: &Listing) -> String {
    listing.other.iter().map(|(e, n)| format!("{n} {e}")).collect::<Vec<_>>().join(", ")
}
