//! The pipeline value as a SageMaker Pipeline definition (schema 2020-12-01).
//!
//! Each step becomes the job that runs the very verb the local runner would start, with container paths in the place of
//! local ones. What has no counterpart is an error, not a gap.

mod condition;
pub mod cost;
mod environment;
mod jobs;
pub mod prices;
mod register;
mod values;

use kidu_pipeline::{Pipeline, Step, StepKind};
use serde_json::{Value, json};

pub use environment::{Environment, Instances};

use self::values::Context;
use crate::error::{Error, Result};

/// The schema's version.
const VERSION: &str = "2020-12-01";

/// The definition of a pipeline in an environment.
///
/// # Errors
/// [`Error::Pipeline`] for a pipeline that is not valid, [`Error::Unsupported`] for a step that SageMaker cannot run.
pub fn definition(pipeline: &Pipeline, environment: &Environment) -> Result<Value> {
    let steps: Vec<&Step> = pipeline.validate()?;
    let context = Context { pipeline, environment };
    let unguarded = steps.iter().filter(|s| guard(pipeline, s).is_none());
    let steps: Vec<Value> = unguarded.map(|s| step(&context, s)).collect::<Result<_>>()?;
    let parameters = pipeline.parameters.iter().map(|p| values::parameter(p, environment));
    Ok(json!({
        "Version": VERSION,
        "Metadata": {},
        "Parameters": parameters.chain([values::data_stamp()]).collect::<Vec<_>>(),
        // No experiments: the pipeline's role may not make them, and runs are tracked elsewhere.
        "PipelineExperimentConfig": null,
        "Steps": steps,
    }))
}

/// A step with everything that depends on its success, if it is a condition.
fn step(context: &Context<'_>, step: &Step) -> Result<Value> {
    let mut made = match &step.kind {
        StepKind::Processing => jobs::processing(context, step)?,
        StepKind::Training { model } => jobs::training(context, step, model)?,
        StepKind::Condition { conditions } => {
            let guarded = context.pipeline.steps.iter().filter(|s| guard(context.pipeline, s) == Some(&step.name));
            let guarded: Vec<Value> = guarded.map(|s| self::step(context, s)).collect::<Result<_>>()?;
            condition::condition(context, step, conditions, guarded)?
        }
        StepKind::Register { bundle, evaluation, dataset, group, approval_status } => register::register(
            context,
            step,
            &register::Registration { bundle, evaluation, dataset, group, approval_status },
        )?,
        kind @ (StepKind::Deploy { .. } | StepKind::Test { .. } | StepKind::Approval) => {
            let reason = format!("a SageMaker pipeline has no step of the kind {}", kind.name());
            return Err(unsupported(context, step, reason));
        }
    };
    let order: Vec<&String> = step.after.iter().filter(|a| Some(*a) != guard(context.pipeline, step)).collect();
    if !order.is_empty() {
        made["DependsOn"] = json!(order);
    }
    Ok(made)
}

/// The condition whose "yes" a step waits for.
fn guard<'a>(pipeline: &'a Pipeline, step: &'a Step) -> Option<&'a String> {
    step.after
        .iter()
        .find(|a| pipeline.steps.iter().any(|s| s.name == **a && matches!(s.kind, StepKind::Condition { .. })))
}

