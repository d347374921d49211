//! Versions, and how traffic moves from one to the next: a check before, a canary, alarms that take it back.

use kidu_core::serving;

use super::{
    function::Inference,
    own_metrics::{self, own_namespace},
    parameters::Parameters,
};
use crate::{
    aws::{Alarm, DeployApplication, DeploymentGroup, Function, FunctionAlias, FunctionVersion, HttpApi, LogGroup},
    constructs::{MetricAlarm, ServiceRole},
    core::{Expr, Handle, Stack, Statement, object},
};

/// The alias's name.
const ALIAS: &str = "live";
/// What the hook runs. It stands in the template, of which 4096 characters is what CloudFormation takes.
const HOOK: &str = include_str!("hook.py");

/// A published version and the alias that serves.
pub(super) struct Release {
    pub(super) version: Handle<FunctionVersion>,
    pub(super) alias: Handle<FunctionAlias>,
}

pub(super) fn add(stack: &Stack, p: &Parameters, inference: &Inference) -> Release {
    let function = &inference.function;
    let version = FunctionVersion::new().function_name(function).description(description(p));
    // The version before is what a rollback goes back to.
    let version = stack.add("Version", version).retained();
    own_metrics::add(stack, p, &inference.logs);
    let alarms = alarms(stack, p, function);
    let application = stack.add("Deployments", DeployApplication::new().compute_platform("Lambda"));
    let hook = hook(stack, p, inference, &version, &application);
    let role = deploy_role(stack, p, &alarms, &hook);
    let group = DeploymentGroup::new()
        .application_name(&application)
        .deployment_config_name(&p.shift)
        .deployment_style(object! {
            "DeploymentType" => "BLUE_GREEN",
            "DeploymentOption" => "WITH_TRAFFIC_CONTROL",
        })
        .alarm_configuration(object! {
            "Enabled" => p.watches.choose(true, false),
            "Alarms" => alarms.iter().map(|a| object! { "Name" => a }).collect::<Vec<_>>(),
        })
        .auto_rollback_configuration(object! {
            "Enabled" => true,
            "Events" => ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
        })
        .service_role_arn(role.arn());
    let group = stack.add("DeploymentGroup", group);
    let alias = FunctionAlias::new()
        .name(ALIAS)
        .description("The version that serves")
        .function_name(function)
        .function_version(version.version());
    let alias = stack.add("Alias", alias).with_update_policy(object! {
        "CodeDeployLambdaAliasUpdate" => object! {
            "ApplicationName" => &application,
            "DeploymentGroupName" => &group,
            "BeforeAllowTrafficHook" => &hook,
        },
    });
    Release { version, alias }
}

/// A version's description cannot be changed: another one makes a new version, and nothing else does. So it holds what the function
/// is made of, as far as 256 characters go: 64 of the image's digest, at most 174 of the model's place, 5 and 2 of memory and
/// timeout, and a letter each for the role (given, within an installation, alone), the key and the bundle.
fn description(p: &Parameters) -> Expr {
    let after = |mark: &str, text: Expr| Expr::Select(1, Box::new(Expr::Split(mark.into(), Box::new(text))));
    // Each difference has to be one of the function too: Lambda publishes no version of what is as it was.
    let role = p.own_role.choose(p.in_installation.choose("i", "a"), "g");
    let values = [
        ("digest", after("@sha256:", p.image.value())),
        ("model", after("s3://", p.model.value())),
        ("role", role),
        ("key", p.has_key.choose("k", "-")),
        ("bundle", p.evaluated.choose("b", "-")),
    ];
    let text = "${digest} ${model} ${MemorySize} ${TimeoutSeconds} ${role}${key}${bundle}";
    Expr::Sub(text.into(), Vec::from(values.map(|(name, value)| (name.to_string(), value))))
}

/// The alarms that take a version back, in the order errors, latency, failures.
fn alarms(stack: &Stack, p: &Parameters, function: &Handle<Function>) -> [Handle<Alarm>; 3] {
    let of_alias = || {
        let alias = Expr::sub_with(format!("${{function}}:{ALIAS}"), [("function", function.reference())]);
        vec![("FunctionName", function.reference()), ("Resource", alias)]
    };
    let scope = stack.scope().child("Alarms");
    let errors = (
        "Errors",
        MetricAlarm {
            description: "Requests fail: the version that gets traffic is taken back. See the function's log",
            namespace: "AWS/Lambda".into(),
            metric: "Errors",
            dimensions: of_alias(),
            statistic: "Sum",
            threshold: 0.into(),
            period: 60,
            periods: (2, 1),
            actions: p.alarm_actions(),
        },
    );
    let latency = (
        "Latency",
        MetricAlarm {
            description: "Answers are slow: the version that gets traffic is taken back. Compare MemorySize with the model",
            namespace: "AWS/Lambda".into(),
            metric: "Duration",
            dimensions: of_alias(),
            statistic: "p95",
            threshold: p.latency.value(),
            period: 60,
            periods: (3, 2),
            actions: p.alarm_actions(),
        },
    );
    let failures = (
        "Failures",
        MetricAlarm {
            description: "The function answers with 5xx, of which AWS's own metrics know nothing: the version that gets traffic is taken back",
            namespace: own_namespace(),
            metric: serving::SERVER_ERRORS.name,
            dimensions: vec![],
            statistic: "Sum",
            threshold: 0.into(),
            period: 60,
            periods: (2, 1),
            actions: p.alarm_actions(),
        },
    );
    let throttles = MetricAlarm {
        description: "Requests are turned away: raise ReservedConcurrency, or the account's own limit where that is -1",
        namespace: "AWS/Lambda".into(),
        metric: "Throttles",
        dimensions: vec![("FunctionName", function.reference())],
        statistic: "Sum",
        threshold: 0.into(),
        period: 300,
        periods: (1, 1),
        actions: p.alarm_actions(),
    };
    let _ = scope.build("Throttles", throttles);
    [errors, latency, failures].map(|(id, alarm)| scope.build(id, alarm))
}

