//! The permissions boundary: it holds every role, it takes nothing away from what they do, and nobody gets around it.

use std::collections::BTreeSet;

use kidu_infra::core::Assembly;
use serde_json::json;

use crate::{
    policies::{Resolver, Statement, is_within, leaves},
    synthesised,
};

const ARTIFACTS: &str =
    "s3://${Foundation}-artifacts-${AWS::AccountId}-${AWS::Region}/${SageMakerProjectName}/e/train/model.tar.gz";

/// The ways in which stacks with roles are deployed: the values that their references have.
fn ways() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let connection = "arn:${AWS::Partition}:codeconnections:${AWS::Region}:${AWS::AccountId}:connection/c";
    let older = "arn:${AWS::Partition}:codestar-connections:${AWS::Region}:${AWS::AccountId}:connection/c";
    let key = "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/Key99A52DF3";
    let stage = |stack, stage| {
        let values = vec![
            ("AWS::StackName", stack),
            ("StageName", stage),
            ("ModelBinaryLocation", ARTIFACTS),
            ("KmsKeyArn", key),
        ];
        ("inference", values)
    };
    let project =
        |template, stack, connection| (template, vec![("AWS::StackName", stack), ("ConnectionArn", connection)]);
    vec![
        ("foundation", vec![("AWS::StackName", "${Foundation}-foundation")]),
        project("model-build", "${Foundation}-model-build", connection),
        project("model-build", "SC-111122223333-pp-1-ModelBuild-1", older),
        project("model-deploy", "${Foundation}-model-deploy", connection),
        project("model-deploy", "SC-111122223333-pp-1-ModelDeploy-1", older),
        stage("${SageMakerProjectName}-staging", "staging"),
        stage("${SageMakerProjectName}-production", "production"),
        ("catalog", vec![("AWS::StackName", "${Foundation}-catalog")]),
        ("github", vec![("AWS::StackName", "${Foundation}-github")]),
    ]
}

/// The boundary's statements, where projects have names of this pattern.
fn boundary(assembly: &Assembly, projects: &str) -> Vec<Statement> {
    let resolver = Resolver::new(assembly, "foundation", &[("Projects", projects)]);
    let (_, policy) = assembly.stack("foundation").unwrap().template.resource_at("Boundary").unwrap();
    resolver.statements("boundary", &policy["Properties"]["PolicyDocument"])
}

/// What roles of all stacks may.
pub(crate) fn granted(assembly: &Assembly) -> Vec<Statement> {
    let mut all = Vec::new();
    for (stack, values) in ways() {
        let resolver = Resolver::new(assembly, stack, &values);
        for (id, resource) in assembly.stack(stack).unwrap().template.resources() {
            let kind = resource["Type"].as_str().unwrap();
            let policies = match kind {
                "AWS::IAM::Role" => &resource["Properties"]["Policies"],
                "AWS::IAM::ManagedPolicy" | "AWS::IAM::Policy" if resource["Properties"].get("Roles").is_some() => {
                    &resource["Properties"]["PolicyDocument"]
                }
                _ => continue,
            };
            all.extend(resolver.statements(&format!("{stack} {id}"), policies));
        }
    }
    all
}

/// What roles are granted and a boundary does not leave them.
fn taken_away(boundary: &[Statement], granted: &[Statement]) -> Vec<String> {
    let mut out = Vec::new();
    for statement in granted.iter().filter(|s| s.allows) {
        for action in &statement.actions {
            for resource in &statement.resources {
                if !leaves(boundary, action, resource, &statement.conditions) {
                    out.push(format!("{}: {action} on {resource}", statement.place));
                }
            }
        }
    }
    out
}

