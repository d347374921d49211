//! Model build: three triggers → delivery pipeline → builds → SageMaker pipeline.

use kidu_pipeline::Pipeline;

use super::{Foundation, Settings, boundary, names::template};
use crate::{
    aws::{BuildProject, ModelPackageGroup, SageMakerPipeline},
    constructs::{
        BuildStep, Compute, Debounced, Delivery, EventTrigger, MetricAlarm, Source, action_type, pass_role,
        pipeline_arn,
    },
    core::{App, Expr, Handle, Parameter, ParameterRef, Stack, Statement, object},
    error::Result,
    sagemaker,
};

/// The value of a delivery variable that leaves the pipeline's default as it is.
const DEFAULT: &str = "default";

/// Adds the stack.
pub(super) fn stack(app: &mut App, foundation: &Foundation, pipeline: &Pipeline, settings: &Settings) -> Result<()> {
    let stack = app.stack("model-build", "Kidu: from a commit, a dataset or annotations to a registered model");
    stack.installation();
    let project = project(&stack);
    stack.parameter(
        "ImageTag",
        Parameter::text("Tag of the job image that the pipeline starts with; commits make their own")
            .default(concat!("v", env!("CARGO_PKG_VERSION")))
            .pattern("^[A-Za-z0-9._-]{1,128}$", "the tag of an image")
            .in_group("Project"),
    );
    let source = Source::of(&stack);
    let group = ModelPackageGroup::new()
        .model_package_group_name(&project)
        .model_package_group_description("Versions of the classifier, registered by the build pipeline");
    let group = stack.add("Models", group).retained_once_made();
    let built = sagemaker_pipeline(&stack, foundation, pipeline, settings)?;
    let delivery = delivery(&stack, foundation, source);
    triggers(&stack, foundation);
    failures(&stack, foundation);
    stack.output("ModelPackageGroup", "The group of model versions", &group);
    stack.output("SageMakerPipeline", "The SageMaker pipeline", &built);
    stack.output("DeliveryPipeline", "The delivery pipeline", &delivery);
    Ok(())
}

/// The parameters by which SageMaker Studio names a project.
pub(super) fn project(stack: &Stack) -> ParameterRef {
    stack.parameter(
        "SageMakerProjectName",
        Parameter::text("Name of the project: of its models, pipelines and builds")
            .default("kidu")
            .pattern("^[a-z][a-z0-9-]{1,20}$", "2 to 21 lower-case letters, digits and hyphens, a letter first")
            .in_group("Project"),
    )
}

/// The names of a project's parts.
fn named(rest: &str) -> Expr {
    Expr::sub(format!("${{SageMakerProjectName}}-{rest}"))
}

fn sagemaker_pipeline(
    stack: &Stack,
    foundation: &Foundation,
    pipeline: &Pipeline,
    settings: &Settings,
) -> Result<Handle<SageMakerPipeline>> {
    let definition = sagemaker::definition(pipeline, &settings.templated())?;
    let pipeline = SageMakerPipeline::new()
        .pipeline_name(named("build"))
        .pipeline_display_name(named("build"))
        .pipeline_description("preprocess, train, evaluate, gate, register")
        .role_arn(&foundation.pipeline_role_arn)
        .parallelism_configuration(object! { "MaxParallelExecutionSteps" => 4 })
        .pipeline_definition(object! { "PipelineDefinitionBody" => Expr::sub(definition.to_string()) });
    Ok(stack.add("BuildPipeline", pipeline))
}

fn delivery(stack: &Stack, foundation: &Foundation, source: Source) -> Handle<crate::aws::DeliveryPipeline> {
    let image = image_build(stack, foundation);
    let start = start_build(stack, foundation);
    let action = |name: &str, project: &Handle<BuildProject>, variables: &str| {
        object! {
            "Name" => name,
            "ActionTypeId" => action_type("Build", "CodeBuild"),
            "Configuration" => object! {
                "ProjectName" => project,
                "EnvironmentVariables" => variables,
            },
            "InputArtifacts" => [object! { "Name" => "Code" }],
        }
    };
    let variable = |name: &str, value: &str| serde_json::json!({"name": name, "value": value, "type": "PLAINTEXT"});
    let commit = variable("COMMIT", "#{Code.CommitId}");
    let image_variables = serde_json::json!([commit]).to_string();
    let start_variables = serde_json::json!([
        commit,
        variable("EXECUTION", "#{codepipeline.PipelineExecutionId}"),
        variable("INPUT_DATASET", "#{variables.InputDatasetZip}"),
        variable("ANNOTATIONS", "#{variables.Annotations}"),
    ])
    .to_string();
    let builds = [image.arn(), start.arn()];
    let delivery = Delivery {
        name: named("model-build"),
        source,
        // Starts for other data must not be thrown away because a commit came after them.
        execution_mode: "QUEUED",
        stages: vec![
            ("Image", vec![action("JobImage", &image, &image_variables)]),
            ("Build", vec![action("UpsertAndStart", &start, &start_variables)]),
        ],
        variables: vec![
            ("InputDatasetZip", DEFAULT, "s3:// address of the dataset, or 'default'"),
            ("Annotations", DEFAULT, "s3:// address of annotations to bring in, or 'default'"),
        ],
        statements: vec![Statement::allow("Builds", ["codebuild:StartBuild", "codebuild:BatchGetBuilds"]).on(builds)],
        bounds: boundary::bounds(),
        key_arn: Expr::from(&foundation.key_arn),
        deliveries_bucket: Expr::from(&foundation.deliveries_bucket),
    };
    stack.build("Delivery", delivery)
}

