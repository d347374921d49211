//! `kidu model ... --on sagemaker`, and what the stages deploy.

use kidu_aws::sagemaker::{ModelPackages, Publication};
use kidu_core::{files, store::ObjectUri};
use kidu_infra::deploy_config::{DeployConfig, deploy_config};
use kidu_pipeline::{ModelRecord, ModelRegistry, Registry, registry::bundle_judged_in, text};
use serde_json::json;

use super::{connect, installation, name_and_value};
use crate::{
    Outcome,
    cli::{DecideArgs, DeployConfigArgs, ModelCommand, RegistryArgs},
    failure::Failure,
    stores::open_store,
    ui,
    verbs::model::{Verdict, decide, registration},
};

/// An evaluation is read whole.
const EVALUATION_LIMIT: u64 = 64 << 20;

pub(in crate::verbs) fn run(command: &ModelCommand) -> Outcome {
    match command {
        ModelCommand::List { registry, output } => {
            let records = open(registry)?.records()?;
            if output.json {
                return ui::json(&records);
            }
            ui::line(text::record_list(&registry.group, &records).trim_end());
            Ok(())
        }
        ModelCommand::Show { version, registry, output } => {
            let record = open(registry)?.record(*version)?;
            if output.json {
                return ui::json(&record);
            }
            ui::line(text::record_show(&record).trim_end());
            Ok(())
        }
        ModelCommand::Approve(arguments) => decided(arguments, Verdict::Approve),
        ModelCommand::Reject(arguments) => decided(arguments, Verdict::Reject),
        // The deploy pipeline of this machine.
        ModelCommand::Promote(arguments) => crate::verbs::deploy::promote(arguments),
        ModelCommand::Register(arguments) => {
            let sagemaker = connect(&arguments.registry.place)?;
            let settings = installation(&sagemaker, &arguments.installation)?;
            let environment = settings.environment();
            let publication = Publication {
                place: format!("s3://{}/{}/registry", environment.artifacts_bucket, environment.prefix),
                image: environment.inference_image,
                instances: environment.instances.serving,
            };
            let registry = ModelPackages::open(&sagemaker, &arguments.registry.group)?.with_publication(publication);
            registration(arguments, |what| Ok(registry.register(what)?))
        }
        ModelCommand::DeployConfig(arguments) => write_deploy_config(arguments),
    }
}

fn open(arguments: &RegistryArgs) -> Outcome<ModelPackages> {
    Ok(ModelPackages::open(&connect(&arguments.place)?, &arguments.group)?)
}

fn decided(arguments: &DecideArgs, verdict: Verdict) -> Outcome {
    let (_, record) = decide(arguments, verdict, open)?;
    if arguments.output.json { ui::json(&record) } else { Ok(()) }
}

fn write_deploy_config(arguments: &DeployConfigArgs) -> Outcome {
    let registry: Box<dyn ModelRegistry> = match arguments.registry.place.is_sagemaker() {
        true => Box::new(open(&arguments.registry)?),
        false => Box::new(Registry::open(&arguments.registry.registry, &arguments.registry.group)?),
    };
    let version = match arguments.version {
        Some(version) => registry.record(version)?,
        None => registry.latest_approved()?.ok_or_else(|| {
            Failure::usage(format!(
                "no version of model group '{0}' is approved: approve one, as in `kidu model approve 3 --group {0}`",
                arguments.registry.group
            ))
        })?,
    };
    let parameters: Vec<(String, String)> =
        arguments.parameters.iter().map(|p| name_and_value("--parameter", p)).collect::<Outcome<_>>()?;
    let mut config = DeployConfig {
        project: &arguments.project,
        bundle_sha256: None,
        image: &arguments.image,
        architecture: &arguments.architecture,
        key_arn: arguments.key_arn.as_deref(),
        alerts_topic_arn: arguments.alerts_topic_arn.as_deref(),
        installation: Some(arguments.foundation.as_str()).filter(|name| !name.is_empty()),
        parameters: &parameters,
    };
    config.check(&version)?;
    let bundle = evaluated_bundle(&version)?;
    config.bundle_sha256 = bundle.as_deref();
    let mut written = Vec::new();
    for (name, content) in deploy_config(&version, &config)? {
        let path = arguments.out.join(name);
        files::write_json(&path, &content)?;
        written.push(path);
    }
    if arguments.output.json {
        return ui::json(&json!({"version": version, "files": written}));
    }
    ui::line(format!("{}/{}: {}", version.group, version.version, version.bundle));
    written.iter().for_each(|path| ui::line(format!("wrote {}", path.display())));
    Ok(())
}

/// The digest of the bundle that a version's evaluation in S3 is of, so that the function takes no other.
fn evaluated_bundle(version: &ModelRecord) -> Outcome<Option<String>> {
    let Some(uri) = version.evaluation.as_deref().filter(|uri| uri.starts_with("s3://")) else { return Ok(None) };
    let (folder, key) = ObjectUri::parse(uri)?
        .split_last()
        .ok_or_else(|| Failure::usage(format!("the evaluation of version {}, {uri}, is no object", version.version)))?;
    let bytes = open_store(&folder)?.get(&key, EVALUATION_LIMIT)?;
    let evaluation = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::Failed(anyhow::anyhow!("{uri} is no evaluation: {error}; evaluate the version again"))
    })?;
    let bundle = bundle_judged_in(&evaluation);
    if bundle.is_none() {
        ui::note(format!(
            "note: {uri} does not name its bundle: the function takes whatever lies at {}",
            version.bundle
        ));
    }
    Ok(bundle)
}
