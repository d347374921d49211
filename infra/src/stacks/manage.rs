//! What it takes to make the stacks: what the roles that deploy have in common.

use super::{Foundation, boundary, names::template};
use crate::core::{Expr, Statement};

/// An ARN of this account and region.
pub(super) fn arn(service: &str, rest: &str) -> Expr {
    Expr::sub(format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"))
}

/// The builds of a project, by the ends of their names.
const BUILDS: [&str; 4] = ["job-image", "robustness", "start-build", "templates"];

/// Making, changing and removing the parts of a project: `model-build`, `model-deploy` and `monitoring`. What CloudFormation names
/// itself begins with the stack's name, and so with `prefix`; `named` are roles that have names of their own. The actions are those
/// that the resource types' own schemas ask for; the service catalog and Studio give tags to all of a project.
pub(super) fn project(prefix: &str, named: Option<Expr>, foundation: &Foundation) -> Vec<Statement> {
    let unnamed = Expr::sub(template::role_below(prefix));
    let roles: Vec<Expr> = [unnamed.clone()].into_iter().chain(named).collect();
    let [kept, changed] = boundary::manage_roles(&roles);
    vec![
        kept,
        changed,
        Statement::allow("HandOn", ["iam:PassRole"]).on([unnamed, Expr::from(&foundation.pipeline_role_arn)]).when(
            "StringEquals",
            "iam:PassedToService",
            [
                "codebuild.amazonaws.com",
                "codepipeline.amazonaws.com",
                "events.amazonaws.com",
                "sagemaker.amazonaws.com",
                "scheduler.amazonaws.com",
                "states.amazonaws.com",
                "cloudformation.amazonaws.com",
            ],
        ),
        Statement::allow(
            "Builds",
            [
                "codebuild:CreateProject",
                "codebuild:DeleteProject",
                "codebuild:UpdateProject",
                "codebuild:BatchGetProjects",
            ],
        )
        .on(BUILDS.map(|name| arn("codebuild", &format!("project/*-{name}")))),
        Statement::allow(
            "Deliveries",
            [
                "codepipeline:CreatePipeline",
                "codepipeline:DeletePipeline",
                "codepipeline:GetPipeline",
                "codepipeline:GetPipelineState",
                "codepipeline:ListTagsForResource",
                "codepipeline:TagResource",
                "codepipeline:UpdatePipeline",
            ],
        )
        .on([arn("codepipeline", "*-model-build"), arn("codepipeline", "*-model-deploy")]),
        Statement::allow("Connection", ["codeconnections:PassConnection", "codestar-connections:PassConnection"])
            .on([arn("codeconnections", "connection/*"), arn("codestar-connections", "connection/*")]),
        Statement::allow(
            "Rules",
            [
                "events:DeleteRule",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
            ],
        )
        .on([arn("events", &format!("rule/{prefix}*"))]),
        Statement::allow(
            "Schedules",
            [
                "scheduler:CreateSchedule",
                "scheduler:DeleteSchedule",
                "scheduler:GetSchedule",
                "scheduler:UpdateSchedule",
            ],
        )
        .on([arn("scheduler", "schedule/default/*-annotations")]),
        Statement::allow(
            "StateMachines",
            [
                "states:CreateStateMachine",
                "states:DeleteStateMachine",
                "states:DescribeStateMachine",
                "states:ListTagsForResource",
                "states:ListStateMachineVersions",
                "states:TagResource",
                "states:UpdateStateMachine",
            ],
        )
        .on([arn("states", "stateMachine:*-annotations")]),
        Statement::allow(
            "SageMaker",
            [
                "sagemaker:AddTags",
                "sagemaker:CreateModelPackageGroup",
                "sagemaker:CreatePipeline",
                // When making the stack fails. SageMaker refuses it for a group that has versions.
                "sagemaker:DeleteModelPackageGroup",
                "sagemaker:DeletePipeline",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:DescribePipeline",
                "sagemaker:GetModelPackageGroupPolicy",
                "sagemaker:ListTags",
                "sagemaker:UpdatePipeline",
            ],
        )
        .on([arn("sagemaker", "model-package-group/*"), arn("sagemaker", "pipeline/*-build")]),
        Statement::allow(
            "Logs",
            [
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:DisassociateKmsKey",
                "logs:GetDataProtectionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
            ],
        )
        .on([arn("logs", "log-group:/aws/codebuild/*"), arn("logs", "log-group:/aws/vendedlogs/states/*")]),
        // Deliveries of the state machine's logs know no resources.
        Statement::allow(
            "LogDeliveries",
            [
                "logs:CreateLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:PutResourcePolicy",
            ],
        )
        .on_everything(),
        Statement::allow(
            "Alarms",
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
            ],
        )
        .on([arn("cloudwatch", &format!("alarm:{prefix}*"))]),
        Statement::allow(
            "Budgets",
            ["budgets:ListTagsForResource", "budgets:ModifyBudget", "budgets:TagResource", "budgets:ViewBudget"],
        )
        .on([Expr::sub("arn:${AWS::Partition}:budgets::${AWS::AccountId}:budget/*-${AWS::Region}")]),
        Statement::allow("Key", ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"]).on([&foundation.key_arn]),
    ]
}
