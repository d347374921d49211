//! What everything stands on: the key, the buckets, the image repositories, the roles of jobs, the topic of alerts.

use super::{
    boundary,
    names::{JOB_ROLES, template},
};
use crate::{
    aws::{Bucket, Key, KeyAlias, Repository, Subscription, Topic, TopicPolicy},
    constructs::{Bounds, SecureBucket, ServiceRole},
    core::{
        App, Export, Expr, Handle, Parameter, PolicyDocument, Stack, Statement, Test, object, pseudo, service_principal,
    },
};

/// What other stacks use of the foundation.
#[derive(Clone, Debug)]
pub struct Foundation {
    /// The key's ARN.
    pub key_arn: Export,
    /// The name of the bucket with datasets.
    pub raw_bucket: Export,
    /// The name of the bucket with annotations.
    pub annotations_bucket: Export,
    /// The name of the bucket that jobs write into.
    pub artifacts_bucket: Export,
    /// The name of the bucket by which delivery pipelines hand on their artifacts.
    pub deliveries_bucket: Export,
    /// The ARN of the repository of the job image.
    pub job_repository_arn: Export,
    /// The ARN of the repository of the Lambda image.
    pub lambda_repository_arn: Export,
    /// The ARN of the role that starts jobs.
    pub pipeline_role_arn: Export,
    /// The ARN of the topic of alerts.
    pub alerts_topic_arn: Export,
}

/// Who sends events.
const EVENTS: &str = "events.amazonaws.com";

struct Buckets {
    raw: Handle<Bucket>,
    annotations: Handle<Bucket>,
    artifacts: Handle<Bucket>,
    deliveries: Handle<Bucket>,
}

impl Foundation {
    /// Adds the stack.
    pub fn new(app: &mut App) -> Self {
        let stack = app.stack("foundation", "Kidu: key, buckets, image repositories, roles of jobs, alerts");
        stack.installation();
        let key = key(&stack);
        let buckets = buckets(&stack, &key);
        let job = repository(&stack, "job", &key);
        let lambda = repository(&stack, "lambda", &key);
        repository(&stack, "label-studio", &key);
        let boundary = boundary::add(&stack, &key);
        let bounds = Bounds::by(&boundary);
        job_roles(&stack, &key, &buckets, &job, &bounds);
        let pipeline_role = pipeline_role(&stack, &key, &buckets, &job, bounds);
        stack.output("BoundaryArn", "The boundary of the installation's roles", &boundary);
        let alerts = alerts(&stack, &key);
        Self {
            key_arn: stack.export("KeyArn", "The key that everything is encrypted with", key.arn()),
            raw_bucket: stack.export("RawBucket", "Datasets; an archive below dataset/ starts a build", &buckets.raw),
            annotations_bucket: stack.export("AnnotationsBucket", "Annotations", &buckets.annotations),
            artifacts_bucket: stack.export("ArtifactsBucket", "What jobs write, and the templates", &buckets.artifacts),
            deliveries_bucket: stack.export(
                "DeliveriesBucket",
                "What the stages of deliveries hand on",
                &buckets.deliveries,
            ),
            job_repository_arn: stack.export("JobRepositoryArn", "Repository of the job image", job.arn()),
            lambda_repository_arn: stack.export("LambdaRepositoryArn", "Repository of the Lambda image", lambda.arn()),
            pipeline_role_arn: stack.export(
                "PipelineRoleArn",
                "Role that starts the build pipeline's jobs",
                pipeline_role.arn(),
            ),
            alerts_topic_arn: stack.export("AlertsTopicArn", "Topic of alerts", alerts.reference()),
        }
    }
}

fn key(stack: &Stack) -> Handle<Key> {
    let root = object! { "AWS" => Expr::sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root") };
    let logs = object! { "Service" => Expr::sub("logs.${AWS::Region}.${AWS::URLSuffix}") };
    let senders =
        object! { "Service" => ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "codepipeline.amazonaws.com"] };
    let send = ["kms:Decrypt", "kms:GenerateDataKey*"];
    let use_key = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*", "kms:DescribeKey"];
    let policy = PolicyDocument::new([
        // The account's own policies decide who uses the key: without this statement nobody could, for ever.
        Statement::allow("Account", ["kms:*"]).to(root).on_everything(),
        Statement::allow("Logs", use_key).to(logs).on_everything().when(
            "ArnLike",
            "kms:EncryptionContext:aws:logs:arn",
            Expr::sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:*"),
        ),
        crate::constructs::own_account(Statement::allow("Alerts", send).to(senders).on_everything()),
        // EventBridge does not say for whom it writes to an encrypted topic: under that condition no event would arrive.
        Statement::allow("Events", send).to(service_principal(EVENTS)).on_everything(),
    ]);
    let key = Key::new()
        .description("Kidu: buckets, images, logs and topics")
        .enable_key_rotation(true)
        .pending_window_in_days(30)
        .key_policy(policy);
    let key = stack.add("Key", key).retained();
    let name = Expr::sub(template::KEY_ALIAS);
    stack.add("KeyAlias", KeyAlias::new().alias_name(name).target_key_id(&key));
    key
}

