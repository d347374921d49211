//! References of a SageMaker pipeline definition, which the service checks only when the pipeline is created.

use serde_json::Value;

use super::Report;

/// What can be known of an execution.
const EXECUTION: [&str; 8] = [
    "CurrentDateTime",
    "PipelineArn",
    "PipelineExecutionArn",
    "PipelineExecutionId",
    "PipelineName",
    "StartDateTime",
    "SourcePipelineExecutionArn",
    "SourcePipelineExecutionId",
];
/// The most steps, and bytes, of a definition.
const STEPS: usize = 50;
const BYTES: usize = 1 << 20;

pub(super) fn check(definition: &Value, report: &mut Report<'_>) {
    let steps = all_steps(&definition["Steps"]);
    if steps.len() > STEPS {
        report.add("size", "Steps", format!("{} steps, SageMaker takes {STEPS}", steps.len()));
    }
    if definition.to_string().len() > BYTES {
        report.add("size", "definition", format!("more than {BYTES} bytes"));
    }
    let parameters = definition["Parameters"].as_array().into_iter().flatten();
    let parameters: Vec<&str> = parameters.filter_map(|p| p["Name"].as_str()).collect();
    for reference in gets(definition) {
        let words: Vec<&str> = reference.splitn(3, '.').collect();
        let known = match words.as_slice() {
            ["Parameters", name] => parameters.contains(name),
            ["Execution", name] => EXECUTION.contains(name),
            ["Steps", name, path] => steps.iter().any(|s| s["Name"] == *name && has(s, path)),
            _ => false,
        };
        if !known {
            report.add("dangling reference", &reference, "the definition has nothing of that name");
        }
    }
}

/// All steps, those inside conditions too.
fn all_steps(steps: &Value) -> Vec<&Value> {
    let mut out = Vec::new();
    for step in steps.as_array().into_iter().flatten() {
        out.push(step);
        out.extend(
            ["/Arguments/IfSteps", "/Arguments/ElseSteps"]
                .into_iter()
                .filter_map(|b| step.pointer(b))
                .flat_map(all_steps),
        );
    }
    out
}

/// Whether a step has what a reference asks of it.
fn has(step: &Value, path: &str) -> bool {
    let any = |list: &Value, key: &str, name: &str| list.as_array().into_iter().flatten().any(|e| e[key] == name);
    if let Some(rest) = path.strip_prefix("ProcessingOutputConfig.Outputs['") {
        let name = rest.split('\'').next().unwrap_or_default();
        return rest.ends_with("'].S3Output.S3Uri")
            && any(&step["Arguments"]["ProcessingOutputConfig"]["Outputs"], "OutputName", name);
    }
    if let Some(name) = path.strip_prefix("PropertyFiles.") {
        return any(&step["PropertyFiles"], "PropertyFileName", name);
    }
    step["Type"] == "Training" && path == "ModelArtifacts.S3ModelArtifacts"
}

fn gets(value: &Value) -> Vec<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, v)| match (key.as_str(), v) {
                ("Get", Value::String(reference)) => vec![reference.clone()],
                _ => gets(v),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(gets).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kidu_pipeline::build_pipeline;

    use super::*;
    use crate::{
        lint::Finding,
        sagemaker::{self, Environment},
    };

    fn found(definition: &Value) -> Vec<Finding> {
        let mut findings = Vec::new();
        check(definition, &mut Report { stack: "d", findings: &mut findings });
        findings
    }

    #[test]
    fn ours_has_no_dangling_reference_and_a_broken_one_is_found() {
        let made = sagemaker::definition(&build_pipeline(), &Environment::example()).unwrap();
        assert_eq!(found(&made), []);
        for (from, to) in [
            ("Parameters.Model\"", "Parameters.Modle\""),
            ("Outputs['dataset']", "Outputs['datasets']"),
            ("PropertyFiles.EvaluationReport", "PropertyFiles.Report"),
            ("Steps.train.Model", "Steps.trian.Model"),
            ("Execution.PipelineExecutionId", "Execution.Id"),
        ] {
            let text = made.to_string();
            assert!(text.contains(from), "{from}");
            let broken = serde_json::from_str(&text.replace(from, to)).unwrap();
            assert!(!found(&broken).is_empty(), "{to}");
        }
    }
}
