//! Delivery pipelines and what starts them.

use super::{Bounds, ServiceRole};
use crate::core::Parameter;
use crate::{
    aws::{DeliveryPipeline, Rule},
    core::{
        Condition, Construct, Expr, Handle, ParameterRef, PolicyDocument, Scope, Stack, Statement, Test, object, pseudo,
    },
};

/// Where the code comes from: a connection to a git host, or CodeCommit.
#[derive(Clone)]
pub struct Source {
    connection_arn: ParameterRef,
    repository: ParameterRef,
    branch: ParameterRef,
    connected: Condition,
    code_commit: Condition,
}

impl Source {
    /// The parameters and conditions of a stack that say where the code comes from.
    pub fn of(stack: &Stack) -> Self {
        let group = "Code";
        let connection_arn = stack.parameter(
            "ConnectionArn",
            Parameter::text(
                "ARN of the CodeConnections connection to the git host; empty: the repository is in CodeCommit",
            )
            .default("")
            .pattern(
                "^$|^arn:[a-z-]+:(codeconnections|codestar-connections):[a-z0-9-]+:[0-9]{12}:connection/.+$",
                "the ARN of a connection",
            )
            .in_group(group),
        );
        let repository = stack.parameter(
            "RepositoryId",
            Parameter::text("owner/name on the git host, or the name of the CodeCommit repository")
                .default("kidu-ml/kidu")
                .pattern("^[A-Za-z0-9._/-]{1,150}$", "owner/name, or a name")
                .in_group(group),
        );
        let branch = stack.parameter(
            "Branch",
            Parameter::text("The branch whose commits start the pipeline")
                .default("main")
                .pattern("^[A-Za-z0-9._/-]{1,200}$", "a branch")
                .in_group(group),
        );
        let connected = stack.condition("UsesConnection", Test::given(&connection_arn));
        let code_commit = stack.condition("UsesCodeCommit", Test::is(&connection_arn, ""));
        Self { connection_arn, repository, branch, connected, code_commit }
    }

    fn code_commit_arn(&self) -> Expr {
        let text = "arn:${AWS::Partition}:codecommit:${AWS::Region}:${AWS::AccountId}:${RepositoryId}";
        Expr::sub(text)
    }

    /// The action that fetches the code.
    fn action(&self) -> Expr {
        let connected = object! {
            "Name" => "Code",
            "ActionTypeId" => action_type("Source", "CodeStarSourceConnection"),
            "Configuration" => object! {
                "ConnectionArn" => &self.connection_arn,
                "FullRepositoryId" => &self.repository,
                "BranchName" => &self.branch,
                "OutputArtifactFormat" => "CODE_ZIP",
                // The pipeline's own trigger says which commits count.
                "DetectChanges" => "false",
            },
            "OutputArtifacts" => [object! { "Name" => "Code" }],
            "Namespace" => "Code",
        };
        let code_commit = object! {
            "Name" => "Code",
            "ActionTypeId" => action_type("Source", "CodeCommit"),
            "Configuration" => object! {
                "RepositoryName" => &self.repository,
                "BranchName" => &self.branch,
                "PollForSourceChanges" => "false",
            },
            "OutputArtifacts" => [object! { "Name" => "Code" }],
            "Namespace" => "Code",
        };
        self.connected.choose(connected, code_commit)
    }

    /// Commits to the branch of a connected repository. What changes only documentation starts nothing.
    fn triggers(&self) -> Expr {
        self.connected.then([object! {
            "ProviderType" => "CodeStarSourceConnection",
            "GitConfiguration" => object! {
                "SourceActionName" => "Code",
                "Push" => [object! {
                    "Branches" => object! { "Includes" => [self.branch.value()] },
                    "FilePaths" => object! { "Excludes" => ["docs/**", "**/*.md"] },
                }],
            },
        }])
    }

    fn statements(&self) -> Vec<Expr> {
        // Connections from before 2024 have ARNs, actions and keys of another prefix, and keep them.
        let connection = [("Connection", "codeconnections"), ("OlderConnection", "codestar-connections")];
        let connection: Expr = PolicyDocument::new(connection.map(|(sid, prefix)| {
            Statement::allow(sid, [format!("{prefix}:UseConnection")]).on([self.connection_arn.value()]).when(
                "StringEquals",
                &format!("{prefix}:FullRepositoryId"),
                &self.repository,
            )
        }))
        .into();
        let repository: Expr = PolicyDocument::new([Statement::allow(
            "Repository",
            [
                "codecommit:CancelUploadArchive",
                "codecommit:GetBranch",
                "codecommit:GetCommit",
                "codecommit:GetUploadArchiveStatus",
                "codecommit:UploadArchive",
            ],
        )
        .on([self.code_commit_arn()])])
        .into();
        vec![self.connected.choose(
            object! { "PolicyName" => "source", "PolicyDocument" => connection },
            object! { "PolicyName" => "source", "PolicyDocument" => repository },
        )]
    }
}

/// The type of an action of AWS itself.
pub(crate) fn action_type(category: &str, provider: &str) -> Expr {
    object! { "Category" => category, "Owner" => "AWS", "Provider" => provider, "Version" => "1" }
}

