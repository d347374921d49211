//! What the handlers of resource types say that they call, in CloudFormation's schemas as cfn-lint carries them; and that the role by which
//! stages are deployed may so.

use std::{collections::BTreeSet, path::Path, process::Command};

use kidu_infra::core::Template;
use serde_json::json;

use crate::{github::actions, synthesised};

const HANDLERS: &str = "
import json, sys
from cfnlint.schema.manager import ProviderSchemaManager
manager = ProviderSchemaManager()
calls = set()
for name in json.loads(sys.argv[1]):
    handlers = manager.get_resource_schema('us-east-1', name).schema.get('handlers') or {}
    for verb in json.loads(sys.argv[2]):
        calls.update(handlers.get(verb, {}).get('permissions', []))
json.dump(sorted(calls), sys.stdout)
";

/// The types of these templates' resources.
pub(crate) fn types<'a>(templates: impl IntoIterator<Item = &'a Template>) -> BTreeSet<String> {
    let kinds = |t: &Template| t.resources().map(|(_, r)| r["Type"].as_str().unwrap().to_string()).collect::<Vec<_>>();
    templates.into_iter().flat_map(kinds).collect()
}

/// What the handlers of these types call, of these verbs.
pub(crate) fn calls(python: &Path, types: &BTreeSet<String>, verbs: &[&str]) -> Vec<String> {
    let (types, verbs) = (json!(types).to_string(), json!(verbs).to_string());
    let out = Command::new(python).args(["-c", HANDLERS, &types, &verbs]).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Why calls do not matter, with whole actions or what they begin with.
pub(crate) type NotUsed = [(&'static str, &'static [&'static str])];

/// Calls that are not allowed and not among those that are not used. Nothing takes tags away.
pub(crate) fn missing<'a>(calls: &'a [String], allowed: &BTreeSet<String>, not_used: &NotUsed) -> Vec<&'a String> {
    let idle = |call: &str| {
        call.ends_with(":UntagResource") || not_used.iter().any(|(_, calls)| calls.iter().any(|c| call.starts_with(c)))
    };
    calls.iter().filter(|c| !allowed.contains(*c) && !idle(c)).collect()
}

/// Calls of those handlers that no stage leads to: whole actions, or what they begin with.
const NOT_USED: [(&str, &[&str]); 5] = [
    (
        "functions are images and Python in the template, without a network, layers, signatures or capacity of their own",
        &[
            "ec2:",
            "elasticfilesystem:",
            "lambda:AssociateRuntimeAlias",
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:DeleteProvisionedConcurrencyConfig",
            "lambda:GetCodeSigningConfig",
            "lambda:GetLayerVersion",
            "lambda:PassCapacityProvider",
            "lambda:PutFunctionCodeSigningConfig",
            "lambda:PutFunctionRecursionConfig",
            "lambda:PutFunctionScalingConfig",
            "lambda:PutProvisionedConcurrencyConfig",
            "lambda:PutRuntimeManagementConfig",
            "s3:GetObject",
            "s3:getObject",
            "s3files:",
        ],
    ),
    ("IAM knows the tags of APIs as a resource of the verbs", &["apigateway:TagResource"]),
    ("deployments are of functions", &["codedeploy:RegisterOnPremisesInstance"]),
    (
        "roles have no managed policies, and keep their boundary",
        &[
            "iam:AttachRolePolicy",
            "iam:DetachRolePolicy",
            "iam:DeleteRolePermissionsBoundary",
            "iam:UpdateRoleDescription",
        ],
    ),
    (
        "log groups have a key, a retention and metric filters only",
        &[
            "firehose:",
            "logs:DeleteDataProtectionPolicy",
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
];

#[test]
fn the_deployer_may_what_the_resource_types_of_a_stage_ask_for() {
    let test = "the_deployer_may_what_the_resource_types_of_a_stage_ask_for";
    let Some(python) = kidu_testing::peer_python(test, &["cfnlint", "checkov"]) else { return };
    let assembly = synthesised();
    let stage = types([&assembly.stack("inference").unwrap().template]);
    let calls = calls(&python, &stage, &["create", "read", "update", "delete"]);
    assert!(calls.len() > 100, "{calls:?}");
    let deploy = &assembly.stack("model-deploy").unwrap().template;
    let (_, role) = deploy.resource_at("DeployerRole").unwrap();
    let allowed = actions(&role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"], "Allow");
    let missing = missing(&calls, &allowed.into_iter().collect(), &NOT_USED);
    assert!(missing.is_empty(), "{missing:?}");
}
