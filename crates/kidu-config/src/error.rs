//! The error type of this crate.

use std::path::PathBuf;

use kidu_core::suggest::did_you_mean;

use crate::{composed::Composed, emit, node::Origin};

/// A result whose error is [`ConfigError`].
pub type Result<T, E = ConfigError> = std::result::Result<T, E>;

/// A key and where it (or its value) was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The full key, its parts joined with dots.
    pub key: String,
    /// The file and line, or the override.
    pub origin: Origin,
}

impl Place {
    pub(crate) fn new(key: impl Into<String>, origin: &Origin) -> Box<Self> {
        Box::new(Self { key: key.into(), origin: origin.clone() })
    }
}

/// What can be wrong with a configuration. Every message begins with the file, line and column or the override.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or folder of configurations could not be read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A folder of configurations is not usable.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Text that is not YAML, or a kind of YAML that is not accepted, or a malformed defaults list or override.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Origin,
        /// What is wrong and what to do.
        reason: String,
    },
    /// No file for the entry.
    #[error("no configuration '{name}'{}; there are: {known}", did_you_mean(nearest.as_deref()))]
    UnknownEntry {
        /// What was asked for.
        name: String,
        /// The most similar one.
        nearest: Option<String>,
        /// All entries, comma separated.
        known: String,
    },
    /// A group or one of its options does not exist.
    #[error("{}: unknown {what} '{}'{}; {known}", place.origin, place.key, did_you_mean(nearest.as_deref()))]
    UnknownOption {
        /// The option (or group), and where it was asked for.
        place: Box<Place>,
        /// "option of group 'model'", "group".
        what: String,
        /// The most similar known name.
        nearest: Option<String>,
        /// Known names, as a sentence.
        known: String,
    },
    /// A key that the settings do not have.
    #[error("{}: unknown key '{}'{}{hint}", place.origin, place.key, did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        place: Box<Place>,
        /// The most similar known key, in full.
        nearest: Option<String>,
        /// More help, beginning with "; ", or nothing.
        hint: String,
    },
    /// A key that the settings need.
    #[error("{}: missing key '{}'; add it there or give {}=VALUE", place.origin, place.key, place.key)]
    MissingKey {
        /// The missing key, and the map that should have it.
        place: Box<Place>,
    },
    /// A value of the wrong type, or out of the type's range.
    #[error("{}: '{}' must be {expected}, but it is {found}", place.origin, place.key)]
    WrongType {
        /// The key.
        place: Box<Place>,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A word that is not one of a fixed set.
    #[error("{}: '{}' cannot be '{found}'{}; it is one of {known}", place.origin, place.key, did_you_mean(nearest.as_deref()))]
    BadVariant {
        /// The key.
        place: Box<Place>,
        /// The word.
        found: String,
        /// The most similar known word.
        nearest: Option<String>,
        /// The known words, comma separated.
        known: String,
    },
    /// An interpolation that cannot be resolved.
    #[error("{}: '{}': {reason}", place.origin, place.key)]
    Interpolation {
        /// The key whose value is interpolated.
        place: Box<Place>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A value that breaks a rule of its user.
    #[error("{}: '{}' is {found}: {reason}", place.origin, place.key)]
    Invalid {
        /// The key.
        place: Box<Place>,
        /// The value as YAML.
        found: String,
        /// The rule.
        reason: String,
    },
    /// Files that list each other in their defaults lists.
    #[error("{at}: the defaults lists go in a circle: {chain}")]
    Cycle {
        /// The entry that closes the circle.
        at: Origin,
        /// The files, with arrows.
        chain: String,
    },
}

impl ConfigError {
    /// A value that breaks a rule of its user, with the place where the value of `key` was set. `reason` says the
    /// rule: "must be > 0".
    pub fn invalid(composed: &Composed, key: &str, reason: impl Into<String>) -> Self {
        let (found, origin) = match composed.get(key) {
            Some(node) => (emit::flow(node), node.origin().clone()),
            None => ("not set".to_string(), composed.root().origin().clone()),
        };
        Self::Invalid { place: Place::new(key, &origin), found, reason: reason.into() }
    }

    pub(crate) fn syntax(at: &Origin, reason: impl Into<String>) -> Self {
        Self::Syntax { at: at.clone(), reason: reason.into() }
    }

    pub(crate) fn interpolation(key: &str, at: &Origin, reason: impl Into<String>) -> Self {
        Self::Interpolation { place: Place::new(key, at), reason: reason.into() }
    }
}
