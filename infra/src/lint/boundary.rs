//! The permissions boundary: no role without one, and no way around it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Report,
    iam::{statements, texts},
};
use crate::core::{Template, type_of};

/// What decides what a role may, and can be asked for a boundary.
const WRITES: [&str; 6] = [
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
];
/// What takes a boundary away, or makes it another one.
const REMOVES: [&str; 5] = [
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy",
    "iam:DeleteRolePermissionsBoundary",
    "iam:SetDefaultPolicyVersion",
];
const RULE: &str = "IAM boundary";

/// The policies of a template that its roles have as their boundary.
pub(super) fn boundaries(template: &Template) -> BTreeSet<String> {
    template
        .resources_of("AWS::IAM::Role")
        .filter_map(|(_, role)| role.pointer("/Properties/PermissionsBoundary/Ref").and_then(Value::as_str))
        .filter(|id| template.resources_of("AWS::IAM::ManagedPolicy").any(|(policy, _)| policy == *id))
        .map(str::to_string)
        .collect()
}

pub(super) fn check(template: &Template, report: &mut Report<'_>) {
    let boundaries = boundaries(template);
    for (id, role) in template.resources_of("AWS::IAM::Role") {
        let properties = &role["Properties"];
        if properties.get("PermissionsBoundary").is_none() {
            let message = "it has no PermissionsBoundary, so that who writes its policies could give it anything: let Bounds hold it";
            report.add(RULE, id, message);
        }
        if properties.get("RoleName").is_none() && properties.get("Path").is_none() {
            let message =
                "neither name nor path says whose it is, so that a boundary cannot name it: give its Bounds a path";
            report.add(RULE, id, message);
        }
        let given = properties["ManagedPolicyArns"].to_string();
        if let Some(boundary) = boundaries.iter().find(|b| given.contains(&format!("\"{b}\""))) {
            report.add(RULE, id, format!("{boundary} is a boundary and stands among what it is given"));
        }
    }
    for id in &boundaries {
        let attached = template.resources_of("AWS::IAM::ManagedPolicy").find(|(policy, _)| policy == id);
        if attached.is_some_and(|(_, p)| ["Roles", "Users", "Groups"].iter().any(|k| p["Properties"].get(k).is_some()))
        {
            report.add(RULE, id, "a boundary is attached to somebody, and so grants what it should only limit");
        }
    }
    for (id, resource) in template.resources().filter(|(_, r)| type_of(r).starts_with("AWS::IAM::")) {
        statements(resource, id, &mut |place, statement| judge(place, statement, report));
    }
}

fn judge(place: &str, statement: &Value, report: &mut Report<'_>) {
    if statement["Effect"] != "Allow" {
        return;
    }
    let actions = texts(statement.get("Action"));
    let of = |table: &[&str]| actions.iter().filter(|a| table.contains(a)).copied().collect::<Vec<_>>();
    let removed = of(&REMOVES);
    if !removed.is_empty() {
        report.add(RULE, place, format!("allows {}: boundaries are for persons to change", removed.join(", ")));
    }
    let written = of(&WRITES);
    if !written.is_empty() && statement.pointer("/Condition/StringEquals/iam:PermissionsBoundary").is_none() {
        let written = written.join(", ");
        report.add(RULE, place, format!("allows {written} without a condition on iam:PermissionsBoundary"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::lint::findings_of;

    fn role(properties: Value) -> Vec<String> {
        let boundary = json!({"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": []}}});
        findings_of(json!({"Resources": {"B": boundary, "R": {"Type": "AWS::IAM::Role", "Properties": properties}}}))
    }

    fn may(action: &str, condition: &Value) -> Vec<String> {
        let statement = json!({"Effect": "Allow", "Action": [action], "Resource": ["a"], "Condition": condition});
        let policy = json!({"PolicyName": "p", "PolicyDocument": {"Statement": [statement]}});
        role(json!({"RoleName": "r", "PermissionsBoundary": {"Ref": "B"}, "Policies": [policy]}))
    }

    #[test]
    fn a_role_without_a_boundary_is_told() {
        for (properties, part) in [
            (json!({"RoleName": "r"}), "has no PermissionsBoundary"),
            (json!({"PermissionsBoundary": {"Ref": "B"}}), "neither name nor path"),
            (
                json!({"Path": "/a/", "PermissionsBoundary": {"Ref": "B"}, "ManagedPolicyArns": [{"Ref": "B"}]}),
                "stands among what it is given",
            ),
        ] {
            let found = role(properties);
            assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
        }
        assert_eq!(role(json!({"Path": "/a/", "PermissionsBoundary": {"Ref": "B"}})), Vec::<String>::new());
    }

    #[test]
    fn a_way_around_it_is_told() {
        let within = json!({"StringEquals": {"iam:PermissionsBoundary": "arn"}});
        for action in super::WRITES {
            assert!(may(action, &json!({}))[0].contains("without a condition"), "{action}");
            // It is asked for by likeness: another policy could be named so.
            assert!(!may(action, &json!({"StringLike": {"iam:PermissionsBoundary": "*"}})).is_empty(), "{action}");
            assert_eq!(may(action, &within), Vec::<String>::new());
        }
        for action in super::REMOVES {
            assert!(may(action, &within)[0].contains("for persons"), "{action}");
        }
    }

    #[test]
    fn a_boundary_is_attached_to_nobody_and_has_wildcards() {
        let statement = json!({"Effect": "Allow", "Action": ["s3:*"], "Resource": ["a"]});
        let mut template = json!({"Resources": {
            "B": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [statement]}}},
            "R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "PermissionsBoundary": {"Ref": "B"}}},
        }});
        assert_eq!(findings_of(template.clone()), Vec::<String>::new());
        template["Resources"]["B"]["Properties"]["Roles"] = json!(["x"]);
        assert!(findings_of(template.clone())[0].contains("attached to somebody"));
        // Any other policy names its actions.
        template["Resources"]["R"]["Properties"]["PermissionsBoundary"] = json!("arn");
        assert!(findings_of(template)[0].contains("name the actions"));
    }
}
