//! `kidu-infra outputs --deployed` and `diff --deployed`: what the stacks of an account hand out, and in what they differ.

use std::process::ExitCode;

use kidu_infra::{
    core::{Assembly, StackArtifact},
    deploy::{Account, DeployError, GITHUB, INSTALLATION, Wanted, compare},
    diff::StackDiff,
};
use serde_json::{Value, json};

use super::{DiffArgs, OutputsArgs, note, print};
use crate::account::AwsAccount;

/// The stages that `model-deploy` makes of `inference`.
const STAGES: [&str; 2] = ["staging", "production"];
/// The template of a stage.
const STAGE: &str = "inference";

pub(super) fn diff(arguments: &DiffArgs, after: &Assembly) -> anyhow::Result<Vec<StackDiff>> {
    let settings = &arguments.settings;
    arguments.stacks.iter().try_for_each(|name| after.stack(name).map(drop))?;
    let prefix = arguments.prefix.as_deref().unwrap_or(&settings.foundation);
    let mut named: Vec<(&StackArtifact, String, bool)> = Vec::new();
    for artifact in &after.stacks {
        let asked = arguments.stacks.contains(&artifact.name);
        let needed = asked || (arguments.stacks.is_empty() && INSTALLATION.contains(&artifact.name.as_str()));
        let optional = arguments.stacks.is_empty() && [STAGE, GITHUB].contains(&artifact.name.as_str());
        match (needed || optional, artifact.name.as_str()) {
            (false, _) => {}
            (true, STAGE) => {
                named.extend(STAGES.map(|stage| (artifact, format!("{}-{stage}", settings.project), optional)));
            }
            (true, name) => named.push((artifact, format!("{prefix}-{name}"), optional)),
        }
    }
    let wanted: Vec<Wanted<'_>> =
        named.iter().map(|(artifact, stack, optional)| Wanted { artifact, stack, optional: *optional }).collect();
    let account = AwsAccount::open(settings.region.as_deref())?;
    Ok(compare(&account, &wanted, &settings.parameters())?)
}

pub(super) fn outputs(arguments: &OutputsArgs) -> anyhow::Result<ExitCode> {
    let account = AwsAccount::open(arguments.settings.region.as_deref())?;
    let stacks =
        stacks(arguments.prefix.as_deref().unwrap_or(&arguments.settings.foundation), &arguments.settings.project);
    let mut all = Vec::new();
    for stack in &stacks {
        let there = account.stack(stack).map_err(DeployError::from)?;
        let outputs = there.into_iter().flat_map(|s| s.outputs);
        all.extend(outputs.map(|(name, value)| json!({"stack": stack, "name": name, "value": value})));
    }
    if arguments.json {
        print(&format!("{:#}", Value::Array(all)))?;
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        let region = account.region();
        note(&format!(
            "no stack in {region} hands out anything: looked for {}; see kidu-infra status",
            stacks.join(", ")
        ));
    }
    for output in &all {
        let text = |key: &str| output[key].as_str().unwrap_or_default().to_string();
        print(&format!("{:24} {:22} {}", text("stack"), text("name"), text("value")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The stacks of an installation by their names in the account, and the stages of its project.
fn stacks(prefix: &str, project: &str) -> Vec<String> {
    let installation = INSTALLATION.iter().map(|stack| format!("{prefix}-{stack}"));
    installation.chain(STAGES.iter().map(|stage| format!("{project}-{stage}"))).collect()
}
