//! The error type of this crate.

use std::path::{Path, PathBuf};

use kidu_core::Split;

/// A result whose error is [`DataError`].
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// How many offenders a message lists before it says "and N more".
pub(crate) const LISTED: usize = 10;

/// What can go wrong between a path and a batch. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file, folder, hash or manifest: see the inner error.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// A dataset version: see the inner error.
    #[error(transparent)]
    Version(#[from] crate::versions::VersionError),
    /// The images that were read are not those of the version that was asked for.
    #[error("{} of {total} images are not as in data version {version}: the checkout {} was written to. Remove that folder \
             and start again", differing, path.display())]
    NotTheVersion {
        /// The version.
        version: String,
        /// Where it was checked out.
        path: PathBuf,
        /// How many images differ.
        differing: usize,
        /// Of how many.
        total: usize,
    },
    /// A setting is out of its range.
    #[error("{key}: {reason}")]
    Setting {
        /// The key, as in `data.batch_size`.
        key: String,
        /// The broken rule and the allowed range.
        reason: String,
    },
    /// The path is none of the kinds that can be read.
    #[error("{}: {reason}; data.root takes a folder, a .zip, .tar, .tar.gz or .tgz archive, or a .csv list", path.display())]
    Source {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder does not have one of the expected layouts.
    #[error("{}: {found}. {}", path.display(), EXPECTED)]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// The classes cannot be learned from or split.
    #[error("{}: {reason}", path.display())]
    Classes {
        /// Where the data came from.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A symbolic link that cannot be followed safely.
    #[error("{} is a symbolic link that {reason}; copy the files into the dataset's folder instead", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Why it is refused.
        reason: String,
    },
    /// A file or folder name that a manifest cannot hold.
    #[error("{}: the name {reason}; rename it", path.display())]
    Name {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with the name.
        reason: &'static str,
    },
    /// A CSV list has wrong lines.
    #[error("{}: {}", path.display(), listed(problems, "\n  "))]
    Csv {
        /// The list.
        path: PathBuf,
        /// One sentence for each wrong line, with the line's number.
        problems: Vec<String>,
    },
    /// An archive is damaged, too large or of a kind that cannot be read. Nothing of it was kept.
    #[error("{}: {reason}; nothing was extracted", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// An archive holds an entry that must not be extracted. Nothing of it was kept.
    #[error("{}: refused because of the entry '{entry}', which {reason}; nothing was extracted", path.display())]
    ArchiveEntry {
        /// The archive.
        path: PathBuf,
        /// Name of the entry as the archive has it.
        entry: String,
        /// Why it is refused.
        reason: String,
    },
    /// Some files of the dataset are no readable images.
    #[error("{} of {total} images cannot be used:\n  {}\nMend or remove them, or set data.on_bad_image=skip to leave them out",
        bad.len(), listed(&bad.iter().map(|(p, r)| format!("{p}: {r}")).collect::<Vec<_>>(), "\n  "))]
    BadImages {
        /// Path relative to the dataset's root, and the reason.
        bad: Vec<(String, String)>,
        /// How many files were looked at.
        total: usize,
    },
    /// One image could not be loaded.
    #[error("image {} cannot be used: {reason}; mend or remove it, or set data.on_bad_image=skip", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The same bytes stand more than once, where that spoils the judgement of a model.
    #[error(
        "the same image bytes stand in more than one split or class:\n  {}\nRemove the copies, or set \
             data.on_duplicate=drop (the copy in test is kept, then val, then train) or data.on_duplicate=allow",
        listed(groups, "\n  ")
    )]
    Duplicates {
        /// One line for each set of equal files.
        groups: Vec<String>,
    },
    /// Images that look nearly the same stand in different splits.
    #[error(
        "{} pairs of images look nearly the same and stand in different splits, so that a model would be judged on what \
             it was trained on:\n  {}\nLook at them with `kidu data check`. Remove the copies, or set \
             data.on_near_duplicate=drop (the copy in test is kept, else that in val), warn or allow",
        pairs.len(), listed(pairs, "\n  ")
    )]
    NearDuplicates {
        /// One line for each pair.
        pairs: Vec<String>,
    },
    /// Every image was left out.
    #[error("{}: no usable image is left; {reason}", path.display())]
    NothingLeft {
        /// Where the data came from.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Augmentation was asked for on images that are measured on.
    #[error("the {0} split must not be augmented; augmentation is for the train split only")]
    AugmentedSplit(Split),
    /// A split that is needed has no image.
    #[error("the dataset has no image in its {0} split; give it a share in data.train_val_test_split or a {0} folder")]
    EmptySplit(Split),
    /// The loader's own threads could not be started or died.
    #[error("the loader's worker threads failed: {0}")]
    Workers(String),
}

impl DataError {
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        kidu_core::Error::io(action, path, source).into()
    }
}

/// The layouts that are understood, said once for all messages.
const EXPECTED: &str = "Expected one of: class folders with images (ROOT/CLASS/*.jpg); train/CLASS/* with test/CLASS/* \
    and perhaps val/CLASS/*; seg_train/seg_train/CLASS/* with seg_test/seg_test/CLASS/*; images are .jpg, .jpeg, .png \
    or .webp files";

/// The first [`LISTED`] lines and how many more there are.
pub(crate) fn listed(lines: &[String], separator: &str) -> String {
    let mut text = lines.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(separator);
    if lines.len() > LISTED {
        text += &format!("{separator}... and {} more", lines.len() - LISTED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_counted() {
        let bad = (0..13).map(|i| (format!("a/{i}.jpg"), "is empty".to_string())).collect();
        let message = DataError::BadImages { bad, total: 20 }.to_string();
        assert!(message.starts_with("13 of 20 images") && message.contains("... and 3 more"), "{message}");
        assert!(message.contains("a/9.jpg: is empty") && !message.contains("a/10.jpg"));
    }
}
