//! What is to be checked: every file that is an image or pretends to be one, with its class and split.
//!
//! [`Index`](crate::Index) refuses what cannot be trained on; a survey takes it in, so that it can be told what is wrong.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use kidu_core::{DatasetManifest, Progress, Split};

use crate::{
    archive,
    error::{DataError, Result},
    index::{self, Layout},
};

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyFile {
    /// Path relative to [`Survey::root`], with forward slashes.
    pub path: String,
    /// Index into the class names.
    pub class: usize,
    /// The split that the data states.
    pub split: Option<Split>,
}

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Where the paths begin: an absolute path without symbolic links.
    pub root: PathBuf,
    /// How the files were found; `None` for a manifest.
    pub layout: Option<Layout>,
    /// Class names, sorted; those of classes without a file too.
    pub classes: Vec<String>,
    /// The files, sorted by path.
    pub files: Vec<SurveyFile>,
    /// Sentences on what was left aside.
    pub notes: Vec<String>,
    /// Whether files can be moved away without a list or an archive naming them still.
    pub can_fix: bool,
}

/// Extensions of images that are not read: looked at so that they can be told of.
pub(crate) const FOREIGN: [&str; 12] =
    ["gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "jfif", "jpe", "jp2", "apng", "ico"];

impl Survey {
    /// Of a folder, an archive (extracted into `out_dir/images`) or a CSV list.
    ///
    /// # Errors
    /// [`DataError`], where no labelled file is found at all or a list is wrong.
    pub fn of(source: &Path, out_dir: &Path, progress: &dyn Progress) -> Result<Self> {
        let folder = archive::opened(source, out_dir, progress)?;
        let survey = index::survey(&folder)?;
        let is_ours = matches!(folder, Cow::Owned(_));
        Ok(Self { can_fix: survey.can_fix && !is_ours, ..survey })
    }

    /// Of a dataset that was split before: its own splits are what leakage is looked for between.
    ///
    /// # Errors
    /// [`DataError::Core`] for a manifest that cannot be read or whose folder is gone.
    pub fn of_manifest(path: &Path) -> Result<Self> {
        let manifest = DatasetManifest::load(path)?;
        let root = manifest.root.canonicalize().map_err(|e| DataError::io("read", &manifest.root, e))?;
        let mut files: Vec<SurveyFile> = manifest
            .items
            .into_iter()
            .map(|i| SurveyFile { path: i.path, class: i.label, split: Some(i.split) })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let classes = manifest.classes.iter().map(String::from).collect();
        Ok(Self { root, layout: None, classes, files, notes: Vec::new(), can_fix: false })
    }

    /// Images of each class, by train (or no split), val and test.
    pub fn counts(&self) -> Vec<[usize; 3]> {
        let mut counts = vec![[0; 3]; self.classes.len()];
        for file in &self.files {
            let place = Split::ALL.iter().position(|s| *s == file.split.unwrap_or(Split::Train));
            counts[file.class][place.unwrap_or_default()] += 1;
        }
        counts
    }

    /// The splits that the data states.
    pub fn given(&self) -> Vec<Split> {
        Split::ALL.into_iter().filter(|s| self.files.iter().any(|f| f.split == Some(*s))).collect()
    }
}
