//! Options of `kidu deploy` and `kidu model promote`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use kidu_telemetry::logs::LogOptions;

use super::{ConfigArgs, GraphFormat, JsonArgs, RegistryArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum DeployCommand {
    /// Keep staging and production on this machine until SIGTERM, Ctrl-C or `kidu deploy stop`.
    #[command(after_help = "Examples:
  kidu deploy up deploy.robustness.data_root=photos
  kidu deploy up deploy.robustness.enabled=false deploy.canary.bake_seconds=30 deploy.front.production_port=9000

Approved versions deploy by themselves while it runs (deploy.on_approval). Killed at any point, it comes back to the same
versions.")]
    Up(UpArgs),
    /// Deploy a version, by default the newest approved one.
    #[command(after_help = "Example:\n  kidu deploy run 3 --wait --reason 'better on glaciers'")]
    Run {
        /// The version's number.
        version: Option<u32>,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Show what is deployed, what is under way and what the ledger says.
    Status {
        #[command(flatten)]
        kept: KeptDir,
        #[command(flatten)]
        output: JsonArgs,
    },
    /// Let the version that passed staging go to production.
    Approve {
        /// The version that is meant; another one is then not approved.
        version: Option<u32>,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Take the release under way back; a reason is required.
    Reject {
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        output: JsonArgs,
    },
    /// Bring the version before back into production, or take the canary back; at once, without a canary.
    #[command(after_help = "Example:\n  kidu deploy rollback --reason 'confuses fog with snow'")]
    Rollback {
        /// An older version instead.
        #[arg(long, value_name = "VERSION")]
        to: Option<u32>,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// End `kidu deploy up` in order: nothing is lost, and the next one goes on from here.
    Stop {
        #[command(flatten)]
        kept: KeptDir,
    },
    /// Show the graph.
    Show {
        /// How to draw it.
        #[arg(long, env = "KIDU_FORMAT", value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
    },
    /// The step 'package': copy an approved version's bundle, verified, to DIR/bundle.
    Package {
        /// The version's number.
        version: u32,
        #[command(flatten)]
        registry: RegistryArgs,
        /// The folder.
        #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: PathBuf,
        #[command(flatten)]
        output: JsonArgs,
    },
    /// The step 'smoke': ask a server whether it is that model, predicts, and refuses nonsense; exits with 3 if not.
    Smoke(SmokeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The folder of deployments; default: deploy.dir.
    #[arg(long, env = "KIDU_DEPLOY_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogOptions,
}

/// Which folder of deployments.
#[derive(Args, Debug)]
pub(crate) struct KeptDir {
    /// The folder of deployments; default: deploy.dir of the configuration.
    #[arg(long, env = "KIDU_DEPLOY_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

/// Who decides, and why.
#[derive(Args, Debug)]
pub(crate) struct Decision {
    #[command(flatten)]
    pub(crate) kept: KeptDir,
    /// Who decides; default: the user's name.
    #[arg(long, env = "KIDU_ACTOR")]
    pub(crate) actor: Option<String>,
    /// Why.
    #[arg(long, env = "KIDU_REASON")]
    pub(crate) reason: Option<String>,
}

/// Whether to wait for what follows.
#[derive(Args, Debug)]
pub(crate) struct WaitArgs {
    /// Wait until the release is over, or waits for a person.
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PromoteArgs {
    /// The version's number.
    pub(crate) version: u32,
    #[command(flatten)]
    pub(crate) decision: Decision,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SmokeArgs {
    /// Where it answers: http://host:port.
    #[arg(long, env = "KIDU_URL")]
    pub(crate) url: String,
    /// The bundle that must answer there.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) bundle: PathBuf,
    /// An image to predict; default: one of ours.
    #[arg(long, env = "KIDU_IMAGE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) image: Option<PathBuf>,
    /// The label that it must get.
    #[arg(long, env = "KIDU_EXPECTED_LABEL")]
    pub(crate) expected_label: Option<String>,
    /// Seconds that an answer may take.
    #[arg(long, env = "KIDU_TIMEOUT", default_value_t = 10.0)]
    pub(crate) timeout: f64,
    /// Folder for smoke.json.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}
