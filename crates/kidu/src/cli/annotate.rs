//! Options of `kidu annotate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use kidu_annotate::active::Strategy;

use super::{
    BundleArgs, JsonArgs, StoreArgs,
    data::{DatasetArgs, ImageArgs, LabelStudioArgs, NetworkArgs},
};

#[derive(Debug, Subcommand)]
pub(crate) enum AnnotateCommand {
    /// Set up a Label Studio project: labelling form, storages, backend, webhook. What is there already stays.
    #[command(after_help = "Examples:
  export KIDU_LABEL_STUDIO=http://localhost:8081 KIDU_LABEL_STUDIO_TOKEN=...
  kidu annotate project --title scenes --bundle runs/train/.../bundle --backend http://127.0.0.1:9090
  kidu annotate project --title scenes --data photos --source s3://raw/scenes --target s3://labels/annotations
  kidu annotate project --title scenes --sync                 new images of its source storage become tasks
  kidu annotate project --project 3 --data photos --extend-form --json")]
    Project(Box<ProjectArgs>),
    /// Bring a project's annotations into a dataset, and keep the dataset as a new version.
    #[command(after_help = "Examples:
  kidu annotate sync --title scenes --into photos
  kidu annotate sync --project 3 --into photos --from target --on-conflict newest
  kidu annotate sync --project 3 --into photos --dry-run --json
Rules and the file annotations.jsonl: docs/data-import.md")]
    Sync(Box<SyncArgs>),
    /// Put images in the order in which they should be labelled: those that the model is unsure of, and that differ.
    #[command(after_help = "Examples:
  kidu annotate rank --bundle runs/train/.../bundle --title scenes                 writes label-next.json
  kidu annotate rank --bundle runs/train/.../bundle --title scenes --apply         Label Studio's tab 'Label next (Kidu)'
  kidu annotate rank --bundle runs/train/.../bundle new-photos --prefix s3://raw/scenes --labelled photos")]
    Rank(Box<RankArgs>),
    /// Measure what an order of labelling is worth, on images whose labels are known.
    #[command(after_help = "Examples:
  kidu annotate simulate --data photos --weights tf_efficientnet_lite0.safetensors
  kidu annotate simulate --data photos --bundle runs/train/.../bundle --strategy random,margin --seeds 5 --target 0.9
The features should come from a network that has not been trained on these images.")]
    Simulate(SimulateArgs),
}

/// Which Label Studio, and who asks.
#[derive(Args, Debug)]
#[command(next_help_heading = "Label Studio")]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    pub(crate) server: LabelStudioArgs,
    /// Seconds for one answer of Label Studio; imports and synchronisations of large projects take long.
    #[arg(long, env = "KIDU_TIMEOUT", value_name = "SECONDS", default_value_t = 600.0)]
    pub(crate) timeout: f64,
}

/// Which project.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichArgs {
    /// Its title.
    #[arg(long, env = "KIDU_ANNOTATE_TITLE", value_name = "TITLE")]
    pub(crate) title: Option<String>,
    /// Its number.
    #[arg(long, env = "KIDU_ANNOTATE_PROJECT", value_name = "ID")]
    pub(crate) project: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct ProjectArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) classes: ClassArgs,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// The choices of the form.
#[derive(Args, Debug)]
#[command(next_help_heading = "Labelling form")]
pub(crate) struct ClassArgs {
    /// The classes of this bundle, in its order.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: Option<PathBuf>,
    /// The classes of this dataset: a folder of class folders, or a CSV list.
    #[arg(long, env = "KIDU_DATA", value_name = "DIR", value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<PathBuf>,
    /// A further class. May be repeated.
    #[arg(long = "class", env = "KIDU_CLASS", value_name = "NAME", value_delimiter = ',')]
    pub(crate) class: Vec<String>,
    /// Add choices to the form of a project that lacks some; otherwise that is an error.
    #[arg(long, env = "KIDU_EXTEND_FORM")]
    pub(crate) extend_form: bool,
}

/// Where images come from and annotations go.
#[derive(Args, Debug)]
#[command(next_help_heading = "Storage")]
pub(crate) struct StorageArgs {
    /// Images to label: s3://bucket/prefix. Each becomes a task.
    #[arg(long, env = "KIDU_ANNOTATE_SOURCE", value_name = "S3")]
    pub(crate) source: Option<String>,
    /// Look for new images in a source storage that is there already: the one of --source, or without it all S3 source
    /// storages of the project.
    #[arg(long, env = "KIDU_ANNOTATE_SYNC")]
    pub(crate) sync: bool,
    /// Where annotations are written: s3://bucket/prefix.
    #[arg(long, env = "KIDU_ANNOTATE_TARGET", value_name = "S3")]
    pub(crate) target: Option<String>,
    /// The keys of the source that are images, as a regular expression of Python.
    #[arg(long, env = "KIDU_ANNOTATE_FILTER", value_name = "REGEX", default_value = r"(?i).*\.(jpe?g|png|webp)$")]
    pub(crate) filter: String,
    /// Annotations that are deleted are deleted in the target, too.
    #[arg(long, env = "KIDU_ANNOTATE_DELETE")]
    pub(crate) may_delete: bool,
    /// The region of the buckets, for Label Studio.
    #[arg(long, env = "KIDU_STORAGE_REGION", value_name = "REGION")]
    pub(crate) storage_region: Option<String>,
    /// An endpoint other than AWS's, for Label Studio.
    #[arg(long, env = "KIDU_STORAGE_ENDPOINT", value_name = "URL")]
    pub(crate) storage_endpoint: Option<String>,
    /// The access key that Label Studio opens the buckets with; default: its own. Its secret is KIDU_STORAGE_SECRET.
    #[arg(long, env = "KIDU_STORAGE_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) storage_key: Option<String>,
}

