//! What can go wrong.

use kidu_fetch::FetchError;

/// What can go wrong with a Label Studio.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// There was no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server refused.
    #[error("{server}: {method} {path} was answered {status}: {message}{}", hint(*status, path, message))]
    Refused {
        /// The Label Studio.
        server: String,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The answer has not the shape that it should have.
    #[error(
        "{server}: {method} {path} was answered in a way that is not understood ({reason}); is this a Label Studio 1.23?"
    )]
    Answer {
        /// The Label Studio.
        server: String,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Label Studio cannot read a bucket.
    #[error(
        "Label Studio could not synchronise the source storage {place}: {reason}; see the storage in the project's \
         settings, or run `kidu annotate project` with its --source and credentials"
    )]
    Sync {
        /// `s3://bucket/prefix`.
        place: String,
        /// What it says.
        reason: String,
    },
    /// Something that was asked for does not go together.
    #[error("{0}")]
    Setting(String),
}

/// The usual result.
pub type Result<T> = std::result::Result<T, AnnotateError>;

impl AnnotateError {
    /// Whether the user asked for what cannot be.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Setting(_) | Self::Fetch(FetchError::Setup(_) | FetchError::Address { .. }))
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// What to do about refusals that everybody meets once.
fn hint(status: u16, path: &str, message: &str) -> &'static str {
    if message.contains("reserved network address") {
        "; start Label Studio with LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false if private addresses are meant"
    } else if message.contains("legacy token") {
        "; use a personal access token, or turn legacy tokens on in the organisation's settings"
    } else if message.contains("Unable to locate credentials") {
        "; give the bucket's credentials with --storage-key and KIDU_STORAGE_SECRET, or start Label Studio with AWS \
         credentials of its own"
    } else if status == 500 && path.starts_with("/api/storages/") {
        // It keeps the reason to itself where the endpoint is not AWS's.
        "; Label Studio cannot open the bucket: are bucket and prefix there, may the key read (of a target: write) them, and \
         does Label Studio reach the endpoint? Its log has the reason"
    } else if matches!(status, 401 | 403) {
        "; give a token of a user who may do this (--label-studio-token, KIDU_LABEL_STUDIO_TOKEN or LABEL_STUDIO_API_KEY)"
    } else {
        ""
    }
}
