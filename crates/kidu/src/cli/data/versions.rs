//! The verbs of dataset versions.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use kidu_data::versions::LinkMode;

use crate::cli::JsonArgs;

/// Where versions are kept.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArgs {
    /// Folder of the versions; default: data.store, or .kidu-data beside the data.
    #[arg(long, env = "KIDU_DATA_STORE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<PathBuf>,
}

/// How files get from one place to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Link {
    /// Copies; where the file system can, they share their blocks.
    #[default]
    Copy,
    /// Hard links: no space is taken, and the files become read-only.
    Hard,
}

impl From<Link> for LinkMode {
    fn from(link: Link) -> Self {
        match link {
            Link::Copy => Self::Copy,
            Link::Hard => Self::Hard,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    /// The folder, or a CSV list, whose folder is taken; default: data.root.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    /// Why the data changed.
    #[arg(short, long, env = "KIDU_MESSAGE", default_value = "")]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Name of the dataset; default: that of its folder.
    #[arg(long, env = "KIDU_DATASET", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Also give the version this tag.
    #[arg(long, env = "KIDU_TAG", value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// Where the data came from: a JSON file, as an import writes it, or a text.
    #[arg(long, env = "KIDU_SOURCE", value_name = "FILE|TEXT")]
    pub(crate) source: Option<String>,
    /// Who takes it; default: the user's name.
    #[arg(long, env = "KIDU_ACTOR")]
    pub(crate) actor: Option<String>,
    /// Keep the content of files that symbolic links lead to; otherwise links are refused.
    #[arg(long)]
    pub(crate) follow_links: bool,
    /// How contents get into the store.
    #[arg(long, env = "KIDU_LINK", value_enum, default_value_t)]
    pub(crate) link: Link,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// The dataset's folder; default: all datasets of the store.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// Before: an id, its first digits, a tag, 'latest', 'latest~1', or a folder as it is now.
    #[arg(value_name = "A")]
    pub(crate) before: String,
    /// After.
    #[arg(value_name = "B")]
    pub(crate) after: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// List every file, not only the first of each kind.
    #[arg(long)]
    pub(crate) files: bool,
    /// Follow symbolic links to files in a folder.
    #[arg(long)]
    pub(crate) follow_links: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CheckoutArgs {
    /// The version, and the folder that becomes it. With --dvc the folder alone.
    #[arg(value_names = ["VERSION", "DIR"], num_args = 1..=2, required = true)]
    pub(crate) target: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// How files get out of the store.
    #[arg(long, env = "KIDU_LINK", value_enum, default_value_t)]
    pub(crate) link: Link,
    /// Replace files that are in no version: they are lost.
    #[arg(long)]
    pub(crate) force: bool,
    /// Restore what this .dvc file stands for, instead of a version.
    #[arg(long, value_name = "FILE", requires = "remote", value_hint = ValueHint::FilePath)]
    pub(crate) dvc: Option<PathBuf>,
    /// DVC's remote: a folder or s3://bucket/prefix.
    #[arg(long, env = "KIDU_DVC_REMOTE", value_name = "REMOTE", value_hint = ValueHint::DirPath)]
    pub(crate) remote: Option<String>,
    /// How many files are fetched at a time from a remote.
    #[arg(long, env = "KIDU_JOBS", value_name = "N", default_value_t = JOBS)]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The version.
    #[arg(value_name = "VERSION", default_value = "latest")]
    pub(crate) version: String,
    /// A remote in DVC 3's layout: a folder or s3://bucket/prefix.
    #[arg(long, env = "KIDU_DVC_REMOTE", value_name = "REMOTE", value_hint = ValueHint::DirPath)]
    pub(crate) dvc: String,
    /// The .dvc file; default: NAME.dvc in this folder, NAME being the dataset's name.
    #[arg(long, env = "KIDU_OUT", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Where `dvc pull` restores to, relative to the .dvc file; default: the .dvc file's name without .dvc.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// How many files are sent at a time.
    #[arg(long, env = "KIDU_JOBS", value_name = "N", default_value_t = JOBS)]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// A remote is waited for more than it is worked with.
const JOBS: usize = 16;

#[derive(Args, Debug)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Drop all versions but the last N of each dataset and those with a tag.
    #[arg(long, env = "KIDU_KEEP_LAST", value_name = "N")]
    pub(crate) keep_last: Option<usize>,
    /// Remove; without it nothing is removed and the result says what would be.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Who does it; default: the user's name.
    #[arg(long, env = "KIDU_ACTOR")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Move changed contents out of the way, so that the next snapshot of a folder that has them stores them again.
    #[arg(long)]
    pub(crate) quarantine: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TagCommand {
    /// Name a version, so that it is found and never dropped.
    #[command(after_help = "Example:\n  kidu data tag set gold-2026 latest")]
    Set {
        /// Letters, digits, '.', '_' and '-'.
        name: String,
        /// The version.
        #[arg(default_value = "latest")]
        version: String,
        /// Move a tag that stands for another version.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        store: StoreArgs,
        /// Who does it; default: the user's name.
        #[arg(long, env = "KIDU_ACTOR")]
        actor: Option<String>,
    },
    /// Remove a tag; the version stays.
    Remove {
        /// The tag.
        name: String,
        #[command(flatten)]
        store: StoreArgs,
        /// Who does it; default: the user's name.
        #[arg(long, env = "KIDU_ACTOR")]
        actor: Option<String>,
    },
    /// List the tags.
    List {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        output: JsonArgs,
    },
}
