//! Model deploy: two triggers → delivery pipeline → templates → staging → robustness → a person → production.

use kidu_pipeline::deploy_pipeline::DEFAULT_MAX_DROP;
use serde_json::json;

use super::{Foundation, boundary, manage::arn, model_build, names::template};
use crate::{
    aws::BuildProject,
    constructs::{
        BuildStep, Compute, DELIVER_LOGS, Delivery, EventTrigger, Source, action_type, pass_role, pipeline_arn,
    },
    core::{App, Expr, Handle, Parameter, PolicyDocument, Stack, Statement, object},
};

/// Adds the stack.
pub(super) fn stack(app: &mut App, foundation: &Foundation) {
    let stack = app.stack("model-deploy", "Kidu: from an approved model to staging, a robustness test, and production");
    stack.installation();
    model_build::project(&stack);
    parameters(&stack);
    let source = Source::of(&stack);
    let prepare = prepare(&stack, foundation);
    let robustness = robustness(&stack, foundation);
    let deployer = deployer(&stack, foundation);
    let delivery = Delivery {
        name: named("model-deploy"),
        source,
        // Each start takes the latest approved version: one that waits loses nothing by giving way to a later one.
        execution_mode: "SUPERSEDED",
        stages: stages(foundation, &prepare, &robustness, &deployer),
        variables: vec![],
        statements: vec![
            Statement::allow("Builds", ["codebuild:StartBuild", "codebuild:BatchGetBuilds"])
                .on([prepare.arn(), robustness.arn()]),
            Statement::allow(
                "Stacks",
                [
                    "cloudformation:CreateStack",
                    // By which the pipeline shows why a stack failed.
                    "cloudformation:DescribeStackEvents",
                    "cloudformation:DescribeStacks",
                    "cloudformation:UpdateStack",
                ],
            )
            .on(stage_stacks()),
            pass_role("Deployer", vec![deployer.arn()], "cloudformation.amazonaws.com"),
            Statement::allow("AskForApproval", ["sns:Publish"]).on([&foundation.alerts_topic_arn]),
        ],
        bounds: boundary::bounds(),
        key_arn: Expr::from(&foundation.key_arn),
        deliveries_bucket: Expr::from(&foundation.deliveries_bucket),
    };
    let delivery = stack.build("Delivery", delivery);
    let arn = pipeline_arn(&named("model-deploy"));
    let approved = EventTrigger {
        description: "A model version that is approved is deployed; others are not",
        pattern: object! {
            "source" => ["aws.sagemaker"],
            "detail-type" => ["SageMaker Model Package State Change"],
            "detail" => object! {
                "ModelPackageGroupName" => [Expr::sub("${SageMakerProjectName}")],
                "ModelApprovalStatus" => ["Approved"],
            },
        },
        target: object! { "Id" => "Pipeline", "Arn" => arn.clone() },
        action: ("codepipeline:StartPipelineExecution", arn),
        bounds: boundary::bounds(),
        only_if: None,
    };
    stack.scope().child("ModelApproved").build("Trigger", approved);
    stack.output("DeliveryPipeline", "The delivery pipeline", &delivery);
}

/// What the test and the stages are given.
fn parameters(stack: &Stack) {
    stack.parameter(
        "ImageTag",
        Parameter::text("Tag of the job image that runs the robustness test")
            .default(concat!("v", env!("CARGO_PKG_VERSION")))
            .pattern("^[A-Za-z0-9._-]{1,128}$", "the tag of an image")
            .in_group("Project"),
    );
    stack.parameter(
        "RobustnessData",
        Parameter::text("Folder of the raw bucket with labelled images for the robustness test")
            .default("robustness/")
            .pattern("^[A-Za-z0-9._/-]{1,200}/$", "a folder, with a slash at its end")
            .in_group("Project"),
    );
    stack.parameter(
        "RobustnessMaxDrop",
        Parameter::text("The most that corruptions may take from the accuracy before a version is refused")
            .default(DEFAULT_MAX_DROP.to_string())
            .pattern("^(0|1|0?\\.[0-9]{1,6})$", "a share between 0 and 1")
            .in_group("Project"),
    );
    stack.parameter(
        "ReservedConcurrency",
        Parameter::number(
            "ReservedConcurrency of both stages: the most requests at once, which also bounds the cost; -1 reserves nothing",
        )
        .default(-1)
        .between(-1, 1000)
        .in_group("Project"),
    );
    for (name, stage) in [("StagingParameters", "staging"), ("ProductionParameters", "production")] {
        stack.parameter(
            name,
            Parameter::text(&format!(
                "Parameters of {stage} beside those that the pipeline sets, as a JSON object of texts: {{\"MemorySize\": \"3008\"}}"
            ))
            .default("{}")
            .pattern("^\\{[\\s\\S]*\\}$", "a JSON object, from { to }")
            .in_group("Project"),
        );
    }
}

