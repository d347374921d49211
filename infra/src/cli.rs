//! The command line.

#[cfg(feature = "deploy")]
mod deploy;
#[cfg(not(feature = "deploy"))]
#[path = "cli/no_deploy.rs"]
mod deploy;
#[cfg(feature = "deploy")]
mod deployed;
#[cfg(feature = "deploy")]
mod watch;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueHint};
#[cfg(not(feature = "deploy"))]
use deploy as deployed;
use kidu_infra::{Error, Settings, core::Assembly, diff, lint, sagemaker::Instances};
use serde_json::{Value, json};

/// Kidu's infrastructure: CloudFormation templates and the SageMaker pipeline definition, from typed constructs.
#[derive(Debug, Parser)]
#[command(
    name = "kidu-infra",
    version,
    arg_required_else_help = true,
    after_help = "Examples:
  kidu-infra synth --out cdk.out
  kidu-infra synth --out cdk.out --account 111122223333 --region eu-central-1 --image-tag v0.1.0
  kidu-infra lint
  kidu-infra diff --from cdk.out
  kidu-infra diff --deployed
  kidu-infra outputs
  kidu-infra deploy --plan
  kidu-infra deploy

Exit codes: 0 done, 1 failed, 2 usage, 3 lint has findings, diff --fail has differences, or a deployment was refused;
130 interrupted (what was begun in the account goes on)."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the templates, the pipeline definition and a manifest.
    Synth(SynthArgs),
    /// Check references, order, policies and limits; also by cfn-lint, where it is installed.
    Lint(LintArgs),
    /// Say what would change in what an earlier synth wrote, or in an account, by resource, and what would be replaced or lost.
    Diff(DiffArgs),
    /// List what the stacks hand out once they are deployed; with --deployed, the values in the account.
    Outputs(OutputsArgs),
    /// Make the stacks of an account what the templates say, by change sets.
    Deploy(deploy::DeployArgs),
    /// Delete stacks, the last first.
    Destroy(deploy::DestroyArgs),
    /// Say how the stacks of an account are, what they hand out, and why one failed.
    Status(deploy::StatusArgs),
}

/// What is synthesised.
#[derive(Args, Debug)]
struct SettingsArgs {
    /// The installation's name, in the definition.
    #[arg(long, env = "KIDU_FOUNDATION", value_name = "NAME", default_value = "kidu")]
    foundation: String,
    /// The project's name, in the definition.
    #[arg(long, env = "KIDU_PROJECT", value_name = "NAME", default_value = "kidu")]
    project: String,
    /// The account of the definition; without it the definition keeps ${AWS::AccountId}.
    #[arg(long, env = "KIDU_AWS_ACCOUNT", value_name = "ID")]
    account: Option<String>,
    /// The region of the definition; without it the definition keeps ${AWS::Region}.
    #[arg(long, env = "KIDU_AWS_REGION", value_name = "REGION")]
    region: Option<String>,
    /// Tag of the job image in the definition; without it the definition keeps ${ImageTag}.
    #[arg(long, env = "KIDU_IMAGE_TAG", value_name = "TAG")]
    image_tag: Option<String>,
    /// A key of the configuration, as experiment=transfer, for the steps that it concerns; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The type of the machines that prepare and evaluate.
    #[arg(long, env = "KIDU_PROCESSING_INSTANCE", value_name = "TYPE", default_value_t = Instances::default().processing)]
    processing_instance: String,
    /// The type of the machine that trains.
    #[arg(long, env = "KIDU_TRAINING_INSTANCE", value_name = "TYPE", default_value_t = Instances::default().training)]
    training_instance: String,
}

#[derive(Args, Debug)]
struct SynthArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The folder that is written.
    #[arg(long, env = "KIDU_OUT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct LintArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Check a folder that synth wrote, instead of a new synthesis.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// The cfn-lint to call.
    #[arg(long, env = "KIDU_CFN_LINT", value_name = "PROGRAM", default_value = "cfn-lint", value_hint = ValueHint::CommandName)]
    cfn_lint: PathBuf,
    /// Our own checks only.
    #[arg(long)]
    no_cfn_lint: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct DiffArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The folder of the earlier synth.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "deployed")]
    from: Option<PathBuf>,
    /// Compare with the stacks of the account instead: the installation's, and those of GitHub and the project's two stages where
    /// they are there. Reads only; a stack that is not there is new.
    #[arg(long, conflicts_with = "from")]
    deployed: bool,
    /// With --deployed: these stacks only; inference stands for the two stages.
    #[arg(value_name = "STACK", conflicts_with = "from")]
    stacks: Vec<String>,
    /// What names of stacks begin with in the account; default: --foundation.
    #[arg(long, env = "KIDU_STACK_PREFIX", value_name = "NAME")]
    prefix: Option<String>,
    /// The folder of the later one; default: a new synthesis.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    to: Option<PathBuf>,
    /// Exit with 3 if anything differs.
    #[arg(long)]
    fail: bool,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct OutputsArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Read a folder that synth wrote, instead of a new synthesis.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "deployed")]
    dir: Option<PathBuf>,
    /// Ask the account for the values, of the installation's stacks and of the project's two stages.
    #[arg(long)]
    deployed: bool,
    /// What names of stacks begin with in the account; default: --foundation.
    #[arg(long, env = "KIDU_STACK_PREFIX", value_name = "NAME")]
    prefix: Option<String>,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

