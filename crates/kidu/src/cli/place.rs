//! Where a verb works: here, or in SageMaker.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{JsonArgs, RegistryArgs};

/// Where a verb works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// This machine.
    #[default]
    Local,
    /// SageMaker, with the region and credentials of the environment.
    Sagemaker,
}

/// Where.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlaceArgs {
    /// Where: on this machine, or in SageMaker.
    #[arg(long, env = "KIDU_ON", value_enum, value_name = "PLACE", default_value_t)]
    pub(crate) on: Place,
    /// AWS region; default: that of the environment or profile.
    #[arg(long, env = "KIDU_AWS_REGION", value_name = "REGION")]
    pub(crate) region: Option<String>,
}

impl PlaceArgs {
    pub(crate) fn is_sagemaker(&self) -> bool {
        self.on == Place::Sagemaker
    }
}

/// Which installation in the account, as `kidu-infra` names it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "SageMaker")]
pub(crate) struct InstallationArgs {
    /// The installation's name.
    #[arg(long, env = "KIDU_FOUNDATION", value_name = "NAME", default_value = "kidu")]
    pub(crate) foundation: String,
    /// The project's name.
    #[arg(long, env = "KIDU_PROJECT", value_name = "NAME", default_value = "kidu")]
    pub(crate) project: String,
    /// The account; default: that of the credentials.
    #[arg(long, env = "KIDU_AWS_ACCOUNT", value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Tag of the images; default: that of this version of kidu.
    #[arg(long, env = "KIDU_IMAGE_TAG", value_name = "TAG")]
    pub(crate) image_tag: Option<String>,
}

/// A job that is started by hand.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "SageMaker")]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,
    /// The job's name; default: one with the time.
    #[arg(long, env = "KIDU_JOB_NAME", value_name = "NAME")]
    pub(crate) job_name: Option<String>,
    /// The type of the machine; default: ml.c5.4xlarge.
    #[arg(long, env = "KIDU_TRAINING_INSTANCE", value_name = "TYPE")]
    pub(crate) training_instance: Option<String>,
    /// The longest that a job may run, in hours.
    #[arg(long, env = "KIDU_MAX_HOURS", value_name = "HOURS", default_value_t = 4.0)]
    pub(crate) max_hours: f64,
    /// On capacity of one's own, which costs more than spare capacity and is not taken away.
    #[arg(long, env = "KIDU_ON_DEMAND")]
    pub(crate) on_demand: bool,
    /// The job's role; default: the installation's for training.
    #[arg(long, env = "KIDU_ROLE_ARN", value_name = "ARN")]
    pub(crate) role_arn: Option<String>,
    #[command(flatten)]
    pub(crate) start: StartingArgs,
}

/// What costs money.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "SageMaker")]
pub(crate) struct StartingArgs {
    /// Start without asking; what it may cost is printed all the same.
    #[arg(long, env = "KIDU_YES")]
    pub(crate) yes: bool,
    /// Print the cost and what would be started, and start nothing.
    #[arg(long, env = "KIDU_DRY_RUN", conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Wait for the end; a failure is one of this command.
    #[arg(long, env = "KIDU_WAIT_FOR_END")]
    pub(crate) wait: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kidu pipeline upsert --on sagemaker --image-tag v0.1.0 --set experiment=transfer")]
pub(crate) struct PipelineUpsertArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,
    /// A key of the configuration, as experiment=transfer, for the steps that it concerns; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// The type of the machines that prepare and evaluate; default: ml.m5.xlarge.
    #[arg(long, env = "KIDU_PROCESSING_INSTANCE", value_name = "TYPE")]
    pub(crate) processing_instance: Option<String>,
    /// The type of the machine that trains; default: ml.c5.4xlarge.
    #[arg(long, env = "KIDU_TRAINING_INSTANCE", value_name = "TYPE")]
    pub(crate) training_instance: Option<String>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:
  kidu pipeline start --on sagemaker -p Model=resnet18 -p InputDatasetZip=s3://BUCKET/dataset/scenes.zip --token 2026-11-26")]
pub(crate) struct PipelineStartArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,
    /// A parameter of the pipeline, as Model=resnet18; may be repeated.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Any text: a second start with the same one starts nothing, and gives the first execution.
    #[arg(long, env = "KIDU_START_TOKEN", value_name = "TEXT")]
    pub(crate) token: Option<String>,
    /// Why it is started, for people.
    #[arg(long, env = "KIDU_DESCRIPTION", value_name = "TEXT")]
    pub(crate) description: Option<String>,
    #[command(flatten)]
    pub(crate) start: StartingArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kidu pipeline logs 3a0f9k2mx1cd --on sagemaker")]
pub(crate) struct PipelineLogsArgs {
    /// The execution's id or ARN; default: the newest.
    pub(crate) execution: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The project's name.
    #[arg(long, env = "KIDU_PROJECT", value_name = "NAME", default_value = "kidu")]
    pub(crate) project: String,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

/// What stages deploy.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kidu model deploy-config --on sagemaker --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/kidu/lambda@sha256:... --out cdk.out")]
pub(crate) struct DeployConfigArgs {
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// The version; default: the latest approved one.
    #[arg(long = "model-version", env = "KIDU_MODEL_VERSION", value_name = "N")]
    pub(crate) version: Option<u32>,
    /// The project's name.
    #[arg(long, env = "KIDU_PROJECT", value_name = "NAME", default_value = "kidu")]
    pub(crate) project: String,
    /// The installation whose boundary the stages' roles get; empty where the account has none.
    #[arg(long, env = "KIDU_FOUNDATION", value_name = "NAME", default_value = "kidu")]
    pub(crate) foundation: String,
    /// The Lambda image, by digest.
    #[arg(long, env = "KIDU_LAMBDA_IMAGE", value_name = "URI")]
    pub(crate) image: String,
    /// The processor that the image was built for: arm64 or x86_64.
    #[arg(long, env = "KIDU_ARCHITECTURE", value_name = "NAME", default_value = "x86_64")]
    pub(crate) architecture: String,
    /// The key of logs and environment.
    #[arg(long, env = "KIDU_KMS_KEY_ARN", value_name = "ARN")]
    pub(crate) key_arn: Option<String>,
    /// The topic of alarms.
    #[arg(long, env = "KIDU_ALERTS_TOPIC_ARN", value_name = "ARN")]
    pub(crate) alerts_topic_arn: Option<String>,
    /// Another parameter of the template, as MemorySize=3008; may be repeated.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// The folder for staging.json and production.json.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}
