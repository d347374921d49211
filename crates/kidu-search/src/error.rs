//! The error type of this crate.

use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a search. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A search space that cannot be searched.
    #[error("hparams_search.params.{key}: {reason}")]
    Space {
        /// The parameter.
        key: String,
        /// The broken rule and the remedy.
        reason: String,
    },
    /// A setting outside its range.
    #[error("{key}: {reason}")]
    Setting {
        /// The full key, such as `hparams_search.metric`.
        key: String,
        /// The broken rule and the remedy.
        reason: String,
    },
    /// A file of the study could not be read or written.
    #[error(transparent)]
    File(#[from] kidu_core::Error),
    /// A line of the journal that is whole, but not one of Optuna's.
    #[error("{} line {line}: {reason}; mend or remove that line, or begin a new journal", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal holds the study, but not with these settings.
    #[error("study '{study}' in {} {reason}", path.display())]
    Study {
        /// The journal.
        path: PathBuf,
        /// The study's name.
        study: String,
        /// What disagrees and what to do.
        reason: String,
    },
    /// Another process searches with this journal.
    #[error("{} is in use by another search; wait for it, or give this one a journal of its own", path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// Optuna's lock on the journal was not released in time.
    #[error("{} is held by another program that works on the journal; if none does, remove it", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A trial was used against the rules.
    #[error("trial {number}: {reason}")]
    Trial {
        /// The trial.
        number: usize,
        /// The broken rule.
        reason: String,
    },
}

impl Error {
    pub(crate) fn space(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Space { key: key.into(), reason: reason.into() }
    }

    pub(crate) fn journal(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self::Journal { path: path.to_path_buf(), line, reason: reason.into() }
    }

    pub(crate) fn trial(number: usize, reason: impl Into<String>) -> Self {
        Self::Trial { number, reason: reason.into() }
    }
}
