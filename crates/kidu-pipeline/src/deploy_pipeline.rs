//! The deploy pipeline: from an approved model version to production.

use crate::{
    arg::verb,
    config_keys::ConfigKeys,
    graph::{Input, Output, OutputRef, Pipeline, Step, StepKind},
    parameter::{Parameter, ParameterKind},
};

/// The environment that is tested.
pub const STAGING: &str = "staging";
/// The most that corruptions may take from the clean accuracy before a version is refused.
pub const DEFAULT_MAX_DROP: f64 = 0.25;
/// The environment that answers people.
pub const PRODUCTION: &str = "production";

/// `package → staging → smoke → robustness → approval → production`.
///
/// The runner of the build pipeline does not take it: its environments outlive it. `kidu-deploy` executes it with
/// servers of this machine, a cloud's delivery pipeline with stacks.
pub fn deploy_pipeline() -> Pipeline {
    Pipeline {
        name: "kidu-deploy".into(),
        parameters: parameters(),
        steps: vec![
            package(),
            deploy(STAGING, &[]),
            test(
                "smoke",
                "deploy smoke --url {@endpoint} --bundle {package.bundle} --out {@step_folder}",
                STAGING,
                true,
            ),
            test(
                "robustness",
                "robustness --url {@endpoint} --json --max-drop {RobustnessMaxDrop} data.root={RobustnessData}",
                "smoke",
                false,
            ),
            approval(),
            deploy(PRODUCTION, &["approval"]),
        ],
    }
}

fn parameters() -> Vec<Parameter> {
    use ParameterKind::{Float, Integer, String};
    vec![
        Parameter::new("ModelVersion", Integer, "number of the approved model version"),
        Parameter::new("ModelPackageGroupName", String, "group of the model registry")
            .with_default("kidu")
            .with_config_key("registry.group"),
        Parameter::new("RobustnessData", String, "images of the robustness test")
            .with_config_key("deploy.robustness.data_root"),
        Parameter::new("RobustnessMaxDrop", Float, "most that corruptions may take from the accuracy, on the mean")
            .with_default(DEFAULT_MAX_DROP)
            .with_config_key("deploy.robustness.max_drop"),
    ]
}

fn package() -> Step {
    Step {
        name: "package".into(),
        kind: StepKind::Processing,
        verb: verb(
            "deploy package {ModelVersion} --registry {@registry} --group {ModelPackageGroupName} --out {@step_folder}",
        ),
        outputs: vec![Output::new("bundle", "bundle"), Output::new("record", "package.json").exported()],
        ..empty()
    }
}

/// The step is named as its environment.
fn deploy(environment: &str, after: &[&str]) -> Step {
    Step {
        name: environment.into(),
        kind: StepKind::Deploy { environment: environment.into(), bundle: OutputRef::new("package", "bundle") },
        inputs: vec![Input::output("model", "package", "bundle")],
        after: after.iter().map(ToString::to_string).collect(),
        ..empty()
    }
}

/// What the test prints, or writes if it takes a folder, is kept as `NAME.json`.
fn test(name: &str, template: &str, after: &str, reads_bundle: bool) -> Step {
    Step {
        name: name.into(),
        kind: StepKind::Test { environment: STAGING.into() },
        verb: verb(template),
        inputs: reads_bundle.then(|| Input::output("model", "package", "bundle")).into_iter().collect(),
        outputs: vec![Output::new("report", format!("{name}.json")).exported()],
        after: vec![after.into()],
        ..empty()
    }
}

fn approval() -> Step {
    Step { name: "approval".into(), kind: StepKind::Approval, after: vec!["robustness".into()], ..empty() }
}

/// A deployment happens: nothing of it is taken from a cache.
fn empty() -> Step {
    Step {
        name: String::new(),
        kind: StepKind::Processing,
        verb: vec![],
        environment: vec![],
        inputs: vec![],
        outputs: vec![],
        after: vec![],
        cache: false,
        resumable: false,
        config_keys: ConfigKeys::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_valid_and_survives_json() {
        let pipeline = deploy_pipeline();
        let order: Vec<_> = pipeline.validate().unwrap().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(order, ["package", "staging", "smoke", "robustness", "approval", "production"]);
        let text = serde_json::to_string_pretty(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), pipeline);
    }

    #[test]
    fn steps_without_a_verb_are_only_those_that_cannot_have_one() {
        for step in deploy_pipeline().steps {
            assert_eq!(step.verb.is_empty(), matches!(step.name.as_str(), "staging" | "approval" | "production"));
        }
        let mut pipeline = deploy_pipeline();
        pipeline.steps[4].verb = verb("deploy approve");
        assert!(pipeline.validate().unwrap_err().to_string().contains("which runs no verb"));
    }
}