/// Builds and pushes the job image of a commit, unless it is there: a start for new data changes no code.
fn image_build(stack: &Stack, foundation: &Foundation) -> Handle<BuildProject> {
    stack.build(
        "JobImage",
        BuildStep {
            description: "Builds the job image of a commit",
            name: named("job-image"),
            compute: Compute::Docker,
            image: None,
            phases: vec![
                (
                    "pre_build",
                    vec!["aws ecr get-login-password | docker login --username AWS --password-stdin \"${REPOSITORY%%/*}\""],
                ),
                (
                    "build",
                    vec![
                        // One image in Docker's format, which SageMaker wants; the base images from where no limit of Docker Hub
                        // holds, which builds share with all others of an address.
                        "if aws ecr describe-images --repository-name \"${REPOSITORY#*/}\" --image-ids imageTag=\"$COMMIT\" > /dev/null 2>&1; then echo \"the image of $COMMIT is there\"; else docker buildx build --provenance=false --output type=docker --platform linux/amd64 --build-arg REGISTRY=public.ecr.aws/docker/library --file docker/job.Dockerfile --build-arg GIT_COMMIT=\"$COMMIT\" --tag \"$REPOSITORY:$COMMIT\" . && docker push \"$REPOSITORY:$COMMIT\"; fi",
                    ],
                ),
            ],
            files: vec![],
            variables: vec![("REPOSITORY", Expr::sub(template::repository("job")))],
            statements: push_image(&foundation.job_repository_arn),
            bounds: boundary::bounds(),
            key_arn: Expr::from(&foundation.key_arn),
            deliveries_bucket: Expr::from(&foundation.deliveries_bucket),
            minutes: 120,
        },
    )
}

/// What pushing an image takes.
pub(super) fn push_image(repository: &crate::core::Export) -> Vec<Statement> {
    let push = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ];
    vec![
        Statement::allow("Push", push).on([repository]),
        // Knows no resources.
        Statement::allow("Registry", ["ecr:GetAuthorizationToken"]).on_everything(),
    ]
}

/// Writes the definition of the commit's pipeline into SageMaker and starts it.
fn start_build(stack: &Stack, foundation: &Foundation) -> Handle<BuildProject> {
    let pipeline = Expr::sub(
        "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:pipeline/${SageMakerProjectName}-build",
    );
    // One command, because CodeBuild hands on texts from one to the next, but no arrays. JSON, because in the short form a comma
    // in a key would end the value. New data may lie where older data lay, whose result SageMaker's cache has: the stamp says so.
    // A build that CodePipeline repeats must not train twice: it has the same token.
    let start = concat!(
        r#"PARAMETERS=$(jq --null-input --compact-output --arg dataset "$INPUT_DATASET" --arg annotations "$ANNOTATIONS" --arg stamp "$EXECUTION" "#,
        r#"'[{Name: "InputDatasetZip", Value: $dataset}, {Name: "Annotations", Value: $annotations}] | map(select(.Value != "default")) "#,
        r#"| if . == [] then . else . + [{Name: "DataStamp", Value: $stamp}] end') "#,
        r#"&& aws sagemaker start-pipeline-execution --pipeline-name "$PROJECT-build" --pipeline-parameters "$PARAMETERS" "#,
        r#"--client-request-token "$(printf %s "$EXECUTION $COMMIT" | sha256sum | cut -c1-64)""#
    );
    stack.build(
        "StartBuild",
        BuildStep {
            description: "Updates the SageMaker pipeline to a commit and starts it",
            name: named("start-build"),
            compute: Compute::Small,
            image: None,
            phases: vec![
                (
                    "install",
                    vec![
                        "curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none",
                    ],
                ),
                (
                    "build",
                    vec![
                        ". \"$HOME/.cargo/env\" && cargo run --locked --release --package kidu-infra --no-default-features -- synth --out cdk.out --foundation \"$FOUNDATION\" --project \"$PROJECT\" --account \"$ACCOUNT\" --region \"$AWS_REGION\" --image-tag \"$COMMIT\"",
                        "aws sagemaker update-pipeline --pipeline-name \"$PROJECT-build\" --pipeline-definition file://cdk.out/pipeline-definition.json",
                        start,
                    ],
                ),
            ],
            files: vec![],
            variables: vec![
                ("FOUNDATION", Expr::sub("${Foundation}")),
                ("PROJECT", Expr::sub("${SageMakerProjectName}")),
                ("ACCOUNT", crate::core::pseudo::account()),
            ],
            statements: vec![
                Statement::allow(
                    "Pipeline",
                    ["sagemaker:UpdatePipeline", "sagemaker:DescribePipeline", "sagemaker:StartPipelineExecution"],
                )
                .on([pipeline]),
                pass_role("PipelineRole", vec![Expr::from(&foundation.pipeline_role_arn)], "sagemaker.amazonaws.com"),
            ],
            bounds: boundary::bounds(),
            key_arn: Expr::from(&foundation.key_arn),
            deliveries_bucket: Expr::from(&foundation.deliveries_bucket),
            minutes: 30,
        },
    )
}