/// A delivery pipeline: its source, its stages, and what starts it.
pub struct Delivery {
    /// The pipeline's name.
    pub name: Expr,
    /// Where the code comes from.
    pub source: Source,
    /// What happens to starts while an execution runs: `QUEUED`, or `SUPERSEDED` by later ones.
    pub execution_mode: &'static str,
    /// The stages after the source: a name and its actions.
    pub stages: Vec<(&'static str, Vec<Expr>)>,
    /// Variables that a start may set, with their values otherwise and one line for people.
    pub variables: Vec<(&'static str, &'static str, &'static str)>,
    /// What its role may do beside artifacts and source.
    pub statements: Vec<Statement>,
    /// What holds its roles.
    pub bounds: Bounds,
    /// The key.
    pub key_arn: Expr,
    /// The bucket of its artifacts. CodePipeline chooses their keys, which begin with the pipeline's name, cut short.
    pub deliveries_bucket: Expr,
}

impl Construct for Delivery {
    type Made = Handle<DeliveryPipeline>;

    fn build(self, scope: &Scope) -> Handle<DeliveryPipeline> {
        let objects =
            Expr::sub_with("arn:${AWS::Partition}:s3:::${bucket}/*", [("bucket", self.deliveries_bucket.clone())]);
        let bucket =
            Expr::sub_with("arn:${AWS::Partition}:s3:::${bucket}", [("bucket", self.deliveries_bucket.clone())]);
        let mut statements = vec![
            Statement::allow("Artifacts", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]).on([objects]),
            Statement::allow("Bucket", ["s3:GetBucketVersioning", "s3:GetBucketLocation"]).on([bucket]),
            Statement::allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"]).on([self.key_arn.clone()]),
        ];
        statements.extend(self.statements);
        let own = object! { "PolicyName" => "permissions", "PolicyDocument" => PolicyDocument::new(statements) };
        let policies: Vec<Expr> = [own].into_iter().chain(self.source.statements()).collect();
        let role = self
            .bounds
            .clone()
            .hold(crate::aws::Role::new(), None)
            .description("Runs the delivery pipeline")
            .assume_role_policy_document(PolicyDocument::trust("codepipeline.amazonaws.com", true))
            .policies(policies);
        let role = scope.add("Role", role);
        let stage = |(name, actions): (&str, Vec<Expr>)| object! { "Name" => name, "Actions" => actions };
        let source = ("Source", vec![self.source.action()]);
        let mut pipeline = DeliveryPipeline::new()
            .name(self.name.clone())
            .pipeline_type("V2")
            .execution_mode(self.execution_mode)
            .role_arn(role.arn())
            .artifact_store(object! {
                "Type" => "S3",
                "Location" => self.deliveries_bucket,
                "EncryptionKey" => object! { "Id" => self.key_arn, "Type" => "KMS" },
            })
            .stages([source].into_iter().chain(self.stages).map(stage).collect::<Vec<_>>())
            .triggers(self.source.triggers());
        if !self.variables.is_empty() {
            let variable = |(name, default, help): &(&str, &str, &str)| {
                object! { "Name" => *name, "DefaultValue" => *default, "Description" => *help }
            };
            pipeline = pipeline.variables(self.variables.iter().map(variable).collect::<Vec<_>>());
        }
        let pipeline = scope.add("Pipeline", pipeline);
        let arn = pipeline_arn(&self.name);
        let commits = EventTrigger {
            description: "A commit to the branch in CodeCommit starts the pipeline",
            pattern: object! {
                "source" => ["aws.codecommit"],
                "detail-type" => ["CodeCommit Repository State Change"],
                "resources" => [self.source.code_commit_arn()],
                "detail" => object! {
                    "event" => ["referenceCreated", "referenceUpdated"],
                    "referenceType" => ["branch"],
                    "referenceName" => [self.source.branch.value()],
                },
            },
            target: object! { "Id" => "Pipeline", "Arn" => arn.clone() },
            action: ("codepipeline:StartPipelineExecution", arn),
            bounds: self.bounds,
            only_if: Some(self.source.code_commit.clone()),
        };
        scope.build("Commits", commits);
        pipeline
    }
}

/// The ARN of a delivery pipeline.
pub(crate) fn pipeline_arn(name: &Expr) -> Expr {
    Expr::sub_with(
        "arn:${AWS::Partition}:codepipeline:${AWS::Region}:${AWS::AccountId}:${name}",
        [("name", name.clone())],
    )
}

/// A rule that lets an event start something, with the role it needs.
pub struct EventTrigger {
    /// What it does.
    pub description: &'static str,
    /// Which events.
    pub pattern: Expr,
    /// What they start; the role is added.
    pub target: Expr,
    /// The action and the resource that this takes.
    pub action: (&'static str, Expr),
    /// What holds the role.
    pub bounds: Bounds,
    /// Where it exists.
    pub only_if: Option<Condition>,
}

impl Construct for EventTrigger {
    type Made = Handle<Rule>;

    fn build(self, scope: &Scope) -> Handle<Rule> {
        let role = ServiceRole {
            service: "events.amazonaws.com",
            description: self.description,
            name: None,
            bounds: self.bounds,
            guarded: true,
            statements: vec![Statement::allow("Start", [self.action.0]).on([self.action.1])],
        };
        let role = scope.build("Role", role);
        let mut target = self.target;
        if let Expr::Object(entries) = &mut target {
            entries.push(("RoleArn".into(), role.arn()));
            entries.push((
                "RetryPolicy".into(),
                object! { "MaximumRetryAttempts" => 8, "MaximumEventAgeInSeconds" => 3600 },
            ));
        }
        let rule = Rule::new().description(self.description).event_pattern(self.pattern).targets([target]);
        let rule = scope.add("Rule", rule);
        match &self.only_if {
            None => rule,
            Some(condition) => {
                let _ = role.only_if(condition);
                rule.only_if(condition)
            }
        }
    }
}

/// Passes a role to a service.
pub(crate) fn pass_role(sid: &str, roles: Vec<Expr>, service: &str) -> Statement {
    Statement::allow(sid, ["iam:PassRole"]).on(roles).when("StringEquals", "iam:PassedToService", service)
}

/// Only what this account did.
pub(crate) fn own_account(statement: Statement) -> Statement {
    statement.when("StringEquals", "aws:SourceAccount", pseudo::account())
}