/// What predicts and hears of annotations.
#[derive(Args, Debug)]
#[command(next_help_heading = "Backend")]
pub(crate) struct BackendArgs {
    /// The address of kidu-label-studio as Label Studio reaches it, path prefix included.
    #[arg(long, env = "KIDU_ANNOTATE_BACKEND", value_name = "URL")]
    pub(crate) backend: Option<String>,
    /// The user that the backend asks for (--basic-auth-user there); the password is KIDU_BASIC_AUTH_PASSWORD. The secret
    /// of the webhook is KIDU_WEBHOOK_SECRET.
    #[arg(long, env = "KIDU_BASIC_AUTH_USER", value_name = "USER")]
    pub(crate) basic_auth_user: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// Where the annotations are read: 'api', 'target' (the project's S3 target storage), or a folder or s3://bucket/prefix
    /// that is the target storage's.
    #[arg(long, env = "KIDU_ANNOTATE_FROM", value_name = "api|target|PLACE", default_value = "api")]
    pub(crate) from: String,
    /// Leave Label Studio's target storages as they are: annotations made in bulk are not in them then.
    #[arg(long, env = "KIDU_NO_STORAGE_SYNC")]
    pub(crate) no_storage_sync: bool,
    /// Make no version of the dataset.
    #[arg(long, env = "KIDU_NO_SNAPSHOT")]
    pub(crate) no_snapshot: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RankArgs {
    #[command(flatten)]
    pub(crate) model: BundleArgs,
    /// Images, or folders of them, to order. Without any: the tasks of the project that nobody has annotated.
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// The project by its title.
    #[arg(long, env = "KIDU_ANNOTATE_TITLE", value_name = "TITLE", conflicts_with_all = ["project", "paths"])]
    pub(crate) title: Option<String>,
    /// The project by its number.
    #[arg(long, env = "KIDU_ANNOTATE_PROJECT", value_name = "ID", conflicts_with = "paths")]
    pub(crate) project: Option<u64>,
    /// entropy, margin, least-confidence, k-center (differing images) or margin-k-center (uncertain and differing ones).
    #[arg(long, env = "KIDU_STRATEGY", default_value = "margin-k-center")]
    pub(crate) strategy: Strategy,
    /// Images that will be labelled before the model is trained again.
    #[arg(long, env = "KIDU_ANNOTATE_BATCH", value_name = "N", default_value_t = 50)]
    pub(crate) batch: usize,
    /// So many images are put in order by the strategy; the others follow by their margin.
    #[arg(long, env = "KIDU_ANNOTATE_COUNT", value_name = "N", default_value_t = 500)]
    pub(crate) count: usize,
    /// Images that are labelled already: what resembles them comes later. A folder of images.
    #[arg(long, env = "KIDU_LABELLED", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) labelled: Option<PathBuf>,
    /// Where Label Studio finds the images of IMAGE, as in s3://raw/scenes or https://host/photos: relative paths are put
    /// behind it. Without it the images are written into the file.
    #[arg(long, env = "KIDU_ANNOTATE_PREFIX", value_name = "ADDRESS")]
    pub(crate) prefix: Option<String>,
    /// The import file for Label Studio.
    #[arg(long, env = "KIDU_OUT", value_name = "FILE", default_value = "label-next.json", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// Write each task's place into the project (kidu_rank in its data), predictions where this model's are missing, and a
    /// tab that is sorted by it.
    #[arg(long, env = "KIDU_ANNOTATE_APPLY", conflicts_with = "paths")]
    pub(crate) apply: bool,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// The images: a folder of class folders, with train/ and test/ above them or without, or a CSV list.
    #[arg(long, env = "KIDU_DATA", value_name = "DIR", value_hint = ValueHint::AnyPath)]
    pub(crate) data: PathBuf,
    /// Take the features of this bundle's network.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: Option<PathBuf>,
    /// Take the features of these weights, in safetensors with timm's names.
    #[arg(long, env = "KIDU_WEIGHTS", value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "bundle", conflicts_with = "bundle")]
    pub(crate) weights: Option<PathBuf>,
    /// The network of the weights.
    #[arg(long, env = "KIDU_MODEL", value_name = "NAME", default_value = "tf_efficientnet_lite0")]
    pub(crate) model: String,
    /// The orders that are compared.
    #[arg(long, env = "KIDU_STRATEGY", value_delimiter = ',', default_value = "random,entropy,margin,margin-k-center")]
    pub(crate) strategy: Vec<Strategy>,
    /// Runs of each order.
    #[arg(long, env = "KIDU_SEEDS", value_name = "N", default_value_t = 5)]
    pub(crate) seeds: u64,
    /// Images of each class that are labelled at the beginning.
    #[arg(long, env = "KIDU_ANNOTATE_START", value_name = "N", default_value_t = 10)]
    pub(crate) start: usize,
    /// Images that are labelled in a round.
    #[arg(long, env = "KIDU_ANNOTATE_BATCH", value_name = "N", default_value_t = 30)]
    pub(crate) batch: usize,
    /// Labels at the end of a run.
    #[arg(long, env = "KIDU_ANNOTATE_BUDGET", value_name = "N", default_value_t = 600)]
    pub(crate) budget: usize,
    /// The accuracy that is to be reached; default: what the budget buys in random order.
    #[arg(long, env = "KIDU_ANNOTATE_TARGET_ACCURACY", value_name = "A")]
    pub(crate) target: Option<f64>,
    /// Folder for simulation.json, simulation.svg and simulation.png.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", default_value = "simulation", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}
