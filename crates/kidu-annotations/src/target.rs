//! The dataset that is imported into: its layout, its images by content.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, Split};
use rayon::prelude::*;

use crate::{
    error::{ImportError, Result},
    options::LayoutChoice,
    plan::QUARANTINE,
};

/// Extensions of image files, as the rest of Kidu reads them.
const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Names of the folder that holds the validation split.
const VAL_NAMES: [&str; 3] = ["val", "valid", "validation"];

/// Where classes are in the dataset's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `<class>/`.
    Classes,
    /// `<split>/<class>/`: the folders of train, val and test.
    Splits([String; 3]),
}

/// An image of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    /// Relative to the dataset's folder, with forward slashes.
    pub(crate) path: String,
    pub(crate) class: String,
    pub(crate) split: Option<Split>,
    pub(crate) sha256: Sha256Hex,
}

/// The dataset.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) dir: PathBuf,
    pub(crate) layout: Layout,
    /// Sorted by path.
    pub(crate) images: Vec<Present>,
    /// Names of the class folders.
    pub(crate) classes: BTreeSet<String>,
    /// All files in class folders and in quarantine, in lower case: some file systems do not tell cases apart.
    pub(crate) taken: HashSet<String>,
}

impl Target {
    /// Lists and hashes the images of a folder, which need not be there.
    pub(crate) fn scan(dir: &Path, choice: Option<LayoutChoice>, progress: &dyn Progress) -> Result<Self> {
        let top = folders(dir)?;
        let layout = layout(dir, &top, choice)?;
        let mut target =
            Self { dir: dir.into(), layout, images: Vec::new(), classes: BTreeSet::new(), taken: HashSet::new() };
        let mut files = Vec::new();
        for (split, folder) in target.roots() {
            for class in folders(&dir.join(&folder))? {
                let prefix = if folder.is_empty() { class.clone() } else { format!("{folder}/{class}") };
                for name in names(&dir.join(&prefix))? {
                    let path = format!("{prefix}/{name}");
                    target.taken.insert(path.to_lowercase());
                    if is_image(&name) {
                        files.push((path, class.clone(), split));
                    }
                }
                target.classes.insert(class);
            }
        }
        target.taken.extend(below(dir, QUARANTINE)?);
        files.sort();
        progress.begin("hash the dataset", "images", Some(files.len() as u64));
        let images: Result<Vec<Present>> = files
            .into_par_iter()
            .map(|(path, class, split)| {
                let sha256 = Sha256Hex::of_file(&dir.join(&path))?;
                progress.advance(1);
                Ok(Present { path, class, split, sha256 })
            })
            .collect();
        progress.end();
        target.images = images?;
        Ok(target)
    }

    /// Each split with its folder; the dataset's own folder, as an empty text, where there is no split.
    fn roots(&self) -> Vec<(Option<Split>, String)> {
        match &self.layout {
            Layout::Classes => vec![(None, String::new())],
            Layout::Splits(names) => Split::ALL.into_iter().map(Some).zip(names.iter().cloned()).collect(),
        }
    }

    /// The folder of a class in a split, relative to the dataset's.
    pub(crate) fn folder_of(&self, split: Option<Split>, class: &str) -> String {
        match &self.layout {
            Layout::Classes => class.into(),
            Layout::Splits(names) => {
                let split = split.unwrap_or(Split::Train);
                let at = Split::ALL.iter().position(|s| *s == split).unwrap_or_default();
                format!("{}/{class}", names[at])
            }
        }
    }

    /// The split that a new image gets.
    pub(crate) fn split_for(&self, wanted: Split) -> Option<Split> {
        (self.layout != Layout::Classes).then_some(wanted)
    }
}

fn layout(dir: &Path, top: &[String], choice: Option<LayoutChoice>) -> Result<Layout> {
    let has = |name: &str| top.iter().any(|f| f == name);
    let val = VAL_NAMES.into_iter().find(|n| has(n)).unwrap_or("val").to_string();
    let splits = || Layout::Splits(["train".into(), val, "test".into()]);
    let found = if has("seg_train") {
        let inner =
            |name: &str| if dir.join(name).join(name).is_dir() { format!("{name}/{name}") } else { name.into() };
        Some(Layout::Splits([inner("seg_train"), "seg_val".into(), inner("seg_test")]))
    } else if ["train", "test"].iter().any(|n| has(n)) && !holds_images(&dir.join("train"))? {
        Some(splits())
    } else if top.is_empty() {
        None
    } else {
        Some(Layout::Classes)
    };
    match (found, choice) {
        (None, Some(LayoutChoice::Class)) => Ok(Layout::Classes),
        (None, _) => Ok(Layout::Splits(["train".into(), "val".into(), "test".into()])),
        (Some(Layout::Classes), Some(LayoutChoice::Split)) => Err(ImportError::Target {
            path: dir.into(),
            reason:
                "has class folders without splits, not what --layout split says; split it first or leave the option out"
                    .into(),
        }),
        (Some(Layout::Splits(_)), Some(LayoutChoice::Class)) => Err(ImportError::Target {
            path: dir.into(),
            reason: "has a folder for each split, not what --layout class says; leave the option out".into(),
        }),
        (Some(found), _) => Ok(found),
    }
}

fn is_image(name: &str) -> bool {
    Path::new(name)
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

fn holds_images(folder: &Path) -> Result<bool> {
    Ok(names(folder)?.iter().any(|n| is_image(n)))
}

/// The visible folders in a folder, sorted; none if it is not there.
fn folders(folder: &Path) -> Result<Vec<String>> {
    entries(folder, Path::is_dir)
}

/// All files below a folder of the dataset, in lower case; none if it is not there.
fn below(dir: &Path, folder: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> =
        names(&dir.join(folder))?.iter().map(|name| format!("{folder}/{name}").to_lowercase()).collect();
    for inner in folders(&dir.join(folder))? {
        found.extend(below(dir, &format!("{folder}/{inner}"))?);
    }
    Ok(found)
}

/// The visible files in a folder, sorted; none if it is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    entries(folder, Path::is_file)
}

fn entries(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(ImportError::io("list", folder, e)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|e| ImportError::io("list", folder, e))?;
        let Ok(name) = entry.file_name().into_string() else {
            let reason = "has a name that is not valid UTF-8; rename it".into();
            return Err(ImportError::Target { path: entry.path(), reason });
        };
        if !name.starts_with('.') && name != "__MACOSX" && wanted(&entry.path()) {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}
