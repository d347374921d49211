//! The error type of this crate.

use std::path::PathBuf;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a model's logits and its report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written, or class names are unusable.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// There is nothing to judge.
    #[error("there are no predictions: the split has no images; give a dataset whose test split is not empty")]
    Empty,
    /// The arrays do not describe the same images.
    #[error(
        "{labels} labels, {logits} rows of logits and {paths} paths do not describe the same images; pass one of \
             each per image"
    )]
    Lengths {
        /// Number of labels.
        labels: usize,
        /// Number of rows of logits.
        logits: usize,
        /// Number of paths.
        paths: usize,
    },
    /// A label is not a class index.
    #[error("image '{image}' has label {label}, but there are only {classes} classes (0 to {}); use the class names \
             that the model was trained with", classes - 1)]
    Label {
        /// Path of the image.
        image: String,
        /// Its label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A row has another number of logits than there are classes.
    #[error(
        "image '{image}' has {found} logits for {classes} classes; the model and the class names do not belong \
             together"
    )]
    LogitCount {
        /// Path of the image.
        image: String,
        /// Number of logits.
        found: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A logit is infinite or not a number.
    #[error(
        "image '{image}' has the logit {value} for class '{class}': the network produced a value that is not \
             finite; check its weights (a diverged training leaves such weights) and the image"
    )]
    NotFinite {
        /// Path of the image.
        image: String,
        /// Name of the class.
        class: String,
        /// The value.
        value: f32,
    },
    /// A predictions file breaks its format.
    #[error("{}{}: {reason}", path.display(), line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The line, from 1, if one is to blame.
        line: Option<u64>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// An option is outside its range.
    #[error("option '{name}': {reason}")]
    Option {
        /// Name of the option.
        name: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
}

impl Error {
    /// An option outside its range.
    pub(crate) fn option(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { name, reason: reason.into() }
    }
}
