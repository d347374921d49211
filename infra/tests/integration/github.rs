//! The roles by which GitHub's workflows come into an account: who may take them, and what they may.

use std::collections::BTreeSet;

use kidu_infra::{core::Template, deploy::INSTALLATION};
use serde_json::{Value, json};

use crate::{handlers, synthesised};

fn template() -> Template {
    synthesised().stack("github").unwrap().template.clone()
}

fn role(template: &Template, path: &str) -> Value {
    template.resource_at(path).unwrap().1["Properties"].clone()
}

pub(crate) fn actions(statements: &Value, effect: &str) -> Vec<String> {
    let all = statements.as_array().unwrap().iter().filter(|s| s["Effect"] == effect);
    all.flat_map(|s| s["Action"].as_array().unwrap()).map(|a| a.as_str().unwrap().to_string()).collect()
}

/// Exactly these subjects: a pattern would let other branches, or other repositories, in.
#[test]
fn only_named_workflows_come_in() {
    let t = template();
    let provider = json!({"Fn::If": ["MakesProvider", {"Fn::GetAtt": [t.resource_at("Provider").unwrap().0, "Arn"]}, {"Ref": "ProviderArn"}]});
    let environment = |name: &str| json!({"Fn::Sub": format!("repo:${{Repository}}:environment:${{{name}}}")});
    for (path, subject) in [
        (
            "DeployRole",
            json!({"Fn::If": [
                "HasSecondEnvironment",
                [environment("Environment"), environment("SecondEnvironment")],
                [environment("Environment")],
            ]}),
        ),
        ("ReadRole", json!({"Fn::Sub": "repo:${Repository}:pull_request"})),
    ] {
        let trust = role(&t, path)["AssumeRolePolicyDocument"]["Statement"].clone();
        let expected = json!([{
            "Sid": "Assume",
            "Effect": "Allow",
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Principal": {"Federated": provider},
            "Condition": {"StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": subject,
            }},
        }]);
        assert_eq!(trust, expected, "{path}");
    }
    let (_, repository) = t.section("Parameters").find(|(name, _)| *name == "Repository").unwrap();
    assert!(repository.get("Default").is_none(), "whoever is named may deploy, so nobody is by default");
    let (_, provider) = t.resource_at("Provider").unwrap();
    assert_eq!((&provider["Condition"], &provider["DeletionPolicy"]), (&json!("MakesProvider"), &json!("Retain")));
}

#[test]
fn the_workflows_drive_change_sets_and_nothing_else() {
    let t = template();
    let deploy = role(&t, "DeployRole")["Policies"][0]["PolicyDocument"]["Statement"].clone();
    let allowed = actions(&deploy, "Allow");
    let others: Vec<&String> = allowed.iter().filter(|a| !a.starts_with("cloudformation:")).collect();
    assert_eq!(others, ["iam:PassRole", "s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"]);
    let service = json!({"Fn::GetAtt": [t.resource_at("CloudFormationRole").unwrap().0, "Arn"]});
    let change = deploy.as_array().unwrap().iter().find(|s| s["Sid"] == "Change").unwrap();
    assert_eq!(change["Condition"], json!({"StringEquals": {"cloudformation:RoleArn": service}}));
    let hand_on = deploy.as_array().unwrap().iter().find(|s| s["Sid"] == "HandOn").unwrap();
    assert_eq!(hand_on["Resource"], json!([service]));
    // Who may deploy is not decided by who deploys.
    assert!(!deploy.to_string().contains("${Foundation}-github"), "{deploy}");
    let read = role(&t, "ReadRole")["Policies"][0]["PolicyDocument"]["Statement"].clone();
    assert_eq!(actions(&read, "Allow"), ["cloudformation:DescribeStacks", "cloudformation:GetTemplate"]);
}

#[test]
fn cloudformation_cannot_give_its_own_roles_more() {
    let t = template();
    let role = role(&t, "CloudFormationRole");
    assert_eq!(
        role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"],
        json!({"Service": "cloudformation.amazonaws.com"})
    );
    let statements = &role["Policies"][0]["PolicyDocument"]["Statement"];
    let denied = statements.as_array().unwrap().iter().find(|s| s["Effect"] == "Deny").unwrap();
    assert_eq!(
        denied["Resource"],
        json!([{"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Foundation}-github-*"}])
    );
    let (allowed, denied) = (actions(statements, "Allow"), actions(statements, "Deny"));
    assert!(allowed.iter().filter(|a| a.starts_with("iam:") && *a != "iam:PassRole").all(|a| denied.contains(a)));
    let own = ["github-deploy", "github-read", "github-cloudformation"];
    for (_, role) in t.resources_of("AWS::IAM::Role") {
        let name = role["Properties"]["RoleName"]["Fn::Sub"].as_str().unwrap();
        assert!(own.iter().any(|o| name == format!("${{Foundation}}-{o}-${{AWS::Region}}")), "{name} is not protected");
    }
    // A managed policy holds 6144 characters without white space.
    for (id, policy) in t.resources_of("AWS::IAM::ManagedPolicy") {
        let text = policy["Properties"]["PolicyDocument"].to_string();
        assert!(text.chars().filter(|c| !c.is_whitespace()).count() <= 6144, "{id}");
        // Content is changed and not deleted.
        for lost in ["s3:DeleteBucket", "ecr:DeleteRepository", "kms:ScheduleKeyDeletion"] {
            assert!(!text.contains(&format!("\"{lost}\"")), "{id}: {lost}");
        }
    }
}

