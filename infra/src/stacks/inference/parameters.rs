//! What staging and production differ in.

use serde_json::json;

use crate::{
    constructs::Bounds,
    core::{Condition, Expr, Parameter, ParameterRef, Stack, Test},
    stacks::names::template,
};

/// The parameter that names the installation. This stack imports nothing of it.
const INSTALLATION: &str = "Installation";

/// The parameters, and the conditions that follow from them.
pub(super) struct Parameters {
    pub(super) model: ParameterRef,
    pub(super) bundle: ParameterRef,
    pub(super) image: ParameterRef,
    pub(super) architecture: ParameterRef,
    pub(super) memory: ParameterRef,
    pub(super) timeout: ParameterRef,
    pub(super) log_days: ParameterRef,
    pub(super) rate: ParameterRef,
    pub(super) burst: ParameterRef,
    pub(super) origins: ParameterRef,
    pub(super) authorization: ParameterRef,
    pub(super) jwt_issuer: ParameterRef,
    pub(super) jwt_audience: ParameterRef,
    pub(super) shift: ParameterRef,
    pub(super) latency: ParameterRef,
    pub(super) confidence: ParameterRef,
    pub(super) role: ParameterRef,
    pub(super) concurrency: ParameterRef,
    pub(super) key: ParameterRef,
    pub(super) topic: ParameterRef,
    pub(super) in_installation: Condition,
    pub(super) own_role: Condition,
    pub(super) reserves: Condition,
    pub(super) evaluated: Condition,
    pub(super) has_key: Condition,
    pub(super) has_topic: Condition,
    pub(super) watches: Condition,
    pub(super) uses_jwt: Condition,
}

