//! How long policies are once CloudFormation has put values in place of references: IAM counts those.

use serde_json::Value;

use super::Report;
use crate::core::{Template, type_of};

/// The most characters, without white space, of all policies inside a role.
const ROLE_POLICIES: usize = 10_240;
/// The most characters, without white space, of a managed policy.
const MANAGED_POLICY: usize = 6_144;

/// The longest that parameters and pseudo parameters become.
const LONGEST: [(&str, usize); 10] = [
    ("AWS::AccountId", 12),
    // aws-us-gov, ap-southeast-2, amazonaws.com.cn
    ("AWS::Partition", 10),
    ("AWS::Region", 14),
    ("AWS::URLSuffix", 16),
    ("AWS::NoValue", 0),
    ("Foundation", 21),
    ("Installation", 21),
    ("Projects", 21),
    ("SageMakerProjectName", 21),
    ("StageName", 10),
];
/// The longest that attributes, imports and other parameters become: ARNs, of which a role's is the longest.
const REFERENCE: usize = 110;

pub(super) fn check(template: &Template, report: &mut Report<'_>) {
    for (id, resource) in template.resources() {
        let documents: Vec<&Value> = match type_of(resource) {
            "AWS::IAM::Role" => documents(resource.pointer("/Properties/Policies")),
            "AWS::IAM::ManagedPolicy" => resource.pointer("/Properties/PolicyDocument").into_iter().collect(),
            _ => continue,
        };
        let size: usize = documents.into_iter().map(length).sum();
        let (what, most) = match type_of(resource) {
            "AWS::IAM::Role" => ("its policies have", ROLE_POLICIES),
            _ => ("it has", MANAGED_POLICY),
        };
        if size > most {
            report.add("size", id, format!("{what} up to {size} characters, IAM takes {most}: part it"));
        }
    }
}

/// The documents in a list of policies, each of which may stand under a condition; of two, both.
fn documents(policies: Option<&Value>) -> Vec<&Value> {
    match policies {
        Some(Value::Array(items)) => items.iter().flat_map(|item| documents(Some(item))).collect(),
        Some(Value::Object(entries)) => match entries.get("PolicyDocument") {
            Some(document) => vec![document],
            None => documents(entries.get("Fn::If")),
        },
        _ => Vec::new(),
    }
}

/// The most characters, without white space, that a value becomes as JSON.
pub(super) fn length(value: &Value) -> usize {
    match value {
        Value::Object(entries) => match entries.iter().next() {
            Some((name, argument)) if entries.len() == 1 && is_function(name) => 2 + text_length(name, argument),
            None => 2,
            _ => 1 + entries.iter().map(|(key, value)| key.len() + 4 + length(value)).sum::<usize>(),
        },
        Value::Array(items) if items.is_empty() => 2,
        Value::Array(items) => 1 + items.iter().map(|item| 1 + length(item)).sum::<usize>(),
        other => other.to_string().chars().filter(|c| !c.is_whitespace()).count(),
    }
}

fn is_function(name: &str) -> bool {
    name == "Ref" || name.starts_with("Fn::")
}

/// The most characters of a function's text, without the quotes around it.
fn text_length(name: &str, argument: &Value) -> usize {
    let inner = |value: &Value| length(value).saturating_sub(2);
    match (name, argument) {
        ("Ref", Value::String(target)) => of_name(target),
        ("Fn::Sub", Value::String(text)) => filled(text, &Value::Null),
        ("Fn::Sub", Value::Array(parts)) => {
            let text = parts.first().and_then(Value::as_str).unwrap_or_default();
            filled(text, parts.get(1).unwrap_or(&Value::Null))
        }
        ("Fn::Join", Value::Array(parts)) => {
            let separator = parts.first().and_then(Value::as_str).map_or(0, str::len);
            let items = parts.get(1).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.iter().map(|item| inner(item) + separator).sum()
        }
        ("Fn::If", Value::Array(parts)) => parts.iter().skip(1).map(inner).max().unwrap_or_default(),
        _ => REFERENCE,
    }
}

fn of_name(name: &str) -> usize {
    LONGEST.iter().find(|(known, _)| *known == name).map_or(REFERENCE, |(_, longest)| *longest)
}

/// The most characters of a text with holes, some of which have values of their own.
fn filled(text: &str, values: &Value) -> usize {
    let mut size = 0;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (hole, after) = after.split_once('}').unwrap_or((after, ""));
        size += before.len() + values.get(hole).map_or_else(|| of_name(hole), |v| length(v).saturating_sub(2));
        rest = after;
    }
    size + rest.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lint::findings_of;

    #[test]
    fn references_count_as_what_they_become() {
        assert_eq!(length(&json!(["a b", "c"])), r#"["ab","c"]"#.len());
        assert_eq!(length(&json!({"Effect": "Allow", "Action": []})), r#"{"Effect":"Allow","Action":[]}"#.len());
        let arn = json!({"Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${Foundation}-*"});
        assert_eq!(length(&arn), r#""arn:aws-us-gov:sns:ap-southeast-2:111122223333:abcdefghijklmnopqrstu-*""#.len());
        let nested = json!({"Fn::Sub": ["x/${name}", {"name": {"Fn::Sub": "${StageName}!"}}]});
        assert_eq!(length(&nested), r#""x/production!""#.len());
        assert_eq!(length(&json!({"Fn::Join": ["-", [{"Ref": "AWS::AccountId"}, "b"]]})), 2 + 12 + 1 + 1 + 1);
        assert_eq!(length(&json!({"Fn::If": ["C", {"Ref": "AWS::NoValue"}, "ab"]})), 4);
        assert_eq!(length(&json!({"Fn::GetAtt": ["Key", "Arn"]})), REFERENCE + 2);
    }

    #[test]
    fn what_iam_would_refuse_is_told() {
        let resources: Vec<String> = (0..90).map(|i| format!("arn:aws:s3:::{i:060}")).collect();
        let document = json!({"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": resources}]});
        let managed = |document: &Value| {
            findings_of(json!({"Resources": {"P": {
                "Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}
            }}}))
        };
        let found = managed(&document);
        assert!(found.len() == 1 && found[0].contains("IAM takes 6144"), "{found:?}");
        let policies: Vec<Value> = (0..2).map(|_| json!({"PolicyName": "p", "PolicyDocument": document})).collect();
        let role = |policies: &[Value]| {
            findings_of(json!({"Resources": {"R": {
                "Type": "AWS::IAM::Role", "Properties": {"Path": "/k/", "PermissionsBoundary": "arn", "Policies": policies}
            }}}))
        };
        assert!(role(&policies)[0].contains("IAM takes 10240"), "{:?}", role(&policies));
        assert_eq!(role(&policies[..1]), Vec::<String>::new());
        let chosen = json!({"Fn::If": ["C", policies[0], {"Ref": "AWS::NoValue"}]});
        let found = role(&[chosen, policies[1].clone()]);
        assert!(found.iter().any(|f| f.contains("part it")), "{found:?}");
    }
}
