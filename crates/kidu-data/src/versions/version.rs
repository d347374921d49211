//! One version: its files with their hashes, classes and splits, and where it came from.

use std::{collections::BTreeMap, path::Path};

use kidu_core::{ContentHasher, Error, Sha256Hex, Split, dataset::is_inside, files};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Result;
use crate::index::Layout;

/// The file at the root of a checked out tree that says which version it is: the version itself. Never part of a version.
pub const MARKER: &str = ".kidu-version.json";

/// A version of a dataset. Never changed once written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Version of this format, [`Version::FORMAT`].
    pub format_version: u32,
    /// Hash of the files' list: paths, contents, classes, splits, empty folders. Not of what follows below.
    pub id: Sha256Hex,
    /// Name of the dataset that it was first a snapshot of.
    pub dataset: String,
    /// What the dataset was before, if anything.
    #[serde(default)]
    pub parents: Vec<Sha256Hex>,
    /// Why it was made.
    #[serde(default)]
    pub message: String,
    /// Who made it.
    pub author: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Version of Kidu that made it.
    pub kidu_version: String,
    /// Where the data came from, as the importer or the user states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
    /// How classes and splits were found; nothing where no layout fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The CSV list in the tree that classes and splits were taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Figures, of the whole and by class and split.
    pub statistics: Statistics,
    /// Folders with nothing in them, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty_folders: Vec<String>,
    /// The files, sorted by path.
    pub files: Vec<VersionFile>,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFile {
    /// Path relative to the tree's root, with forward slashes.
    pub path: String,
    /// Hash of its content.
    pub sha256: Sha256Hex,
    /// Size in bytes.
    pub bytes: u64,
    /// Its class, for a labelled image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The split that the tree itself states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// A version in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Number of labelled images among them.
    pub images: u64,
    /// The images of each class, sorted by name.
    pub classes: Vec<ClassCount>,
}

/// The images of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The class.
    pub class: String,
    /// Images in the tree's own training split.
    pub train: u64,
    /// Images in its validation split.
    pub val: u64,
    /// Images in its test split.
    pub test: u64,
    /// Images that the tree gives no split.
    pub undivided: u64,
    /// Size of all of them in bytes.
    pub bytes: u64,
}

impl Statistics {
    /// The figures of a list of files.
    pub fn of(files: &[VersionFile]) -> Self {
        let mut classes: BTreeMap<&str, ClassCount> = BTreeMap::new();
        for (file, class) in files.iter().filter_map(|f| Some((f, f.class.as_deref()?))) {
            let count =
                classes.entry(class).or_insert_with(|| ClassCount { class: class.into(), ..Default::default() });
            count.bytes += file.bytes;
            *match file.split {
                Some(Split::Train) => &mut count.train,
                Some(Split::Val) => &mut count.val,
                Some(Split::Test) => &mut count.test,
                None => &mut count.undivided,
            } += 1;
        }
        let classes: Vec<_> = classes.into_values().collect();
        Self {
            files: files.len() as u64,
            bytes: files.iter().map(|f| f.bytes).sum(),
            images: classes.iter().map(ClassCount::images).sum(),
            classes,
        }
    }
}

impl ClassCount {
    /// Images of all splits.
    pub fn images(&self) -> u64 {
        self.train + self.val + self.test + self.undivided
    }
}

impl Version {
    /// The version of the format that this code writes and reads.
    pub const FORMAT: u32 = 1;

    /// The id of a tree: a hash of its sorted files with contents, sizes, classes and splits, of its empty folders and
    /// of the list that labels come from.
    pub fn id_of(files: &[VersionFile], empty_folders: &[String], list: Option<&str>) -> Sha256Hex {
        let mut hasher = ContentHasher::new("kidu data version 1").field("list", list.unwrap_or_default());
        for file in files {
            hasher = hasher
                .field("path", &file.path)
                .field("sha256", file.sha256.as_str())
                .field("bytes", file.bytes.to_le_bytes())
                .field("class", file.class.as_deref().unwrap_or_default())
                .field("split", file.split.map_or("", Split::name));
        }
        for folder in empty_folders {
            hasher = hasher.field("empty folder", folder);
        }
        hasher.finish()
    }

