//! The resource types against CloudFormation's own schemas, as cfn-lint carries them.

use std::{collections::BTreeSet, process::Command};

use kidu_infra::{aws, core::Update};
use serde_json::{Value, json};

const SCHEMAS: &str = "
import json, sys
from cfnlint.schema.manager import ProviderSchemaManager
manager = ProviderSchemaManager()
out = {}
for name in json.load(sys.stdin):
    schema = manager.get_resource_schema('us-east-1', name).schema
    strip = lambda key: [p.replace('/properties/', '') for p in schema.get(key, [])]
    out[name] = {'properties': sorted(schema['properties']), 'create': strip('createOnlyProperties'), 'read': strip('readOnlyProperties')}
json.dump(out, sys.stdout)
";

#[test]
fn the_types_are_those_of_cloudformation() {
    let Some(python) = kidu_testing::peer_python("the_types_are_those_of_cloudformation", &["cfnlint", "checkov"])
    else {
        return;
    };
    let names: Vec<&str> = aws::types().map(|t| t.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a type is defined twice");
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("names.json");
    std::fs::write(&input, json!(names).to_string()).unwrap();
    let out = Command::new(python).args(["-c", SCHEMAS]).stdin(std::fs::File::open(&input).unwrap()).output().unwrap();
    let schemas: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let mut wrong = Vec::new();
    for kind in aws::types() {
        let list = |key: &str| -> Vec<&str> {
            schemas[kind.name][key].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
        };
        let (properties, create, read) = (list("properties"), list("create"), list("read"));
        for property in kind.properties {
            if !properties.contains(&property.name) {
                wrong.push(format!("{} has no property {}", kind.name, property.name));
            }
            let replaces = create.contains(&property.name);
            if replaces != (property.update == Update::Replace) {
                wrong.push(format!("{}.{} replaces: {replaces}", kind.name, property.name));
            }
        }
        for attribute in kind.attributes {
            if !read.contains(attribute) && !properties.contains(attribute) {
                wrong.push(format!("{} has no attribute {attribute}", kind.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What templates use must be known to the types, or lint and diff would not see it.
#[test]
fn every_resource_of_the_templates_is_known() {
    for stack in crate::synthesised().stacks {
        for (id, resource) in stack.template.resources() {
            let kind = aws::find(resource["Type"].as_str().unwrap()).unwrap();
            for property in resource["Properties"].as_object().into_iter().flatten().map(|(k, _)| k) {
                assert!(kind.property(property).is_some(), "{id}.{property}");
            }
        }
    }
}
