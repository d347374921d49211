//! `kidu-infra deploy|destroy|status`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueHint};
use kidu_core::files;
use kidu_infra::{
    Error,
    core::{Assembly, StackArtifact},
    deploy::{self, Account, CallError, DeployError, DeployedStack, Deployment, INSTALLATION, judge},
};
use serde_json::json;

use super::{REFUSED, SettingsArgs, note, print, watch::Console};
use crate::account::AwsAccount;

/// The stack whose product reads the templates in the bucket of the foundation.
const CATALOG: &str = "catalog";

/// Which stacks, of what, where.
#[derive(Args, Debug)]
pub(super) struct StackArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The stacks, in any order; default: foundation, model-build, model-deploy, monitoring, catalog.
    #[arg(value_name = "STACK")]
    stacks: Vec<String>,
    /// Take the templates of a folder that synth wrote, instead of a new synthesis.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// What names of stacks begin with in the account; default: --foundation, as in kidu-model-build.
    #[arg(long, env = "KIDU_STACK_PREFIX", value_name = "NAME")]
    prefix: Option<String>,
    /// The name in the account, for one stack: kidu-infra deploy inference --stack-name kidu-staging.
    #[arg(long, value_name = "NAME")]
    stack_name: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// By whose rights CloudFormation makes and deletes resources.
#[derive(Args, Debug)]
struct RoleArgs {
    /// The role by which CloudFormation makes and deletes the resources, such as that of the stack github; it stays the stack's own.
    /// Without it: the one of before, or the caller's rights.
    #[arg(long, env = "KIDU_CLOUDFORMATION_ROLE_ARN", value_name = "ARN", value_parser = role_arn)]
    role_arn: Option<String>,
}

fn role_arn(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, role] if account.len() == 12 && role.starts_with("role/") => Ok(text.into()),
        _ => Err("the ARN of a role, as in arn:aws:iam::111122223333:role/NAME".into()),
    }
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu-infra deploy --plan                                     what would change
  kidu-infra deploy foundation --parameter AlertEmail=you@example.com
  kidu-infra deploy                                            all of an installation, in order
  kidu-infra deploy inference --stack-name kidu-staging --parameters cdk.out/staging.json")]
pub(super) struct DeployArgs {
    #[command(flatten)]
    stacks: StackArgs,
    #[command(flatten)]
    role: RoleArgs,
    /// A parameter; may be repeated. Others keep their value, or take their default.
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// A file of parameters: {"NAME": "VALUE"}, or what `kidu model deploy-config` writes.
    #[arg(long = "parameters", value_name = "FILE", value_hint = ValueHint::FilePath)]
    parameters_file: Option<PathBuf>,
    /// Show what would change, and change nothing.
    #[arg(long)]
    plan: bool,
    /// Replace or remove even what holds content: buckets, repositories, keys, logs.
    #[arg(long)]
    allow_replacement: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kidu-infra destroy catalog monitoring\n  kidu-infra destroy --yes")]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    stacks: StackArgs,
    #[command(flatten)]
    role: RoleArgs,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    stacks: StackArgs,
}

impl StackArgs {
    /// The templates that are wanted, each after those it needs, with their names in the account.
    fn wanted<'a>(&self, assembly: &'a Assembly) -> anyhow::Result<Vec<(&'a StackArtifact, String)>> {
        let names: Vec<&str> = match self.stacks.as_slice() {
            [] => INSTALLATION.to_vec(),
            given => given.iter().map(String::as_str).collect(),
        };
        names.iter().try_for_each(|name| assembly.stack(name).map(drop))?;
        if self.stack_name.is_some() && names.len() != 1 {
            return Err(Error::Option {
                option: "--stack-name",
                value: self.stack_name.clone().unwrap_or_default(),
                reason: "it names one stack: name that stack's template too, as in `inference`".into(),
            }
            .into());
        }
        let wanted = assembly.stacks.iter().filter(|stack| names.contains(&stack.name.as_str()));
        Ok(wanted.map(|stack| (stack, self.stack_name.clone().unwrap_or_else(|| self.name_of(&stack.name)))).collect())
    }

    fn name_of(&self, stack: &str) -> String {
        format!("{}-{stack}", self.prefix.as_deref().unwrap_or(&self.settings.foundation))
    }

    fn open(&self) -> anyhow::Result<(AwsAccount, Assembly)> {
        let assembly = self.settings.assembly(self.dir.as_ref())?;
        Ok((AwsAccount::open(self.settings.region.as_deref())?, assembly))
    }
}

