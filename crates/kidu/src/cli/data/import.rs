//! `kidu data import`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use kidu_annotations::{LayoutChoice, Names, NewClasses, OnConflict, read::Format};
use kidu_core::Split;
use kidu_fetch::{HostPattern, PrivateRule, Token};
use kidu_image::Limits;

use crate::cli::{JsonArgs, SyncArgs};

pub(super) const EXAMPLES: &str = "Examples:
  kidu data import s3://labels/annotations/ --into photos --label-studio https://label.example.com
  kidu data import export.json --into photos --images downloads --on-conflict newest --dry-run
  kidu data import coco.json --into photos --images images --class-map boat=ship --new-classes allow
Formats, rules and the file annotations.jsonl: docs/data-import.md";

/// Annotations into a dataset.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Annotations: a file, a folder, or s3://bucket/prefix. May be several.
    #[arg(required = true, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) sources: Vec<String>,
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// The dataset, and how annotations and images get into it: for `kidu data import` and `kidu annotate sync`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DatasetArgs {
    /// The dataset's folder, with class folders or train/, val/, test/ above them; made if it is missing.
    #[arg(long, env = "KIDU_INTO", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) into: PathBuf,
    /// Only say what would be done.
    #[arg(long, env = "KIDU_DRY_RUN")]
    pub(crate) dry_run: bool,
    /// Refuse if any record or image cannot be used.
    #[arg(long, env = "KIDU_STRICT")]
    pub(crate) strict: bool,
    /// Take out images whose annotations were withdrawn, to DIR/.quarantine with a log.
    #[arg(long, env = "KIDU_PRUNE")]
    pub(crate) prune: bool,
    /// The control (from_name) or column that holds the class, where there are several.
    #[arg(long, env = "KIDU_FROM_NAME", value_name = "NAME", help_heading = "Reading")]
    pub(crate) from_name: Option<String>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// How the sources are read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadingArgs {
    /// The format: label-studio-annotation, label-studio-tasks, json-min, label-studio-csv, coco or list. Default: by
    /// content.
    #[arg(long, env = "KIDU_ANNOTATION_FORMAT")]
    pub(crate) format: Option<Format>,
    /// The key of the task's data, or the column, that holds the image. Default: 'image', or the only one that looks so.
    #[arg(long, env = "KIDU_IMAGE_KEY", value_name = "NAME")]
    pub(crate) image_key: Option<String>,
    /// The name by which later imports know that they read the same source again. Default: the project, or SOURCE.
    #[arg(long, env = "KIDU_SOURCE_NAME", value_name = "NAME")]
    pub(crate) source_name: Option<String>,
}

/// What is decided how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Rules")]
pub(crate) struct RuleArgs {
    /// Where annotators disagree and no ground truth decides.
    #[arg(long, env = "KIDU_ON_CONFLICT", value_name = "majority|newest|drop|error", default_value = "majority")]
    pub(crate) on_conflict: OnConflict,
    /// What is done with classes that the dataset does not have; an empty dataset takes all.
    #[arg(long, env = "KIDU_NEW_CLASSES", value_name = "error|allow|ignore", default_value = "error")]
    pub(crate) new_classes: NewClasses,
    /// Another name for a class, as in boat=ship. May be repeated.
    #[arg(long, env = "KIDU_CLASS_MAP", value_name = "NEW=KNOWN", value_delimiter = ',', value_parser = mapping)]
    pub(crate) class_map: Vec<(String, String)>,
    /// The split of new images; images that are there keep theirs.
    #[arg(long, env = "KIDU_SPLIT", value_name = "train|val|test", default_value = "train")]
    pub(crate) split: Split,
    /// How new images are named: as at their source, or by the hash of their content.
    #[arg(long, env = "KIDU_NAMES", value_name = "source|content", default_value = "source")]
    pub(crate) names: Names,
    /// The layout of a new dataset: SPLIT/CLASS/ or CLASS/. Default: split; a dataset that is there keeps its own.
    #[arg(long, env = "KIDU_LAYOUT", value_name = "split|class")]
    pub(crate) layout: Option<LayoutChoice>,
}