fn named(rest: &str) -> Expr {
    Expr::sub(format!("${{SageMakerProjectName}}-{rest}"))
}

fn stage_stacks() -> [Expr; 2] {
    ["staging", "production"].map(|stage| arn("cloudformation", &format!("stack/${{SageMakerProjectName}}-{stage}/*")))
}

fn stages(
    foundation: &Foundation,
    prepare: &Handle<BuildProject>,
    robustness: &Handle<BuildProject>,
    deployer: &Handle<crate::aws::Role>,
) -> Vec<(&'static str, Vec<Expr>)> {
    let variables = |values: &[(&str, &str)]| {
        let one = |(name, value): &(&str, &str)| json!({"name": name, "value": value, "type": "PLAINTEXT"});
        values.iter().map(one).collect::<serde_json::Value>().to_string()
    };
    let prepare = object! {
        "Name" => "Templates",
        "ActionTypeId" => action_type("Build", "CodeBuild"),
        "Configuration" => object! {
            "ProjectName" => prepare,
            "EnvironmentVariables" => variables(&[("COMMIT", "#{Code.CommitId}")]),
        },
        "InputArtifacts" => [object! { "Name" => "Code" }],
        "OutputArtifacts" => [object! { "Name" => "Templates" }],
    };
    let test = object! {
        "Name" => "Robustness",
        "ActionTypeId" => action_type("Test", "CodeBuild"),
        "RunOrder" => 2,
        "Configuration" => object! {
            "ProjectName" => robustness,
            "EnvironmentVariables" => variables(&[("URL", "#{Staging.Url}")]),
        },
        "InputArtifacts" => [object! { "Name" => "Code" }],
    };
    let approve = object! {
        "Name" => "Approve",
        "ActionTypeId" => action_type("Approval", "Manual"),
        "RunOrder" => 3,
        "Configuration" => object! {
            "NotificationArn" => &foundation.alerts_topic_arn,
            "CustomData" => "Staging passed the robustness test. Approve to move production to this model.",
            "ExternalEntityLink" => "#{Staging.Url}",
        },
    };
    vec![
        ("Build", vec![prepare]),
        ("Staging", vec![deploy("staging", "Staging", deployer), test, approve]),
        ("Production", vec![deploy("production", "Production", deployer)]),
    ]
}

/// Deploys the inference template to a stage. The outputs of the stack become variables of the pipeline.
fn deploy(stage: &str, namespace: &str, deployer: &Handle<crate::aws::Role>) -> Expr {
    object! {
        "Name" => format!("Deploy{namespace}"),
        "ActionTypeId" => action_type("Deploy", "CloudFormation"),
        "RunOrder" => 1,
        "Namespace" => namespace,
        "Configuration" => object! {
            "ActionMode" => "CREATE_UPDATE",
            "Capabilities" => "CAPABILITY_IAM",
            "RoleArn" => deployer.arn(),
            "StackName" => named(stage),
            "TemplatePath" => "Templates::inference.template.json",
            "TemplateConfiguration" => format!("Templates::{stage}.json"),
        },
        "InputArtifacts" => [object! { "Name" => "Templates" }],
    }
}

