//! What can go wrong while scenes are generated.

use std::path::PathBuf;

/// Why a set of scenes was not made. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// No kind of scene has that name.
    #[error("unknown kind of scene '{name}'{}; use buildings, forest, glacier, mountain, sea or street",
            kidu_core::suggest::did_you_mean(nearest.as_deref()))]
    UnknownKind {
        /// What was asked for.
        name: String,
        /// The most similar kind.
        nearest: Option<String>,
    },
    /// An option is out of range.
    #[error("bad value for {option}: {value}; {rule}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        value: u64,
        /// What is allowed.
        rule: &'static str,
    },
    /// The folder holds files that did not come from here.
    #[error("{} is not empty and was not made by this generator; choose a new folder, or empty this one if its files \
             are not needed", dir.display())]
    ForeignFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder holds scenes made with other options.
    #[error("{} holds scenes made with other options ({found}; asked for: {wanted}); choose a new folder, or delete \
             this one first", dir.display())]
    OtherOptions {
        /// The folder.
        dir: PathBuf,
        /// The options in its marker file.
        found: String,
        /// The options of this call.
        wanted: String,
    },
    /// A picture could not be encoded.
    #[error("cannot encode {} as JPEG: {source}", path.display())]
    Encode {
        /// The picture's file.
        path: PathBuf,
        /// The encoder's reason.
        source: image::ImageError,
    },
    /// A file or folder could not be read or written.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
}