/// The two triggers of data; that of commits belongs to the delivery.
fn triggers(stack: &Stack, foundation: &Foundation) {
    let arn = pipeline_arn(&named("model-build"));
    let dataset = EventTrigger {
        description: "A dataset archive below dataset/ in the raw bucket starts a build with it",
        pattern: created_in(&foundation.raw_bucket, &["dataset/*.zip", "dataset/*.tar.gz", "dataset/*.tar"]),
        target: object! {
            "Id" => "Pipeline",
            "Arn" => arn.clone(),
            "InputTransformer" => object! {
                "InputPathsMap" => object! { "bucket" => "$.detail.bucket.name", "key" => "$.detail.object.key" },
                "InputTemplate" => "{\"variables\": [{\"name\": \"InputDatasetZip\", \"value\": \"s3://<bucket>/<key>\"}]}",
            },
        },
        action: ("codepipeline:StartPipelineExecution", arn),
        bounds: boundary::bounds(),
        only_if: None,
    };
    stack.scope().child("DatasetUploaded").build("Trigger", dataset);
    let debounced = Debounced {
        description: "Annotations that have been quiet for a while start a build with them",
        name: named("annotations"),
        pattern: created_in(&foundation.annotations_bucket, &["*"]),
        quiet_minutes: stack.parameter(
            "AnnotationQuietMinutes",
            Parameter::number("Minutes without a new annotation after which a build starts")
                .default(15)
                .between(1, 1440)
                .in_group("Annotations"),
        ),
        longest_minutes: stack.parameter(
            "AnnotationLongestMinutes",
            Parameter::number("Minutes after the first new annotation after which a build starts in any case")
                .default(240)
                .between(1, 10080)
                .in_group("Annotations"),
        ),
        pipeline: named("model-build"),
        variable: (
            "Annotations",
            Expr::sub_with("s3://${bucket}/", [("bucket", Expr::from(&foundation.annotations_bucket))]),
        ),
        bounds: boundary::bounds(),
        key_arn: Expr::from(&foundation.key_arn),
    };
    stack.build("AnnotationsUpdated", debounced);
}

/// Objects made in a bucket under keys of these patterns.
fn created_in(bucket: &crate::core::Export, keys: &[&str]) -> Expr {
    let mut detail = vec![("bucket".to_string(), object! { "name" => [Expr::from(bucket)] })];
    if keys != ["*"] {
        let patterns: Vec<Expr> = keys.iter().map(|k| object! { "wildcard" => *k }).collect();
        detail.push(("object".into(), object! { "key" => patterns }));
    }
    object! {
        "source" => ["aws.s3"],
        "detail-type" => ["Object Created"],
        "detail" => Expr::Object(detail),
    }
}

/// Tells of failed executions: of the delivery, and of the SageMaker pipeline, whose reason is in the event.
fn failures(stack: &Stack, foundation: &Foundation) {
    use crate::aws::Rule;
    let topic = || Expr::from(&foundation.alerts_topic_arn);
    let delivery = Rule::new()
        .description("Tells of failed builds")
        .event_pattern(object! {
            "source" => ["aws.codepipeline"],
            "detail-type" => ["CodePipeline Pipeline Execution State Change"],
            "detail" => object! { "state" => ["FAILED"], "pipeline" => [named("model-build")] },
        })
        .targets([object! { "Id" => "Alerts", "Arn" => topic() }]);
    stack.scope().child("Failures").add("Delivery", delivery);
    let pipeline = Rule::new()
        .description("Tells of builds of a model that failed or were refused by the gate")
        .event_pattern(object! {
            "source" => ["aws.sagemaker"],
            "detail-type" => ["SageMaker Model Building Pipeline Execution Status Change"],
            "detail" => object! {
                "currentPipelineExecutionStatus" => ["Failed"],
                "pipelineArn" => [Expr::sub("arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:pipeline/${SageMakerProjectName}-build")],
            },
        })
        .targets([object! { "Id" => "Alerts", "Arn" => topic() }]);
    stack.scope().child("Failures").add("Pipeline", pipeline);
    let alarm = MetricAlarm {
        description: "Starts by annotations fail: see the log of the state machine",
        namespace: "AWS/States".into(),
        metric: "ExecutionsFailed",
        dimensions: vec![(
            "StateMachineArn",
            Expr::sub(
                "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${SageMakerProjectName}-annotations",
            ),
        )],
        statistic: "Sum",
        threshold: 0.into(),
        period: 300,
        periods: (1, 1),
        actions: vec![topic()],
    };
    stack.scope().child("Failures").build("Annotations", alarm);
}
