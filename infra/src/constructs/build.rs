//! Builds that a delivery pipeline runs.

use super::{Bounds, Logs, ServiceRole};
use crate::{
    aws::{BuildProject, LogGroup},
    core::{Construct, Expr, Handle, Scope, Statement, object},
};

/// The machine of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute {
    /// 2 cores, for commands.
    Small,
    /// 8 cores with a Docker daemon, for images.
    Docker,
}

/// A CodeBuild project of a delivery pipeline with its role and its logs.
pub struct BuildStep {
    /// What it does.
    pub description: &'static str,
    /// The project's name.
    pub name: Expr,
    /// The machine.
    pub compute: Compute,
    /// The image it runs in, from a repository of the account; without one, AWS's own.
    pub image: Option<Expr>,
    /// The commands: phases of a build specification by name.
    pub phases: Vec<(&'static str, Vec<&'static str>)>,
    /// Files handed on, relative to the source.
    pub files: Vec<&'static str>,
    /// Environment variables.
    pub variables: Vec<(&'static str, Expr)>,
    /// What it may do beside logging and reading and writing the pipeline's artifacts.
    pub statements: Vec<Statement>,
    /// What holds its role.
    pub bounds: Bounds,
    /// The key.
    pub key_arn: Expr,
    /// The bucket of the pipeline's artifacts.
    pub deliveries_bucket: Expr,
    /// The longest it may take, in minutes.
    pub minutes: i32,
}

impl Construct for BuildStep {
    type Made = Handle<BuildProject>;

    fn build(self, scope: &Scope) -> Handle<BuildProject> {
        let logs = scope.build(
            "Logs",
            Logs {
                name: Expr::join("", [Expr::from("/aws/codebuild/"), self.name.clone()]),
                key_arn: self.key_arn.clone(),
                days: 90.into(),
            },
        );
        let role = ServiceRole {
            service: "codebuild.amazonaws.com",
            description: self.description,
            name: None,
            bounds: self.bounds.clone(),
            guarded: true,
            statements: self.permissions(&logs),
        };
        let role = scope.build("Role", role);
        let variable = |(name, value): &(&str, Expr)| object! { "Name" => *name, "Value" => value };
        let project = BuildProject::new()
            .name(self.name.clone())
            .description(self.description)
            .service_role(role.arn())
            .encryption_key(self.key_arn.clone())
            .artifacts(object! { "Type" => "CODEPIPELINE" })
            .source(object! { "Type" => "CODEPIPELINE", "BuildSpec" => self.specification() })
            .environment(object! {
                "Type" => "LINUX_CONTAINER",
                "ComputeType" => if self.compute == Compute::Docker { "BUILD_GENERAL1_LARGE" } else { "BUILD_GENERAL1_SMALL" },
                "Image" => self.image.clone().unwrap_or_else(|| "aws/codebuild/amazonlinux-x86_64-standard:5.0".into()),
                "ImagePullCredentialsType" => if self.image.is_some() { "SERVICE_ROLE" } else { "CODEBUILD" },
                "PrivilegedMode" => self.compute == Compute::Docker,
                "EnvironmentVariables" => self.variables.iter().map(variable).collect::<Vec<_>>(),
            })
            .logs_config(object! {
                "CloudWatchLogs" => object! { "Status" => "ENABLED", "GroupName" => &logs },
            })
            .timeout_in_minutes(self.minutes)
            .queued_timeout_in_minutes(60);
        let project = scope.add("Project", project);
        match self.compute {
            Compute::Small => project,
            Compute::Docker => project.accept_finding(
                "CKV_AWS_316",
                "building an image needs the Docker daemon, which needs privileged mode",
            ),
        }
    }
}

impl BuildStep {
    fn permissions(&self, logs: &Handle<LogGroup>) -> Vec<Statement> {
        let objects =
            Expr::sub_with("arn:${AWS::Partition}:s3:::${bucket}/*", [("bucket", self.deliveries_bucket.clone())]);
        let mut statements = vec![
            Statement::allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"]).on([logs.arn()]),
            Statement::allow("Artifacts", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]).on([objects]),
            Statement::allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"]).on([self.key_arn.clone()]),
        ];
        statements.extend(self.statements.iter().cloned());
        statements
    }

    /// The build specification, as JSON, which is YAML.
    fn specification(&self) -> String {
        let phase = |(name, commands): &(&'static str, Vec<&'static str>)| {
            // The first failing command ends the phase, and a failing phase the build.
            let commands = serde_json::json!({"commands": commands, "on-failure": "ABORT"});
            ((*name).to_string(), commands)
        };
        let phases: serde_json::Map<_, _> = self.phases.iter().map(phase).collect();
        let mut out = serde_json::json!({"version": "0.2", "env": {"shell": "bash"}, "phases": phases});
        if !self.files.is_empty() {
            out["artifacts"] = serde_json::json!({"files": self.files, "discard-paths": "yes"});
        }
        format!("{out:#}")
    }
}
