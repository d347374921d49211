//! The command line.

mod annotate;
mod bench;
mod data;
mod deploy;
mod explain;
mod options;
mod place;
mod report;
mod robustness;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use kidu_image::Limits;

pub(crate) use self::options::{
    BundleArgs, ConfigArgs, EntryArgs, EvaluateSplit, GraphFormat, JsonArgs, ManifestArgs, RegistryArgs, RunOutputArgs,
};

#[cfg(feature = "sagemaker")]
pub(crate) use self::place::StartingArgs;
pub(crate) use self::{
    annotate::{
        AnnotateCommand, BackendArgs, ClassArgs, ProjectArgs, RankArgs, ServerArgs, SimulateArgs, StorageArgs,
        SyncArgs, WhichArgs,
    },
    bench::{BenchArgs, BenchPart},
    data::{
        Background, CheckArgs, CheckoutArgs, DataCommand, DiffArgs, FailOn, GcArgs, ImportArgs, LabelStudioArgs,
        LogArgs, NetworkArgs, PreviewArgs, PushArgs, SnapshotArgs, SplitArgs, StoreArgs, SynthArgs, TagCommand,
        VerifyArgs,
    },
    deploy::{Decision, DeployCommand, KeptDir, PromoteArgs, SmokeArgs, UpArgs, WaitArgs},
    explain::{ExplainArgs, ExplainBaseline, ExplainMethod, IntegralMethod},
    place::{
        DeployConfigArgs, InstallationArgs, JobArgs, PipelineLogsArgs, PipelineStartArgs, PipelineUpsertArgs, PlaceArgs,
    },
    report::{HeatMaps, ReportArgs},
    robustness::{EndpointArgs, PlanArgs, Preset, RobustnessArgs},
};

/// Image classifiers from annotation to production, in Rust.
#[derive(Debug, Parser)]
#[command(
    name = "kidu",
    version,
    arg_required_else_help = true,
    after_help = "Examples:
  kidu demo                                         the whole build pipeline on generated scenes
  kidu pipeline run data.root=photos                split, train, evaluate, gate, register
  kidu train experiment=transfer data.root=photos model.weights=tf_efficientnet_lite0.safetensors
  kidu data check data.root=photos                  damaged files, duplicates, leakage, wrong labels
  kidu predict --bundle runs/train/.../bundle a.jpg
  kidu serve --bundle runs/train/.../bundle
  kidu deploy up deploy.robustness.data_root=photos
  kidu config explain trainer.max_epochs

Every key of the configuration can be given as key=value: see `kidu config show`.
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a gate said no."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw scenes, train on them, judge, register, approve and predict: no download, no account, no configuration.
    Demo(DemoArgs),
    /// Check, version, split and make datasets; import annotations.
    #[command(subcommand)]
    Data(DataCommand),
    /// Annotate with Label Studio: set projects up, bring annotations into a dataset, choose what to label next.
    #[command(subcommand)]
    Annotate(AnnotateCommand),
    /// Train a classifier; writes a run folder with checkpoints, curves and a bundle.
    Train(Box<TrainArgs>),
    /// Find a learning rate by a range test; writes lr_result.json and lr_plot.png.
    TuneLr(TuneLrArgs),
    /// Search for the best settings on the validation split; the study is an Optuna journal.
    Search(Box<SearchArgs>),
    /// Judge a bundle on a dataset's test split; writes evaluation.json, report.html and plots.
    Evaluate(EvaluateArgs),
    /// Classify images.
    Predict(PredictArgs),
    /// Serve predictions over HTTP, with a web page, until SIGTERM or Ctrl-C.
    #[command(after_help = "Examples:
  kidu serve --bundle runs/train/.../bundle
  kidu serve --bundle current --port 0 --port-file port --watch-seconds 2
  curl -s --data-binary @a.jpg http://127.0.0.1:8080/v1/predict")]
    Serve(Box<kidu_serve::server::ServeOptions>),
    /// Show which parts of an image a prediction rests on: Integrated Gradients, Grad-CAM or occlusion.
    Explain(ExplainArgs),
    /// Test a bundle or an endpoint on corrupted images; with thresholds a gate that exits with 3.
    Robustness(Box<RobustnessArgs>),
    /// Write a page about a run, or about several and how they compare, and a model card.
    Report(ReportArgs),
    /// What trackers have not got of a run.
    #[command(subcommand)]
    Track(TrackCommand),
    /// Decide whether an evaluated model may be registered; exits with 3 if not.
    Gate(GateArgs),
    /// The build pipeline: preprocess, train, evaluate, gate, register.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// The model registry.
    #[command(subcommand)]
    Model(ModelCommand),
    /// The deploy pipeline: package, staging, smoke, robustness, approval, production with a canary; rollback.
    #[command(subcommand)]
    Deploy(DeployCommand),
    /// Show and explain the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure speed and memory on this machine, beside what it can do at most and beside PyTorch and ONNX Runtime.
    Bench(BenchArgs),
    /// Check this machine: cores, instruction sets, backends, disk, configuration; with --aws the account too.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kidu doctor\n  kidu doctor --aws --place s3://kidu-artifacts-111122223333/kidu")]
