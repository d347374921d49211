//! `kidu data`.

mod import;
mod versions;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{ConfigArgs, JsonArgs, ManifestArgs, RunOutputArgs};

pub(crate) use self::import::{DatasetArgs, ImageArgs, ImportArgs, LabelStudioArgs, NetworkArgs};
pub(crate) use self::versions::{
    CheckoutArgs, DiffArgs, GcArgs, LogArgs, PushArgs, SnapshotArgs, StoreArgs, TagCommand, VerifyArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Index, check and split a dataset; writes manifest.json with the SHA-256 of each image.
    #[command(
        after_help = "Example:\n  kidu data split --out dataset data.root=photos.zip data.train_val_test_split=[0.8,0.1,0.1]"
    )]
    Split(SplitArgs),
    /// Bring people's annotations (Label Studio, COCO, CSV lists) and their images into a dataset of class folders.
    #[command(after_help = import::EXAMPLES)]
    Import(Box<ImportArgs>),
    /// Look a dataset over: damaged and odd files, duplicates, leakage between splits, classes, labels that look wrong.
    ///
    /// Writes check.json and the gallery check.html. Exits with 3 on findings of the level of --fail-on.
    #[command(after_help = "Examples:
  kidu data check data.root=photos
  kidu data check data.root=photos --bundle runs/train/.../bundle --fail-on warning
  kidu data check data.root=photos --fix                    move what training refuses to a folder beside the data
  kidu data check data.root=photos --fix near-duplicate,blurry --dry-run
  kidu data check --undo photos-quarantine/.../journal.jsonl")]
    Check(Box<CheckArgs>),
    /// Draw scenes of six kinds, for demos and tests.
    #[command(after_help = "Example:\n  kidu data synth --out scenes --train-per-class 100")]
    Synth(SynthArgs),
    /// Keep a folder as it is now as a version, by content; an unchanged folder makes none.
    #[command(
        after_help = "Examples:\n  kidu data snapshot photos -m 'glaciers from spring'\n  kidu data snapshot labels.csv --tag gold-2026"
    )]
    Snapshot(SnapshotArgs),
    /// List the versions of the data.
    #[command(after_help = "Example:\n  kidu data log photos")]
    Log(LogArgs),
    /// Show what changed between two versions, or a version and a folder, by class and by file.
    #[command(after_help = "Examples:\n  kidu data diff latest~1 latest\n  kidu data diff gold-2026 photos --json")]
    Diff(DiffArgs),
    /// Restore a version, byte for byte; or what DVC pushed.
    #[command(
        after_help = "Examples:\n  kidu data checkout gold-2026 photos-2026\n  kidu data checkout --dvc photos.dvc --remote s3://bucket/dvc photos"
    )]
    Checkout(CheckoutArgs),
    /// Write a version into a DVC 3 remote, with its .dvc file, for `dvc pull`.
    #[command(after_help = "Example:\n  kidu data push latest --dvc /mnt/remote --out dataset.dvc")]
    Push(PushArgs),
    /// Remove what no version needs, and old versions.
    #[command(after_help = "Example:\n  kidu data gc --keep-last 10 --yes")]
    Gc(GcArgs),
    /// Hash every content of the store again.
    Verify(VerifyArgs),
    /// Name versions.
    #[command(subcommand)]
    Tag(TagCommand),
    /// Draw a contact sheet of the augmentation: what training sees of some images in its epochs.
    #[command(after_help = "Examples:
  kidu data preview data.root=photos data.augmentation.pipeline=1
  kidu data preview --each --image cat.jpg
  kidu data preview --background dark 'data.augmentation.transforms=[{blur: {blur_limit: 5}}]' data.root=photos")]
    Preview(PreviewArgs),
}

/// What the pictures lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Background {
    /// White.
    Light,
    /// Nearly black.
    Dark,
}