#[test]
fn every_role_of_every_stack_has_it() {
    let assembly = synthesised();
    let mut roles = 0;
    for stack in &assembly.stacks {
        for (id, role) in stack.template.resources_of("AWS::IAM::Role") {
            let (name, guarded) = match stack.name.as_str() {
                // It imports nothing: the installation is a parameter that may be empty.
                "inference" => ("Installation", "InInstallation"),
                _ => ("Foundation", ""),
            };
            let by_name = json!({"Fn::Sub": format!(
                "arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/${{{name}}}-boundary-${{AWS::Region}}"
            )});
            let expected = match stack.name.as_str() {
                "foundation" => json!({"Ref": stack.template.resource_at("Boundary").unwrap().0}),
                "inference" => json!({"Fn::If": [guarded, by_name, {"Ref": "AWS::NoValue"}]}),
                _ => by_name,
            };
            assert_eq!(role["Properties"]["PermissionsBoundary"], expected, "{} {id}", stack.name);
            roles += 1;
        }
    }
    assert!(roles > 20, "{roles}");
    // What model-deploy hands to the template.
    let deploy = assembly.stack("model-deploy").unwrap().template.to_text();
    assert!(
        deploy.contains("Installation: $installation") && deploy.contains("\"FOUNDATION\""),
        "stages get no boundary"
    );
}

#[test]
fn it_takes_nothing_away_from_what_roles_do() {
    let assembly = synthesised();
    let (boundary, granted) = (boundary(&assembly, "*"), granted(&assembly));
    assert!(granted.len() > 120, "{}", granted.len());
    let missing = taken_away(&boundary, &granted);
    assert!(missing.is_empty(), "the boundary lacks\n{}", missing.join("\n"));
}

/// A list of a statement, whose parts can be taken out.
type List = fn(&mut Statement) -> Option<&mut Vec<String>>;

/// So the test above does look; and the ceiling is no higher than it has to be. Where projects may have any name, some names of
/// resources are within others: it is asked for those of one project too.
#[test]
fn each_part_of_it_is_needed_by_some_role() {
    let assembly = synthesised();
    let granted = granted(&assembly);
    let lists: [List; 3] =
        [|s| Some(&mut s.actions), |s| Some(&mut s.resources), |s| s.conditions.first_mut().map(|c| &mut c.2)];
    let mut idle: Option<BTreeSet<String>> = None;
    for projects in ["*", "${SageMakerProjectName}"] {
        let boundary = boundary(&assembly, projects);
        let before = taken_away(&boundary, &granted).len();
        let mut found = BTreeSet::new();
        for (i, statement) in boundary.iter().enumerate().filter(|(_, s)| s.allows) {
            let mut without = boundary.clone();
            without.remove(i);
            assert!(taken_away(&without, &granted).len() > before, "{} is idle", statement.place);
            for (n, list) in lists.iter().enumerate() {
                for part in 0..list(&mut statement.clone()).map_or(0, |l| l.len()) {
                    let mut without = boundary.clone();
                    let text = list(&mut without[i]).unwrap().remove(part);
                    if taken_away(&without, &granted).len() == before {
                        found.insert(format!(
                            "{} {n}.{part}: {}",
                            statement.place,
                            text.replace("${SageMakerProjectName}", "*")
                        ));
                    }
                }
            }
        }
        idle = Some(idle.map_or(found.clone(), |before| before.intersection(&found).cloned().collect()));
    }
    let idle: Vec<String> = idle.unwrap_or_default().into_iter().collect();
    assert!(idle.is_empty(), "no role needs\n{}", idle.join("\n"));
}

