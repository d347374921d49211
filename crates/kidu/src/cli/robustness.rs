//! Options of `kidu robustness`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use kidu_eval::RobustnessRules;
use kidu_image::{Corruption, Severity};

use super::{ConfigArgs, EvaluateSplit, ManifestArgs, RunOutputArgs};

#[derive(Args, Debug)]
#[command(
    group = clap::ArgGroup::new("model").args(["bundle", "url"]).required(true),
    after_help = "Examples:
  kidu robustness --bundle runs/train/.../bundle data.root=photos
  kidu robustness --url http://127.0.0.1:8081 data.root=photos --max-drop 0.25        exits with 3 if it falls by more
  kidu robustness --bundle new/bundle data.root=photos --preset imagenet-c --baseline old/robustness.json
  kidu robustness --bundle DIR data.root=photos --corruptions fog,jpeg_compression --severities 1,2 --limit 0"
)]
pub(crate) struct RobustnessArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The bundle's folder.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: Option<PathBuf>,
    /// An endpoint that answers as `kidu serve` does: a server, API Gateway, a function URL.
    #[arg(long, env = "KIDU_URL", value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) dataset: ManifestArgs,
    /// Which images; default: as `kidu evaluate`, the test split or what the bundle has not seen.
    #[arg(long, env = "KIDU_SPLIT", value_enum)]
    pub(crate) split: Option<EvaluateSplit>,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// 14 corruptions at severities 1, 3 and 5 on 100 images.
    Quick,
    /// ImageNet-C's corruptions at all severities on all images.
    #[value(name = "imagenet-c")]
    ImagenetC,
    /// The test of the Python original: noise and blur on 12 images, whose answers must all hold.
    Original,
}

impl Preset {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::ImagenetC => "imagenet-c",
            Self::Original => "original",
        }
    }
}

/// Images and corruptions.
#[derive(Args, Debug)]
#[command(next_help_heading = "Test")]
pub(crate) struct PlanArgs {
    /// What the options below begin with.
    #[arg(long, env = "KIDU_PRESET", value_enum, default_value_t = Preset::Quick)]
    pub(crate) preset: Preset,
    /// Corruptions by name, with commas; default: the preset's.
    #[arg(long, env = "KIDU_CORRUPTIONS", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) corruptions: Vec<Corruption>,
    /// Severities from 1 to 5, with commas; default: the preset's.
    #[arg(long, env = "KIDU_SEVERITIES", value_name = "N,N", value_delimiter = ',')]
    pub(crate) severities: Vec<Severity>,
    /// The most images, as evenly from all classes as there are; 0 takes all. Default: the preset's.
    #[arg(long, env = "KIDU_LIMIT", value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// The shorter side that images are reduced to before they are corrupted, in pixels; default: that of the bundle's
    /// input, for an endpoint that of its model's.
    #[arg(long, env = "KIDU_SIZE", value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=4096))]
    pub(crate) size: Option<u32>,
    /// The robustness.json of another model, tested alike: gives the mean corruption error.
    #[arg(long, env = "KIDU_BASELINE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) baseline: Option<PathBuf>,
}

/// What makes it a gate: exit code 3 if one of them is not fulfilled.
#[derive(Args, Debug)]
#[command(next_help_heading = "Gate (exit code 3)")]
pub(crate) struct RuleArgs {
    /// Least mean accuracy over corruptions and severities.
    #[arg(long, env = "KIDU_MIN_ACCURACY", value_name = "SHARE")]
    pub(crate) min_accuracy: Option<f64>,
    /// Least accuracy under each corruption at each severity.
    #[arg(long, env = "KIDU_MIN_CELL_ACCURACY", value_name = "SHARE")]
    pub(crate) min_cell_accuracy: Option<f64>,
    /// Most that the accuracy may fall on the mean.
    #[arg(long, env = "KIDU_MAX_DROP", value_name = "SHARE")]
    pub(crate) max_drop: Option<f64>,
    /// Greatest mean corruption error against the baseline; 1 is as bad as it.
    #[arg(long, env = "KIDU_MAX_MCE", value_name = "RATIO")]
    pub(crate) max_mce: Option<f64>,
    /// Greatest mean share of answers that change.
    #[arg(long, env = "KIDU_MAX_FLIPPED", value_name = "SHARE")]
    pub(crate) max_flipped: Option<f64>,
    /// Least severity at which an answer may begin to change: at a smaller one none may.
    #[arg(long, env = "KIDU_MIN_FLIP_SEVERITY", value_name = "N")]
    pub(crate) min_flip_severity: Option<u8>,
    /// No answer may change.
    #[arg(long, env = "KIDU_LABELS_HOLD")]
    pub(crate) labels_hold: bool,
}

impl RuleArgs {
    /// The rules; the original's preset has one of its own.
    pub(crate) fn rules(&self, preset: Preset) -> RobustnessRules {
        RobustnessRules {
            min_accuracy: self.min_accuracy,
            min_cell_accuracy: self.min_cell_accuracy,
            max_drop: self.max_drop,
            max_mce: self.max_mce,
            max_flipped: self.max_flipped,
            min_flip_severity: self.min_flip_severity,
            labels_hold: self.labels_hold || preset == Preset::Original,
        }
    }
}

/// How an endpoint is asked.
#[derive(Args, Debug)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct EndpointArgs {
    /// Requests at once.
    #[arg(long, env = "KIDU_CONCURRENCY", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
    /// Seconds that an answer may take.
    #[arg(long, env = "KIDU_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) timeout: f64,
    /// Sent as `Authorization: Bearer`. Better given by the environment.
    #[arg(long, env = "KIDU_ENDPOINT_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}
