//! `kidu model list|show|approve|reject|promote|register`.

use kidu_core::files;
use kidu_pipeline::{
    Lineage, ModelRecord, ModelRegistry, ModelVersion, Registry,
    registry::{Receipt, Registration, judged_bundle},
    text,
};

use crate::{
    Outcome,
    cli::{DecideArgs, ModelCommand, RegisterArgs, RegistryArgs},
    failure::Failure,
    ui,
};

pub(super) fn run(command: &ModelCommand) -> Outcome {
    match command {
        ModelCommand::List { registry, output } => {
            let versions = open(registry)?.list()?;
            if output.json {
                return ui::json(&versions);
            }
            ui::line(text::model_list(&registry.group, &versions).trim_end());
            Ok(())
        }
        ModelCommand::Show { version, registry, output } => show(&open(registry)?.show(*version)?, output.json),
        ModelCommand::Approve(arguments) => decided(arguments, Verdict::Approve),
        ModelCommand::Reject(arguments) => decided(arguments, Verdict::Reject),
        ModelCommand::Promote(arguments) => super::deploy::promote(arguments),
        ModelCommand::Register(arguments) => {
            let registry = open(&arguments.registry)?;
            registration(arguments, |what| Ok(registry.register(what)?))
        }
        // What AWS deploys; `sagemaker` does it.
        ModelCommand::DeployConfig(_) => {
            Err(Failure::usage("deploy-config is about AWS: build kidu with the feature 'sagemaker'"))
        }
    }
}

/// Who acts: `--actor`, or the user's name.
pub(super) fn actor(given: Option<&str>) -> String {
    let variable = |name| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
    given.map(str::to_string).or_else(|| variable("USER")).or_else(|| variable("USERNAME")).unwrap_or("unknown".into())
}

fn open(arguments: &RegistryArgs) -> Outcome<Registry> {
    Ok(Registry::open(&arguments.registry, &arguments.group)?)
}

fn show(version: &ModelVersion, json: bool) -> Outcome {
    if json {
        return ui::json(version);
    }
    ui::line(text::model_show(version).trim_end());
    Ok(())
}

fn decided(arguments: &DecideArgs, verdict: Verdict) -> Outcome {
    let (registry, _) = decide(arguments, verdict, open)?;
    // The folder knows more of a version than what all registries tell.
    if arguments.output.json { ui::json(&registry.show(arguments.version)?) } else { Ok(()) }
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approve,
    Reject,
}

/// Approves or rejects a version in any registry, and tells in a line what it is then; JSON is the caller's.
pub(super) fn decide<R: ModelRegistry>(
    arguments: &DecideArgs,
    verdict: Verdict,
    open: impl FnOnce(&RegistryArgs) -> Outcome<R>,
) -> Outcome<(R, ModelRecord)> {
    let reason = arguments.reason.as_deref().filter(|r| !r.trim().is_empty());
    if verdict == Verdict::Reject && reason.is_none() {
        return Err(Failure::usage("a rejection needs a reason: --reason '...'"));
    }
    let registry = open(&arguments.registry)?;
    let actor = actor(arguments.actor.as_deref());
    let record = match verdict {
        Verdict::Approve => registry.approve(arguments.version, &actor, reason)?,
        Verdict::Reject => registry.reject(arguments.version, &actor, reason.unwrap_or_default())?,
    };
    if !arguments.output.json {
        ui::line(format!("{}/{} is {}", record.group, record.version, record.status.name()));
    }
    Ok((registry, record))
}

/// Reads what is to be registered, and tells of the receipt.
pub(super) fn registration(
    arguments: &RegisterArgs,
    register: impl FnOnce(&Registration<'_>) -> Outcome<Receipt>,
) -> Outcome {
    let status = serde_json::from_value(serde_json::Value::String(arguments.status.clone())).map_err(|_| {
        Failure::usage(format!("--status: '{}' is not PendingManualApproval, Approved or Rejected", arguments.status))
    })?;
    let lineage = match &arguments.lineage {
        Some(file) => files::read_json(file, "lineage")?,
        None => Lineage::collect(&arguments.model.bundle, &arguments.evaluation, None, None)?,
    };
    if judged_bundle(&arguments.evaluation)?.is_none() {
        let evaluation = arguments.evaluation.display();
        ui::note(format!(
            "warning: {evaluation} does not say which bundle it is of; `kidu evaluate` writes one that does"
        ));
    }
    let beside = files::parent_of(&arguments.evaluation);
    let attachments = ["predictions.csv", "report.html"].map(|n| beside.join(n)).into_iter().filter(|p| p.is_file());
    let receipt = register(&Registration {
        bundle: &arguments.model.bundle,
        evaluation: &arguments.evaluation,
        attachments: &attachments.collect::<Vec<_>>(),
        lineage,
        status,
        actor: &actor(arguments.actor.as_deref()),
    })?;
    if let Some(out) = &arguments.out {
        files::write_json(&out.join("registration.json"), &receipt)?;
    }
    if arguments.output.json {
        return ui::json(&receipt);
    }
    let how = if receipt.new { "registered" } else { "was registered before" };
    ui::line(format!("{}/{} {how}: {}", receipt.group, receipt.version, receipt.status.name()));
    Ok(())
}
