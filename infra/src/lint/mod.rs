//! Checks of what synthesis makes, which CloudFormation would otherwise make while it deploys, or never.

mod boundary;
mod cfn_lint;
mod definition;
mod dependencies;
mod iam;
mod limits;
mod references;
mod size;

use std::fmt;

use serde::Serialize;

pub use cfn_lint::{CfnLint, run as run_cfn_lint};

use crate::{
    core::{Assembly, Template},
    stacks::DEFINITION,
};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The stack or document.
    pub stack: String,
    /// Where in it: a logical id and a path.
    pub place: String,
    /// The rule, in a word or two.
    pub rule: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} [{}]", self.stack, self.place, self.message, self.rule)
    }
}

/// All findings of our own checks, in order of place.
pub fn check(assembly: &Assembly) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stack in &assembly.stacks {
        check_template(&stack.template, &mut Report { stack: &stack.name, findings: &mut findings });
    }
    references::check_imports(assembly, &mut findings);
    if let Some(document) = assembly.documents.get(DEFINITION) {
        definition::check(document, &mut Report { stack: DEFINITION, findings: &mut findings });
    }
    findings.sort();
    findings.dedup();
    findings
}

/// What a template tells by itself.
fn check_template(template: &Template, report: &mut Report<'_>) {
    references::check(template, report);
    dependencies::check(template, report);
    iam::check(template, report);
    boundary::check(template, report);
    size::check(template, report);
    limits::check(template, report);
}

/// Takes down the findings of one stack.
struct Report<'a> {
    stack: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, rule: &'static str, place: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding {
            stack: self.stack.into(),
            place: place.into(),
            rule: rule.into(),
            message: message.into(),
        });
    }
}

#[cfg(test)]
pub(crate) fn findings_of(template: serde_json::Value) -> Vec<String> {
    let template = crate::core::Template::new(template);
    let mut findings = Vec::new();
    check_template(&template, &mut Report { stack: "s", findings: &mut findings });
    findings.iter().map(ToString::to_string).collect()
}
