//! What a deployment would change in an account, by the templates alone: no change set is made, so reading suffices.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Account, DeployError,
    judge::{self, Next},
};
use crate::{
    core::{StackArtifact, Template},
    diff::{Change, EntryChange, PropertyChange, Replacement, StackDiff, templates},
};

/// A stack that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its template.
    pub artifact: &'a StackArtifact,
    /// Its name in the account.
    pub stack: &'a str,
    /// Whether nothing is said where it is not there: not every installation has it.
    pub optional: bool,
}

/// What differs between the templates and the stacks of an account; what is the same is not listed. Stacks bear their
/// names in the account, and are `new` where they are not there. `values` are those of parameters that a deployment would set.
///
/// # Errors
/// [`DeployError::Call`], and [`DeployError::NotOurs`] for a template that is no JSON.
pub fn compare(
    account: &dyn Account,
    wanted: &[Wanted<'_>],
    values: &BTreeMap<String, String>,
) -> Result<Vec<StackDiff>, DeployError> {
    let mut diffs = Vec::new();
    for one in wanted {
        let present = account.stack(one.stack)?;
        // A stack that only holds its first change set has no template.
        let there = present.filter(|stack| judge::next(Some(stack)) != Next::Create);
        let text = if there.is_some() { account.template(one.stack)? } else { None };
        let (Some(present), Some(text)) = (there, text) else {
            if !one.optional {
                let nothing = Template::new(Value::Object(Map::new()));
                let entries = templates(&nothing, &one.artifact.template);
                diffs.push(StackDiff { name: one.stack.into(), whole: Some("new"), entries });
            }
            continue;
        };
        let not_ours = |e: serde_json::Error| DeployError::NotOurs { stack: one.stack.into(), reason: e.to_string() };
        let deployed = Template::new(serde_json::from_str(&text).map_err(not_ours)?);
        let mut entries = templates(&deployed, &one.artifact.template);
        entries.extend(changed_values(&one.artifact.template, &present.parameters, values));
        if !entries.is_empty() {
            diffs.push(StackDiff { name: one.stack.into(), whole: None, entries });
        }
    }
    Ok(diffs)
}

/// Parameters that a deployment would set to another value. A value that must not be shown is not compared.
fn changed_values(
    template: &Template,
    present: &[(String, String)],
    values: &BTreeMap<String, String>,
) -> Vec<EntryChange> {
    let change = |(name, _): (&str, &Value)| {
        let (_, before) = present.iter().find(|(known, _)| known == name)?;
        let after = values.get(name)?;
        let hidden = !before.is_empty() && before.chars().all(|c| c == '*');
        if before == after || hidden {
            return None;
        }
        let property = PropertyChange {
            path: "Value".into(),
            before: Some(json!(before)),
            after: Some(json!(after)),
            replacement: Replacement::Unknown,
        };
        let change = Change::Changed { properties: vec![property], replacement: Replacement::Unknown, lost: false };
        Some(EntryChange { section: "Values", id: name.into(), path: None, kind: None, change })
    };
    template.section("Parameters").filter_map(change).collect()
}
