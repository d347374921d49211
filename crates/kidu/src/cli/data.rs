//! `kidu data`.

mod import;
mod versions;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{ConfigArgs, JsonArgs, RunOutputArgs};

pub(crate) use self::import::ImportArgs;
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
    /// Content version that the dataset must have; 'any' accepts all.
    #[arg(long, env = "KIDU_DATA_VERSION", value_name = "VERSION", default_value = "any")]
    pub(crate) data_version: String,
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
