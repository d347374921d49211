//! References of a template: what they name must be there, and be there whenever it is needed.

use std::collections::BTreeSet;

use kidu_core::suggest::{did_you_mean, nearest};
use serde_json::Value;

use super::{Finding, Report};
use crate::{
    aws,
    core::{Assembly, Template},
};

/// What `Ref` may name beside parameters and resources.
const PSEUDO: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// A reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// `Ref`, or a hole of `Fn::Sub` without a dot.
    Name(String),
    /// `Fn::GetAtt`, or a hole of `Fn::Sub` with a dot.
    Attribute(String, String),
    /// A condition.
    Condition(String),
}

/// A reference with where it stands: the path, and the conditions that hold there.
pub(super) struct Found {
    pub(super) reference: Reference,
    pub(super) path: String,
    pub(super) under: Vec<String>,
}

/// All references in a value.
pub(super) fn references(value: &Value) -> Vec<Found> {
    let mut out = Vec::new();
    walk(value, "", &mut Vec::new(), &mut out);
    out
}

fn walk(value: &Value, path: &str, under: &mut Vec<String>, out: &mut Vec<Found>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| walk(v, &format!("{path}[{i}]"), under, out));
        }
        Value::Object(entries) => {
            let function = if entries.len() == 1 { entries.iter().next() } else { None };
            match function {
                Some((name, argument)) => call(name, argument, path, under, out),
                None => entries.iter().for_each(|(k, v)| walk(v, &format!("{path}.{k}"), under, out)),
            }
        }
        _ => {}
    }
}

/// An object of one key: a function, or just an object.
fn call(name: &str, argument: &Value, path: &str, under: &mut Vec<String>, out: &mut Vec<Found>) {
    let mut found = |reference| out.push(Found { reference, path: path.into(), under: under.clone() });
    let text = |v: &Value| v.as_str().map(str::to_string);
    match (name, argument) {
        ("Ref", Value::String(target)) => found(Reference::Name(target.clone())),
        ("Condition", Value::String(target)) => found(Reference::Condition(target.clone())),
        ("Fn::GetAtt", Value::Array(parts)) => {
            if let Some((target, attribute)) = parts.first().and_then(text).zip(parts.get(1).and_then(text)) {
                found(Reference::Attribute(target, attribute));
            }
        }
        ("Fn::Sub", Value::String(template)) => holes(template).into_iter().for_each(|h| found(of_hole(&h))),
        ("Fn::Sub", Value::Array(parts)) => {
            let own = parts.get(1).and_then(Value::as_object);
            let named = |h: &String| own.is_some_and(|o| o.contains_key(h));
            let template = parts.first().and_then(Value::as_str).unwrap_or_default();
            holes(template).into_iter().filter(|h| !named(h)).for_each(|h| found(of_hole(&h)));
            own.into_iter().flatten().for_each(|(k, v)| walk(v, &format!("{path}.{k}"), under, out));
        }
        ("Fn::If", Value::Array(parts)) => {
            let condition = parts.first().and_then(text).unwrap_or_default();
            found(Reference::Condition(condition.clone()));
            for (branch, holds) in parts.iter().skip(1).zip([condition.clone(), format!("!{condition}")]) {
                under.push(holds);
                walk(branch, path, under, out);
                under.pop();
            }
        }
        _ => walk(argument, &format!("{path}.{name}"), under, out),
    }
}

/// The names in `${...}`; `${!...}` stands for itself.
pub(super) fn holes(template: &str) -> Vec<String> {
    let pieces = template.split("${").skip(1).filter_map(|piece| piece.split_once('}'));
    pieces.map(|(name, _)| name.trim().to_string()).filter(|name| !name.starts_with('!')).collect()
}

fn of_hole(hole: &str) -> Reference {
    match hole.split_once('.') {
        Some((target, attribute)) => Reference::Attribute(target.into(), attribute.into()),
        None => Reference::Name(hole.into()),
    }
}

