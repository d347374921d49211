//! The inference stack holds everything that the Python original's does. Each difference is listed with its reason;
//! another one, or one that is no more, fails.

use std::fs;

use kidu_infra::core::Template;
use serde_json::Value;

use crate::synthesised;

/// Differences by the original's resource type and path, and why.
const DIFFERENCES: [(&str, &str, &str); 18] = [
    (
        "AWS::Lambda::Function",
        "Code.ImageUri",
        "a parameter that names the image by digest: ':latest' changes under a running stack",
    ),
    ("AWS::Lambda::Function", "MemorySize", "a parameter: staging and production differ"),
    (
        "AWS::Lambda::Function",
        "Timeout",
        "a parameter of at most 29 s: the HTTP API in front gives up after 30, the original's 60 were paid for nothing",
    ),
    (
        "AWS::Lambda::Function",
        "Role",
        "a role of its own that reads one object, unless ModelExecutionRoleArn names another",
    ),
    ("AWS::Lambda::Function", "FunctionName", "the same name, written as Fn::Sub instead of Fn::Join"),
    (
        "AWS::ApiGatewayV2::Api",
        "CorsConfiguration.AllowHeaders",
        "Content-Type too, which a strict client of JSON or images sends",
    ),
    (
        "AWS::ApiGatewayV2::Api",
        "CorsConfiguration.AllowMethods",
        "GET too: the web page, health and the model's description",
    ),
    ("AWS::ApiGatewayV2::Api", "CorsConfiguration.AllowOrigins", "a parameter whose default is the original's '*'"),
    (
        "AWS::ApiGatewayV2::Api",
        "CorsConfiguration.MaxAge",
        "a day, which is the most that the API takes; the original asks for ten",
    ),
    ("AWS::ApiGatewayV2::Api", "Name", "the same name, written as Fn::Sub instead of Fn::Join"),
    (
        "AWS::ApiGatewayV2::Integration",
        "CredentialsArn",
        "left out: the route's credentials were the model's execution role; a permission of the function does it",
    ),
    (
        "AWS::ApiGatewayV2::Integration",
        "IntegrationUri",
        "the alias instead of the function, so that versions can be shifted",
    ),
    ("AWS::ApiGatewayV2::Integration", "ApiId", "logical ids are made otherwise"),
    ("AWS::ApiGatewayV2::Route", "ApiId", "logical ids are made otherwise"),
    ("AWS::ApiGatewayV2::Route", "Target", "the same integration, written as Fn::Sub"),
    ("AWS::ApiGatewayV2::Stage", "ApiId", "logical ids are made otherwise"),
    ("Parameters", "StageName", "the two stages there are, with a default"),
    ("Parameters", "ModelExecutionRoleArn", "optional"),
];

#[test]
fn every_difference_from_the_original_is_explained() {
    let Some(shared) = kidu_testing::shared("every_difference_from_the_original_is_explained") else { return };
    let text = fs::read_to_string(shared.join("contracts/aws/original-inference-stack.json")).unwrap();
    let original = Template::new(serde_json::from_str(&text).unwrap());
    let assembly = synthesised();
    let ours = &assembly.stack("inference").unwrap().template;
    let mut found: Vec<(String, String)> = Vec::new();
    for (id, resource) in original.resources() {
        let kind = resource["Type"].as_str().unwrap();
        // Of several routes and functions, the one that is the original's.
        let matching = ours
            .resources_of(kind)
            .min_by_key(|(_, r)| differences(&resource["Properties"], &r["Properties"], "").len());
        let (_, counterpart) = matching.unwrap_or_else(|| panic!("there is no {kind} ({id})"));
        let paths = differences(&resource["Properties"], &counterpart["Properties"], "");
        found.extend(paths.into_iter().map(|p| (kind.to_string(), p)));
    }
    for (name, parameter) in original.section("Parameters") {
        let there = ours.section("Parameters").find(|(n, _)| *n == name);
        let (_, there) = there.unwrap_or_else(|| panic!("there is no parameter {name}"));
        assert_eq!(parameter["Type"], there["Type"], "{name}");
        if name == "StageName" || name == "ModelExecutionRoleArn" {
            found.push(("Parameters".into(), name.into()));
        }
    }
    found.sort();
    let mut explained: Vec<(String, String)> =
        DIFFERENCES.iter().map(|(kind, path, _)| ((*kind).to_string(), (*path).to_string())).collect();
    explained.sort();
    assert_eq!(found, explained);
}

/// The paths at which `ours` does not hold what the original does; more is no difference.
fn differences(original: &Value, ours: &Value, at: &str) -> Vec<String> {
    match (original, ours) {
        (Value::Object(want), Value::Object(have)) if !is_function(want) => want
            .iter()
            .flat_map(|(key, value)| {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                have.get(key).map_or_else(|| vec![at.clone()], |there| differences(value, there, &at))
            })
            .collect(),
        _ if original == ours => Vec::new(),
        _ => vec![at.to_string()],
    }
}

fn is_function(object: &serde_json::Map<String, Value>) -> bool {
    object.len() == 1 && object.keys().all(|k| k == "Ref" || k.starts_with("Fn::"))
}