    /// Reads a version and checks that it is the one that its id says.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], or [`Error::Format`] for another format, a path that leaves the tree, or content
    /// that the id does not belong to: such a version is not used.
    pub fn load(path: &Path) -> Result<Self> {
        let version: Self = files::read_json(path, "dataset version")?;
        version.check(path)?;
        Ok(version)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let fail = |reason: String| Err(Error::format(path, reason).into());
        if self.format_version != Self::FORMAT {
            return fail(format!(
                "format version {} is not {}; use the version of Kidu that wrote it ({})",
                self.format_version,
                Self::FORMAT,
                self.kidu_version
            ));
        }
        // Hashes become file names below.
        if let Some(bad) =
            self.files.iter().find(|f| !is_inside(&f.path) || Sha256Hex::parse(f.sha256.as_str()).is_none())
        {
            return fail(format!("the entry '{}' leaves the tree or has no SHA-256; restore the file", bad.path));
        }
        if let Some(bad) = self.empty_folders.iter().find(|f| !is_inside(f)) {
            return fail(format!("the folder '{bad}' leaves the tree; restore the file"));
        }
        let found = Self::id_of(&self.files, &self.empty_folders, self.list.as_deref());
        if found != self.id {
            return fail(format!(
                "its content has the id {}, not {}: the file was changed or damaged after it was written; restore it",
                found.short(),
                self.id.as_str().chars().take(12).collect::<String>()
            ));
        }
        Ok(())
    }

    /// The file at a path.
    pub fn file(&self, path: &str) -> Option<&VersionFile> {
        self.files.binary_search_by(|f| f.path.as_str().cmp(path)).ok().map(|i| &self.files[i])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file whose content is the text.
    pub(in crate::versions) fn file(path: &str, content: &str, class: &str, split: Option<Split>) -> VersionFile {
        VersionFile {
            path: path.into(),
            sha256: Sha256Hex::of_bytes(content.as_bytes()),
            bytes: content.len() as u64,
            class: (!class.is_empty()).then(|| class.into()),
            split,
        }
    }

    /// A version of these files.
    pub(in crate::versions) fn version(mut files: Vec<VersionFile>) -> Version {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Version {
            format_version: Version::FORMAT,
            id: Version::id_of(&files, &[], None),
            dataset: "photos".into(),
            parents: Vec::new(),
            message: String::new(),
            author: "ana".into(),
            created: "2026-01-01T00:00:00Z".into(),
            kidu_version: "0".into(),
            source: None,
            layout: None,
            list: None,
            statistics: Statistics::of(&files),
            empty_folders: Vec::new(),
            files,
        }
    }

    #[test]
    fn the_id_depends_on_content_path_class_and_split_and_on_nothing_else() {
        let base = version(vec![file("a/1", "x", "a", None), file("b/1", "y", "b", None)]);
        let mut same = version(vec![file("b/1", "y", "b", None), file("a/1", "x", "a", None)]);
        same.message = "other".into();
        assert_eq!(base.id, same.id);
        for other in [
            file("a/1", "z", "a", None),
            file("a/2", "x", "a", None),
            file("a/1", "x", "b", None),
            file("a/1", "x", "a", Some(Split::Test)),
        ] {
            assert_ne!(version(vec![other, file("b/1", "y", "b", None)]).id, base.id);
        }
        assert_ne!(Version::id_of(&base.files, &["c".into()], None), base.id);
    }

    #[test]
    fn figures_are_by_class_and_split() {
        let statistics = Statistics::of(&[
            file("train/a/1", "xx", "a", Some(Split::Train)),
            file("test/a/1", "y", "a", Some(Split::Test)),
            file("list.csv", "p", "", None),
        ]);
        assert_eq!((statistics.files, statistics.bytes, statistics.images), (3, 4, 2));
        let a = &statistics.classes[0];
        assert_eq!((a.train, a.val, a.test, a.undivided, a.bytes), (1, 0, 1, 0, 3));
    }

    #[test]
    fn a_changed_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.json");
        let good = version(vec![file("a/1", "x", "a", None)]);
        files::write_json(&path, &good).unwrap();
        assert_eq!(Version::load(&path).unwrap(), good);
        let refused = |change: fn(&mut Version), word: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            files::write_json(&path, &bad).unwrap();
            let message = Version::load(&path).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        };
        refused(|v| v.files[0].bytes = 9, "changed or damaged");
        refused(|v| v.files[0].path = "../1".into(), "leaves the tree");
        refused(|v| v.empty_folders.push("/etc".into()), "leaves the tree");
        refused(|v| v.format_version = 2, "format version 2");
        refused(|v| v.files[0].sha256 = serde_json::from_str("\"../../x\"").unwrap(), "no SHA-256");
    }
}