/// Builds and pushes the Lambda image of the commit, synthesises the template, and writes what each stage deploys: the
/// latest approved model and the image's digest.
fn prepare(stack: &Stack, foundation: &Foundation) -> Handle<BuildProject> {
    let mut statements = model_build::push_image(&foundation.lambda_repository_arn);
    statements.push(
        Statement::allow("Models", ["sagemaker:DescribeModelPackage"])
            .on([arn("sagemaker", "model-package/${SageMakerProjectName}/*")]),
    );
    statements.push(
        // The reference names versions, AWS's own examples the group as well.
        Statement::allow("ListModels", ["sagemaker:ListModelPackages"]).on([
            arn("sagemaker", "model-package-group/${SageMakerProjectName}"),
            arn("sagemaker", "model-package/${SageMakerProjectName}/*"),
        ]),
    );
    // What was evaluated, so that the function takes nothing else.
    statements.push(Statement::allow("Evaluations", ["s3:GetObject"]).on([Expr::sub_with(
        "arn:${AWS::Partition}:s3:::${artifacts}/${SageMakerProjectName}/*/evaluation.json",
        [("artifacts", Expr::from(&foundation.artifacts_bucket))],
    )]));
    // CodePipeline gives a stack what stands in the file and the defaults, not the values of before: so a stage's own are in it. They
    // beat what both stages have in common, and not what this run has found and built.
    let parameters = concat!(
        r#"for stage in staging production; do if [ "$stage" = staging ]; then OWN="$STAGING_PARAMETERS"; else OWN="$PRODUCTION_PARAMETERS"; fi; "#,
        r#"jq --null-input --arg stage "$stage" --arg own "$OWN" --arg project "$PROJECT" --arg model "$MODEL" --arg bundle "$BUNDLE" "#,
        r#"--arg image "$REPOSITORY@$DIGEST" --arg key "$KEY" --arg topic "$TOPIC" --arg installation "$FOUNDATION" --arg concurrency "$RESERVED_CONCURRENCY" "#,
        r#"'(try ($own | fromjson) catch null) as $given | if ($given | type) != "object" or any($given[]; type != "string") then "#,
        r#"error({staging: "StagingParameters", production: "ProductionParameters"}[$stage] + " of model-deploy is no JSON object of texts, as in {\"MemorySize\": \"3008\"}: " + $own) "#,
        r#"else {Parameters: ({ReservedConcurrency: $concurrency} + $given + {SageMakerProjectName: $project, "#,
        r#"StageName: $stage, ModelBinaryLocation: $model, BundleSha256: $bundle, ImageUri: $image, Architecture: "x86_64", KmsKeyArn: $key, "#,
        r#"AlertsTopicArn: $topic, Installation: $installation})} end' > "cdk.out/$stage.json" || exit 1; done"#
    );
    stack.build(
        "Templates",
        BuildStep {
            description: "Builds what the stages deploy: the Lambda image, the template, the latest approved model",
            name: named("templates"),
            compute: Compute::Docker,
            image: None,
            phases: vec![
                (
                    "install",
                    vec![
                        "curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none",
                    ],
                ),
                (
                    "pre_build",
                    vec![
                        "aws ecr get-login-password | docker login --username AWS --password-stdin \"${REPOSITORY%%/*}\"",
                        // As text the query would be made of each page, and give a line of each.
                        "PACKAGE=$(aws sagemaker list-model-packages --model-package-group-name \"$PROJECT\" --model-approval-status Approved --sort-by CreationTime --sort-order Descending --query 'ModelPackageSummaryList[0].ModelPackageArn' --output json)",
                        "PACKAGE=$(printf '%s' \"$PACKAGE\" | jq --raw-output '. // \"\"')",
                        "if [ -z \"$PACKAGE\" ]; then echo \"no model of the group $PROJECT is approved: approve one, as in aws sagemaker update-model-package --model-approval-status Approved\"; exit 1; fi",
                        "VERSION=$(aws sagemaker describe-model-package --model-package-name \"$PACKAGE\" --output json)",
                        "MODEL=$(printf '%s' \"$VERSION\" | jq --raw-output '.InferenceSpecification.Containers[0].ModelDataUrl')",
                        "EVALUATION=$(printf '%s' \"$VERSION\" | jq --raw-output '.ModelMetrics.ModelQuality.Statistics.S3Uri // \"\"')",
                        "if [ -z \"$EVALUATION\" ]; then BUNDLE=; else aws s3 cp --no-progress \"$EVALUATION\" evaluation.json && BUNDLE=$(jq --raw-output '.kidu.bundle_sha256 // \"\"' evaluation.json); fi",
                    ],
                ),
                (
                    "build",
                    vec![
                        "if ! aws ecr describe-images --repository-name \"${REPOSITORY#*/}\" --image-ids imageTag=\"$COMMIT\" > /dev/null 2>&1; then docker buildx build --provenance=false --output type=docker --platform linux/amd64 --file docker/lambda.Dockerfile --tag \"$REPOSITORY:$COMMIT\" . && docker push \"$REPOSITORY:$COMMIT\"; fi",
                        "DIGEST=$(aws ecr describe-images --repository-name \"${REPOSITORY#*/}\" --image-ids imageTag=\"$COMMIT\" --query 'imageDetails[0].imageDigest' --output text)",
                        ". \"$HOME/.cargo/env\" && cargo run --locked --release --package kidu-infra --no-default-features -- synth --out cdk.out",
                        parameters,
                    ],
                ),
            ],
            files: vec!["cdk.out/*"],
            variables: vec![
                ("REPOSITORY", Expr::sub(template::repository("lambda"))),
                ("PROJECT", Expr::sub("${SageMakerProjectName}")),
                ("KEY", Expr::from(&foundation.key_arn)),
                ("TOPIC", Expr::from(&foundation.alerts_topic_arn)),
                ("FOUNDATION", Expr::sub("${Foundation}")),
                ("RESERVED_CONCURRENCY", Expr::sub("${ReservedConcurrency}")),
                ("STAGING_PARAMETERS", Expr::sub("${StagingParameters}")),
                ("PRODUCTION_PARAMETERS", Expr::sub("${ProductionParameters}")),
            ],
            statements,
            bounds: boundary::bounds(),
            key_arn: Expr::from(&foundation.key_arn),
            deliveries_bucket: Expr::from(&foundation.deliveries_bucket),
            minutes: 90,
        },
    )
}

