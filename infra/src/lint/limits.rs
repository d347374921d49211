//! CloudFormation's limits.

use serde_json::Value;

use super::Report;
use crate::core::Template;

/// Bytes of a template in S3.
const BYTES: usize = 1 << 20;
/// Entries of each section.
const ENTRIES: [(&str, usize); 3] = [("Resources", 500), ("Parameters", 200), ("Outputs", 200)];
/// Characters of code that stands in the template.
const ZIP_FILE: usize = 4096;
/// Characters of a description of a template.
const DESCRIPTION: usize = 1024;

pub(super) fn check(template: &Template, report: &mut Report<'_>) {
    let bytes = template.to_text().len();
    if bytes > BYTES {
        report.add("size", "template", format!("it has {bytes} bytes, CloudFormation takes {BYTES}: part the stack"));
    }
    for (section, most) in ENTRIES {
        let count = template.section(section).count();
        if count > most {
            report.add("size", section, format!("{count} entries, CloudFormation takes {most}: part the stack"));
        }
    }
    if template.json()["Description"].as_str().is_some_and(|d| d.len() > DESCRIPTION) {
        report.add("size", "Description", format!("more than {DESCRIPTION} characters"));
    }
    for (id, resource) in template.resources_of("AWS::Lambda::Function") {
        let code = resource.pointer("/Properties/Code/ZipFile").and_then(Value::as_str).unwrap_or_default();
        if code.len() > ZIP_FILE {
            report.add(
                "size",
                id,
                format!("its code has {} characters, {ZIP_FILE} may stand in a template", code.len()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::lint::findings_of;

    #[test]
    fn limits_are_held() {
        let topics: Value = (0..501).map(|i| (format!("T{i}"), json!({"Type": "AWS::SNS::Topic"}))).collect();
        assert!(findings_of(json!({"Resources": topics}))[0].contains("501 entries"));
        let code = "x".repeat(4097);
        let function = json!({"Type": "AWS::Lambda::Function", "Properties": {"Code": {"ZipFile": code}}});
        assert!(findings_of(json!({"Resources": {"F": function}}))[0].contains("4097 characters"));
        let long = "x".repeat((1 << 20) + 1);
        let topic = json!({"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": long}});
        assert!(findings_of(json!({"Resources": {"T": topic}}))[0].contains("part the stack"));
    }
}
