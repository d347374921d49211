//! Steps that are jobs.

use kidu_core::DatasetManifest;
use kidu_pipeline::{Arg, Input, InputSource, Output, Part, Step};
use serde_json::{Value, json};

use super::{
    unsupported,
    values::{Context, DATA_STAMP, Places, get, join},
};
use crate::error::Result;

/// How long a step's result is used again.
const CACHE: &str = "P30D";
/// The entry of the image: it lays out what SageMaker hands over as `kidu` reads it, and back.
const ENTRY: [&str; 1] = ["kidu-sagemaker"];

const PROCESSING_INPUTS: &str = "/opt/ml/processing/input";

/// Checkpoints lie in the run's folder: what SageMaker restores after an interruption is the run itself.
fn training_places() -> Places {
    Places { inputs: "/opt/ml/input/data", folder: "/opt/ml/checkpoints/run".into() }
}

/// A processing job.
pub(super) fn processing(context: &Context<'_>, step: &Step) -> Result<Value> {
    let [output] = step.outputs.as_slice() else {
        let reason = "a processing step hands on the folder of one output; give it exactly one output";
        return Err(unsupported(context, step, reason));
    };
    let instances = &context.environment.instances;
    let dataset = output.path == DatasetManifest::FILE;
    let local = format!("/opt/ml/processing/{}", output.name);
    // A dataset's images are copied beside its manifest, because the jobs that read it run elsewhere; the step's own
    // folder is not handed on. Other steps write where they upload from.
    let folder = if dataset { "/opt/ml/processing/work".into() } else { local.clone() };
    let places = &Places { inputs: PROCESSING_INPUTS, folder };
    let mut environment = environment(context, step, places)?;
    if dataset {
        environment["KIDU_MATERIALIZE"] = json!(local);
    }
    let inputs = step.inputs.iter().filter_map(|i| processing_input(context, step, i).transpose());
    let mut made = job(
        context,
        step,
        "Processing",
        json!({
            "ProcessingResources": {"ClusterConfig": {
                "InstanceType": instances.processing,
                "InstanceCount": 1,
                "VolumeSizeInGB": instances.volume_gb,
            }},
            "AppSpecification": {
                "ImageUri": context.environment.image,
                "ContainerEntrypoint": ENTRY,
                "ContainerArguments": context.arguments(step, places)?,
            },
            "RoleArn": role(context, step)?,
            "ProcessingInputs": inputs.collect::<Result<Vec<_>>>()?,
            "ProcessingOutputConfig": {
                "KmsKeyId": context.environment.key,
                "Outputs": [{
                    "OutputName": output.name,
                    "AppManaged": false,
                    "S3Output": {
                        "S3Uri": context.place_of_execution(&[&step.name, &output.name]),
                        "LocalPath": local,
                        "S3UploadMode": "EndOfJob",
                    },
                }],
            },
            "Environment": environment,
            "StoppingCondition": {"MaxRuntimeInSeconds": instances.training_seconds},
        }),
    );
    if let Some(file) = &output.property_file {
        made["PropertyFiles"] = json!([{
            "PropertyFileName": file,
            "OutputName": output.name,
            "FilePath": output.path,
        }]);
    }
    Ok(made)
}

/// A training job on spot instances, which goes on from its checkpoints.
pub(super) fn training(context: &Context<'_>, step: &Step, model: &str) -> Result<Value> {
    if step.outputs.iter().any(|o: &Output| o.name != model) {
        return Err(unsupported(context, step, "a training step hands on its model and nothing else"));
    }
    let e = context.environment;
    let places = &training_places();
    let channels = step.inputs.iter().filter_map(|i| channel(context, i));
    Ok(job(
        context,
        step,
        "Training",
        json!({
            "AlgorithmSpecification": {
                "TrainingInputMode": "File",
                "TrainingImage": e.image,
                "ContainerEntrypoint": ENTRY,
                "ContainerArguments": context.arguments(step, places)?,
            },
            "OutputDataConfig": {"S3OutputPath": context.place_of_execution(&[&step.name]), "KmsKeyId": e.key},
            "StoppingCondition": {
                "MaxRuntimeInSeconds": e.instances.training_seconds,
                "MaxWaitTimeInSeconds": e.instances.waiting_seconds,
            },
            "ResourceConfig": {
                "InstanceType": e.instances.training,
                "InstanceCount": 1,
                "VolumeSizeInGB": e.instances.volume_gb,
            },
            "RoleArn": role(context, step)?,
            "InputDataConfig": channels.collect::<Vec<_>>(),
            "Environment": environment(context, step, places)?,
            "EnableManagedSpotTraining": true,
            "CheckpointConfig": {"S3Uri": checkpoints(context, step)?, "LocalPath": "/opt/ml/checkpoints"},
            "TensorBoardOutputConfig": {
                "S3OutputPath": context.place_of_execution(&[&step.name, "tensorboard"]),
                "LocalPath": "/opt/ml/output/tensorboard",
            },
        }),
    ))
}

