//! Policies as IAM would read them: references of templates put in, patterns, conditions, and what a boundary leaves.

use std::collections::BTreeMap;

use kidu_infra::core::{Assembly, Template};
use serde_json::Value;

/// A statement without references.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Statement {
    /// Where it comes from.
    pub(crate) place: String,
    pub(crate) allows: bool,
    pub(crate) actions: Vec<String>,
    pub(crate) resources: Vec<String>,
    /// Operator, key and values.
    pub(crate) conditions: Vec<(String, String, Vec<String>)>,
}

/// A template with the values that its references have; what has none stays as `${Name}`.
pub(crate) struct Resolver<'a> {
    assembly: &'a Assembly,
    template: &'a Template,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(assembly: &'a Assembly, stack: &str, values: &[(&'a str, &'a str)]) -> Self {
        let template = &assembly.stack(stack).unwrap().template;
        Self { assembly, template, values: values.iter().copied().collect() }
    }

    /// All statements below a value.
    pub(crate) fn statements(&self, place: &str, value: &Value) -> Vec<Statement> {
        match value {
            Value::Object(entries) if entries.contains_key("Effect") => vec![self.statement(place, value)],
            Value::Object(entries) => entries.values().flat_map(|v| self.statements(place, v)).collect(),
            Value::Array(items) => items.iter().flat_map(|v| self.statements(place, v)).collect(),
            _ => Vec::new(),
        }
    }

    fn statement(&self, place: &str, statement: &Value) -> Statement {
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().unwrap() {
                conditions.push((operator.clone(), key.clone(), self.texts(values)));
            }
        }
        Statement {
            place: format!("{place}: {}", statement["Sid"].as_str().unwrap()),
            allows: statement["Effect"] == "Allow",
            actions: self.texts(&statement["Action"]),
            resources: self.texts(&statement["Resource"]),
            conditions,
        }
    }

    fn texts(&self, value: &Value) -> Vec<String> {
        value.as_array().map_or_else(|| vec![self.text(value)], |all| all.iter().map(|v| self.text(v)).collect())
    }

    fn text(&self, value: &Value) -> String {
        if let Some(text) = value.as_str() {
            return text.to_string();
        }
        let (function, argument) = value.as_object().and_then(|o| o.iter().next()).unwrap();
        match function.as_str() {
            "Ref" => self.named(argument.as_str().unwrap()),
            "Fn::GetAtt" => self.attribute(argument[0].as_str().unwrap(), argument[1].as_str().unwrap()),
            "Fn::Sub" => match argument.as_array() {
                None => self.filled(argument.as_str().unwrap(), &Value::Null),
                Some(parts) => self.filled(parts[0].as_str().unwrap(), &parts[1]),
            },
            "Fn::Join" => {
                let parts: Vec<String> = argument[1].as_array().unwrap().iter().map(|v| self.text(v)).collect();
                parts.join(argument[0].as_str().unwrap())
            }
            "Fn::Select" => {
                let index = usize::try_from(argument[0].as_u64().unwrap()).unwrap();
                let (separator, text) = (&argument[1]["Fn::Split"][0], &argument[1]["Fn::Split"][1]);
                self.text(text).split(separator.as_str().unwrap()).nth(index).unwrap().to_string()
            }
            "Fn::ImportValue" => self.imported(argument),
            other => panic!("{other}: {value}"),
        }
    }

    fn filled(&self, text: &str, own: &Value) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (hole, after) = after.split_once('}').unwrap();
            out.push_str(before);
            out.push_str(&match (own.get(hole), hole.split_once('.')) {
                (Some(value), _) => self.text(value),
                (None, Some((id, attribute))) => self.attribute(id, attribute),
                (None, None) => self.named(hole),
            });
            rest = after;
        }
        out + rest
    }

    fn imported(&self, name: &Value) -> String {
        for stack in &self.assembly.stacks {
            let output = stack.template.section("Outputs").find(|(_, o)| o.pointer("/Export/Name") == Some(name));
            if let Some((_, output)) = output {
                let values = [("AWS::StackName", &*format!("${{Foundation}}-{}", stack.name))];
                return Resolver::new(self.assembly, &stack.name, &values).text(&output["Value"]);
            }
        }
        panic!("nothing exports {name}")
    }

    /// What `Ref` gives.
    fn named(&self, name: &str) -> String {
        if let Some(value) = self.values.get(name) {
            return (*value).to_string();
        }
        let Some((_, resource)) = self.template.resources().find(|(id, _)| *id == name) else {
            return format!("${{{name}}}");
        };
        match resource["Type"].as_str().unwrap() {
            "AWS::IAM::ManagedPolicy" | "AWS::SNS::Topic" => self.attribute(name, "Arn"),
            "AWS::CodeDeploy::Application" => self.made(name),
            "AWS::Lambda::Version" => {
                let function = self.text(&resource["Properties"]["FunctionName"]);
                format!("{}:7", arn("lambda", &format!("function:{function}")))
            }
            "AWS::Lambda::Function" => self.text(&resource["Properties"]["FunctionName"]),
            "AWS::S3::Bucket" => self.text(&resource["Properties"]["BucketName"]),
            other => panic!("Ref of {other}"),
        }
    }

    /// What CloudFormation names itself.
    fn made(&self, id: &str) -> String {
        self.filled(&format!("${{AWS::StackName}}-{id}-*"), &Value::Null)
    }

    /// What `Fn::GetAtt` gives: ARNs, in the forms of the service authorization reference.
    fn attribute(&self, id: &str, attribute: &str) -> String {
        assert_eq!(attribute, "Arn", "{id}");
        let (_, resource) = self.template.resources().find(|(known, _)| *known == id).unwrap();
        let property = |name: &str| self.text(&resource["Properties"][name]);
        let made = || self.made(id);
        let global = |rest: String| format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{rest}");
        match resource["Type"].as_str().unwrap() {
            "AWS::CloudWatch::Alarm" => arn("cloudwatch", &format!("alarm:{}", made())),
            "AWS::CodeBuild::Project" => arn("codebuild", &format!("project/{}", property("Name"))),
            "AWS::ECR::Repository" => arn("ecr", &format!("repository/{}", property("RepositoryName"))),
            "AWS::IAM::ManagedPolicy" => global(format!("policy/{}", property("ManagedPolicyName"))),
            "AWS::IAM::Role" => match resource["Properties"].get("RoleName") {
                Some(name) => global(format!("role/{}", self.text(name))),
                None => global(format!("role{}{}", property("Path"), made())),
            },
            "AWS::KMS::Key" => arn("kms", &format!("key/{id}")),
            "AWS::Lambda::Function" => arn("lambda", &format!("function:{}", property("FunctionName"))),
            "AWS::Logs::LogGroup" => arn("logs", &format!("log-group:{}:*", property("LogGroupName"))),
            "AWS::S3::Bucket" => format!("arn:${{AWS::Partition}}:s3:::{}", property("BucketName")),
            "AWS::SNS::Topic" => arn("sns", &made()),
            "AWS::Scheduler::Schedule" => arn("scheduler", &format!("schedule/default/{}", property("Name"))),
            "AWS::StepFunctions::StateMachine" => {
                arn("states", &format!("stateMachine:{}", property("StateMachineName")))
            }
            other => panic!("the ARN of {other}"),
        }
    }
}