impl SettingsArgs {
    fn synth(&self) -> anyhow::Result<Assembly> {
        let instances = Instances {
            processing: self.processing_instance.clone(),
            training: self.training_instance.clone(),
            ..Instances::default()
        };
        let settings = Settings {
            foundation: self.foundation.clone(),
            project: self.project.clone(),
            account: self.account.clone(),
            region: self.region.clone(),
            image_tag: self.image_tag.clone(),
            overrides: self.overrides.clone(),
            instances,
        };
        settings.validate()?;
        Ok(kidu_infra::synth(&settings)?)
    }

    /// The parameters of stacks that say the same as these settings.
    #[cfg(feature = "deploy")]
    fn parameters(&self) -> std::collections::BTreeMap<String, String> {
        let asked = [
            ("Foundation", Some(&self.foundation)),
            ("SageMakerProjectName", Some(&self.project)),
            ("ImageTag", self.image_tag.as_ref()),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?.clone()))).collect()
    }

    fn assembly(&self, dir: Option<&PathBuf>) -> anyhow::Result<Assembly> {
        match dir {
            Some(dir) => Ok(Assembly::read(dir)?),
            None => self.synth(),
        }
    }
}

/// Runs a command line.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let outcome = match &cli.command {
        Command::Synth(arguments) => synth(arguments),
        Command::Lint(arguments) => lint(arguments),
        Command::Diff(arguments) => diff(arguments),
        Command::Outputs(arguments) => outputs(arguments),
        Command::Deploy(arguments) => deploy::deploy(arguments),
        Command::Destroy(arguments) => deploy::destroy(arguments),
        Command::Status(arguments) => deploy::status(arguments),
    };
    outcome.unwrap_or_else(|error| {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(io::stderr(), "error: {error:#}");
        let usage = matches!(
            error.downcast_ref::<Error>(),
            Some(Error::Option { .. } | Error::NotAnAssembly { .. } | Error::UnknownStack { .. })
        );
        ExitCode::from(deploy::exit_code(&error).unwrap_or(if usage { 2 } else { 1 }))
    })
}

/// A gate said no.
const REFUSED: u8 = 3;

fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{}", text.trim_end())?)
}

fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn synth(arguments: &SynthArgs) -> anyhow::Result<ExitCode> {
    let assembly = arguments.settings.synth()?;
    let files = assembly.write(&arguments.out)?;
    if arguments.json {
        let stacks: Vec<&str> = assembly.stacks.iter().map(|s| s.name.as_str()).collect();
        print(&format!("{:#}", json!({"dir": arguments.out, "stacks": stacks, "files": files})))?;
    } else {
        for stack in &assembly.stacks {
            let after = match stack.after.as_slice() {
                [] => String::new(),
                after => format!(", after {}", after.join(", ")),
            };
            print(&format!("{:14} {} resources{after}", stack.name, stack.template.resources().count()))?;
        }
        print(&format!("wrote {} files to {}", files.len(), arguments.out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lint(arguments: &LintArgs) -> anyhow::Result<ExitCode> {
    let assembly = arguments.settings.assembly(arguments.dir.as_ref())?;
    let mut findings = lint::check(&assembly);
    let mut by = "our own checks";
    if !arguments.no_cfn_lint {
        let dir = tempfile::tempdir().context("cannot make a temporary folder for cfn-lint")?;
        assembly.write(dir.path())?;
        let templates: Vec<PathBuf> =
            assembly.stacks.iter().map(|s| dir.path().join(format!("{}.template.json", s.name))).collect();
        match lint::run_cfn_lint(&arguments.cfn_lint, &templates)? {
            lint::CfnLint::Ran(more) => {
                findings.extend(more);
                by = "our own checks and cfn-lint";
            }
            lint::CfnLint::Missing => note("cfn-lint is not installed (pip install cfn-lint): our own checks only"),
        }
    }
    if arguments.json {
        print(&format!("{:#}", json!(findings)))?;
    } else {
        findings.iter().try_for_each(|f| print(&f.to_string()))?;
        let resources: usize = assembly.stacks.iter().map(|s| s.template.resources().count()).sum();
        print(&format!(
            "{} stacks, {resources} resources: {} findings by {by}",
            assembly.stacks.len(),
            findings.len()
        ))?;
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn diff(arguments: &DiffArgs) -> anyhow::Result<ExitCode> {
    let after = arguments.settings.assembly(arguments.to.as_ref())?;
    let diffs = match &arguments.from {
        Some(from) => diff::diff(&Assembly::read(from)?, &after),
        None => deployed::diff(arguments, &after)?,
    };
    match arguments.json {
        true => print(&format!("{:#}", json!(diffs)))?,
        false => print(&diff::to_text(&diffs))?,
    }
    Ok(if arguments.fail && !diffs.is_empty() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn outputs(arguments: &OutputsArgs) -> anyhow::Result<ExitCode> {
    if arguments.deployed {
        return deployed::outputs(arguments);
    }
    let assembly = arguments.settings.assembly(arguments.dir.as_ref())?;
    let mut all = Vec::new();
    for stack in &assembly.stacks {
        for (name, output) in stack.template.section("Outputs") {
            let export = output.pointer("/Export/Name/Fn::Sub").cloned().unwrap_or(Value::Null);
            all.push(
                json!({"stack": stack.name, "name": name, "description": output["Description"], "export": export}),
            );
        }
    }
    if arguments.json {
        print(&format!("{:#}", Value::Array(all)))?;
        return Ok(ExitCode::SUCCESS);
    }
    for output in &all {
        let text = |key: &str| output[key].as_str().unwrap_or_default().to_string();
        let export = output["export"].as_str().map(|e| format!("  [exported as {e}]")).unwrap_or_default();
        print(&format!("{:14} {:22} {}{export}", text("stack"), text("name"), text("description")))?;
    }
    Ok(ExitCode::SUCCESS)
}