/// The API's own failures and slowness, which the function's metrics do not show.
pub(super) fn alarms_of_api(stack: &Stack, p: &Parameters, api: &Handle<HttpApi>) {
    let of_api = || vec![("ApiId", api.reference()), ("Stage", Expr::from("$default"))];
    let failures = MetricAlarm {
        description: "The API answers with 5xx: see its access log",
        namespace: "AWS/ApiGateway".into(),
        metric: "5xx",
        dimensions: of_api(),
        statistic: "Sum",
        threshold: 0.into(),
        period: 300,
        periods: (1, 1),
        actions: p.alarm_actions(),
    };
    let latency = MetricAlarm {
        description: "The API answers slowly: compare with the function's duration; the rest are cold starts",
        namespace: "AWS/ApiGateway".into(),
        metric: "Latency",
        dimensions: of_api(),
        statistic: "p95",
        threshold: p.latency.value(),
        period: 300,
        periods: (3, 2),
        actions: p.alarm_actions(),
    };
    let scope = stack.scope().child("Alarms");
    let _ = scope.build("ApiFailures", failures);
    let _ = scope.build("ApiLatency", latency);
}

/// Invokes a version before it gets traffic, and tells CodeDeploy whether it should.
fn hook(
    stack: &Stack,
    p: &Parameters,
    inference: &Inference,
    version: &Handle<FunctionVersion>,
    application: &Handle<DeployApplication>,
) -> Handle<Function> {
    let scope = stack.scope().child("Hook");
    let logs = LogGroup::new()
        .log_group_name(Expr::sub("/aws/lambda/CodeDeployHook_${SageMakerProjectName}-${StageName}"))
        .kms_key_id(p.has_key.then(&p.key))
        .retention_in_days(&p.log_days);
    let logs = scope.add("Logs", logs);
    // Not the version alone: IAM is slow to see a change of a policy, and the version is asked within a minute of being made.
    let versions = Expr::sub_with("${function}:*", [("function", inference.function.arn())]);
    let role = ServiceRole {
        service: "lambda.amazonaws.com",
        description: "Checks a version before it gets traffic",
        name: None,
        bounds: p.bounds(),
        guarded: false,
        statements: vec![
            Statement::allow("Invoke", ["lambda:InvokeFunction"]).on([versions]),
            Statement::allow("Report", ["codedeploy:PutLifecycleEventHookExecutionStatus"]).on([Expr::sub_with(
                "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:${application}/*",
                [("application", application.reference())],
            )]),
            Statement::allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"]).on([logs.arn()]),
            Statement::allow("Traces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]).on_everything(),
        ],
    };
    let role = scope.build("Role", role);
    let function = Function::new()
        .function_name(Expr::sub("CodeDeployHook_${SageMakerProjectName}-${StageName}"))
        .description("Checks a version before it gets traffic")
        .runtime("python3.13")
        .handler("index.handler")
        .code(object! { "ZipFile" => HOOK })
        .architectures(["arm64"])
        .memory_size(256)
        .timeout(120)
        .role(role.arn())
        .environment(object! { "Variables" => object! { "VERSION_ARN" => version } })
        .logging_config(object! { "LogFormat" => "JSON", "LogGroup" => &logs })
        .tracing_config(object! { "Mode" => "Active" });
    scope
        .add("Function", function)
        .accept_finding("CKV_AWS_115", "CodeDeploy runs it once a deployment")
        .accept_finding("CKV_AWS_116", "CodeDeploy takes no answer as a failure and rolls back")
        .accept_finding("CKV_AWS_117", "it calls AWS's own endpoints only")
        .accept_finding("CKV_AWS_173", "its environment holds the ARN of a version, which is no secret")
        .accept_finding("CKV_AWS_272", "its code stands in the template")
}

fn deploy_role(
    stack: &Stack,
    p: &Parameters,
    alarms: &[Handle<Alarm>],
    hook: &Handle<Function>,
) -> Handle<crate::aws::Role> {
    let alias = Expr::sub(
        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${SageMakerProjectName}-${StageName}",
    );
    let qualified = Expr::sub(format!(
        "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{SageMakerProjectName}}-${{StageName}}:{ALIAS}"
    ));
    let role = ServiceRole {
        service: "codedeploy.amazonaws.com",
        description: "Moves traffic between versions",
        name: None,
        bounds: p.bounds(),
        guarded: true,
        statements: vec![
            Statement::allow(
                "Shift",
                ["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"],
            )
            .on([alias, qualified]),
            Statement::allow("Hook", ["lambda:InvokeFunction"]).on([hook.arn()]),
            Statement::allow("Alarms", ["cloudwatch:DescribeAlarms"]).on(alarms.iter().map(Handle::<Alarm>::arn)),
        ],
    };
    stack.scope().child("Deployments").build("Role", role)
}
