//! The error type of this crate.

use std::path::PathBuf;

use kidu_fetch::FetchError;

/// A result whose error is [`ImportError`].
pub type Result<T, E = ImportError> = std::result::Result<T, E>;

/// How many offenders a message lists before it says "and N more".
pub(crate) const LISTED: usize = 10;

/// Why an import was not carried out. Unless a message says otherwise, nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file, folder or hash: see the inner error.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// The images cannot be fetched at all.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An option that cannot be.
    #[error("{0}")]
    Option(String),
    /// A source that is not there or holds no annotation.
    #[error("{path}: {reason}")]
    Source {
        /// The source as it was given.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Several questions were asked and nobody said which one counts.
    #[error("the annotations answer several questions: {}; choose one with --from-name", controls.join(", "))]
    Controls {
        /// The names of the controls.
        controls: Vec<String>,
    },
    /// Classes that the dataset does not have.
    #[error(
        "{into} has no class {}. Take them in with --new-classes allow, leave them out with --new-classes ignore, or map \
         them with --class-map NEW=KNOWN",
        listed(classes, ", ")
    )]
    NewClasses {
        /// The dataset.
        into: String,
        /// Each with the number of its annotations and the nearest known name.
        classes: Vec<String>,
    },
    /// A class name that cannot name a folder.
    #[error("the class name '{name}' cannot name a folder: it {reason}; give another with --class-map '{name}=NAME'")]
    ClassName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Annotators disagree, and that was to be an error.
    #[error("annotators disagree about {} images:\n  {}\nDecide by --on-conflict majority, newest or drop", lines.len(), listed(lines, "\n  "))]
    Conflicts {
        /// One line for each image.
        lines: Vec<String>,
    },
    /// Records or images that cannot be used, and that was to be an error.
    #[error("{} records or images cannot be used:\n  {}\nMend them, or import without --strict", lines.len(), listed(lines, "\n  "))]
    Strict {
        /// One line for each.
        lines: Vec<String>,
    },
    /// What was withdrawn cannot be known, because not everything could be read.
    #[error(
        "--prune needs a whole source, but {} records cannot be read, and what they say would look withdrawn:\n  {}",
        lines.len(), listed(lines, "\n  ")
    )]
    Prune {
        /// One line for each.
        lines: Vec<String>,
    },
    /// Label Studio has annotations that are not in its target storage.
    #[error(
        "{place} holds {read} annotations of {expected}: Label Studio could not write the others, although it does not say \
         so. Its log has the reason; mend its access to the bucket, or read them with --from api"
    )]
    Incomplete {
        /// The sources as they were given.
        place: String,
        /// Annotations that were read.
        read: usize,
        /// Annotations that should be there.
        expected: usize,
    },
    /// No image was to be had.
    #[error("none of the {wanted} annotated images can be used:\n  {}", listed(lines, "\n  "))]
    NoImage {
        /// How many were wanted.
        wanted: usize,
        /// One line for each.
        lines: Vec<String>,
    },
    /// The folder to import into has another layout than expected.
    #[error("{}: {reason}", path.display())]
    Target {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl ImportError {
    pub(crate) fn io(action: &'static str, path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        kidu_core::Error::io(action, path, source).into()
    }

    /// Whether the command line is to blame, not the data.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Option(_) | Self::Controls { .. })
    }
}

/// The first [`LISTED`] lines and how many more there are.
pub(crate) fn listed(lines: &[String], separator: &str) -> String {
    let mut text = lines.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(separator);
    if lines.len() > LISTED {
        text += &format!("{separator}... and {} more", lines.len() - LISTED);
    }
    text
}