/// Where images are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Images")]
pub(crate) struct ImageArgs {
    /// Look for the images here first, by name or relative path. May be repeated.
    #[arg(long, env = "KIDU_IMAGES", value_name = "DIR", value_delimiter = ':', value_hint = ValueHint::DirPath)]
    pub(crate) images: Vec<PathBuf>,
    /// A folder in which absolute paths and Label Studio's local files may be read. May be repeated.
    #[arg(long, env = "KIDU_LOCAL_ROOT", value_name = "DIR", value_delimiter = ':', value_hint = ValueHint::DirPath)]
    pub(crate) local_root: Vec<PathBuf>,
    /// Fetch images again that an earlier import has fetched.
    #[arg(long, env = "KIDU_REFRESH")]
    pub(crate) refresh: bool,
    /// The most pixels (width times height) of an image.
    #[arg(long, env = "KIDU_MAX_PIXELS", value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub(crate) max_pixels: u64,
    /// The most pixels of either side of an image.
    #[arg(long, env = "KIDU_MAX_SIDE", value_name = "N", default_value_t = Limits::default().max_side)]
    pub(crate) max_side: u32,
    /// The most bytes of an image file.
    #[arg(long, env = "KIDU_MAX_BYTES", value_name = "N", default_value_t = Limits::default().max_bytes)]
    pub(crate) max_bytes: usize,
}

/// What may be asked, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    #[command(flatten)]
    pub(crate) server: LabelStudioArgs,
    /// Ask only this host: example.com, example.com:8080 or *.example.com. May be repeated.
    #[arg(long, env = "KIDU_ALLOW_HOST", value_name = "HOST", value_delimiter = ',')]
    pub(crate) allow_host: Vec<HostPattern>,
    /// Read only this bucket. May be repeated.
    #[arg(long, env = "KIDU_ALLOW_BUCKET", value_name = "BUCKET", value_delimiter = ',')]
    pub(crate) allow_bucket: Vec<String>,
    /// Ask this host or network although it is private: minio:9000, 10.0.0.0/8 or all. May be repeated.
    #[arg(long, env = "KIDU_ALLOW_PRIVATE", value_name = "HOST|NET|all", value_delimiter = ',')]
    pub(crate) allow_private: Vec<PrivateRule>,
    /// How many images are fetched at a time.
    #[arg(long, env = "KIDU_CONCURRENCY", value_name = "N", default_value_t = 8)]
    pub(crate) concurrency: usize,
    /// Seconds for one try of one image.
    #[arg(long, env = "KIDU_TIMEOUT", value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) timeout: f64,
    /// Tries after the first, for failures that may pass.
    #[arg(long, env = "KIDU_RETRIES", value_name = "N", default_value_t = 3)]
    pub(crate) retries: u32,
}

/// A Label Studio, and who asks it.
#[derive(Args, Clone, Debug)]
pub(crate) struct LabelStudioArgs {
    /// The Label Studio of projects, uploads and storages, as in `https://label.example.com`.
    #[arg(long, env = "KIDU_LABEL_STUDIO", value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) label_studio: Option<String>,
    /// Its token: a legacy token or a personal access token. Better given by the environment; LABEL_STUDIO_API_KEY is
    /// read too.
    #[arg(long, env = "KIDU_LABEL_STUDIO_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) label_studio_token: Option<String>,
    /// Certificates (PEM) of authorities that are trusted besides the usual ones.
    #[arg(long, env = "KIDU_CA_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,
}

impl LabelStudioArgs {
    /// The token that is sent.
    pub(crate) fn token(&self) -> Option<Token> {
        let token = self.label_studio_token.clone().or_else(|| std::env::var("LABEL_STUDIO_API_KEY").ok());
        token.filter(|t| !t.trim().is_empty()).map(|t| Token::from_text(&t))
    }
}

impl ImportArgs {
    /// The import of one source as `kidu annotate sync` does it.
    pub(crate) fn of_sync(sync: &SyncArgs, source: String, source_name: String) -> Self {
        Self {
            sources: vec![source],
            dataset: sync.dataset.clone(),
            reading: ReadingArgs { format: None, image_key: None, source_name: Some(source_name) },
            output: sync.output,
        }
    }
}

fn mapping(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.into(), to.into())),
        _ => Err(format!("'{text}' must be NEW=KNOWN, as in boat=ship")),
    }
}