fn arn(service: &str, rest: &str) -> String {
    format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")
}

/// Whether everything that `text` stands for, itself perhaps a pattern, is within a pattern.
pub(crate) fn is_within(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

impl Statement {
    fn names(&self, action: &str, resource: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.iter().any(|a| is_within(&action, &a.to_ascii_lowercase()))
            && self.resources.iter().any(|r| is_within(resource, r))
    }

    /// Whether its conditions hold wherever those others do.
    fn holds_under(&self, others: &[(String, String, Vec<String>)]) -> bool {
        self.conditions.iter().all(|(operator, key, values)| {
            assert_eq!(operator, "StringEquals", "another operator needs another comparison");
            let other = others.iter().find(|(o, k, _)| o == operator && k == key);
            other.is_some_and(|(_, _, narrower)| narrower.iter().all(|v| values.contains(v)))
        })
    }
}

/// Whether a boundary leaves an action on a resource under conditions.
pub(crate) fn leaves(
    boundary: &[Statement],
    action: &str,
    resource: &str,
    conditions: &[(String, String, Vec<String>)],
) -> bool {
    let applies = |s: &&Statement| s.names(action, resource) && s.holds_under(conditions);
    boundary.iter().filter(|s| s.allows).any(|s| applies(&s))
        && !boundary.iter().filter(|s| !s.allows).any(|s| applies(&s))
}
