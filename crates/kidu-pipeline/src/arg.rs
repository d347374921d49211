//! Arguments of a step's verb, with holes that an interpreter fills.
//!
//! Written as templates: `data.batch_size={Batch_Size}` holds a parameter, `{train.bundle}` the output `bundle` of the
//! step `train`, `{external:dataset}` an external input, `{@step_folder}` something the interpreter knows. `{{` and
//! `}}` stand for braces.

use std::{fmt, str::FromStr};

use kidu_core::suggest::{did_you_mean, nearest};
use serde::{Deserialize, Serialize};

use crate::{error::Error, graph::OutputRef};

/// What only the interpreter of a pipeline knows. The local runner gives paths and its run id; a cloud gives its
/// container paths and its own execution id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PipelineVariable {
    /// The pipeline's name.
    PipelineName,
    /// The id of this execution.
    RunId,
    /// The folder into which the step writes its outputs.
    StepFolder,
    /// Where the model registry is: a folder here, a model package group in a cloud.
    Registry,
    /// The file with the lineage of what this run made so far, written before a register step.
    LineageFile,
    /// The address at which the environment under test answers, `http://host:port`; only in deployments.
    Endpoint,
    /// The arguments by which the run's configuration reaches the step. Stands alone in an argument and expands to
    /// any number of arguments, none included.
    ConfigArguments,
}

impl PipelineVariable {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PipelineName,
        Self::RunId,
        Self::StepFolder,
        Self::Registry,
        Self::LineageFile,
        Self::Endpoint,
        Self::ConfigArguments,
    ];

    /// The name in templates, without `@`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PipelineName => "pipeline_name",
            Self::RunId => "run_id",
            Self::StepFolder => "step_folder",
            Self::Registry => "registry",
            Self::LineageFile => "lineage_file",
            Self::Endpoint => "endpoint",
            Self::ConfigArguments => "config",
        }
    }
}

/// One piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text as it is.
    Literal(String),
    /// The value of a pipeline parameter.
    Parameter(String),
    /// The path of an earlier step's output; must be among the step's declared inputs.
    Output(OutputRef),
    /// The place of an external input; must be among the step's declared inputs and have a location.
    External(String),
    /// Something the interpreter knows.
    Variable(PipelineVariable),
}

/// One argument: its pieces are joined without separator. Serialised as its template.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arg(Vec<Part>);

impl Arg {
    /// An argument of these pieces; neighbouring literals are joined and empty ones dropped.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (Some(Part::Literal(text)), Part::Literal(more)) => text.push_str(&more),
                (_, Part::Literal(text)) if text.is_empty() => {}
                (_, part) => joined.push(part),
            }
        }
        Self(joined)
    }

    /// An argument without holes.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::new([Part::Literal(text.into())])
    }

    /// An argument that is one parameter's value.
    pub fn parameter(name: impl Into<String>) -> Self {
        Self(vec![Part::Parameter(name.into())])
    }

    /// The pieces.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether the argument is exactly [`PipelineVariable::ConfigArguments`].
    pub fn is_config_arguments(&self) -> bool {
        self.0 == [Part::Variable(PipelineVariable::ConfigArguments)]
    }

    /// The names of the parameters in it.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|p| match p {
            Part::Parameter(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// The arguments of a verb of ours, written in one line; it is split at spaces, so an argument holds none.
#[allow(clippy::expect_used, reason = "the templates are constants of this crate, and tests build them all")]
pub(crate) fn verb(templates: &str) -> Vec<Arg> {
    templates.split_whitespace().map(|t| t.parse().expect("a valid template")).collect()
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Literal(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Part::Parameter(name) => write!(f, "{{{name}}}")?,
                Part::Output(output) => write!(f, "{{{output}}}")?,
                Part::External(name) => write!(f, "{{external:{name}}}")?,
                Part::Variable(variable) => write!(f, "{{@{}}}", variable.name())?,
            }
        }
        Ok(())
    }
}

impl FromStr for Arg {
    type Err = Error;

