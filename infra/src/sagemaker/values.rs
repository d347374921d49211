//! Parts of a definition that several kinds of steps share: parameters, references, arguments.

use kidu_pipeline::{
    Arg, InputSource, OutputRef, Parameter, ParameterKind, Part, Pipeline, PipelineVariable, Step, StepKind,
};
use serde_json::{Map, Value, json};

use super::{Environment, unsupported};
use crate::error::Result;

/// The parameter that stands for the state of the data outside. The local runner has none: its cache knows content.
pub(super) const DATA_STAMP: &str = "DataStamp";

/// What every step needs to know.
pub(super) struct Context<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) environment: &'a Environment,
}

/// Where the containers of a kind of step find things.
#[derive(Clone)]
pub(super) struct Places {
    /// Below it each input has a folder of its name.
    pub(super) inputs: &'static str,
    /// Where the step writes.
    pub(super) folder: String,
}

/// A parameter with its default in this environment.
pub(super) fn parameter(parameter: &Parameter, environment: &Environment) -> Value {
    let mut out = Map::new();
    out.insert("Name".into(), json!(parameter.name));
    out.insert("Type".into(), json!(kind_name(parameter.kind)));
    if let Some(default) = environment.defaults.get(&parameter.name).or(parameter.default.as_ref()) {
        out.insert("DefaultValue".into(), default.clone());
    }
    if parameter.kind == ParameterKind::String && !parameter.allowed.is_empty() {
        out.insert("EnumValues".into(), json!(parameter.allowed));
    }
    out.into()
}

/// [`DATA_STAMP`]: the same for all executions that do not set it, so that the cache can hit.
pub(super) fn data_stamp() -> Value {
    json!({"Name": DATA_STAMP, "Type": kind_name(ParameterKind::String), "DefaultValue": "none"})
}

fn kind_name(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::String => "String",
        ParameterKind::Integer => "Integer",
        ParameterKind::Float => "Float",
        ParameterKind::Boolean => "Boolean",
    }
}

/// A reference.
pub(super) fn get(path: impl Into<String>) -> Value {
    json!({"Get": path.into()})
}

/// Values joined while the pipeline runs; what is known before is joined now.
pub(super) fn join(separator: &str, values: impl IntoIterator<Item = Value>) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    for value in values {
        match (parts.last_mut(), value) {
            (Some(Value::String(text)), Value::String(more)) => {
                text.push_str(separator);
                text.push_str(&more);
            }
            (_, value) => parts.push(value),
        }
    }
    match parts.as_slice() {
        [only @ Value::String(_)] => only.clone(),
        _ => json!({"Std:Join": {"On": separator, "Values": parts}}),
    }
}

