//! The permissions boundary: the most that any role of an installation may, whatever its policies say.
//!
//! Who deploys writes roles and their policies. A role that has this boundary can be given nothing beyond it, and the roles that
//! deploy may write only roles that have it; nobody among them changes the boundary itself. It is a ceiling and grants nothing, so
//! services stand in it with all their actions, on what bears the installation's or a project's names. A test holds the policies of
//! all roles to it.

use super::{manage::arn, names::template};
use crate::{
    aws::{Key, ManagedPolicy},
    constructs::{Bounds, CHANGE_ROLES, KEEP_ROLES},
    core::{Expr, Handle, Parameter, PolicyDocument, Stack, Statement},
};

/// The parameter that names the installation, here and in every stack but `inference`.
const INSTALLATION: &str = "Foundation";

/// The tag of the templates that the service catalog keeps, in buckets of its own.
pub(super) const PROVISIONING_TAG: &str = "s3:ExistingObjectTag/servicecatalog:provisioning";

/// Services that roles are handed to.
const PASSED_TO: [&str; 10] = [
    "cloudformation.amazonaws.com",
    "codebuild.amazonaws.com",
    "codedeploy.amazonaws.com",
    "codepipeline.amazonaws.com",
    "events.amazonaws.com",
    "lambda.amazonaws.com",
    "sagemaker.amazonaws.com",
    "scheduler.amazonaws.com",
    "servicecatalog.amazonaws.com",
    "states.amazonaws.com",
];

/// Whole services, and what is done with roles without a condition, on the resources of [`resources`].
const SERVICES: [&str; 29] = [
    "apigateway:*",
    "budgets:*",
    "cloudformation:*",
    "cloudwatch:*",
    "codebuild:*",
    "codecommit:*UploadArchive*",
    "codecommit:Get*",
    "codeconnections:*Connection",
    "codedeploy:*",
    "codepipeline:*",
    "codestar-connections:*Connection",
    "ecr:*",
    "events:*",
    "iam:DeleteRole",
    "iam:GetPolicy*",
    "iam:GetRole*",
    "iam:List*Polic*",
    "iam:TagRole",
    "iam:UntagRole",
    "iam:Update*Role*",
    "kms:*",
    "lambda:*",
    "logs:*",
    "s3:*",
    "sagemaker:*",
    "scheduler:*",
    "servicecatalog:*",
    "sns:*",
    "states:*",
];

/// What knows no resources.
const ON_EVERYTHING: [&str; 13] = [
    "cloudformation:ValidateTemplate",
    "cloudwatch:PutMetricData",
    "codedeploy:StopDeployment",
    "ecr:GetAuthorizationToken",
    "logs:*LogDeliver*",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:PutResourcePolicy",
    "servicecatalog:*Constraint",
    "servicecatalog:*Product*Portfolio",
    "sns:*SubscriptionAttributes",
    "sns:Unsubscribe",
    "xray:Put*",
];

/// Adds the policy.
pub(super) fn add(stack: &Stack, key: &Handle<Key>) -> Handle<ManagedPolicy> {
    stack.parameter(
        "Projects",
        Parameter::text("Which names projects may have, as in kidu*: roles of the installation reach no others")
            .default("*")
            .pattern("^[a-z*][a-z0-9*-]{0,20}$", "lower-case letters, digits, hyphens and *, at most 21")
            .in_group("Installation"),
    );
    // Another description or name would be another policy.
    let policy = ManagedPolicy::new()
        .managed_policy_name(Expr::sub(template::boundary(INSTALLATION)))
        .description("Kidu: the most that any role of the installation may")
        .policy_document(document(key));
    let ceiling = "it is a boundary, attached to nobody: it takes away from what roles are given and grants nothing";
    ["CKV_AWS_107", "CKV_AWS_108", "CKV_AWS_109", "CKV_AWS_110", "CKV_AWS_111"]
        .iter()
        .fold(stack.add("Boundary", policy), |policy, check| policy.accept_finding(check, ceiling))
}

/// What holds the roles of an installation's other stacks. Those that CloudFormation names lie below the installation's path.
pub(super) fn bounds() -> Bounds {
    Bounds::by(arn_of_policy()).below(Expr::sub(format!("/${{{INSTALLATION}}}/")))
}

/// The policy's ARN.
pub(super) fn arn_of_policy() -> Expr {
    Expr::sub(template::boundary_arn(INSTALLATION))
}

/// The roles of the installation: the named ones of this region, and those below its path.
fn roles() -> [Expr; 2] {
    [template::role_arn("*"), template::role_below("")].map(Expr::sub)
}

/// GitHub's roles, which nobody but a person changes.
pub(super) fn roles_of_github() -> Expr {
    Expr::sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Foundation}-github-*")
}