/// Asks staging about perturbed images. A gate that says no (exit code 3) stops the delivery.
fn robustness(stack: &Stack, foundation: &Foundation) -> Handle<BuildProject> {
    let raw = Expr::from(&foundation.raw_bucket);
    let images = Expr::sub_with("arn:${AWS::Partition}:s3:::${raw}/${RobustnessData}*", [("raw", raw.clone())]);
    let bucket = Expr::sub_with("arn:${AWS::Partition}:s3:::${raw}", [("raw", raw.clone())]);
    let pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
    stack.build(
        "Robustness",
        BuildStep {
            description: "Tests staging on perturbed images",
            name: named("robustness"),
            compute: Compute::Small,
            image: Some(Expr::sub(format!("{}:${{ImageTag}}", template::repository("job")))),
            phases: vec![(
                "build",
                vec![
                    "kidu robustness --url \"$URL\" --max-drop \"$ROBUSTNESS_MAX_DROP\" \
                     \"data.root=s3://$RAW_BUCKET/$ROBUSTNESS_DATA\" --json",
                ],
            )],
            files: vec![],
            variables: vec![
                ("RAW_BUCKET", raw),
                ("ROBUSTNESS_DATA", Expr::sub("${RobustnessData}")),
                ("ROBUSTNESS_MAX_DROP", Expr::sub("${RobustnessMaxDrop}")),
            ],
            statements: vec![
                Statement::allow("Images", ["s3:GetObject"]).on([images]),
                Statement::allow("List", ["s3:ListBucket", "s3:GetBucketLocation"]).on([bucket]),
                Statement::allow("Pull", pull).on([&foundation.job_repository_arn]),
                // Knows no resources.
                Statement::allow("Registry", ["ecr:GetAuthorizationToken"]).on_everything(),
            ],
            bounds: boundary::bounds(),
            key_arn: Expr::from(&foundation.key_arn),
            deliveries_bucket: Expr::from(&foundation.deliveries_bucket),
            minutes: 60,
        },
    )
}