fn unsupported(context: &Context<'_>, step: &Step, reason: impl Into<String>) -> Error {
    Error::Unsupported { pipeline: context.pipeline.name.clone(), step: step.name.clone(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kidu_pipeline::build_pipeline;

    use super::*;

    fn made() -> Value {
        definition(&build_pipeline(), &Environment::example()).unwrap()
    }

    fn all_steps(steps: &Value) -> Vec<&Value> {
        let nested = |s| -> Vec<&Value> {
            let branches = ["/Arguments/IfSteps", "/Arguments/ElseSteps"].into_iter();
            branches.filter_map(|b| Value::pointer(s, b)).flat_map(all_steps).collect()
        };
        steps.as_array().unwrap().iter().flat_map(|s| [vec![s], nested(s)].concat()).collect()
    }

    #[test]
    fn it_has_the_steps_and_parameters_of_the_local_graph() {
        let (pipeline, made) = (build_pipeline(), made());
        let names: Vec<&str> = all_steps(&made["Steps"]).iter().map(|s| s["Name"].as_str().unwrap()).collect();
        let mut local: Vec<&str> = pipeline.steps.iter().map(|s| s.name.as_str()).collect();
        // SageMaker's way to say why nothing is registered.
        local.push("gate-refused");
        assert_eq!(names, local);
        let parameters = made["Parameters"].as_array().unwrap();
        let (own, shared) = parameters.split_last().unwrap();
        // SageMaker's way to learn of new data at the same address.
        assert_eq!(own["Name"], "DataStamp");
        for (parameter, there) in pipeline.parameters.iter().zip(shared) {
            assert_eq!(there["Name"], json!(parameter.name));
            assert_eq!(there["Type"], serde_json::to_value(parameter.kind).unwrap());
        }
        assert_eq!(shared.len(), pipeline.parameters.len());
    }

    /// The edges that references make must be those of the local graph.
    #[test]
    fn it_has_the_edges_of_the_local_graph() {
        let (pipeline, made) = (build_pipeline(), made());
        for step in all_steps(&made["Steps"]) {
            let name = step["Name"].as_str().unwrap();
            let Ok(local) = pipeline.step(name) else { continue };
            let mut own = step.clone();
            if let Some(arguments) = own["Arguments"].as_object_mut() {
                arguments.remove("IfSteps");
                arguments.remove("ElseSteps");
            }
            let found: BTreeSet<String> = references(&own).into_iter().filter_map(|r| step_of(&r)).collect();
            // The gate's verb also compares with the incumbent, for which it asks which model this is.
            let skip = |d: &&str| !(name == "gate" && *d == "train") && *d != "gate";
            let expected: BTreeSet<String> =
                local.dependencies().into_iter().filter(skip).map(str::to_string).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn no_reference_dangles() {
        let made = made();
        let steps: Vec<&Value> = all_steps(&made["Steps"]);
        for reference in references(&made) {
            let words: Vec<&str> = reference.splitn(3, '.').collect();
            let known = match words.as_slice() {
                ["Parameters", name] => made["Parameters"].as_array().unwrap().iter().any(|p| p["Name"] == *name),
                ["Execution", name] => ["PipelineName", "PipelineExecutionId", "PipelineExecutionArn"].contains(name),
                ["Steps", name, path] => steps.iter().any(|s| s["Name"] == *name && has(s, path)),
                _ => false,
            };
            assert!(known, "{reference}");
        }
    }

    /// Whether a step has what a reference asks for.
    fn has(step: &Value, path: &str) -> bool {
        let quoted = path.split('\'').nth(1).unwrap_or_default();
        if path.starts_with("ProcessingOutputConfig.Outputs['") {
            let outputs = step["Arguments"]["ProcessingOutputConfig"]["Outputs"].as_array().unwrap();
            return outputs.iter().any(|o| o["OutputName"] == quoted);
        }
        if let Some(name) = path.strip_prefix("PropertyFiles.") {
            return step["PropertyFiles"].as_array().unwrap().iter().any(|f| f["PropertyFileName"] == name);
        }
        step["Type"] == "Training" && path == "ModelArtifacts.S3ModelArtifacts"
    }

    fn references(value: &Value) -> Vec<String> {
        match value {
            Value::Object(entries) => entries
                .iter()
                .flat_map(|(key, v)| match (key.as_str(), v) {
                    ("Get", Value::String(reference)) => vec![reference.clone()],
                    _ => references(v),
                })
                .collect(),
            Value::Array(items) => items.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    fn step_of(reference: &str) -> Option<String> {
        reference.strip_prefix("Steps.").and_then(|r| r.split('.').next()).map(str::to_string)
    }

    #[test]
    fn outputs_belong_to_the_execution() {
        for step in all_steps(&made()["Steps"]) {
            for output in step["Arguments"]["ProcessingOutputConfig"]["Outputs"].as_array().into_iter().flatten() {
                assert!(output.to_string().contains("Execution.PipelineExecutionId"), "{output}");
            }
        }
        let text = made().to_string();
        assert!(!text.contains(":latest"), "images are named by version");
    }

    #[test]
    fn what_jobs_write_is_under_the_installations_key() {
        let made = made();
        for (step, place) in [
            ("preprocess", "ProcessingOutputConfig"),
            ("train", "OutputDataConfig"),
            ("evaluate", "ProcessingOutputConfig"),
        ] {
            let steps = all_steps(&made["Steps"]);
            let step = steps.iter().find(|s| s["Name"] == step).unwrap();
            assert_eq!(step["Arguments"][place]["KmsKeyId"], "alias/kidu", "{}", step["Name"]);
        }
    }

    /// A training job's key in SageMaker's cache covers its checkpoints' place: an execution's id in it would make
    /// every execution train anew.
    #[test]
    fn the_cache_of_training_can_hit() {
        let made = made();
        let train = all_steps(&made["Steps"]).into_iter().find(|s| s["Name"] == "train").unwrap();
        let arguments = &train["Arguments"];
        for keyed in ["CheckpointConfig", "AlgorithmSpecification", "InputDataConfig", "Environment"] {
            assert!(!arguments[keyed].to_string().contains("Execution."), "{keyed}: {}", arguments[keyed]);
        }
        assert_eq!(train["CacheConfig"], json!({"Enabled": true, "ExpireAfter": "P30D"}));
        for parameter in ["Model", "Batch_Size", "Optimizer", "Learning_Rate", "Augmentation_Pipeline"] {
            assert!(arguments["CheckpointConfig"].to_string().contains(parameter), "{parameter}");
        }
    }

    /// SageMaker's cache knows addresses and not what lies there: an execution for new data at the same address says so by
    /// the stamp, and every other has the same one. What reads earlier steps has new addresses by itself.
    #[test]
    fn an_execution_can_say_that_its_data_is_new() {
        let made = made();
        let declared = made["Parameters"].as_array().unwrap().iter().find(|p| p["Name"] == "DataStamp");
        assert_eq!(declared, Some(&json!({"Name": "DataStamp", "Type": "String", "DefaultValue": "none"})));
        for step in all_steps(&made["Steps"]) {
            let stamp = step.pointer("/Arguments/Environment/KIDU_DATA_STAMP");
            let expected = json!({"Get": "Parameters.DataStamp"});
            assert_eq!(stamp, (step["Name"] == "preprocess").then_some(&expected), "{}", step["Name"]);
        }
    }

    /// Each verb knows a part of the configuration and refuses the rest.
    #[test]
    fn configuration_reaches_the_steps_that_it_concerns() {
        let arguments = ["experiment=transfer", "trainer.max_epochs=2", "seed=3", "data.on_bad_image=skip"];
        let config_arguments = arguments.map(String::from).to_vec();
        let made = definition(&build_pipeline(), &Environment { config_arguments, ..Environment::example() }).unwrap();
        for (step, specification, expected) in [
            ("preprocess", "AppSpecification", &arguments[2..]),
            ("train", "AlgorithmSpecification", &arguments[..]),
            ("evaluate", "AppSpecification", &arguments[3..]),
        ] {
            let steps = all_steps(&made["Steps"]);
            let step = steps.iter().find(|s| s["Name"] == step).unwrap();
            let there = step["Arguments"][specification]["ContainerArguments"].as_array().unwrap();
            let there: Vec<&str> = there.iter().filter_map(Value::as_str).filter(|a| arguments.contains(a)).collect();
            assert_eq!(there, expected, "{}", step["Name"]);
        }
    }

    #[test]
    fn a_step_without_counterpart_is_refused() {
        let mut pipeline = build_pipeline();
        pipeline.steps[2].outputs.push(kidu_pipeline::Output::new("more", "more.json").exported());
        let error = definition(&pipeline, &Environment::example()).unwrap_err().to_string();
        assert!(error.contains("evaluate") && error.contains("one output"), "{error}");
    }
}
