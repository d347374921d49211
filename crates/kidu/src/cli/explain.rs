//! The options of `kidu explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::BundleArgs;

/// How an explanation is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainMethod {
    /// Integrated Gradients (Sundararajan et al. 2017).
    IntegratedGradients,
    /// Grad-CAM on the last feature map (Selvaraju et al. 2017).
    GradCam,
    /// Fall of the logit under a sliding window (Zeiler and Fergus 2014).
    Occlusion,
}

/// The rule of the path integral; captum's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntegralMethod {
    Gausslegendre,
    #[value(name = "riemann_left")]
    RiemannLeft,
    #[value(name = "riemann_right")]
    RiemannRight,
    #[value(name = "riemann_middle")]
    RiemannMiddle,
    #[value(name = "riemann_trapezoid")]
    RiemannTrapezoid,
}

/// From where the gradients are integrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainBaseline {
    /// The mean colour.
    Zero,
    /// The image, blurred.
    Blur,
    /// The mean over images of noise.
    Noise,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu explain --bundle runs/train/.../bundle a.jpg photos/glacier
  kidu explain --bundle BUNDLE a.jpg --method grad-cam --target glacier
  kidu explain --bundle BUNDLE a.jpg --steps 200 --baseline blur --max-delta 1")]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) model: BundleArgs,
    /// Images, or folders whose images are all explained.
    #[arg(required = true, value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(crate) images: Vec<PathBuf>,
    /// Folder for the pictures and explanations.json.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", default_value = "explanations", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// How.
    #[arg(long, env = "KIDU_METHOD", value_enum, default_value_t = ExplainMethod::IntegratedGradients)]
    pub(crate) method: ExplainMethod,
    /// The class to explain; default: the predicted one.
    #[arg(long, env = "KIDU_TARGET", value_name = "CLASS")]
    pub(crate) target: Option<String>,
    /// Integrated Gradients: nodes of the integral; default: 50, doubled up to 800 for images whose convergence delta is
    /// above --max-delta.
    #[arg(long, env = "KIDU_STEPS")]
    pub(crate) steps: Option<usize>,
    /// Integrated Gradients: rule of the integral.
    #[arg(long, env = "KIDU_INTEGRAL", value_enum, default_value_t = IntegralMethod::Gausslegendre)]
    pub(crate) integral: IntegralMethod,
    /// Integrated Gradients: from where to integrate.
    #[arg(long, env = "KIDU_BASELINE", value_enum, default_value_t = ExplainBaseline::Zero)]
    pub(crate) baseline: ExplainBaseline,
    /// Integrated Gradients: the largest convergence delta in percent of what is explained; an image above it gets
    /// no picture and the command fails.
    #[arg(long, env = "KIDU_MAX_DELTA", value_name = "PERCENT", default_value_t = 5.0)]
    pub(crate) max_delta: f64,
    /// Images in a forward and backward pass.
    #[arg(long, env = "KIDU_INTERNAL_BATCH_SIZE", default_value_t = 10)]
    pub(crate) internal_batch_size: usize,
    /// Changes along the deletion and insertion curves; 0 leaves them out.
    #[arg(long, env = "KIDU_FAITHFULNESS_STEPS", default_value_t = 32)]
    pub(crate) faithfulness_steps: usize,
    /// Seed of the noise baseline.
    #[arg(long, env = "KIDU_SEED", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