pub(super) fn check(template: &Template, report: &mut Report<'_>) {
    let parameters: Vec<&str> = template.section("Parameters").map(|(n, _)| n).collect();
    let resources: Vec<(&str, &Value)> = template.resources().collect();
    let conditions: Vec<&str> = template.section("Conditions").map(|(n, _)| n).collect();
    let known = Known { parameters, resources, conditions };
    for section in ["Resources", "Outputs", "Conditions"] {
        for (id, value) in template.section(section) {
            let own = value.get("Condition").and_then(Value::as_str);
            if let Some(condition) = own {
                known.condition(id, condition, report);
            }
            let depends: Vec<&str> = match value.get("DependsOn") {
                Some(Value::String(one)) => vec![one],
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            for target in depends {
                known.resource(id, "DependsOn", target, report);
            }
            for found in references(value) {
                known.check(id, own, &found, report);
            }
        }
    }
    used(template, &known, report);
}

struct Known<'a> {
    parameters: Vec<&'a str>,
    resources: Vec<(&'a str, &'a Value)>,
    conditions: Vec<&'a str>,
}

impl Known<'_> {
    fn check(&self, id: &str, own: Option<&str>, found: &Found, report: &mut Report<'_>) {
        let place = format!("{id}{}", found.path);
        let target = match &found.reference {
            Reference::Condition(condition) => return self.condition(&place, condition, report),
            Reference::Name(name) if PSEUDO.contains(&name.as_str()) || self.parameters.contains(&name.as_str()) => {
                return;
            }
            Reference::Name(name) => name,
            Reference::Attribute(name, attribute) => {
                self.attribute(&place, name, attribute, report);
                name
            }
        };
        let Some((_, resource)) = self.resources.iter().find(|(n, _)| n == target) else {
            return self.resource(&place, "the reference", target, report);
        };
        if let Some(condition) = resource.get("Condition").and_then(Value::as_str) {
            let holds = own == Some(condition) || found.under.iter().any(|u| u == condition);
            if !holds {
                let message = format!(
                    "'{target}' exists only under '{condition}', which need not hold here: choose it by Fn::If"
                );
                report.add("conditional reference", place, message);
            }
        }
    }

    fn attribute(&self, place: &str, name: &str, attribute: &str, report: &mut Report<'_>) {
        let Some((_, resource)) = self.resources.iter().find(|(n, _)| *n == name) else { return };
        let kind = crate::core::type_of(resource);
        let Some(kind) = aws::find(kind) else {
            let message = format!("the type '{kind}' is not known; add it to the resource types");
            return report.add("unknown type", place, message);
        };
        let nested = kind.name == "AWS::CloudFormation::Stack" && attribute.starts_with("Outputs.");
        if !nested && !kind.attributes.contains(&attribute) {
            let hint = did_you_mean(nearest(attribute, kind.attributes.iter().copied()));
            let known = kind.attributes.join(", ");
            report.add(
                "unknown attribute",
                place,
                format!("{} has no attribute '{attribute}'{hint}; known: {known}", kind.name),
            );
        }
    }

    fn resource(&self, place: &str, what: &str, target: &str, report: &mut Report<'_>) {
        if self.resources.iter().all(|(n, _)| *n != target) {
            let names = self.resources.iter().map(|(n, _)| *n).chain(self.parameters.iter().copied());
            let hint = did_you_mean(nearest(target, names));
            report.add(
                "dangling reference",
                place,
                format!("{what} names '{target}', which is not in the template{hint}"),
            );
        }
    }

    fn condition(&self, place: &str, condition: &str, report: &mut Report<'_>) {
        if !self.conditions.contains(&condition) {
            let hint = did_you_mean(nearest(condition, self.conditions.iter().copied()));
            report.add("dangling reference", place, format!("there is no condition '{condition}'{hint}"));
        }
    }
}