impl Parameters {
    pub(super) fn of(stack: &Stack) -> Self {
        super::super::model_build::project(stack);
        stack.parameter(
            "StageName",
            Parameter::text("The stage").default("staging").one_of(["staging", "production"]).in_group("Project"),
        );
        let role = stack.parameter(
            "ModelExecutionRoleArn",
            Parameter::text("Role of the function; empty: one is made that may read the model and nothing else")
                .default("")
                .pattern("^$|^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", "the ARN of a role")
                .in_group("Model"),
        );
        let concurrency = stack.parameter(
            "ReservedConcurrency",
            Parameter::number("The most requests at once, which also bounds the cost; -1 reserves nothing")
                // A new account may have no more than what Lambda leaves unreserved.
                .default(-1)
                .between(-1, 1000)
                .in_group("Function"),
        );
        let key = stack.parameter(
            "KmsKeyArn",
            Parameter::text("Key of logs and environment; empty: AWS's own")
                .default("")
                .pattern("^$|^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", "the ARN of a key")
                .in_group("Operation"),
        );
        let topic = stack.parameter(
            "AlertsTopicArn",
            Parameter::text("Topic that hears of alarms; empty: nobody")
                .default("")
                .pattern("^$|^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:.+$", "the ARN of a topic")
                .in_group("Operation"),
        );
        let authorization = stack.parameter(
            "Authorization",
            Parameter::text("Who may call: everybody (NONE), IAM identities, or bearers of a token")
                .default("NONE")
                .one_of(["NONE", "AWS_IAM", "JWT"])
                .in_group("Access"),
        );
        let installation = stack.parameter(
            INSTALLATION,
            Parameter::text(
                "The installation in this account whose boundary and path the roles get; empty: none, and then model-deploy cannot \
                 update the stage",
            )
            .default("")
            .pattern("^$|^[a-z][a-z0-9-]{1,20}$", "the name of an installation")
            .in_group("Project"),
        );
        let bundle = stack.parameter(
            "BundleSha256",
            Parameter::text(
                "SHA-256 of the bundle.json that was evaluated (kidu.bundle_sha256 in evaluation.json): the function takes no other \
                 bundle; empty: any",
            )
            .default("")
            .pattern("^$|^[0-9a-f]{64}$", "64 hexadecimal digits")
            .in_group("Model"),
        );
        let watch = stack.parameter(
            "WatchRelease",
            Parameter::text(
                "Whether alarms stop a release and take it back; false: for the one that ends an alarm, which would stop it too",
            )
            .default("true")
            .one_of(["true", "false"])
            .in_group("Operation"),
        );
        Self {
            watches: stack.condition("WatchesRelease", Test::is(&watch, "true")),
            evaluated: stack.condition("IsEvaluated", Test::given(&bundle)),
            bundle,
            in_installation: stack.condition("InInstallation", Test::given(&installation)),
            own_role: stack.condition("MakesRole", Test::is(&role, "")),
            reserves: stack.condition("ReservesConcurrency", Test::Not(Box::new(Test::is(&concurrency, "-1")))),
            has_key: stack.condition("HasKey", Test::given(&key)),
            has_topic: stack.condition("HasAlertsTopic", Test::given(&topic)),
            uses_jwt: stack.condition("UsesJwt", Test::is(&authorization, "JWT")),
            model: model(stack),
            image: image(stack),
            architecture: stack.parameter(
                "Architecture",
                Parameter::text("Processor that the image was built for")
                    // What model-deploy and the documented commands build.
                    .default("x86_64")
                    .one_of(["arm64", "x86_64"])
                    .in_group("Function"),
            ),
            memory: stack.parameter(
                "MemorySize",
                Parameter::number("MB; 1769 is one core").default(1769).between(256, 10240).in_group("Function"),
            ),
            timeout: stack.parameter(
                "TimeoutSeconds",
                // An HTTP API gives up after 30 seconds: a function that runs on is paid for nothing.
                Parameter::number("Seconds; an HTTP API waits for 30").default(29).between(1, 29).in_group("Function"),
            ),
            log_days: stack.parameter(
                "LogRetentionDays",
                Parameter::number("How long logs are kept")
                    .default(30)
                    .one_of([1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 400, 731].map(|d| json!(d)))
                    .in_group("Operation"),
            ),
            rate: stack.parameter(
                "ThrottlingRate",
                Parameter::number("Requests a second, over all callers")
                    .default(20)
                    .between(1, 10000)
                    .in_group("Access"),
            ),
            burst: stack.parameter(
                "ThrottlingBurst",
                Parameter::number("Requests at once above the rate").default(40).between(1, 5000).in_group("Access"),
            ),
            origins: stack.parameter(
                "CorsOrigins",
                Parameter::list("Origins of web pages that may call; credentials are never allowed")
                    .default("*")
                    .in_group("Access"),
            ),
            jwt_issuer: stack.parameter(
                "JwtIssuer",
                Parameter::text("Issuer of tokens, for JWT")
                    .default("https://example.com")
                    .pattern("^https://.+$", "an address that begins with https://")
                    .in_group("Access"),
            ),
            jwt_audience: stack.parameter(
                "JwtAudience",
                Parameter::list("Audiences of tokens, for JWT").default("kidu").in_group("Access"),
            ),
            shift: stack.parameter(
                "TrafficShift",
                Parameter::text("How traffic moves to a new version")
                    .default("CodeDeployDefault.LambdaCanary10Percent5Minutes")
                    .one_of([
                        "CodeDeployDefault.LambdaCanary10Percent5Minutes",
                        "CodeDeployDefault.LambdaCanary10Percent15Minutes",
                        "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
                        "CodeDeployDefault.LambdaAllAtOnce",
                    ])
                    .in_group("Operation"),
            ),
            latency: stack.parameter(
                "LatencyAlarmMillis",
                Parameter::number("Milliseconds above which 95 % of the requests are too slow")
                    .default(2000)
                    .between(10, 29000)
                    .in_group("Operation"),
            ),
            confidence: stack.parameter(
                "LowestConfidence",
                Parameter::number(
                    "Mean probability of the predicted class below which the images are taken to have changed",
                )
                .default(0.6)
                .between(0, 1)
                .in_group("Operation"),
            ),
            role,
            concurrency,
            key,
            topic,
            authorization,
        }
    }

    /// What holds the stage's roles: those of a project lie below its folder, which `model-deploy` may write. Somebody who deploys by
    /// hand into an account without an installation has no boundary to give.
    pub(super) fn bounds(&self) -> Bounds {
        let path = Expr::sub(format!("/${{{INSTALLATION}}}/${{SageMakerProjectName}}/"));
        Bounds::by(self.in_installation.then(Expr::sub(template::boundary_arn(INSTALLATION))))
            .below(self.in_installation.then(path))
    }

    /// Who hears of alarms.
    pub(super) fn alarm_actions(&self) -> Vec<Expr> {
        vec![self.has_topic.then(&self.topic)]
    }
}

fn model(stack: &Stack) -> ParameterRef {
    stack.parameter(
        "ModelBinaryLocation",
        // Short enough for the version's description, which holds it.
        Parameter::text("s3:// address of the model (model.tar.gz)")
            .pattern("^s3://[a-z0-9.-]{3,63}/.{1,110}$", "s3://bucket/key, the key of at most 110 characters")
            .in_group("Model"),
    )
}

fn image(stack: &Stack) -> ParameterRef {
    stack.parameter(
        "ImageUri",
        Parameter::text("The Lambda image, by digest: a tag can come to name another image")
            .pattern(
                "^[0-9]{12}\\.dkr\\.ecr\\..+@sha256:[0-9a-f]{64}$",
                "the address of an image in ECR with its digest",
            )
            .in_group("Model"),
    )
}