impl DeployArgs {
    /// Parameters of the command line over those of the file.
    fn parameters(&self, wanted: &[(&StackArtifact, String)]) -> anyhow::Result<BTreeMap<String, String>> {
        let mut values = match &self.parameters_file {
            Some(path) => from_file(path)?,
            None => BTreeMap::new(),
        };
        for given in &self.parameters {
            let wrong = || Error::Option {
                option: "--parameter",
                value: given.clone(),
                reason: "write it as NAME=VALUE".into(),
            };
            let (name, value) = given.split_once('=').ok_or_else(wrong)?;
            values.insert(name.trim().into(), value.into());
        }
        let known: Vec<&str> =
            wanted.iter().flat_map(|(stack, _)| stack.template.section("Parameters").map(|(name, _)| name)).collect();
        if let Some(name) = values.keys().find(|name| !known.contains(&name.as_str())) {
            let hint = kidu_core::suggest::did_you_mean(kidu_core::suggest::nearest(name, known.iter().copied()));
            let reason = format!("none of the stacks has it{hint}");
            return Err(DeployError::Parameter { name: name.clone(), reason }.into());
        }
        // What the synthesis was asked for holds for the stacks too.
        for (name, value) in self.stacks.settings.parameters() {
            values.entry(name).or_insert(value);
        }
        Ok(values)
    }
}

/// `{"NAME": "VALUE"}`, `{"Parameters": {...}}`, or CloudFormation's own list of keys and values.
fn from_file(path: &std::path::Path) -> anyhow::Result<BTreeMap<String, String>> {
    let content: serde_json::Value = files::read_json(path, "parameters")?;
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let pairs = match content.get("Parameters").unwrap_or(&content) {
        serde_json::Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        serde_json::Value::Array(list) => list
            .iter()
            .filter_map(|p| Some((p["ParameterKey"].as_str()?.to_string(), text(&p["ParameterValue"]))))
            .collect(),
        _ => BTreeMap::new(),
    };
    Ok(pairs)
}