#[derive(Args, Debug)]
pub(crate) struct PreviewArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    /// Look at this image instead of some of the dataset's; may be repeated.
    #[arg(long, env = "KIDU_IMAGE", value_name = "FILE", value_delimiter = ':', value_hint = ValueHint::FilePath)]
    pub(crate) image: Vec<PathBuf>,
    /// File that gets the sheet, a PNG.
    #[arg(long, env = "KIDU_OUT", value_name = "FILE", default_value = "augmentation.png", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// One row for each transform of the configured list, surely applied; without a list, for all that there are.
    #[arg(long)]
    pub(crate) each: bool,
    /// Images to look at.
    #[arg(long, env = "KIDU_ROWS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rows: u32,
    /// Copies of each image: the first is that of the first epoch, and so on.
    #[arg(long, env = "KIDU_COLUMNS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) columns: u32,
    /// Side of a picture on the sheet, in pixels.
    #[arg(long, env = "KIDU_TILE", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub(crate) tile: u32,
    /// Another choice of images and other copies; default: the configuration's seed, as in training.
    #[arg(long, env = "KIDU_SEED")]
    pub(crate) seed: Option<u64>,
    /// What the pictures lie on.
    #[arg(long, env = "KIDU_BACKGROUND", value_enum, default_value_t = Background::Light)]
    pub(crate) background: Background,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
    /// Also copy the images to DIR/train, DIR/val and DIR/test, for a job on another machine.
    #[arg(long, env = "KIDU_MATERIALIZE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) materialize: Option<PathBuf>,
    /// Annotations to bring in first, as `kidu data import` reads them: a file, a folder or s3://bucket/prefix. The given
    /// data stays as it is; what is split lies in the run's folder. May be repeated; 'none' is none.
    #[arg(long, env = "KIDU_ANNOTATIONS", value_name = "SOURCE", value_delimiter = ',')]
    pub(crate) annotations: Vec<String>,
    /// Folder with the images of the annotations; may be repeated.
    #[arg(long, env = "KIDU_ANNOTATION_IMAGES", value_name = "DIR", value_delimiter = ',')]
    pub(crate) annotation_images: Vec<String>,
    /// What is done about classes that only the annotations have: error, allow or ignore.
    #[arg(long, env = "KIDU_NEW_CLASSES", value_name = "CHOICE")]
    pub(crate) new_classes: Option<String>,
    /// Look everything over first, as `kidu data check` does, and stop on findings of this level.
    #[arg(long, env = "KIDU_CHECK", value_enum)]
    pub(crate) check: Option<FailOn>,
    /// Keep what is split as a version in this store, by its content; 'none' is none.
    #[arg(long, env = "KIDU_SNAPSHOT", value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) snapshot: Option<PathBuf>,
    /// Content version that the dataset must have; 'any' accepts all.
    #[arg(long, env = "KIDU_DATA_VERSION", value_name = "VERSION", default_value = "any")]
    pub(crate) data_version: String,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) dataset: ManifestArgs,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
    /// Look for images that are alike in this bundle's features, and judge labels by them.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: Option<PathBuf>,
    /// Judge labels by these predictions instead (predictions.csv of `kidu evaluate`), which must come from models that
    /// were not fitted on the images.
    #[arg(long, env = "KIDU_PREDICTIONS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) predictions: Option<PathBuf>,
    /// Exit with 3 on findings of this level or worse.
    #[arg(long, env = "KIDU_FAIL_ON", value_enum, default_value_t = FailOn::Error)]
    pub(crate) fail_on: FailOn,
    /// Move offenders to a quarantine folder beside the data: of these kinds (separated by commas), or of all errors. Of
    /// duplicates one copy stays, that in test before that in train.
    #[arg(long, value_name = "KINDS", num_args = 0..=1, default_missing_value = "")]
    pub(crate) fix: Option<String>,
    /// With --fix: only say what would be moved.
    #[arg(long, requires = "fix")]
    pub(crate) dry_run: bool,
    /// Put back everything that an earlier --fix moved, by its journal.
    #[arg(long, value_name = "LOG", value_hint = ValueHint::AnyPath, conflicts_with_all = ["fix", "bundle", "predictions", "manifest"])]
    pub(crate) undo: Option<PathBuf>,
    /// Measure every file anew instead of those only that have changed since the last check.
    #[arg(long)]
    pub(crate) no_cache: bool,
}

/// From which level on findings are a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Errors only.
    Error,
    /// Warnings and errors.
    Warning,
    /// Everything that is found.
    Info,
    /// Nothing.
    Never,
}

#[derive(Args, Debug)]
pub(crate) struct SynthArgs {
    /// Folder that gets train/ and test/.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// Training images of each class.
    #[arg(long, env = "KIDU_TRAIN_PER_CLASS", default_value_t = 100)]
    pub(crate) train_per_class: u32,
    /// Test images of each class.
    #[arg(long, env = "KIDU_TEST_PER_CLASS", default_value_t = 40)]
    pub(crate) test_per_class: u32,
    /// Width and height in pixels.
    #[arg(long, env = "KIDU_SIZE", default_value_t = 150)]
    pub(crate) size: u32,
    /// Another seed draws other scenes.
    #[arg(long, env = "KIDU_SEED", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}
