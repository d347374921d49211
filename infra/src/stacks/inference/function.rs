//! The function, its role and its logs.

use super::{name, parameters::Parameters};
use crate::{
    aws::{Function, LogGroup, Role},
    core::{Expr, Handle, PolicyDocument, Stack, Statement, object},
};

/// The function with its logs.
pub(super) struct Inference {
    pub(super) function: Handle<Function>,
    pub(super) logs: Handle<LogGroup>,
}

pub(super) fn add(stack: &Stack, p: &Parameters) -> Inference {
    let logs = LogGroup::new()
        .log_group_name(Expr::sub("/aws/lambda/${SageMakerProjectName}-${StageName}"))
        .kms_key_id(p.has_key.then(&p.key))
        .retention_in_days(&p.log_days);
    let logs = stack.add("FunctionLogs", logs);
    let role = role(stack, p, &logs);
    let function = Function::new()
        .function_name(name())
        .description("Classifies images")
        .package_type("Image")
        .code(object! { "ImageUri" => &p.image })
        .architectures([p.architecture.value()])
        .memory_size(&p.memory)
        .timeout(&p.timeout)
        .role(p.own_role.choose(role.arn(), &p.role))
        .reserved_concurrent_executions(p.reserves.then(&p.concurrency))
        .kms_key_arn(p.has_key.then(&p.key))
        .environment(object! { "Variables" => object! {
            "MODEL_S3_URI" => &p.model,
            "KIDU_BUNDLE_SHA256" => p.evaluated.then(&p.bundle),
            "KIDU_STAGE" => Expr::sub("${StageName}"),
        } })
        .logging_config(object! { "LogFormat" => "JSON", "LogGroup" => &logs })
        .tracing_config(object! { "Mode" => "Active" });
    let function = stack
        .add("Function", function)
        .accept_finding(
            "CKV_AWS_116",
            "an HTTP API calls it and waits for the answer: nothing is queued that could be lost",
        )
        .accept_finding(
            "CKV_AWS_117",
            "it reads one object from S3 and nothing private: a VPC would add cost and cold starts only",
        )
        .accept_finding("CKV_AWS_272", "code signing is for zip packages; the image is named by its digest");
    Inference { function, logs }
}

fn role(stack: &Stack, p: &Parameters, logs: &Handle<LogGroup>) -> Handle<Role> {
    let part =
        |index: usize, mark: &str| Expr::Select(index, Box::new(Expr::Split(mark.into(), Box::new(p.model.value()))));
    let s3 = || Expr::sub("arn:${AWS::Partition}:s3:::");
    let own = Expr::join("", [s3(), part(1, "s3://")]);
    // The role is every version's: while traffic moves, and when it is taken back, the one before starts with its own model.
    let others = Expr::join("", [s3(), part(2, "/"), Expr::sub("/${SageMakerProjectName}/*/model.tar.gz")]);
    let permissions = PolicyDocument::new([
        Statement::allow("Model", ["s3:GetObject"]).on([own, others]),
        Statement::allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"]).on([logs.arn()]),
        // Knows no resources.
        Statement::allow("Traces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]).on_everything(),
    ]);
    let key = PolicyDocument::new([Statement::allow("Key", ["kms:Decrypt"]).on([p.key.value()])]);
    let role = p
        .bounds()
        .hold(Role::new(), None)
        .description("The function: reads its model, writes its logs")
        .assume_role_policy_document(PolicyDocument::trust("lambda.amazonaws.com", false))
        .policies([
            object! { "PolicyName" => "permissions", "PolicyDocument" => permissions },
            p.has_key.then(object! { "PolicyName" => "key", "PolicyDocument" => key }),
        ]);
    // The version that serves keeps the role it was published with until the next one has its traffic, and for a way back.
    stack.add("FunctionRole", role).only_if(&p.own_role).retained_when_replaced()
}
