//! `kidu data`.

mod import;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{ConfigArgs, JsonArgs, RunOutputArgs};

pub(crate) use self::import::ImportArgs;

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