fn buckets(stack: &Stack, key: &Handle<Key>) -> Buckets {
    let name = |kind: &str| Expr::sub(template::bucket(kind));
    let none: fn(Expr) -> Vec<Statement> = |_| Vec::new();
    let logs = SecureBucket {
        name: name("logs"),
        key_arn: None,
        logs: None,
        grants: |arn| {
            let objects = Expr::sub_with("${arn}/*", [("arn", arn)]);
            let write = Statement::allow("AccessLogs", ["s3:PutObject"]);
            let write = write.to(service_principal("logging.s3.amazonaws.com")).on([objects]);
            vec![write.when("StringEquals", "aws:SourceAccount", pseudo::account())]
        },
        events: false,
        old_versions_days: 7,
        expiring: vec![("access-logs", "", 90)],
    };
    let logs = stack.build("LogsBucket", logs);
    let bucket = |kind: &'static str, events: bool, expiring| SecureBucket {
        name: name(kind),
        key_arn: Some(key.arn()),
        logs: Some((logs.reference(), kind)),
        grants: none,
        events,
        old_versions_days: 90,
        expiring,
    };
    Buckets {
        raw: stack.build("RawBucket", bucket("raw", true, vec![])),
        annotations: stack.build("AnnotationsBucket", bucket("annotations", true, vec![])),
        artifacts: stack.build("ArtifactsBucket", bucket("artifacts", false, vec![])),
        // Of its own, because CodePipeline chooses the keys: no prefix could be granted, or expire.
        deliveries: stack.build("DeliveriesBucket", bucket("deliveries", false, vec![("deliveries", "", 90)])),
    }
}

fn repository(stack: &Stack, name: &str, key: &Handle<Key>) -> Handle<Repository> {
    let untagged = serde_json::json!({"rules": [{
        "rulePriority": 1,
        "description": "Layers that no tag names",
        "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14},
        "action": {"type": "expire"},
    }]});
    let repository = Repository::new()
        .repository_name(Expr::sub(format!("${{Foundation}}/{name}")))
        .image_tag_mutability("IMMUTABLE")
        .image_scanning_configuration(object! { "ScanOnPush" => true })
        .encryption_configuration(object! { "EncryptionType" => "KMS", "KmsKey" => key.arn() })
        .lifecycle_policy(object! { "LifecyclePolicyText" => untagged.to_string() });
    stack.scope().child("Repositories").add(name, repository).retained()
}

/// What a job reads and writes in the bucket of artifacts, by step: keys below a project's execution.
fn artifacts_of(step: &str) -> (&'static [&'static str], &'static [&'static str]) {
    const DATASET: &str = "*/preprocess/dataset/*";
    const CHECKPOINTS: &str = "*/preprocess/dataset-checkpoints/*";
    const MODEL: &str = "*/train/*";
    match step {
        "preprocess" => (&["data-versions/*"], &[DATASET, "data-versions/*"]),
        "train" => (&[DATASET, CHECKPOINTS], &[MODEL, CHECKPOINTS]),
        _ => (&[DATASET, MODEL], &["*/evaluate/*"]),
    }
}

/// One role for each kind of job: none can read or write what is another's.
fn job_roles(stack: &Stack, key: &Handle<Key>, buckets: &Buckets, image: &Handle<Repository>, bounds: &Bounds) {
    for (step, job) in JOB_ROLES {
        let (reads, writes) = artifacts_of(step);
        let keys = |patterns: &[&str]| -> Vec<Expr> {
            let of = |p: &&str| Expr::sub_with(format!("${{arn}}/{p}"), [("arn", buckets.artifacts.arn())]);
            patterns.iter().map(of).collect()
        };
        let mut read = keys(reads);
        let mut list = vec![buckets.artifacts.arn()];
        if step == "preprocess" {
            for bucket in [&buckets.raw, &buckets.annotations] {
                read.push(Expr::sub_with("${arn}/*", [("arn", bucket.arn())]));
                list.push(bucket.arn());
            }
        }
        let mut statements = vec![
            Statement::allow("Read", ["s3:GetObject"]).on(read),
            Statement::allow("Write", ["s3:PutObject", "s3:AbortMultipartUpload"]).on(keys(writes)),
            Statement::allow("List", ["s3:ListBucket", "s3:GetBucketLocation"]).on(list),
            // Encrypt, because jobs name the key by its alias.
            Statement::allow("Key", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]).on([key.arn()]),
            Statement::allow(
                "Image",
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            )
            .on([image.arn()]),
            // Knows no resources.
            Statement::allow("Registry", ["ecr:GetAuthorizationToken"]).on_everything(),
            Statement::allow("Metrics", ["cloudwatch:PutMetricData"]).on_everything().when(
                "StringLike",
                "cloudwatch:namespace",
                ["/aws/sagemaker/*", "Kidu"],
            ),
        ];
        let logs = if step == "train" { "TrainingJobs" } else { "ProcessingJobs" };
        statements.push(
            Statement::allow(
                "Logs",
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            )
            .on([Expr::sub(format!(
                "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/aws/sagemaker/{logs}*"
            ))]),
        );
        stack.scope().child("Jobs").build(
            job,
            ServiceRole {
                service: "sagemaker.amazonaws.com",
                description: "A job of the build pipeline",
                name: Some(Expr::sub(template::role(job))),
                bounds: bounds.clone(),
                guarded: true,
                statements,
            },
        );
    }
}