/// Making, changing and removing these roles, each within the boundary.
pub(super) fn manage_roles(roles: &[Expr]) -> [Statement; 2] {
    [
        Statement::allow("Roles", KEEP_ROLES).on(roles),
        Statement::allow("RolesWithin", CHANGE_ROLES).on(roles).when(
            "StringEquals",
            "iam:PermissionsBoundary",
            arn_of_policy(),
        ),
    ]
}

fn document(key: &Handle<Key>) -> PolicyDocument {
    let [_, changed] = manage_roles(&roles());
    let writes = ["Create", "Delete", "Put", "Tag", "Untag", "Update"].map(|verb| format!("iam:{verb}*"));
    PolicyDocument::new([
        Statement::allow("Use", SERVICES).on(resources(key)),
        Statement::allow("Any", ON_EVERYTHING).on_everything(),
        changed,
        Statement::allow("Launch", ["s3:GetObject"]).on_everything().when("StringEquals", PROVISIONING_TAG, "true"),
        Statement::allow("HandOn", ["iam:PassRole"]).on(roles()).when("StringEquals", "iam:PassedToService", PASSED_TO),
        // Said although nothing above allows it: what is added here later must not either.
        Statement::deny(
            "Boundary",
            [
                "iam:CreatePolicy*",
                "iam:DeletePolicy*",
                "iam:DeleteRolePermissionsBoundary",
                "iam:SetDefaultPolicyVersion",
            ],
        )
        .on_everything(),
        Statement::deny("GitHub", writes).on([roles_of_github()]),
        // Content is changed and not deleted.
        Statement::deny(
            "Content",
            ["ecr:DeleteRepository", "kms:DisableKey", "kms:ScheduleKeyDeletion", "s3:DeleteBucket"],
        )
        .on_everything(),
    ])
}

/// What bears the installation's names, or those of its projects.
fn resources(key: &Handle<Key>) -> Vec<Expr> {
    let api = |rest: &str| Expr::sub(format!("arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}::/{rest}"));
    let account =
        |service: &str, rest: &str| Expr::sub(format!("arn:${{AWS::Partition}}:{service}::${{AWS::AccountId}}:{rest}"));
    let bucket = format!("arn:${{AWS::Partition}}:s3:::{}", template::bucket("*"));
    let mut all = vec![key.arn(), Expr::sub(&*bucket), Expr::sub(format!("{bucket}/*")), arn_of_policy()];
    all.extend(roles());
    for (service, names) in NAMES {
        all.extend(names.iter().map(|name| arn(service, name)));
    }
    all.extend(["apis*", "tags/*"].map(api));
    all.push(account("budgets", "budget/${Projects}-${AWS::Region}"));
    all.push(account("cloudwatch", "dashboard/${Projects}-*"));
    all
}

/// Resources of this account and region, by service. Stacks of the service catalog begin with `SC-`. Names are narrowest where code
/// runs with the rights of a role.
const NAMES: [(&str, &[&str]); 18] = [
    ("catalog", &["*"]),
    (
        "cloudformation",
        &["stack/${Foundation}-*", "stack/SC-*", "stack/${Projects}-staging/*", "stack/${Projects}-production/*"],
    ),
    ("cloudwatch", &["alarm:*"]),
    (
        "codebuild",
        &[
            "project/${Projects}-job-image",
            "project/${Projects}-robustness",
            "project/${Projects}-start-build",
            "project/${Projects}-templates",
        ],
    ),
    ("codecommit", &["*"]),
    ("codeconnections", &["connection/*"]),
    ("codedeploy", &["*:${Projects}-*", "deploymentconfig:CodeDeployDefault.*"]),
    ("codepipeline", &["${Projects}-model-*"]),
    ("codestar-connections", &["connection/*"]),
    ("ecr", &["repository/${Foundation}/*"]),
    ("events", &["rule/${Foundation}-*", "rule/SC-*"]),
    ("kms", &["alias/${Foundation}"]),
    (
        "lambda",
        &["function:${Projects}-staging*", "function:${Projects}-production*", "function:CodeDeployHook_${Projects}-*"],
    ),
    (
        "logs",
        &[
            "log-group:/aws/*/${Projects}*",
            "log-group:/aws/lambda/CodeDeployHook_${Projects}*",
            "log-group:/aws/sagemaker/*",
        ],
    ),
    ("sagemaker", &["*-job/pipelines-*", "model-package*/${Projects}*", "pipeline/${Projects}-build"]),
    ("scheduler", &["schedule/default/${Projects}-annotations"]),
    ("sns", &["${Foundation}-*"]),
    ("states", &["stateMachine:${Projects}-annotations"]),
];