pub(crate) struct DoctorArgs {
    /// Also ask AWS who calls, and try the places.
    #[arg(long, env = "KIDU_DOCTOR_AWS")]
    pub(crate) aws: bool,
    /// A bucket, or a folder of one, that is listed, written, read and cleaned; may be repeated.
    #[arg(long = "place", env = "KIDU_DOCTOR_PLACES", value_name = "S3", value_delimiter = ',', requires = "aws")]
    pub(crate) places: Vec<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// What to do about trackers.
#[derive(Debug, Subcommand)]
pub(crate) enum TrackCommand {
    /// Deliver what an MLflow server has not got of a run, since it was down.
    Send(TrackSendArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kidu track send runs/train/2026-11-23_08-02-47-ab12")]
pub(crate) struct TrackSendArgs {
    /// The run's folder.
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// The server; default: the one that the run was recorded for.
    #[arg(long, env = "MLFLOW_TRACKING_URI", value_name = "URL")]
    pub(crate) tracking_uri: Option<String>,
    /// Seconds to wait at most.
    #[arg(long, env = "KIDU_WAIT", value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Folder for everything the demo writes.
    #[arg(long, env = "KIDU_DEMO_DIR", default_value = "kidu-demo", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Overrides of the demo's configuration.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu train data.root=photos model=resnet18 trainer.max_epochs=20
  kidu train experiment=finetune data.root=photos model.weights=FILE.safetensors
  kidu train debug=fdr data.root=photos
  kidu train --resume runs/train/2026-11-23_08-02-47-ab12
  kidu train -m model.learning_rate=0.001,0.01 data.root=photos
  kidu train --on sagemaker data.root=s3://BUCKET/kidu/EXECUTION/preprocess/dataset model=resnet18")]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) dataset: ManifestArgs,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
    /// Go on from a run folder's last checkpoint, with that run's configuration.
    #[arg(long, env = "KIDU_RESUME", value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) resume: Option<PathBuf>,
    /// Multirun: values separated by commas make one run each.
    #[arg(short = 'm', long)]
    pub(crate) multirun: bool,
    /// A file of names and values as JSON, as SageMaker gives them to a container: overrides that those of the command
    /// line beat.
    #[arg(long, env = "KIDU_HYPERPARAMETERS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) hyperparameters: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu tune-lr data.root=photos model=resnet18
  kidu tune-lr data.root=photos experiment=transfer model.weights=FILE tune_lr.num_training=200
  kidu train data.root=photos model.learning_rate=auto")]
pub(crate) struct TuneLrArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) dataset: ManifestArgs,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu search hparams_search=default data.root=photos model=resnet18 hparams_search.n_trials=20
  kidu search hparams_search=intel_scene_optuna data.root=photos experiment=transfer model.weights=hub
  kidu search --resume runs/search/2026-11-23_08-02-47-ab12 hparams_search.n_trials=40")]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) dataset: ManifestArgs,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
    /// Go on with a search's folder and configuration: trials that were running when it ended are run again.
    #[arg(long, env = "KIDU_RESUME", value_name = "RUN", value_hint = ValueHint::DirPath, conflicts_with = "out")]
    pub(crate) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kidu evaluate --bundle runs/train/.../bundle data.root=photos --json")]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) model: BundleArgs,
    #[command(flatten)]
    pub(crate) dataset: ManifestArgs,
    #[command(flatten)]
    pub(crate) output: RunOutputArgs,
    /// Which images; default: the test split. Data without a test split of its own is judged whole, unless the bundle
    /// has seen it in training: then what it has not seen.
    #[arg(long, env = "KIDU_SPLIT", value_enum)]
    pub(crate) split: Option<EvaluateSplit>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kidu predict --bundle runs/train/.../bundle a.jpg photos/ --json")]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: BundleArgs,
    /// Images, or folders whose images are all classified.
    #[arg(required = true, value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(crate) images: Vec<PathBuf>,
    /// How many classes to print for each image.
    #[arg(long, env = "KIDU_TOP_K", default_value_t = 3)]
    pub(crate) top_k: usize,
    /// Where the network runs: flex, libtorch, cuda or wgpu.
    #[arg(long, env = "KIDU_ACCELERATOR", default_value = "flex")]
    pub(crate) accelerator: String,
    /// The most pixels (width times height) of an image.
    #[arg(long, env = "KIDU_MAX_PIXELS", value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub(crate) max_pixels: u64,
    /// The most pixels of either side of an image.
    #[arg(long, env = "KIDU_MAX_SIDE", value_name = "N", default_value_t = Limits::default().max_side)]
    pub(crate) max_side: u32,
    /// The most bytes of an image file.
    #[arg(long, env = "KIDU_MAX_BYTES", value_name = "N", default_value_t = Limits::default().max_bytes)]
    pub(crate) max_bytes: usize,
    /// Print an array of {path, label, score, probabilities}.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct GateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The candidate's evaluation.json.
    #[arg(long, env = "KIDU_EVALUATION", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) evaluation: PathBuf,
    /// The candidate's bundle, so that it is not compared with itself.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: Option<PathBuf>,
    /// The registry's folder; default: registry.dir.
    #[arg(long, env = "KIDU_REGISTRY", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) registry: Option<PathBuf>,
    /// Folder for gate.json.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Run the build pipeline; steps whose inputs did not change are taken from the cache.
    #[command(after_help = "Example:\n  kidu pipeline run data.root=photos model=resnet18 gate.min_accuracy=0.9")]
    Run(PipelineRunArgs),
    /// Show the graph.
    Show(PipelineShowArgs),
    /// Show runs, or one run.
    Status(PipelineStatusArgs),
    /// Make the pipeline in SageMaker, or update it.
    Upsert(PipelineUpsertArgs),
    /// Start the pipeline in SageMaker, after saying what it may cost.
    Start(PipelineStartArgs),
    /// Say where the jobs of an execution in SageMaker write their logs, and why steps failed.
    Logs(PipelineLogsArgs),
}

impl PipelineCommand {
    /// Whether its work is done in SageMaker.
    pub(crate) fn is_sagemaker(&self) -> bool {
        match self {
            Self::Run(_) | Self::Show(_) => false,
            Self::Status(arguments) => arguments.place.is_sagemaker(),
            Self::Upsert(arguments) => arguments.place.is_sagemaker(),
            Self::Start(arguments) => arguments.place.is_sagemaker(),
            Self::Logs(arguments) => arguments.place.is_sagemaker(),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct PipelineRunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Folder of runs and of the step cache; default: paths.log_dir/pipeline.
    #[arg(long, env = "KIDU_PIPELINE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// A pipeline parameter, as SageMaker starts it: Model=resnet18. May be repeated.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Run this step although it is in the cache; may be repeated. 'all' runs every step.
    #[arg(long, value_name = "STEP")]
    pub(crate) force: Vec<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PipelineShowArgs {
    /// How to draw it.
    #[arg(long, env = "KIDU_FORMAT", value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,
    /// The deploy pipeline and the annotation too: the whole circle.
    #[arg(long)]
    pub(crate) all: bool,
    /// The same as --format json.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PipelineStatusArgs {
    /// A run's id; default: all runs.
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The project's name, in SageMaker.
    #[arg(long, env = "KIDU_PROJECT", value_name = "NAME", default_value = "kidu")]
    pub(crate) project: String,
    /// Folder of runs; default: paths.log_dir/pipeline.
    #[arg(long, env = "KIDU_PIPELINE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the versions.
    List {
        #[command(flatten)]
        registry: RegistryArgs,
        #[command(flatten)]
        output: JsonArgs,
    },
    /// Show a version with its lineage and history.
    Show {
        /// The version's number.
        version: u32,
        #[command(flatten)]
        registry: RegistryArgs,
        #[command(flatten)]
        output: JsonArgs,
    },
    /// Approve a version for deployment.
    #[command(after_help = "Example:\n  kidu model approve 3 --actor ana --reason 'better on glaciers'")]
    Approve(DecideArgs),
    /// Reject a version; a reason is required.
    Reject(DecideArgs),
    /// Take an approved version on towards production: past the approval if it waits for it, else from the start.
    #[command(after_help = "Example:\n  kidu model promote 3 --reason 'looks right in staging'")]
    Promote(PromoteArgs),
    /// Register a bundle by hand, as the pipeline's last step does.
    Register(RegisterArgs),
    /// Write what staging and production deploy: parameters with the latest approved version.
    DeployConfig(DeployConfigArgs),
}

impl ModelCommand {
    /// Whether the registry is SageMaker's, or the verb is about AWS in any case.
    pub(crate) fn needs_sagemaker(&self) -> bool {
        match self {
            Self::List { registry, .. } | Self::Show { registry, .. } => registry.place.is_sagemaker(),
            Self::Approve(arguments) | Self::Reject(arguments) => arguments.registry.place.is_sagemaker(),
            Self::Register(arguments) => arguments.registry.place.is_sagemaker(),
            Self::Promote(_) => false,
            Self::DeployConfig(_) => true,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct DecideArgs {
    /// The version's number.
    pub(crate) version: u32,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// Who decides; default: the user's name.
    #[arg(long, env = "KIDU_ACTOR")]
    pub(crate) actor: Option<String>,
    /// Why.
    #[arg(long, env = "KIDU_REASON")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,
    #[command(flatten)]
    pub(crate) model: BundleArgs,
    /// Its evaluation.json.
    #[arg(long, env = "KIDU_EVALUATION", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) evaluation: PathBuf,
    /// PendingManualApproval, Approved or Rejected.
    #[arg(long, env = "KIDU_STATUS", default_value = "PendingManualApproval")]
    pub(crate) status: String,
    /// The lineage that the pipeline collected; default: what bundle and evaluation say.
    #[arg(long, env = "KIDU_LINEAGE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) lineage: Option<PathBuf>,
    /// Folder for registration.json.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// Who registers; default: the user's name.
    #[arg(long, env = "KIDU_ACTOR")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the resolved configuration.
    #[command(after_help = "Example:\n  kidu config show experiment=finetune model=resnet18")]
    Show(EntryArgs),
    /// Say where a value came from and what it replaced.
    #[command(after_help = "Example:\n  kidu config explain trainer.max_epochs experiment=finetune")]
    Explain(ConfigExplainArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ConfigExplainArgs {
    /// The key, as in trainer.max_epochs.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) from: EntryArgs,
}
