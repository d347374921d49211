//! The role by which CloudFormation makes, changes and removes what the stacks of an installation hold.
//!
//! The foundation's key is there before this role is, so it makes none; what holds content it can change and not delete.

use super::super::{Foundation, boundary, manage, names::template};
use crate::{
    aws::{ManagedPolicy, Role},
    constructs::{CHANGE_ROLES, KEEP_ROLES, READ_BOUNDARY, pass_role},
    core::{Expr, Handle, PolicyDocument, Stack, Statement, object},
};

/// Adds the role.
pub(super) fn role(stack: &Stack, foundation: &Foundation) -> Handle<Role> {
    let named = Expr::sub(template::role_arn("*"));
    let mut statements = manage::project("${Foundation}-", Some(named), foundation);
    // It must not give itself or the workflows' roles more.
    let all = KEEP_ROLES.iter().chain(&CHANGE_ROLES).copied();
    statements.push(Statement::deny("NotGitHub", all).on([boundary::roles_of_github()]));
    let role = boundary::bounds()
        .hold(Role::new(), Some(Expr::sub(template::role("github-cloudformation"))))
        .description("CloudFormation makes the stacks with it")
        .assume_role_policy_document(PolicyDocument::trust("cloudformation.amazonaws.com", true))
        .policies([object! { "PolicyName" => "project", "PolicyDocument" => PolicyDocument::new(statements) }]);
    let role = stack.add("CloudFormationRole", role);
    policy(stack, &role, "Foundation", "What the stack foundation holds", self::foundation(foundation));
    policy(stack, &role, "Catalog", "What the stack catalog holds", catalog(foundation));
    role
}

fn policy(stack: &Stack, role: &Handle<Role>, id: &str, description: &str, statements: Vec<Statement>) {
    let policy =
        ManagedPolicy::new().description(description).policy_document(PolicyDocument::new(statements)).roles([role]);
    stack.scope().child("CloudFormationPolicies").add(id, policy);
}

fn foundation(foundation: &Foundation) -> Vec<Statement> {
    let buckets = ["logs", "raw", "annotations", "artifacts", "deliveries"]
        .map(|kind| Expr::sub(format!("arn:${{AWS::Partition}}:s3:::{}", template::bucket(kind))));
    vec![
        Statement::allow(
            "Buckets",
            [
                "s3:CreateBucket",
                "s3:GetAccelerateConfiguration",
                "s3:GetAnalyticsConfiguration",
                "s3:GetBucketAbac",
                "s3:GetBucketAcl",
                "s3:GetBucketCORS",
                "s3:GetBucketLogging",
                "s3:GetBucketNotification",
                "s3:GetBucketObjectLockConfiguration",
                "s3:GetBucketOwnershipControls",
                "s3:GetBucketPolicy",
                "s3:GetBucketPublicAccessBlock",
                "s3:GetBucketTagging",
                "s3:GetBucketVersioning",
                "s3:GetBucketWebsite",
                "s3:GetEncryptionConfiguration",
                "s3:GetIntelligentTieringConfiguration",
                "s3:GetInventoryConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetMetricsConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
                "s3:ListTagsForResource",
                "s3:PutBucketLogging",
                "s3:PutBucketNotification",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
                "s3:TagResource",
            ],
        )
        .on(buckets),
        Statement::allow(
            "Repositories",
            [
                "ecr:CreateRepository",
                "ecr:DeleteLifecyclePolicy",
                "ecr:DescribeRepositories",
                "ecr:GetLifecyclePolicy",
                "ecr:GetRepositoryPolicy",
                "ecr:ListTagsForResource",
                "ecr:PutImageScanningConfiguration",
                "ecr:PutImageTagMutability",
                "ecr:PutLifecyclePolicy",
                "ecr:TagResource",
            ],
        )
        .on([manage::arn("ecr", "repository/${Foundation}/*")]),
        Statement::allow(
            "Key",
            [
                "kms:CreateAlias",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DeleteAlias",
                "kms:DescribeKey",
                "kms:EnableKeyRotation",
                "kms:GenerateDataKey",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListResourceTags",
                "kms:PutKeyPolicy",
                "kms:TagResource",
                "kms:UpdateAlias",
                "kms:UpdateKeyDescription",
            ],
        )
        .on([Expr::from(&foundation.key_arn), manage::arn("kms", "alias/${Foundation}")]),
        Statement::allow(
            "Alerts",
            [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetDataProtectionPolicy",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
                "sns:TagResource",
            ],
        )
        .on([manage::arn("sns", "${Foundation}-*")]),
        // It looks at the boundary and cannot change it.
        Statement::allow("Boundary", READ_BOUNDARY).on([boundary::arn_of_policy()]),
        // They know no resources.
        Statement::allow(
            "Subscriptions",
            ["sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"],
        )
        .on_everything(),
    ]
}

fn catalog(foundation: &Foundation) -> Vec<Statement> {
    // Portfolios and products are known by ids that AWS gives.
    let [portfolios, products] = ["portfolio/*", "product/*"].map(|rest| manage::arn("catalog", rest));
    let launch = Expr::sub(template::role_arn("launch"));
    let templates = Expr::sub_with(
        "arn:${AWS::Partition}:s3:::${bucket}/*.template.json",
        [("bucket", Expr::from(&foundation.artifacts_bucket))],
    );
    vec![
        Statement::allow(
            "Portfolio",
            [
                "servicecatalog:AssociatePrincipalWithPortfolio",
                "servicecatalog:CreatePortfolio",
                "servicecatalog:DeletePortfolio",
                "servicecatalog:DescribePortfolio",
                "servicecatalog:DisassociatePrincipalFromPortfolio",
                "servicecatalog:ListPrincipalsForPortfolio",
                "servicecatalog:ListTagsForResource",
                "servicecatalog:TagResource",
                "servicecatalog:UpdatePortfolio",
            ],
        )
        .on([portfolios]),
        Statement::allow(
            "Product",
            [
                "servicecatalog:CreateConstraint",
                "servicecatalog:CreateProduct",
                "servicecatalog:CreateProvisioningArtifact",
                "servicecatalog:DeleteProduct",
                "servicecatalog:DeleteProvisioningArtifact",
                "servicecatalog:DescribeProductAsAdmin",
                "servicecatalog:DescribeProvisioningArtifact",
                "servicecatalog:ListPortfoliosForProduct",
                "servicecatalog:ListProvisioningArtifacts",
                "servicecatalog:ListServiceActionsForProvisioningArtifact",
                "servicecatalog:ListTagsForResource",
                "servicecatalog:TagResource",
                "servicecatalog:UntagResource",
                "servicecatalog:UpdateProduct",
                "servicecatalog:UpdateProvisioningArtifact",
            ],
        )
        .on([products]),
        // They know no resources.
        Statement::allow(
            "Offer",
            [
                "cloudformation:ValidateTemplate",
                "servicecatalog:AssociateProductWithPortfolio",
                "servicecatalog:DeleteConstraint",
                "servicecatalog:DescribeConstraint",
                "servicecatalog:DisassociateProductFromPortfolio",
                "servicecatalog:UpdateConstraint",
            ],
        )
        .on_everything(),
        pass_role("Launch", vec![launch], "servicecatalog.amazonaws.com"),
        Statement::allow("Templates", ["s3:GetObject"]).on([templates]),
    ]
}