pub(super) fn deploy(arguments: &DeployArgs) -> anyhow::Result<ExitCode> {
    let (account, assembly) = arguments.stacks.open()?;
    let wanted = arguments.stacks.wanted(&assembly)?;
    let parameters = arguments.parameters(&wanted)?;
    let console = Console::start()?;
    let mut results = Vec::new();
    let mut written = false;
    for (artifact, stack) in &wanted {
        console.turn_to(&artifact.name);
        let foundation = account.stack(&arguments.stacks.name_of(INSTALLATION[0])).map_err(DeployError::from)?;
        let bucket = foundation.as_ref().and_then(deploy::bucket_of);
        // A run without the foundation: the product would be made of templates of before.
        if artifact.name == CATALOG && !written && !arguments.plan {
            templates(&account, &assembly, foundation.as_ref())?;
        }
        let deployment = Deployment {
            artifact,
            stack,
            parameters: &parameters,
            bucket,
            allow_replacement: arguments.allow_replacement,
            plan_only: arguments.plan,
            role: arguments.role.role_arn.as_deref(),
        };
        let done = match deploy::deploy(&account, &console, &deployment) {
            // What a plan cannot look at yet is told, and the others are planned all the same.
            Err(error @ DeployError::TooLarge { .. }) if arguments.plan => {
                note(&format!("{stack}: {error}"));
                let reason = error.to_string();
                results
                    .push(json!({"stack": stack, "template": artifact.name, "ended": "not-planned", "reason": reason}));
                continue;
            }
            other => other?,
        };
        if artifact.name == INSTALLATION[0] && !arguments.plan {
            templates(&account, &assembly, done.stack.as_ref())?;
            written = true;
        }
        if !arguments.stacks.json {
            print(&format!("{stack:24} {}", done.ended.name()))?;
        }
        let outputs: BTreeMap<String, String> = done.stack.into_iter().flat_map(|s| s.outputs).collect();
        results.push(json!({
            "stack": stack,
            "template": artifact.name,
            "ended": done.ended,
            "changes": done.changes,
            "left": done.left,
            "lost": done.lost,
            "outputs": outputs,
        }));
    }
    if arguments.stacks.json {
        print(&format!("{:#}", json!(results)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the templates where nested stacks and the catalog's product read them.
fn templates(account: &AwsAccount, assembly: &Assembly, foundation: Option<&DeployedStack>) -> anyhow::Result<()> {
    let Some(bucket) = foundation.and_then(deploy::bucket_of) else { return Ok(()) };
    for stack in &assembly.stacks {
        let key = format!("templates/{}.template.json", stack.name);
        account.upload(bucket, &key, &stack.template.to_text()).map_err(DeployError::from)?;
    }
    note(&format!("        {} templates are in s3://{bucket}/templates/", assembly.stacks.len()));
    Ok(())
}

pub(super) fn destroy(arguments: &DestroyArgs) -> anyhow::Result<ExitCode> {
    let (account, assembly) = arguments.stacks.open()?;
    let mut wanted = arguments.stacks.wanted(&assembly)?;
    wanted.reverse();
    let mut there = Vec::new();
    for (artifact, stack) in wanted {
        if account.stack(&stack).map_err(DeployError::from)?.is_some() {
            there.push((artifact, stack));
        }
    }
    for (artifact, stack) in &there {
        let kept: Vec<String> =
            deploy::kept(&artifact.template).iter().map(|(id, kind)| format!("{id} ({kind})")).collect();
        let kept = if kept.is_empty() { String::new() } else { format!("; these stay: {}", kept.join(", ")) };
        note(&format!("{stack} will be deleted{kept}"));
    }
    if !there.is_empty() && !arguments.yes && !agreed(&arguments.stacks.settings.foundation)? {
        note("nothing was deleted");
        return Ok(ExitCode::from(REFUSED));
    }
    let console = Console::start()?;
    for (artifact, stack) in &there {
        console.turn_to(&artifact.name);
        deploy::destroy(&account, &console, stack, arguments.role.role_arn.as_deref())?;
        if !arguments.stacks.json {
            print(&format!("{stack:24} deleted"))?;
        }
    }
    if arguments.stacks.json {
        let deleted: Vec<&String> = there.iter().map(|(_, stack)| stack).collect();
        print(&format!("{:#}", json!({"deleted": deleted})))?;
    } else if there.is_empty() {
        print("none of these stacks is there")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a person types the installation's name.
fn agreed(name: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        note("give --yes where nobody can be asked");
        return Ok(false);
    }
    write!(io::stderr(), "type '{name}' to delete them: ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == name)
}

pub(super) fn status(arguments: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (account, assembly) = arguments.stacks.open()?;
    let mut all = Vec::new();
    for (artifact, stack) in arguments.stacks.wanted(&assembly)? {
        let now = account.stack(&stack).map_err(DeployError::from)?;
        let failed = |s: &DeployedStack| s.status.contains("FAILED") || s.status.contains("ROLLBACK");
        let causes = match now.as_ref().filter(|s| failed(s)) {
            Some(_) => {
                let events = account.events(&stack, None).map_err(DeployError::from)?;
                judge::causes(judge::last_operation(&events, &stack), &stack)
            }
            None => Vec::new(),
        };
        if !arguments.stacks.json {
            let state = now.as_ref().map_or("not there", |s| s.status.as_str());
            print(&format!("{stack:24} {state}"))?;
            for (name, value) in now.iter().flat_map(|s| &s.outputs) {
                print(&format!("    {name:24} {value}"))?;
            }
            for cause in causes.iter().take(3) {
                let remedy = cause.remedy.map(|r| format!("; {r}")).unwrap_or_default();
                print(&format!("    {} ({}): {}{remedy}", cause.logical_id, cause.kind, cause.reason))?;
            }
        }
        all.push(json!({"stack": stack, "template": artifact.name, "deployed": now, "causes": causes}));
    }
    if arguments.stacks.json {
        print(&format!("{:#}", json!(all)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether an error is about what was asked for (exit code 2), or a refusal (3).
pub(super) fn exit_code(error: &anyhow::Error) -> Option<u8> {
    match error.downcast_ref::<DeployError>()? {
        DeployError::Refused { .. } => Some(REFUSED),
        DeployError::Parameter { .. } | DeployError::TooLarge { .. } => Some(2),
        DeployError::Call(CallError(_)) => Some(1),
        _ => Some(1),
    }
}
