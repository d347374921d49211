//! The options of `kidu report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// What the pictures of the report show beside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeatMaps {
    /// Grad-CAM of the predicted class: one pass for each image.
    GradCam,
    /// Integrated Gradients of the predicted class: fifty passes for each image.
    IntegratedGradients,
    /// Nothing.
    None,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu report kidu-demo/pipeline/runs/2026-11-23_08-02-47-ab12
  kidu report runs/train/RUN --with runs/evaluate/RUN --with robustness --out report
  kidu report runs/train/ONE runs/train/TWO         how two runs compare
  kidu report RUN --license apache-2.0 --intended-use 'Sorting holiday photographs.'")]
pub(crate) struct ReportArgs {
    /// Folders of runs: of a pipeline run, a training, an evaluation, a registered version. More than one are compared
    /// with the first.
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) runs: Vec<PathBuf>,
    /// A folder with more about the run (an evaluation, a data check, a robustness test); may be repeated. For one run.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) with: Vec<PathBuf>,
    /// Folder for report.html and MODEL_CARD.md.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", default_value = "report", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// Heading; default: the model and the data.
    #[arg(long, env = "KIDU_TITLE")]
    pub(crate) title: Option<String>,
    /// Pictures of the surest mistakes, and as many of the least certain images; 0 leaves them out.
    #[arg(long, env = "KIDU_PICTURES", value_name = "N", default_value_t = 12)]
    pub(crate) pictures: usize,
    /// What the model looked at, beside each picture.
    #[arg(long, env = "KIDU_HEAT_MAPS", value_enum, default_value_t = HeatMaps::GradCam)]
    pub(crate) heat_maps: HeatMaps,
    /// Name in the model card.
    #[arg(long, env = "KIDU_MODEL_NAME", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Licence of the weights in the model card, as an SPDX identifier.
    #[arg(long, env = "KIDU_LICENSE", value_name = "SPDX")]
    pub(crate) license: Option<String>,
    /// What the model is meant for, in the model card.
    #[arg(long, env = "KIDU_INTENDED_USE", value_name = "TEXT")]
    pub(crate) intended_use: Option<String>,
    /// Print what was found and written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