/// Where checkpoints are kept: beside the data, under the parameters and the version of the code, and so at a place made
/// of all that decides the training and not of the execution. A repeated or retried training of the same goes on, another
/// one starts afresh, and the job's key in SageMaker's cache, of which this is a part, stays the same.
fn checkpoints(context: &Context<'_>, step: &Step) -> Result<Value> {
    let Some(data) = step.input_outputs().next() else {
        return Err(unsupported(context, step, "a training step reads an earlier step's output"));
    };
    let e = context.environment;
    let fixed = format!("-checkpoints/{}/{}", step.name, e.code_version);
    let config = context.config_arguments(step).map(|a| json!(format!("/{}", a.replace('/', "_"))));
    let parameters = step.parameters().into_iter().flat_map(|name| [json!("/"), get(format!("Parameters.{name}"))]);
    Ok(join("", [context.output_uri(data), json!(fixed)].into_iter().chain(config).chain(parameters)))
}

/// What processing and training steps share: cache and retries.
fn job(_: &Context<'_>, step: &Step, kind: &str, arguments: Value) -> Value {
    let mut made = json!({"Name": step.name, "Type": kind, "Arguments": arguments});
    if step.cache {
        made["CacheConfig"] = json!({"Enabled": true, "ExpireAfter": CACHE});
    }
    made["RetryPolicies"] = json!([
        {
            "ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"],
            "IntervalSeconds": 30, "BackoffRate": 2.0, "MaxAttempts": 5,
        },
        {
            "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"],
            "IntervalSeconds": 60, "BackoffRate": 2.0, "MaxAttempts": 3,
        },
    ]);
    made
}

fn role(context: &Context<'_>, step: &Step) -> Result<Value> {
    let role = context.environment.roles.get(&step.name);
    role.map(|r| json!(r)).ok_or_else(|| unsupported(context, step, "the environment names no role for it"))
}

fn environment(context: &Context<'_>, step: &Step, places: &Places) -> Result<Value> {
    let mut out = json!({"KIDU_PROGRESS": "plain"});
    for (name, arg) in &step.environment {
        out[name.as_str()] = context.value(step, arg, places)?;
    }
    // SageMaker's cache compares addresses, which stay the same when what lies there changes, and the environment. Nothing
    // in the job reads this.
    if step.inputs.iter().any(|i| matches!(i.source, InputSource::External { location: Some(_) })) {
        out["KIDU_DATA_STAMP"] = get(format!("Parameters.{DATA_STAMP}"));
    }
    Ok(out)
}

/// An input with a place; others reach the step through its arguments.
fn processing_input(context: &Context<'_>, step: &Step, input: &Input) -> Result<Option<Value>> {
    let uri = match &input.source {
        InputSource::Output(output) => context.input_uri(output),
        InputSource::External { location: Some(location) } => external(context, step, location)?,
        InputSource::External { location: None } => return Ok(None),
    };
    Ok(Some(json!({
        "InputName": input.name,
        "AppManaged": false,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": format!("{}/{}", PROCESSING_INPUTS, input.name),
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
        },
    })))
}

/// The address of something from outside: literals and parameters.
fn external(context: &Context<'_>, step: &Step, location: &Arg) -> Result<Value> {
    let known = |p: &Part| matches!(p, Part::Literal(_) | Part::Parameter(_));
    match location.parts().iter().all(known) {
        true => context.value(step, location, &Places { inputs: PROCESSING_INPUTS, folder: String::new() }),
        false => Err(unsupported(context, step, format!("'{location}' is no address outside the pipeline"))),
    }
}

fn channel(context: &Context<'_>, input: &Input) -> Option<Value> {
    let InputSource::Output(output) = &input.source else { return None };
    Some(json!({
        "ChannelName": input.name,
        "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix",
            "S3Uri": context.input_uri(output),
            "S3DataDistributionType": "FullyReplicated",
        }},
    }))
}
