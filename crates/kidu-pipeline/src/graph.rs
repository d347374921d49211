//! A pipeline as a value: parameters and steps. What is here is enough to run it on one machine and to write a
//! cloud's definition of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    arg::{Arg, Part},
    config_keys::ConfigKeys,
    error::{Error, Result},
    parameter::Parameter,
};

/// A typed graph of steps. Check it with [`Pipeline::validate`](Self::validate) before use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// What one execution may set.
    pub parameters: Vec<Parameter>,
    /// The steps; order matters only between steps that do not depend on each other.
    pub steps: Vec<Step>,
}

/// One step: a verb of the `kidu` command with its arguments, what it reads and what it writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// What kind of work it is, with what that kind needs to be stated.
    pub kind: StepKind,
    /// The verb of the `kidu` command and its arguments, without `kidu` itself.
    pub verb: Vec<Arg>,
    /// Environment variables of the step, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, Arg)>,
    /// What it reads. Only declared inputs may stand in the arguments.
    pub inputs: Vec<Input>,
    /// What it writes below its folder.
    pub outputs: Vec<Output>,
    /// Steps that must have ended well before this one although nothing of theirs is read (a gate).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Whether outputs are kept and used again for the same key.
    pub cache: bool,
    /// Whether an interrupted attempt's folder is handed to the next attempt, which goes on from there.
    #[serde(default)]
    pub resumable: bool,
    /// Which keys of the resolved configuration change what it writes.
    #[serde(default)]
    pub config_keys: ConfigKeys,
}

/// What kind of work a step is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum StepKind {
    /// Work on data.
    Processing,
    /// Fitting a model.
    Training {
        /// The output that is the model.
        model: String,
    },
    /// A decision; steps that come after it run only if it says yes.
    Condition {
        /// All must hold. The step's verb checks these and may check more (the incumbent).
        conditions: Vec<Condition>,
    },
    /// Registration of a model version.
    Register {
        /// The bundle to register.
        bundle: OutputRef,
        /// The `evaluation.json` that judges it.
        evaluation: OutputRef,
        /// The manifest of the dataset it was made from.
        dataset: OutputRef,
        /// The group of the registry.
        group: Arg,
        /// The approval status to begin with.
        approval_status: Arg,
    },
    /// A bundle taken into service. Whoever keeps the environment does it; there is no verb.
    Deploy {
        /// The environment's name.
        environment: String,
        /// The bundle.
        bundle: OutputRef,
    },
    /// A test of what an environment serves; exit code 3 says no.
    Test {
        /// The environment's name.
        environment: String,
    },
    /// A person's decision. There is no verb that could take it.
    Approval,
}

impl StepKind {
    /// The kind's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Processing => "Processing",
            Self::Training { .. } => "Training",
            Self::Condition { .. } => "Condition",
            Self::Register { .. } => "Register",
            Self::Deploy { .. } => "Deploy",
            Self::Test { .. } => "Test",
            Self::Approval => "Approval",
        }
    }

    /// Whether a step of this kind is a verb of the `kidu` command.
    pub fn has_verb(&self) -> bool {
        !matches!(self, Self::Deploy { .. } | Self::Approval)
    }
}

/// A comparison of a number in a step's JSON output with a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The JSON file; must be an output with a property file name.
    pub file: OutputRef,
    /// The path of the number in it, keys joined by dots.
    pub path: String,
    /// How the number is compared.
    pub comparison: Comparison,
    /// What it is compared with: a literal number or a parameter.
    pub value: Arg,
}

/// How two numbers are compared, under the names of cloud pipeline definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `>=`
    GreaterThanOrEqualTo,
    /// `>`
    GreaterThan,
    /// `<=`
    LessThanOrEqualTo,
    /// `<`
    LessThan,
    /// `==`
    Equals,
}

impl Comparison {
    /// The mathematical sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualTo => ">=",
            Self::GreaterThan => ">",
            Self::LessThanOrEqualTo => "<=",
            Self::LessThan => "<",
            Self::Equals => "==",
        }
    }
}

/// Something a step reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name among the step's inputs (a cloud's input or channel name).
    pub name: String,
    /// Where it comes from.
    pub source: InputSource,
}

impl Input {
    /// An earlier step's output.
    pub fn output(name: impl Into<String>, step: impl Into<String>, output: impl Into<String>) -> Self {
        Self { name: name.into(), source: InputSource::Output(OutputRef::new(step, output)) }
    }

