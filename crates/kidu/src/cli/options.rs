//! Options that several verbs share, and the words that options take.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use kidu_core::Split;

use super::PlaceArgs;

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    /// Overrides: key=value, group=option, +new.key=value, ~key.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Folder of configuration files laid over the shipped ones; may be repeated. `./configs` is used if it is there.
    #[arg(long, env = "KIDU_CONFIG_DIR", value_name = "DIR", value_delimiter = ':', value_hint = ValueHint::DirPath)]
    pub(crate) config_dir: Vec<PathBuf>,
    /// Start from a resolved configuration, as a run folder's config.yaml.
    #[arg(long, env = "KIDU_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// How the result is printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct JsonArgs {
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the result goes.
#[derive(Args, Debug)]
pub(crate) struct RunOutputArgs {
    /// Folder for everything that is written; default: a new one below paths.log_dir/task_name.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A trained model.
#[derive(Args, Debug)]
pub(crate) struct BundleArgs {
    /// The bundle's folder.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: PathBuf,
}

/// A dataset that was made before.
#[derive(Args, Debug)]
pub(crate) struct ManifestArgs {
    /// Use a split made before (`kidu data split`) instead of data.root.
    #[arg(long, env = "KIDU_MANIFEST", value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) manifest: Option<PathBuf>,
}

/// A whole configuration, as the verbs that show it take it.
#[derive(Args, Debug)]
pub(crate) struct EntryArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The entry to start from: train, pipeline, evaluate or deploy.
    #[arg(long, env = "KIDU_ENTRY", default_value = "train")]
    pub(crate) entry: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// Which registry.
#[derive(Args, Clone, Debug)]
pub(crate) struct RegistryArgs {
    /// The registry's folder.
    #[arg(long, env = "KIDU_REGISTRY", default_value_os_t = default_registry(), value_name = "DIR",
        value_hint = ValueHint::DirPath)]
    pub(crate) registry: PathBuf,
    /// The group of models: of the folder, or SageMaker's model package group.
    #[arg(long, env = "KIDU_GROUP", default_value = "kidu")]
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// What `registry.dir` is without configuration of one's own: verbs with a configuration and verbs without it mean the
/// same registry.
fn default_registry() -> PathBuf {
    std::env::var_os("KIDU_ROOT").map(PathBuf::from).unwrap_or_default().join("registry")
}

/// Which images are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvaluateSplit {
    /// Training images (to see overfitting).
    Train,
    /// Validation images.
    Val,
    /// Test images.
    Test,
    /// All images of the dataset.
    All,
}

impl EvaluateSplit {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::All => "all",
        }
    }

    pub(crate) fn splits(self) -> Vec<Split> {
        match self {
            Self::Train => vec![Split::Train],
            Self::Val => vec![Split::Val],
            Self::Test => vec![Split::Test],
            Self::All => Split::ALL.to_vec(),
        }
    }
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Plain text.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
    /// A picture, light or dark as its reader prefers.
    Svg,
    /// The whole value.
    Json,
}
