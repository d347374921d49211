//! Dataset manifests: which image has which class and belongs to which split, with the hash of each file.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    files,
    hash::{ContentHasher, Sha256Hex},
    labels::ClassNames,
};

/// The part of a dataset that an image is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Weights are fitted on it; the only part that is ever augmented.
    Train,
    /// Choices are made on it: early stopping, best checkpoint, calibration temperature, hyperparameters.
    Val,
    /// Looked at once, at the end.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| format!("unknown split '{text}'; use train, val or test"))
    }
}

/// One image of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetItem {
    /// Path relative to the manifest's root, with forward slashes.
    pub path: String,
    /// Index into the class names.
    pub label: usize,
    /// Which part it belongs to.
    pub split: Split,
    /// Hash of the file.
    pub sha256: Sha256Hex,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// A frozen dataset: `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// Version of this format, [`DatasetManifest::FORMAT`].
    pub format_version: u32,
    /// Content version: depends on classes, files' hashes, labels and splits, not on where the files are.
    pub version: String,
    /// The data version (`kidu data snapshot`) that the images were read from, each at its path and with its content;
    /// nothing for a folder that is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Class names, in the order of the labels.
    pub classes: ClassNames,
    /// Where the paths begin; relative to the manifest's own folder unless absolute.
    pub root: PathBuf,
    /// Seed of the split.
    pub seed: u64,
    /// The images, sorted by split and path.
    pub items: Vec<DatasetItem>,
}

impl DatasetManifest {
    /// The version of the format that this code writes and reads.
    pub const FORMAT: u32 = 1;
    /// The usual file name.
    pub const FILE: &'static str = "manifest.json";

    /// Sorts the items and computes the version.
    pub fn new(classes: ClassNames, root: PathBuf, seed: u64, mut items: Vec<DatasetItem>) -> Self {
        items.sort_by(|a, b| (a.split, &a.path).cmp(&(b.split, &b.path)));
        let version = content_version(&classes, &items);
        Self { format_version: Self::FORMAT, version, snapshot: None, classes, root, seed, items }
    }

    /// Reads and checks a manifest; `path` is the file or the folder that holds `manifest.json`. The returned root is
    /// joined to the manifest's folder, ready to use.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], or [`Error::Format`] for another format version, a label without a class or a
    /// path that leaves the root.
    pub fn load(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join(Self::FILE) } else { path.to_path_buf() };
        let mut manifest: Self = files::read_json(&file, "dataset manifest")?;
        if manifest.format_version != Self::FORMAT {
            return Err(Error::format(
                &file,
                format!(
                    "format version {} is not {}; make it again with `kidu data split`",
                    manifest.format_version,
                    Self::FORMAT
                ),
            ));
        }
        if let Some(item) = manifest.items.iter().find(|i| i.label >= manifest.classes.len() || !is_inside(&i.path)) {
            return Err(Error::format(
                &file,
                format!("item '{}' has no class or leaves the dataset's root", item.path),
            ));
        }
        if manifest.root.is_relative() {
            manifest.root = files::parent_of(&file).join(&manifest.root);
        }
        Ok(manifest)
    }

    /// Writes the manifest atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }

    /// The images of one split, in order.
    pub fn items_of(&self, split: Split) -> impl Iterator<Item = &DatasetItem> {
        self.items.iter().filter(move |i| i.split == split)
    }

    /// Where an item's file is.
    pub fn file_of(&self, item: &DatasetItem) -> PathBuf {
        self.root.join(&item.path)
    }

    /// Number of images of each class in a split.
    pub fn counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.items_of(split).for_each(|i| counts[i.label] += 1);
        counts
    }

    /// Content version of one split alone, used to know that two models were judged on the same test set.
    pub fn split_version(&self, split: Split) -> String {
        let items: Vec<_> = self.items_of(split).cloned().collect();
        content_version(&self.classes, &items)
    }
}

fn content_version(classes: &ClassNames, items: &[DatasetItem]) -> String {
    let mut rows: Vec<String> =
        items.iter().map(|i| format!("{}\t{}\t{}", i.split, &classes[i.label], i.sha256)).collect();
    rows.sort_unstable();
    let hasher = ContentHasher::new("kidu dataset 1").field("classes", classes.as_slice().join("\n"));
    hasher.field("items", rows.join("\n")).finish().short().to_string()
}

/// Whether a relative path with forward slashes stays inside its root.
pub fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && Path::new(path).components().all(|c| matches!(c, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(path: &str, label: usize, split: Split) -> DatasetItem {
        DatasetItem { path: path.into(), label, split, sha256: Sha256Hex::of_bytes(path.as_bytes()), bytes: 1 }
    }

    fn manifest(items: Vec<DatasetItem>, root: &str) -> DatasetManifest {
        DatasetManifest::new(ClassNames::new(["a", "b"]).unwrap(), root.into(), 1, items)
    }

    #[test]
    fn the_version_depends_on_content_only() {
        let (x, y) = (item("a/1", 0, Split::Train), item("b/2", 1, Split::Test));
        let one = manifest(vec![x.clone(), y.clone()], "here");
        let two = manifest(vec![y.clone(), x.clone()], "there");
        assert_eq!(one.version, two.version);
        let moved = manifest(vec![DatasetItem { split: Split::Val, ..x.clone() }, y.clone()], "here");
        assert_ne!(one.version, moved.version);
        assert_eq!(one.split_version(Split::Test), moved.split_version(Split::Test));
    }

    #[test]
    fn loads_from_a_folder_and_resolves_the_root() {
        let dir = tempfile::tempdir().unwrap();
        manifest(vec![item("a/1", 0, Split::Train)], "images").save(&dir.path().join("manifest.json")).unwrap();
        let loaded = DatasetManifest::load(dir.path()).unwrap();
        assert_eq!(loaded.file_of(&loaded.items[0]), dir.path().join("images/a/1"));
        assert_eq!(loaded.counts(Split::Train), [1, 0]);
    }

    #[test]
    fn refuses_paths_that_leave_the_root() {
        let dir = tempfile::tempdir().unwrap();
        manifest(vec![item("../x", 0, Split::Train)], ".").save(&dir.path().join("manifest.json")).unwrap();
        assert!(DatasetManifest::load(dir.path()).unwrap_err().to_string().contains("leaves the dataset's root"));
        assert!(!is_inside("/etc/passwd") && !is_inside("a\\b") && is_inside("a/b.jpg"));
    }
}