/// The role by which CloudFormation deploys a stage: only what bears the project's name.
fn deployer(stack: &Stack, foundation: &Foundation) -> Handle<crate::aws::Role> {
    let stage_roles = [Expr::sub(template::role_below("${SageMakerProjectName}/"))];
    let [kept, changed] = boundary::manage_roles(&stage_roles);
    let api = |rest: &str| Expr::sub(format!("arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}::/{rest}"));
    let image = Statement::allow(
        "Image",
        ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"],
    );
    let permissions = PolicyDocument::new([
        Statement::allow(
            "Functions",
            [
                "lambda:AddPermission",
                "lambda:CreateAlias",
                "lambda:CreateFunction",
                "lambda:DeleteAlias",
                "lambda:DeleteFunction",
                "lambda:DeleteFunctionConcurrency",
                "lambda:GetAlias",
                "lambda:GetFunction",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionConfiguration",
                "lambda:GetFunctionRecursionConfig",
                "lambda:GetFunctionScalingConfig",
                "lambda:GetPolicy",
                "lambda:GetProvisionedConcurrencyConfig",
                "lambda:GetRuntimeManagementConfig",
                "lambda:ListVersionsByFunction",
                "lambda:PublishVersion",
                "lambda:PutFunctionConcurrency",
                "lambda:RemovePermission",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateAlias",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
            ],
        )
        .on([
            arn("lambda", "function:${SageMakerProjectName}-staging*"),
            arn("lambda", "function:${SageMakerProjectName}-production*"),
            arn("lambda", "function:CodeDeployHook_${SageMakerProjectName}-*"),
        ]),
        kept,
        changed,
        Statement::allow("HandOn", ["iam:PassRole"]).on(stage_roles).when(
            "StringEquals",
            "iam:PassedToService",
            ["lambda.amazonaws.com", "codedeploy.amazonaws.com"],
        ),
        Statement::allow(
            "Api",
            ["apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"],
        )
        .on([api("apis"), api("apis/*"), api("tags/*")]),
        Statement::allow(
            "Deployments",
            [
                "codedeploy:CreateApplication",
                "codedeploy:CreateDeployment",
                "codedeploy:CreateDeploymentGroup",
                "codedeploy:DeleteApplication",
                "codedeploy:DeleteDeploymentGroup",
                "codedeploy:GetApplication",
                "codedeploy:GetDeployment",
                "codedeploy:GetDeploymentConfig",
                "codedeploy:GetDeploymentGroup",
                "codedeploy:RegisterApplicationRevision",
                "codedeploy:GetApplicationRevision",
                "codedeploy:ListDeployments",
                "codedeploy:ListTagsForResource",
                "codedeploy:UpdateDeploymentGroup",
                "codedeploy:TagResource",
            ],
        )
        .on([
            arn("codedeploy", "application:${SageMakerProjectName}-*"),
            arn("codedeploy", "deploymentgroup:${SageMakerProjectName}-*/*"),
            arn("codedeploy", "deploymentconfig:CodeDeployDefault.*"),
        ]),
        // CloudFormation stops a canary when the update that began it is cancelled.
        Statement::allow("StopDeployments", ["codedeploy:StopDeployment"]).on_everything(),
        Statement::allow(
            "Logs",
            [
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:PutRetentionPolicy",
                "logs:DeleteRetentionPolicy",
                "logs:AssociateKmsKey",
                "logs:DisassociateKmsKey",
                "logs:GetDataProtectionPolicy",
                "logs:ListTagsForResource",
                "logs:TagResource",
                // What the function says of itself becomes metrics.
                "logs:DeleteMetricFilter",
                "logs:DescribeMetricFilters",
                "logs:PutMetricFilter",
            ],
        )
        .on([
            arn("logs", "log-group:/aws/lambda/${SageMakerProjectName}-*"),
            arn("logs", "log-group:/aws/lambda/CodeDeployHook_${SageMakerProjectName}-*"),
            arn("logs", "log-group:/aws/vendedlogs/apigateway/${SageMakerProjectName}-*"),
        ]),
        // Deliveries of access logs know no resources.
        Statement::allow("AccessLogs", DELIVER_LOGS).on_everything(),
        Statement::allow(
            "Watch",
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:ListTagsForResource",
            ],
        )
        .on([arn("cloudwatch", "alarm:${SageMakerProjectName}-*")]),
        Statement::allow(
            "Dashboard",
            ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"],
        )
        .on([Expr::sub("arn:${AWS::Partition}:cloudwatch::${AWS::AccountId}:dashboard/${SageMakerProjectName}-*")]),
        image.on([&foundation.lambda_repository_arn]),
        Statement::allow(
            "Key",
            ["kms:DescribeKey", "kms:Decrypt", "kms:Encrypt", "kms:CreateGrant", "kms:GenerateDataKey"],
        )
        .on([&foundation.key_arn]),
    ]);
    let role = boundary::bounds()
        .hold(crate::aws::Role::new(), None)
        .description("CloudFormation deploys the stages with it")
        .assume_role_policy_document(PolicyDocument::trust("cloudformation.amazonaws.com", true))
        .policies([object! { "PolicyName" => "permissions", "PolicyDocument" => permissions }]);
    stack.add("DeployerRole", role)
}
