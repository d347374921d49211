//! `kidu data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{ConfigArgs, JsonArgs, ManifestArgs, RunOutputArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Index, check and split a dataset; writes manifest.json with the SHA-256 of each image.
    #[command(
        after_help = "Example:\n  kidu data split --out dataset data.root=photos.zip data.train_val_test_split=[0.8,0.1,0.1]"
    )]
    Split(SplitArgs),
    /// Draw scenes of six kinds, for demos and tests.
    #[command(after_help = "Example:\n  kidu data synth --out scenes --train-per-class 100")]
    Synth(SynthArgs),
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