/// What a deployer could write into a policy, and what is left of it.
#[test]
fn a_policy_with_everything_gives_no_more_than_it() {
    let assembly = synthesised();
    let boundary = boundary(&assembly, "*");
    let account = |service: &str, rest: &str| {
        format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")
    };
    let iam = |rest: &str| format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{rest}");
    let own = iam("policy/${Foundation}-boundary-${AWS::Region}");
    let under = |key: &str, value: &str| vec![("StringEquals".to_string(), key.to_string(), vec![value.to_string()])];
    let within = under("iam:PermissionsBoundary", &own);
    let role = iam("role/${Foundation}/${Foundation}-model-build-Role-1");
    assert!(leaves(&boundary, "iam:PutRolePolicy", &role, &within));
    let github = iam("role/${Foundation}-github-cloudformation-${AWS::Region}");
    let bucket = "arn:${AWS::Partition}:s3:::${Foundation}-raw-${AWS::AccountId}-${AWS::Region}";
    let refused = [
        // Roles without the boundary, or with another.
        ("iam:CreateRole", role.clone(), vec![]),
        ("iam:PutRolePolicy", role.clone(), under("iam:PermissionsBoundary", &iam("policy/other"))),
        ("iam:PutRolePermissionsBoundary", role.clone(), under("iam:PermissionsBoundary", &iam("policy/other"))),
        ("iam:DeleteRolePermissionsBoundary", role.clone(), within.clone()),
        ("iam:AttachRolePolicy", role.clone(), within.clone()),
        // The boundary itself.
        ("iam:CreatePolicyVersion", own.clone(), vec![]),
        ("iam:SetDefaultPolicyVersion", own.clone(), vec![]),
        ("iam:DeletePolicyVersion", own.clone(), vec![]),
        ("iam:DeletePolicy", own, vec![]),
        ("iam:CreatePolicy", iam("policy/other"), vec![]),
        // Those who deploy, and others of the account.
        ("iam:PutRolePolicy", github.clone(), within.clone()),
        ("iam:UpdateAssumeRolePolicy", github, vec![]),
        ("iam:UpdateAssumeRolePolicy", iam("role/Admin"), vec![]),
        ("iam:UpdateAssumeRolePolicy", iam("role/${Foundation}-admin"), vec![]),
        ("iam:PutRolePolicy", iam("role/Admin"), within),
        ("iam:PassRole", iam("role/Admin"), under("iam:PassedToService", "lambda.amazonaws.com")),
        ("iam:PassRole", role, under("iam:PassedToService", "ec2.amazonaws.com")),
        ("iam:CreateUser", iam("user/u"), vec![]),
        ("iam:CreateAccessKey", iam("user/u"), vec![]),
        ("sts:AssumeRole", iam("role/Admin"), vec![]),
        // What runs with the rights of others, and data that is not the installation's.
        ("lambda:UpdateFunctionCode", account("lambda", "function:billing"), vec![]),
        ("codebuild:UpdateProject", account("codebuild", "project/billing"), vec![]),
        ("s3:GetObject", "arn:${AWS::Partition}:s3:::payroll/a".into(), vec![]),
        ("kms:Decrypt", account("kms", "key/other"), vec![]),
        ("ec2:RunInstances", account("ec2", "instance/*"), vec![]),
        ("organizations:LeaveOrganization", "*".into(), vec![]),
        // Content.
        ("s3:DeleteBucket", bucket.into(), vec![]),
        ("kms:ScheduleKeyDeletion", account("kms", "key/Key99A52DF3"), vec![]),
    ];
    for (action, resource, conditions) in refused {
        assert!(!leaves(&boundary, action, &resource, &conditions), "it leaves {action} on {resource}");
    }
}

#[test]
fn patterns_are_compared_as_iam_does() {
    for (text, pattern, expected) in [
        ("s3:GetObject", "s3:*", true),
        ("s3:GetObject", "s3:Get*ect", true),
        ("s3:GetObject", "s3:Put*", false),
        ("a/*/b", "a/*", true),
        ("a/*", "a/*/b", false),
        ("a", "a", true),
        ("ab", "a", false),
        ("abc", "*b*c", true),
        ("ab", "ab*b", false),
        ("*", "*", true),
        ("*", "arn:*", false),
    ] {
        assert_eq!(is_within(text, pattern), expected, "{text} in {pattern}");
    }
}
