//! The foundation in an emulated account (moto), each resource asked for by its own API: moto's CloudFormation answers
//! CREATE_COMPLETE for what it skips, as it does bucket policies and versioning. What it makes has the names that the definition of the
//! pipeline expects.

use std::process::Command;

use kidu_infra::Settings;
use serde_json::Value;

const CREATE: &str = r#"
import ast, json, os, sys
os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="eu-central-1")
import boto3
from moto import mock_aws
with mock_aws():
    client = boto3.client
    cfn, s3, iam, ecr, kms = (client(n) for n in ("cloudformation", "s3", "iam", "ecr", "kms"))
    cfn.create_stack(StackName="kidu-foundation", TemplateBody=open(sys.argv[1]).read(), Capabilities=["CAPABILITY_NAMED_IAM"])
    def bucket(name):
        rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
        return rule["ApplyServerSideEncryptionByDefault"]
    def role(name):
        # moto writes Python into policies where it should write JSON.
        policy = iam.get_role_policy(RoleName=name, PolicyName="permissions")["PolicyDocument"]
        return ast.literal_eval(policy) if isinstance(policy, str) else policy
    json.dump({
        "account": client("sts").get_caller_identity()["Account"],
        "buckets": {b["Name"]: bucket(b["Name"]) for b in s3.list_buckets()["Buckets"]},
        "roles": {r["Arn"]: role(r["RoleName"]) for r in iam.list_roles()["Roles"]},
        "repositories": {r["repositoryUri"]: r["imageTagMutability"] for r in ecr.describe_repositories()["repositories"]},
        "keys": [k["KeyArn"] for k in kms.list_keys()["Keys"]],
        "exports": {e["Name"]: e["Value"] for e in cfn.list_exports()["Exports"]},
    }, sys.stdout)
"#;

#[test]
fn the_foundation_stands_under_the_names_that_the_definition_expects() {
    let test = "the_foundation_stands_under_the_names_that_the_definition_expects";
    let Some(python) = kidu_testing::peer_python(test, &["moto", "boto3", "cfnlint"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("template.json");
    std::fs::write(&file, crate::synthesised().stack("foundation").unwrap().template.to_text()).unwrap();
    let out = Command::new(python).args(["-W", "ignore", "-c", CREATE]).arg(&file).output().unwrap();
    let made: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let key = made["keys"][0].as_str().unwrap();
    assert_eq!(made["exports"]["kidu-KeyArn"], key);
    let buckets = made["buckets"].as_object().unwrap();
    assert_eq!(buckets.len(), 5);
    for (name, encryption) in buckets {
        let logs = name.starts_with("kidu-logs-");
        assert_eq!(encryption["SSEAlgorithm"], if logs { "AES256" } else { "aws:kms" }, "{name}");
        assert!(logs || encryption["KMSMasterKeyID"] == key, "{name}: {encryption}");
    }
    let settings = Settings {
        account: made["account"].as_str().map(String::from),
        region: Some("eu-central-1".into()),
        image_tag: Some("v1".into()),
        ..Settings::default()
    };
    let definition = kidu_infra::synth(&settings).unwrap().documents["pipeline-definition.json"].clone();
    let text = definition.to_string();
    let artifacts = made["exports"]["kidu-ArtifactsBucket"].as_str().unwrap();
    let raw = made["exports"]["kidu-RawBucket"].as_str().unwrap();
    assert!(buckets.contains_key(artifacts) && text.contains(&format!("s3://{artifacts}/kidu")), "{artifacts}");
    assert!(buckets.contains_key(raw) && text.contains(&format!("s3://{raw}/dataset/")), "{raw}");
    let roles = made["roles"].as_object().unwrap();
    let steps = definition["Steps"].as_array().unwrap();
    for step in steps.iter().filter(|s| s["Arguments"]["RoleArn"].is_string()) {
        let role = step["Arguments"]["RoleArn"].as_str().unwrap();
        assert!(roles.contains_key(role), "{role} is not among {:?}", roles.keys());
        let image = step["Arguments"].pointer("/AppSpecification/ImageUri");
        let image = image.or_else(|| step["Arguments"].pointer("/AlgorithmSpecification/TrainingImage")).unwrap();
        let repository = image.as_str().unwrap().trim_end_matches(":v1");
        assert_eq!(made["repositories"][repository], "IMMUTABLE", "{repository}");
    }
    // The pipeline hands on exactly the roles that the definition names.
    let pipeline = made["exports"]["kidu-PipelineRoleArn"].as_str().unwrap();
    let statements = roles[pipeline]["Statement"].as_array().unwrap();
    let passed =
        statements.iter().find(|s| s["Action"].as_array().unwrap().iter().any(|a| a == "iam:PassRole")).unwrap();
    let mut passed: Vec<&str> = passed["Resource"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    let mut named: Vec<&str> = steps.iter().filter_map(|s| s["Arguments"]["RoleArn"].as_str()).collect();
    passed.sort_unstable();
    named.sort_unstable();
    assert_eq!(passed, named);
}