/// Parameters and conditions that nothing uses mislead whoever deploys.
fn used(template: &Template, known: &Known<'_>, report: &mut Report<'_>) {
    let mut names = BTreeSet::new();
    for section in ["Resources", "Outputs", "Conditions"] {
        for (_, value) in template.section(section) {
            if let Some(condition) = value.get("Condition").and_then(Value::as_str) {
                names.insert(condition.to_string());
            }
            names.extend(references(value).into_iter().map(|f| match f.reference {
                Reference::Name(name) | Reference::Condition(name) | Reference::Attribute(name, _) => name,
            }));
        }
    }
    for name in known.parameters.iter().chain(&known.conditions) {
        if !names.contains(*name) {
            report.add("unused", *name, "nothing uses it: remove it");
        }
    }
}

/// Imports must be exported by a stack that is deployed before.
pub(super) fn check_imports(assembly: &Assembly, findings: &mut Vec<Finding>) {
    let exports = |stack: &str| -> Vec<String> {
        let stack = assembly.stacks.iter().find(|s| s.name == stack);
        let outputs = stack.into_iter().flat_map(|s| s.template.section("Outputs"));
        outputs.filter_map(|(_, o)| o.pointer("/Export/Name/Fn::Sub")?.as_str().map(str::to_string)).collect()
    };
    for stack in &assembly.stacks {
        let available: Vec<String> = stack.after.iter().flat_map(|s| exports(s)).collect();
        for (id, resource) in stack.template.resources() {
            for name in imports(resource).into_iter().filter(|n| !available.contains(n)) {
                findings.push(Finding {
                    stack: stack.name.clone(),
                    place: id.into(),
                    rule: "dangling import".into(),
                    message: format!("no stack that is deployed before exports '{name}'"),
                });
            }
        }
    }
}

fn imports(value: &Value) -> Vec<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, v)| match (key.as_str(), v.get("Fn::Sub").and_then(Value::as_str)) {
                ("Fn::ImportValue", Some(name)) => vec![name.to_string()],
                _ => imports(v),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(imports).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lint::findings_of;

    fn with(properties: Value) -> Vec<String> {
        findings_of(json!({
            "Conditions": {"C": {"Fn::Equals": [{"Ref": "AWS::Region"}, "x"]}},
            "Resources": {
                "Topic": {"Type": "AWS::SNS::Topic"},
                "Maybe": {"Type": "AWS::SNS::Topic", "Condition": "C"},
                "R": {"Type": "AWS::Logs::LogGroup", "Properties": properties},
            },
        }))
    }

    fn one(properties: Value, part: &str) {
        let found = with(properties);
        assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:?}");
    }

    #[test]
    fn what_is_there_is_no_finding() {
        let fine = json!({"A": {"Ref": "Topic"}, "B": {"Fn::Sub": "${Topic.TopicArn} ${AWS::Region} ${!Literal}"},
            "C": {"Fn::If": ["C", {"Ref": "Maybe"}, ""]}, "D": {"Fn::Sub": ["${own}", {"own": "x"}]}});
        assert_eq!(with(fine), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_named() {
        one(json!({"A": {"Ref": "Topik"}}), "did you mean 'Topic'");
        one(json!({"A": {"Fn::GetAtt": ["Topic", "Arn"]}}), "known: TopicArn");
        one(json!({"A": {"Fn::Sub": "x ${Topic.TopicArnn}"}}), "did you mean 'TopicArn'");
        one(json!({"A": {"Fn::Sub": ["${b}", {"c": "x"}]}}), "names 'b'");
        one(json!({"A": {"Fn::If": ["D", 1, 2]}}), "no condition 'D'");
        one(json!({"A": [{"Ref": "Maybe"}]}), "exists only under 'C'");
        one(json!({"A": {"Fn::If": ["C", "", {"Ref": "Maybe"}]}}), "exists only under 'C'");
    }

    #[test]
    fn a_wrong_order_is_named() {
        let found = findings_of(json!({"Resources": {"A": {"Type": "AWS::SNS::Topic", "DependsOn": "B"}}}));
        assert!(found[0].contains("DependsOn names 'B'"), "{found:?}");
        let found = findings_of(json!({"Parameters": {"P": {"Type": "String"}}, "Resources": {}}));
        assert!(found[0].contains("nothing uses it"), "{found:?}");
    }
}
