//! `kidu model ... --on sagemaker`, and what the stages deploy.

use kidu_aws::sagemaker::{ModelPackages, Publication};
use kidu_core::files;
use kidu_infra::deploy_config::{DeployConfig, deploy_config};
use kidu_pipeline::{ModelRegistry, Registry, text};
use serde_json::json;

use super::{connect, installation, name_and_value};
use crate::{
    Outcome,
    cli::{DecideArgs, DeployConfigArgs, ModelCommand, RegistryArgs},
    failure::Failure,
    ui,
    verbs::model::{Verdict, decide, registration},
};

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
    let config = DeployConfig {
        project: &arguments.project,
        image: &arguments.image,
        architecture: &arguments.architecture,
        key_arn: arguments.key_arn.as_deref(),
        alerts_topic_arn: arguments.alerts_topic_arn.as_deref(),
        installation: Some(arguments.foundation.as_str()).filter(|name| !name.is_empty()),
        parameters: &parameters,
    };
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
