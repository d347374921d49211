//! Registration of a model version.

use kidu_pipeline::{Arg, OutputRef, Step};
use serde_json::{Value, json};

use super::values::{Context, Places, get, join};
use crate::error::Result;

/// What a register step states.
pub(super) struct Registration<'a> {
    pub(super) bundle: &'a OutputRef,
    pub(super) evaluation: &'a OutputRef,
    pub(super) dataset: &'a OutputRef,
    pub(super) group: &'a Arg,
    pub(super) approval_status: &'a Arg,
}

/// A `RegisterModel` step: the bundle as a model package with its evaluation as model quality, and where it came from.
pub(super) fn register(context: &Context<'_>, step: &Step, what: &Registration<'_>) -> Result<Value> {
    let nowhere = &Places { inputs: "", folder: String::new() };
    let e = context.environment;
    let report = context.pipeline.step(&what.evaluation.step)?.output(&what.evaluation.output);
    let report = report.map(|o| o.path.as_str()).unwrap_or_default();
    Ok(json!({
        "Name": step.name,
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": context.value(step, what.group, nowhere)?,
            "ModelMetrics": {"ModelQuality": {"Statistics": {
                "ContentType": "application/json",
                "S3Uri": join("/", [context.output_uri(what.evaluation), json!(report)]),
            }}},
            "InferenceSpecification": {
                "Containers": [{
                    "Image": e.inference_image,
                    "ModelDataUrl": context.output_uri(what.bundle),
                }],
                "SupportedContentTypes": ["image/jpeg", "image/png", "image/webp", "application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
                "SupportedRealtimeInferenceInstanceTypes": e.instances.serving,
                "SupportedTransformInstanceTypes": [e.instances.processing],
            },
            "ModelApprovalStatus": context.value(step, what.approval_status, nowhere)?,
            "CustomerMetadataProperties": {
                "kidu.pipeline": get("Execution.PipelineName"),
                "kidu.execution": get("Execution.PipelineExecutionId"),
                "kidu.dataset": context.output_uri(what.dataset),
                "kidu.code": e.code_version,
            },
            "SkipModelValidation": "None",
        },
    }))
}