impl Context<'_> {
    /// The address of something that this execution, and no other, writes.
    pub(super) fn place_of_execution(&self, rest: &[&str]) -> Value {
        let e = self.environment;
        let head = [json!("s3:/"), json!(e.artifacts_bucket), json!(e.prefix), get("Execution.PipelineExecutionId")];
        join("/", head.into_iter().chain(rest.iter().map(|r| json!(r))))
    }

    /// The address of a step's output.
    pub(super) fn output_uri(&self, output: &OutputRef) -> Value {
        let training = self.pipeline.step(&output.step).is_ok_and(|s| matches!(s.kind, StepKind::Training { .. }));
        match training {
            true => get(format!("Steps.{}.ModelArtifacts.S3ModelArtifacts", output.step)),
            false => {
                get(format!("Steps.{}.ProcessingOutputConfig.Outputs['{}'].S3Output.S3Uri", output.step, output.output))
            }
        }
    }

    /// The address of a step's output for a step that reads it. Of a folder it ends with a slash: without one, S3 would
    /// also count what begins with its name, as the checkpoints beside a dataset do.
    pub(super) fn input_uri(&self, output: &OutputRef) -> Value {
        match self.output_uri(output) {
            model if model.to_string().contains("ModelArtifacts") => model,
            folder => join("", [folder, json!("/")]),
        }
    }

    /// A template of an argument with container paths and references.
    pub(super) fn value(&self, step: &Step, arg: &Arg, places: &Places) -> Result<Value> {
        let parts: Vec<Value> = arg.parts().iter().map(|p| self.part(step, p, places)).collect::<Result<_>>()?;
        // A text parameter alone needs no join; a number becomes text by one.
        match (arg.parts(), parts.as_slice()) {
            ([], []) => Ok(json!("")),
            ([Part::Parameter(name)], [one]) if self.kind_of(name) == Some(ParameterKind::String) => Ok(one.clone()),
            _ => Ok(join("", parts)),
        }
    }

    /// All arguments of a verb.
    pub(super) fn arguments(&self, step: &Step, places: &Places) -> Result<Vec<Value>> {
        let expand = |arg: &Arg| -> Result<Vec<Value>> {
            match arg.is_config_arguments() {
                true => Ok(self.config_arguments(step).map(|a| json!(a)).collect()),
                false => Ok(vec![self.value(step, arg, places)?]),
            }
        };
        let nested: Vec<Vec<Value>> = step.verb.iter().map(expand).collect::<Result<_>>()?;
        Ok(nested.concat())
    }

    /// The configuration that concerns a step: keys that its result depends on. What is no part of the configuration (an
    /// experiment) chooses among whole trees of it, and reaches the training.
    pub(super) fn config_arguments(&self, step: &Step) -> impl Iterator<Item = &str> {
        let training = matches!(step.kind, StepKind::Training { .. });
        let trees: Vec<&str> = step.config_keys.include.iter().map(String::as_str).collect();
        let part = |key: &str, tree: &str| key.strip_prefix(tree).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        let roots = ["seed", "data", "model", "trainer", "callbacks", "logger", "paths", "gate", "registry"];
        self.environment.config_arguments.iter().map(String::as_str).filter(move |argument| {
            let key = argument.split('=').next().unwrap_or_default().trim_start_matches(['+', '~']);
            let of_configuration = roots.iter().any(|root| part(key, root));
            if of_configuration { trees.iter().any(|tree| part(key, tree)) } else { training }
        })
    }

    fn kind_of(&self, parameter: &str) -> Option<ParameterKind> {
        self.pipeline.parameters.iter().find(|p| p.name == parameter).map(|p| p.kind)
    }

    fn part(&self, step: &Step, part: &Part, places: &Places) -> Result<Value> {
        Ok(match part {
            Part::Literal(text) => json!(text),
            Part::Parameter(name) => get(format!("Parameters.{name}")),
            Part::Output(output) => json!(self.path_of(step, output, places)?),
            Part::External(name) => json!(format!("{}/{name}", places.inputs)),
            Part::Variable(PipelineVariable::PipelineName) => get("Execution.PipelineName"),
            Part::Variable(PipelineVariable::RunId) => get("Execution.PipelineExecutionId"),
            Part::Variable(PipelineVariable::StepFolder) => json!(places.folder),
            Part::Variable(
                variable @ (PipelineVariable::Registry | PipelineVariable::LineageFile | PipelineVariable::Endpoint),
            ) => {
                let reason = format!("'{{@{}}}' is known to the local runner only", variable.name());
                return Err(unsupported(self, step, reason));
            }
            // Stands alone, which validation sees to.
            Part::Variable(PipelineVariable::ConfigArguments) => json!(""),
        })
    }

    /// Where a container finds an earlier step's output. A model arrives as an archive that the image's entry unpacks.
    fn path_of(&self, step: &Step, output: &OutputRef, places: &Places) -> Result<String> {
        let input = step.inputs.iter().find(|i| i.source == InputSource::Output(output.clone()));
        let Some(input) = input else {
            return Err(unsupported(self, step, format!("'{output}' is not among its inputs")));
        };
        let folder = format!("{}/{}", places.inputs, input.name);
        let from = self.pipeline.step(&output.step)?;
        let path = from.output(&output.output).map(|o| o.path.as_str()).unwrap_or_default();
        Ok(match from.kind {
            StepKind::Training { .. } => folder,
            _ => format!("{folder}/{path}"),
        })
    }
}