/// Calls of the handlers of resource types that no template of ours leads to: whole actions, or what they begin with.
const NOT_USED: [(&str, &[&str]); 10] = [
    ("budgets are not of views of bills, and nothing loses its tags", &["billing:", "sagemaker:DeleteTags"]),
    (
        "stages of a delivery are not switched off, nor deliveries started",
        &[
            "codepipeline:DisableStageTransition",
            "codepipeline:EnableStageTransition",
            "codepipeline:StartPipelineExecution",
        ],
    ),
    (
        "repositories have no policy, grants are not given back",
        &["ecr:DeleteRepositoryPolicy", "ecr:SetRepositoryPolicy", "kms:RetireGrant"],
    ),
    (
        "roles have no managed policies, and keep their boundary",
        &[
            "iam:AttachRolePolicy",
            "iam:DetachRolePolicy",
            "iam:DeleteRolePermissionsBoundary",
            "iam:UpdateRoleDescription",
            "iam:GetGroup",
            "iam:GetUser",
        ],
    ),
    (
        "a person makes and changes the boundary, which is attached to nobody",
        &[
            "iam:AttachGroupPolicy",
            "iam:AttachUserPolicy",
            "iam:CreatePolicy",
            "iam:DeletePolicy",
            "iam:DetachGroupPolicy",
            "iam:DetachUserPolicy",
        ],
    ),
    (
        "the key is there already, and stays on",
        &["kms:CreateKey", "kms:DisableKey", "kms:EnableKey", "kms:ListAliases"],
    ),
    (
        "log groups have a key and a retention only",
        &[
            "firehose:",
            "logs:DeleteIndexPolicy",
            "logs:DeleteResourcePolicy",
            "logs:DescribeIndexPolicies",
            "logs:PutBearerTokenAuthentication",
            "logs:PutDataProtectionPolicy",
            "logs:PutIndexPolicy",
            "logs:PutLogGroupDeletionProtection",
            "s3:REST.",
        ],
    ),
    (
        "buckets replicate, publish and analyse nothing, and objects are not theirs to touch",
        &[
            "s3:CreateBucketMetadata",
            "s3:DeleteBucket",
            "s3:DeleteObject",
            "s3:GetBucketMetadata",
            "s3:GetObjectVersion",
            "s3:PutAccelerate",
            "s3:PutAnalytics",
            "s3:PutBucketAbac",
            "s3:PutBucketAcl",
            "s3:PutBucketCORS",
            "s3:PutBucketObjectLock",
            "s3:PutBucketReplication",
            "s3:PutBucketWebsite",
            "s3:PutIntelligentTiering",
            "s3:PutInventory",
            "s3:PutMetrics",
            "s3:PutObject",
            "s3:PutReplication",
            "s3:UpdateBucketMetadata",
            "s3tables:",
        ],
    ),
    (
        "topics and groups of models have no such policy",
        &[
            "sns:PutDataProtectionPolicy",
            "sagemaker:DeleteModelPackageGroupPolicy",
            "sagemaker:PutModelPackageGroupPolicy",
        ],
    ),
    (
        "products are templates in the bucket",
        &[
            "cloudformation:GetTemplate",
            "codestar-connections:GetConnection",
            "codestar-connections:UseConnection",
            "servicecatalog:DisassociateServiceActionFromProvisioningArtifact",
        ],
    ),
];

#[test]
fn cloudformation_may_what_the_resource_types_ask_for() {
    let test = "cloudformation_may_what_the_resource_types_ask_for";
    let Some(python) = kidu_testing::peer_python(test, &["cfnlint", "checkov"]) else { return };
    let assembly = synthesised();
    let types = handlers::types(INSTALLATION.iter().map(|stack| &assembly.stack(stack).unwrap().template));
    let calls = handlers::calls(&python, &types, &["create", "read", "update"]);
    assert!(calls.len() > 150, "{calls:?}");
    let t = template();
    let mut allowed: BTreeSet<String> =
        actions(&role(&t, "CloudFormationRole")["Policies"][0]["PolicyDocument"]["Statement"], "Allow")
            .into_iter()
            .collect();
    for (_, policy) in t.resources_of("AWS::IAM::ManagedPolicy") {
        allowed.extend(actions(&policy["Properties"]["PolicyDocument"]["Statement"], "Allow"));
    }
    let missing = handlers::missing(&calls, &allowed, &NOT_USED);
    assert!(missing.is_empty(), "{missing:?}");
}
