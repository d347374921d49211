//! A step with everything filled in, ready to execute.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use kidu_core::Sha256Hex;
use serde_json::Value;

use crate::{
    arg::{Arg, Part, PipelineVariable},
    graph::{InputSource, OutputRef, Step, StepKind},
    parameter::text_of,
};

/// A step ready to execute: the arguments of the `kidu` command and the places of what it reads and writes.
#[derive(Clone, Debug)]
pub struct ResolvedStep {
    /// The step's name.
    pub name: String,
    /// Its kind.
    pub kind: StepKind,
    /// Its key in the cache.
    pub key: Sha256Hex,
    /// The verb and its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables to set.
    pub environment: Vec<(String, OsString)>,
    /// The folder it writes into; exists.
    pub folder: PathBuf,
    /// Where its inputs are, by input name; external inputs without a location are left out.
    pub inputs: BTreeMap<String, PathBuf>,
    /// Where its outputs must be when it ends, by output name.
    pub outputs: BTreeMap<String, PathBuf>,
}

/// What fills the holes of arguments on this machine.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The run's id.
    pub run_id: &'a str,
    /// Where the step writes.
    pub folder: &'a Path,
    /// The registry's folder.
    pub registry: &'a Path,
    /// The lineage file.
    pub lineage: &'a Path,
    /// All parameters' values.
    pub parameters: &'a BTreeMap<String, Value>,
    /// Where the outputs of earlier steps are.
    pub outputs: &'a BTreeMap<OutputRef, PathBuf>,
    /// What [`PipelineVariable::Endpoint`] becomes; empty where there is none.
    pub endpoint: &'a str,
    /// What [`PipelineVariable::ConfigArguments`] becomes.
    pub config_arguments: &'a [String],
}

impl Values<'_> {
    /// Fills in a step of a validated pipeline whose earlier steps are done.
    pub fn resolve(&self, step: &Step, key: &Sha256Hex) -> ResolvedStep {
        let expand = |arg: &Arg| match arg.is_config_arguments() {
            true => self.config_arguments.iter().map(OsString::from).collect(),
            false => vec![self.fill(step, arg)],
        };
        ResolvedStep {
            name: step.name.clone(),
            kind: step.kind.clone(),
            key: key.clone(),
            arguments: step.verb.iter().flat_map(expand).collect(),
            environment: step.environment.iter().map(|(n, a)| (n.clone(), self.fill(step, a))).collect(),
            folder: self.folder.to_path_buf(),
            inputs: self.inputs(step),
            outputs: step.outputs.iter().map(|o| (o.name.clone(), self.folder.join(&o.path))).collect(),
        }
    }

    /// Where a step's inputs are, by input name.
    pub fn inputs(&self, step: &Step) -> BTreeMap<String, PathBuf> {
        let place = |source: &InputSource| match source {
            InputSource::Output(output) => self.outputs.get(output).cloned(),
            InputSource::External { location } => location.as_ref().map(|arg| self.fill(step, arg).into()),
        };
        step.inputs.iter().filter_map(|i| Some((i.name.clone(), place(&i.source)?))).collect()
    }

    fn fill(&self, step: &Step, arg: &Arg) -> OsString {
        arg.parts().iter().fold(OsString::new(), |mut text, part| {
            text.push(self.part(step, part));
            text
        })
    }

    /// Validation has seen to it that every reference has a value; an empty text stands for the impossible rest.
    fn part(&self, step: &Step, part: &Part) -> OsString {
        match part {
            Part::Literal(text) => text.into(),
            Part::Parameter(name) => self.parameters.get(name).map(text_of).unwrap_or_default().into(),
            Part::Output(output) => self.outputs.get(output).cloned().unwrap_or_default().into(),
            Part::External(name) => {
                let source = step.inputs.iter().find(|i| i.name == *name).map(|i| &i.source);
                match source {
                    Some(InputSource::External { location: Some(arg) }) => self.fill(step, arg),
                    _ => OsString::new(),
                }
            }
            Part::Variable(variable) => match variable {
                PipelineVariable::PipelineName => self.pipeline.into(),
                PipelineVariable::RunId => self.run_id.into(),
                PipelineVariable::StepFolder => self.folder.into(),
                PipelineVariable::Registry => self.registry.into(),
                PipelineVariable::LineageFile => self.lineage.into(),
                PipelineVariable::Endpoint => self.endpoint.into(),
                PipelineVariable::ConfigArguments => OsString::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build_pipeline;

    #[test]
    fn arguments_are_filled_in() {
        let pipeline = build_pipeline();
        let parameters = BTreeMap::from([
            ("Model".to_string(), json!("resnet18")),
            ("Batch_Size".to_string(), json!(8)),
            ("Optimizer".to_string(), json!("sgd")),
            ("Learning_Rate".to_string(), json!(0.01)),
            ("Augmentation_Pipeline".to_string(), json!("0")),
            ("InputDatasetZip".to_string(), json!("/photos")),
            ("DataVersion".to_string(), json!("any")),
        ]);
        let outputs = BTreeMap::from([(OutputRef::new("preprocess", "dataset"), PathBuf::from("/c/m.json"))]);
        let config = ["trainer.max_epochs=2".to_string(), "seed=1".to_string()];
        let values = Values {
            pipeline: "p",
            run_id: "r",
            folder: Path::new("/work dir"),
            registry: Path::new("/reg"),
            lineage: Path::new("/l.json"),
            parameters: &parameters,
            outputs: &outputs,
            endpoint: "",
            config_arguments: &config,
        };
        let key = Sha256Hex::of_bytes(b"");
        let train = values.resolve(pipeline.step("train").unwrap(), &key);
        assert_eq!(
            train.arguments,
            [
                "train",
                "--manifest",
                "/c/m.json",
                "--out",
                "/work dir",
                "trainer.max_epochs=2",
                "seed=1",
                "model.name=resnet18",
                "data.batch_size=8",
                "model.optimizer.name=sgd",
                "model.learning_rate=0.01",
                "data.augmentation.pipeline=0",
            ]
        );
        assert_eq!(train.outputs["bundle"], Path::new("/work dir/bundle"));
        let preprocess = values.resolve(pipeline.step("preprocess").unwrap(), &key);
        assert_eq!(preprocess.arguments.last().unwrap(), "data.root=/photos");
        assert_eq!(preprocess.environment[0], ("KIDU_DATA_VERSION".to_string(), OsString::from("any")));
        assert_eq!(preprocess.inputs["dataset"], Path::new("/photos"));
    }
}
