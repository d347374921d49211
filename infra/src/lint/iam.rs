//! Policies: who is allowed too much.

use serde_json::Value;

use super::{Report, boundary::boundaries};
use crate::core::{Template, type_of};

/// Actions that know no resources, so that nothing but `*` can be said (the service authorization reference).
const WITHOUT_RESOURCES: [&str; 26] = [
    "cloudformation:ValidateTemplate",
    "cloudwatch:PutMetricData",
    "codedeploy:StopDeployment",
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "sagemaker:Search",
    "servicecatalog:AssociateProductWithPortfolio",
    "servicecatalog:DeleteConstraint",
    "servicecatalog:DescribeConstraint",
    "servicecatalog:DisassociateProductFromPortfolio",
    "servicecatalog:UpdateConstraint",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
    "sts:GetCallerIdentity",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

pub(super) fn check(template: &Template, report: &mut Report<'_>) {
    let boundaries = boundaries(template);
    for (id, resource) in template.resources() {
        // A ceiling names services, which what stands below it must not.
        if boundaries.contains(id) {
            continue;
        }
        let key = type_of(resource) == "AWS::KMS::Key";
        statements(resource, id, &mut |place, statement| judge(place, statement, key, report));
    }
}

pub(super) fn statements(value: &Value, place: &str, visit: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(entries) => {
            if entries.contains_key("Effect") && entries.contains_key("Action") {
                return visit(place, value);
            }
            entries.iter().for_each(|(k, v)| statements(v, &format!("{place}.{k}"), visit));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| statements(v, &format!("{place}[{i}]"), visit))
        }
        _ => {}
    }
}

pub(super) fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn judge(place: &str, statement: &Value, key: bool, report: &mut Report<'_>) {
    if statement["Effect"] != "Allow" {
        return;
    }
    let actions = texts(statement.get("Action"));
    let root =
        statement.pointer("/Principal/AWS/Fn::Sub").and_then(Value::as_str).is_some_and(|p| p.ends_with(":root"));
    for action in &actions {
        if action.ends_with('*')
            && !(key && (root || action.starts_with("kms:GenerateDataKey") || action.starts_with("kms:ReEncrypt")))
        {
            report.add("IAM wildcard", place, format!("allows '{action}': name the actions"));
        }
    }
    if !key && texts(statement.get("Resource")).contains(&"*") {
        let narrow: Vec<&str> = actions.iter().filter(|a| !WITHOUT_RESOURCES.contains(a)).copied().collect();
        if !narrow.is_empty() {
            report.add(
                "IAM wildcard",
                place,
                format!("allows {} on everything: name the resources", narrow.join(", ")),
            );
        }
    }
    let principals =
        statement.get("Principal").map(|p| [texts(Some(p)), texts(p.get("AWS"))].concat()).unwrap_or_default();
    if principals.contains(&"*") {
        report.add("IAM wildcard", place, "allows everybody: name the principal");
    }
    if actions.contains(&"iam:PassRole") && statement.get("Condition").is_none() {
        report.add("IAM wildcard", place, "passes roles to any service: add a condition on iam:PassedToService");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::lint::findings_of;

    fn role(statement: Value) -> Vec<String> {
        let policy = json!({"PolicyName": "p", "PolicyDocument": {"Statement": [statement]}});
        findings_of(
            json!({"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "PermissionsBoundary": "arn", "Policies": [policy]}}}}),
        )
    }

    #[test]
    fn too_much_is_told() {
        for (statement, part) in [
            (json!({"Effect": "Allow", "Action": ["s3:*"], "Resource": ["a"]}), "name the actions"),
            (
                json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}),
                "allows s3:GetObject on everything",
            ),
            (json!({"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"AWS": "*"}}), "everybody"),
            (json!({"Effect": "Allow", "Action": ["iam:PassRole"], "Resource": ["a"]}), "iam:PassedToService"),
        ] {
            let found = role(statement);
            assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
        }
    }

    #[test]
    fn what_cannot_be_narrower_is_fine() {
        for statement in [
            json!({"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"}),
            json!({"Effect": "Deny", "Action": ["s3:*"], "Principal": {"AWS": "*"}, "Resource": "*"}),
            json!({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}),
        ] {
            assert_eq!(role(statement), Vec::<String>::new());
        }
    }
}