    /// Something from outside the pipeline, at a location if it is a file or folder.
    pub fn external(name: impl Into<String>, location: Option<Arg>) -> Self {
        Self { name: name.into(), source: InputSource::External { location } }
    }
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSource {
    /// An earlier step's output.
    Output(OutputRef),
    /// From outside the pipeline; its content hash is supplied by whoever runs it, under the input's name.
    External {
        /// Where it is, for inputs that are files or folders; made of literals and parameters only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<Arg>,
    },
}

/// Something a step writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Its name among the step's outputs.
    pub name: String,
    /// The file or folder, relative to the step's folder, with forward slashes.
    pub path: String,
    /// Whether people or other systems read it, so that it may stay unused by other steps.
    #[serde(default)]
    pub exported: bool,
    /// The name under which conditions read numbers from it, for a JSON file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_file: Option<String>,
}

impl Output {
    /// An output for other steps.
    pub fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self { name: name.into(), path: path.into(), exported: false, property_file: None }
    }

    /// Also for people and other systems.
    #[must_use]
    pub fn exported(mut self) -> Self {
        self.exported = true;
        self
    }

    /// Readable by conditions under this name.
    #[must_use]
    pub fn with_property_file(mut self, name: impl Into<String>) -> Self {
        self.property_file = Some(name.into());
        self
    }
}

/// Names an output of a step; written `step.output`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutputRef {
    /// The step.
    pub step: String,
    /// Its output.
    pub output: String,
}

impl OutputRef {
    /// The output of that step.
    pub fn new(step: impl Into<String>, output: impl Into<String>) -> Self {
        Self { step: step.into(), output: output.into() }
    }
}

impl fmt::Display for OutputRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.step, self.output)
    }
}

impl Step {
    /// All argument templates of the step: verb, environment, locations of inputs, and those of its kind.
    pub fn args(&self) -> Vec<&Arg> {
        let locations = self.inputs.iter().filter_map(|i| match &i.source {
            InputSource::External { location } => location.as_ref(),
            InputSource::Output(_) => None,
        });
        let of_kind: Vec<&Arg> = match &self.kind {
            StepKind::Condition { conditions } => conditions.iter().map(|c| &c.value).collect(),
            StepKind::Register { group, approval_status, .. } => vec![group, approval_status],
            _ => Vec::new(),
        };
        self.verb.iter().chain(self.environment.iter().map(|(_, a)| a)).chain(locations).chain(of_kind).collect()
    }

    /// The parameters it uses, each once, in order of first use.
    pub fn parameters(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.args().into_iter().flat_map(Arg::parameters) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The outputs of other steps that it declares as inputs.
    pub fn input_outputs(&self) -> impl Iterator<Item = &OutputRef> {
        self.inputs.iter().filter_map(|i| match &i.source {
            InputSource::Output(output) => Some(output),
            InputSource::External { .. } => None,
        })
    }

    /// The outputs of other steps that its arguments or its kind name.
    pub fn named_outputs(&self) -> Vec<&OutputRef> {
        let in_args = self.args().into_iter().flat_map(Arg::parts).filter_map(|p| match p {
            Part::Output(output) => Some(output),
            _ => None,
        });
        let of_kind: Vec<&OutputRef> = match &self.kind {
            StepKind::Condition { conditions } => conditions.iter().map(|c| &c.file).collect(),
            StepKind::Register { bundle, evaluation, dataset, .. } => vec![bundle, evaluation, dataset],
            StepKind::Deploy { bundle, .. } => vec![bundle],
            _ => Vec::new(),
        };
        in_args.chain(of_kind).collect()
    }

    /// The steps it depends on directly, by data or by order.
    pub fn dependencies(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.input_outputs().map(|o| o.step.as_str()).chain(self.after.iter().map(String::as_str)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The output of that name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|o| o.name == name)
    }
}

impl Pipeline {
    /// The step of that name.
    ///
    /// # Errors
    /// [`Error::UnknownStep`] with the nearest name.
    pub fn step(&self, name: &str) -> Result<&Step> {
        self.steps.iter().find(|s| s.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.steps.iter().map(|s| s.name.as_str()).collect();
            Error::UnknownStep {
                pipeline: self.name.clone(),
                name: name.into(),
                nearest: kidu_core::suggest::nearest(name, names.iter().copied()).map(Into::into),
                known: names.join(", "),
            }
        })
    }
}
