//! The order in which resources are made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Report,
    references::{Reference, references},
};
use crate::core::{Template, type_of};

pub(super) fn check(template: &Template, report: &mut Report<'_>) {
    let edges: BTreeMap<&str, BTreeSet<String>> = template.resources().map(|(id, r)| (id, needed(r))).collect();
    if let Some(circle) = circle(&edges) {
        let message = format!("these resources wait for each other: {}", circle.join(" → "));
        report.add("circle", circle.first().cloned().unwrap_or_default(), message);
    }
    policies(template, &edges, report);
    constraints(template, &edges, report);
}

/// What a resource waits for directly.
fn needed(resource: &Value) -> BTreeSet<String> {
    let declared: Vec<&str> = match resource.get("DependsOn") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let referred = references(resource).into_iter().filter_map(|f| match f.reference {
        Reference::Name(name) | Reference::Attribute(name, _) => Some(name),
        Reference::Condition(_) => None,
    });
    declared.into_iter().map(str::to_string).chain(referred).collect()
}

/// Whether `from` waits for `to`, directly or not.
fn waits_for(edges: &BTreeMap<&str, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_string()];
    while let Some(id) = open.pop() {
        for next in edges.get(id.as_str()).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    false
}

/// One circle, if there is any.
fn circle(edges: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let start = edges.keys().find(|id| waits_for(edges, id, id))?;
    let mut path = vec![(*start).to_string()];
    while let Some(last) = path.last() {
        let onward = edges.get(last.as_str())?.iter().find(|n| n == start || waits_for(edges, n, start))?;
        if onward == start || path.contains(onward) {
            path.push(onward.clone());
            return Some(path);
        }
        path.push(onward.clone());
    }
    None
}

/// A role whose permissions stand in a policy of its own is not usable before that policy is there.
fn policies(template: &Template, edges: &BTreeMap<&str, BTreeSet<String>>, report: &mut Report<'_>) {
    for (policy, resource) in template.resources_of("AWS::IAM::Policy") {
        let roles = resource.pointer("/Properties/Roles").map(references).unwrap_or_default();
        for role in roles.into_iter().filter_map(|f| if let Reference::Name(n) = f.reference { Some(n) } else { None })
        {
            for (user, other) in template.resources() {
                let uses = edges.get(user).is_some_and(|e| e.contains(&role));
                if uses && type_of(other) != "AWS::IAM::Policy" && !waits_for(edges, user, policy) {
                    let message =
                        format!("uses the role '{role}' without waiting for its policy: add DependsOn '{policy}'");
                    report.add("missing DependsOn", user, message);
                }
            }
        }
    }
}

/// A constraint can be put only on a product that is in the portfolio, which no reference says.
fn constraints(template: &Template, edges: &BTreeMap<&str, BTreeSet<String>>, report: &mut Report<'_>) {
    for (constraint, _) in template.resources_of("AWS::ServiceCatalog::LaunchRoleConstraint") {
        for (association, _) in template.resources_of("AWS::ServiceCatalog::PortfolioProductAssociation") {
            if !waits_for(edges, constraint, association) {
                let message = format!("needs the product in the portfolio: add DependsOn '{association}'");
                report.add("missing DependsOn", constraint, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::lint::findings_of;

    #[test]
    fn circles_are_told() {
        let topic = |to: &str| json!({"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": to}}});
        let found =
            findings_of(json!({"Resources": {"A": topic("B"), "B": topic("C"), "C": topic("A"), "D": topic("A")}}));
        assert_eq!(found, ["s: A: these resources wait for each other: A → B → C → A [circle]"]);
    }

    #[test]
    fn users_of_a_role_wait_for_its_policy() {
        let template = |wait: bool| {
            let mut user = json!({"Type": "AWS::CodeBuild::Project", "Properties": {"ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]}}});
            if wait {
                user["DependsOn"] = json!("Policy");
            }
            json!({"Resources": {
                "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "PermissionsBoundary": "b"}},
                "Policy": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "Role"}]}},
                "User": user,
            }})
        };
        assert_eq!(findings_of(template(true)), Vec::<String>::new());
        assert!(findings_of(template(false))[0].contains("add DependsOn 'Policy'"));
    }

    #[test]
    fn a_constraint_waits_for_the_product() {
        let found = findings_of(json!({"Resources": {
            "C": {"Type": "AWS::ServiceCatalog::LaunchRoleConstraint"},
            "A": {"Type": "AWS::ServiceCatalog::PortfolioProductAssociation"},
        }}));
        assert!(found.len() == 1 && found[0].contains("add DependsOn 'A'"), "{found:?}");
    }
}