/// The role of the pipeline itself: it starts jobs, hands them their roles, and registers models.
fn pipeline_role(
    stack: &Stack,
    key: &Handle<Key>,
    buckets: &Buckets,
    image: &Handle<Repository>,
    bounds: Bounds,
) -> Handle<crate::aws::Role> {
    let sagemaker = |rest: &str| {
        Expr::sub(format!("arn:${{AWS::Partition}}:sagemaker:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"))
    };
    let jobs = || [sagemaker("processing-job/pipelines-*"), sagemaker("training-job/pipelines-*")];
    let packages = || [sagemaker("model-package/*"), sagemaker("model-package-group/*")];
    let roles = JOB_ROLES.map(|(_, job)| Expr::sub(template::role_arn(job))).to_vec();
    let registered = ["*/evaluate/*", "*/train/*/model.tar.gz"]
        .map(|keys| Expr::sub_with(format!("${{arn}}/{keys}"), [("arn", buckets.artifacts.arn())]));
    stack.build(
        "Pipeline",
        ServiceRole {
            service: "sagemaker.amazonaws.com",
            description: "Starts the jobs of the build pipeline and registers models",
            name: Some(Expr::sub(template::role("pipeline"))),
            bounds,
            guarded: true,
            statements: vec![
                Statement::allow(
                    "Jobs",
                    [
                        "sagemaker:CreateProcessingJob",
                        "sagemaker:CreateTrainingJob",
                        "sagemaker:DescribeProcessingJob",
                        "sagemaker:DescribeTrainingJob",
                        "sagemaker:StopProcessingJob",
                        "sagemaker:StopTrainingJob",
                        "sagemaker:AddTags",
                    ],
                )
                .on(jobs()),
                Statement::allow(
                    "Register",
                    [
                        "sagemaker:CreateModelPackage",
                        "sagemaker:DescribeModelPackage",
                        "sagemaker:DescribeModelPackageGroup",
                        "sagemaker:AddTags",
                    ],
                )
                .on(packages()),
                crate::constructs::pass_role("Roles", roles, "sagemaker.amazonaws.com"),
                // SageMaker looks at the model, its evaluation and its image by the rights of who registers them.
                Statement::allow("Registered", ["s3:GetObject"]).on(registered),
                Statement::allow("Image", ["ecr:BatchGetImage", "ecr:DescribeImages"]).on([image.arn()]),
                Statement::allow("Key", ["kms:Decrypt"]).on([key.arn()]),
            ],
        },
    )
}

fn alerts(stack: &Stack, key: &Handle<Key>) -> Handle<Topic> {
    let email = stack.parameter(
        "AlertEmail",
        Parameter::text("Who is told of alarms by e-mail; empty: nobody")
            .default("")
            .pattern("^$|^[^@ ]+@[^@ ]+\\.[^@ ]+$", "an e-mail address")
            .in_group("Alerts"),
    );
    let has_email = stack.condition("HasAlertEmail", Test::given(&email));
    let topic = stack.add("Alerts", Topic::new().kms_master_key_id(key.arn()).display_name("Kidu"));
    let senders = object! { "Service" => ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] };
    let send = |sid: &str, who: Expr| Statement::allow(sid, ["sns:Publish"]).to(who).on([topic.reference()]);
    let policy = PolicyDocument::new([
        crate::constructs::own_account(send("Send", senders)),
        // Conditions in policies of topics do not work for EventBridge, as in that of the key.
        send("SendEvents", service_principal(EVENTS)),
    ]);
    stack.add("AlertsPolicy", TopicPolicy::new().topics([&topic]).policy_document(policy));
    let subscription = Subscription::new().protocol("email").endpoint(&email).topic_arn(&topic);
    stack.add("AlertsByMail", subscription).only_if(&has_email);
    topic
}