    fn from_str(template: &str) -> Result<Self, Error> {
        let fail = |reason: String| Error::Template { template: template.into(), reason };
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            parts.push(Part::Literal(rest[..at].into()));
            let tail = &rest[at..];
            if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                parts.push(Part::Literal(tail[..1].into()));
                rest = after;
            } else if let Some(inner) = tail.strip_prefix('{') {
                let position = template.len() - tail.len();
                let end = inner.find('}').ok_or_else(|| {
                    fail(format!("the brace at byte {position} is not closed; write '{{{{' for a brace"))
                })?;
                parts.push(part(&inner[..end]).map_err(fail)?);
                rest = &inner[end + 1..];
            } else {
                let position = template.len() - tail.len();
                return Err(fail(format!(
                    "nothing is open before the brace at byte {position}; write '}}}}' for a brace"
                )));
            }
        }
        parts.push(Part::Literal(rest.into()));
        Ok(Self::new(parts))
    }
}

fn part(inner: &str) -> Result<Part, String> {
    if let Some(name) = inner.strip_prefix('@') {
        let known = || PipelineVariable::ALL.into_iter();
        return known().find(|v| v.name() == name).map(Part::Variable).ok_or_else(|| {
            let names: Vec<_> = known().map(PipelineVariable::name).collect();
            let near = nearest(name, names.iter().copied());
            format!("unknown variable '@{name}'{}; known: {}", did_you_mean(near), names.join(", "))
        });
    }
    let (made, names): (Part, Vec<&str>) = if let Some(name) = inner.strip_prefix("external:") {
        (Part::External(name.into()), vec![name])
    } else if let Some((step, output)) = inner.split_once('.') {
        (Part::Output(OutputRef::new(step, output)), vec![step, output])
    } else {
        (Part::Parameter(inner.into()), vec![inner])
    };
    match names.into_iter().find(|n| !is_name(n)) {
        Some(bad) => Err(format!("'{bad}' is not a name; use letters, digits, '-' and '_', a letter first")),
        None => Ok(made),
    }
}

/// Names of pipelines, parameters, steps, inputs and outputs: they become folder names and identifiers of other
/// systems, so only letters, digits, `-` and `_`, a letter first, at most 64.
pub fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl TryFrom<String> for Arg {
    type Error = Error;

    fn try_from(template: String) -> Result<Self, Error> {
        template.parse()
    }
}

impl From<Arg> for String {
    fn from(arg: Arg) -> Self {
        arg.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_parses_to_its_parts() {
        let arg: Arg = "--x={Batch_Size}/{train.bundle}{external:dataset}{@run_id}".parse().unwrap();
        assert_eq!(
            arg.parts(),
            [
                Part::Literal("--x=".into()),
                Part::Parameter("Batch_Size".into()),
                Part::Literal("/".into()),
                Part::Output(OutputRef::new("train", "bundle")),
                Part::External("dataset".into()),
                Part::Variable(PipelineVariable::RunId),
            ]
        );
        assert!("{@config}".parse::<Arg>().unwrap().is_config_arguments());
        assert_eq!("{{a}}".parse::<Arg>().unwrap(), Arg::literal("{a}"));
    }

    #[test]
    fn bad_templates_say_what_is_wrong() {
        for (template, says) in [
            ("{a", "byte 0 is not closed"),
            ("ab}", "byte 2"),
            ("{@run_ide}", "did you mean 'run_id'?"),
            ("{../x}", "is not a name"),
            ("{}", "is not a name"),
        ] {
            let error = template.parse::<Arg>().unwrap_err().to_string();
            assert!(error.contains(says), "{template}: {error}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-zA-Z][a-zA-Z0-9_-]{0,8}"
    }

    fn any_part() -> impl Strategy<Value = Part> {
        prop_oneof![
            ".{0,6}".prop_map(Part::Literal),
            name().prop_map(Part::Parameter),
            (name(), name()).prop_map(|(s, o)| Part::Output(OutputRef::new(s, o))),
            name().prop_map(Part::External),
            (0..7usize).prop_map(|i| Part::Variable(PipelineVariable::ALL[i])),
        ]
    }

    proptest! {
        #[test]
        fn templates_round_trip(parts in prop::collection::vec(any_part(), 0..6)) {
            let arg = Arg::new(parts);
            prop_assert_eq!(arg.to_string().parse::<Arg>().unwrap(), arg);
        }

        #[test]
        fn parsing_never_panics(text in ".{0,24}") {
            let _ = text.parse::<Arg>();
        }
    }
}
