//! What a new synthesis would change in what an older one made.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use crate::{
    aws,
    core::{Assembly, Template, Update, type_of},
};

/// What changing a resource does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replacement {
    /// It stays.
    No,
    /// Its type is not known here: CloudFormation's change set says.
    Unknown,
    /// A new one takes its place.
    Yes,
}

/// A property that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PropertyChange {
    /// Its path below the resource.
    pub path: String,
    /// What it was; nothing if it is new.
    pub before: Option<Value>,
    /// What it becomes; nothing if it goes.
    pub after: Option<Value>,
    /// What that does.
    pub replacement: Replacement,
}

/// What becomes of an entry of a template.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// It is new.
    Added,
    /// It goes. `lost` if it holds what cannot be made again and nothing keeps it.
    Removed {
        /// Whether its content is lost.
        lost: bool,
    },
    /// It changes.
    Changed {
        /// In what.
        properties: Vec<PropertyChange>,
        /// What that does to it.
        replacement: Replacement,
        /// Whether its content is lost by that.
        lost: bool,
    },
}

/// A change of one entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntryChange {
    /// The section: `Resources`, `Parameters`, `Conditions` or `Outputs`; `Values` for the value of a parameter in an account.
    pub section: &'static str,
    /// Its name in the template.
    pub id: String,
    /// Its place in the tree of constructs, for resources.
    pub path: Option<String>,
    /// Its type, for resources.
    pub kind: Option<String>,
    /// What becomes of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What becomes of a stack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StackDiff {
    /// The stack or document.
    pub name: String,
    /// Whether all of it is new or goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole: Option<&'static str>,
    /// Its entries that change.
    pub entries: Vec<EntryChange>,
}

/// What changes between two syntheses; what stays is not listed.
pub fn diff(before: &Assembly, after: &Assembly) -> Vec<StackDiff> {
    let find =
        |assembly: &Assembly, name: &str| assembly.stacks.iter().find(|s| s.name == name).map(|s| s.template.clone());
    let empty = || Template::new(Value::Object(serde_json::Map::new()));
    let mut names: Vec<&str> = after.stacks.iter().map(|s| s.name.as_str()).collect();
    names.extend(before.stacks.iter().map(|s| s.name.as_str()).filter(|n| after.stacks.iter().all(|s| s.name != *n)));
    let mut out = Vec::new();
    for name in names {
        let (old, new) = (find(before, name), find(after, name));
        let whole = match (&old, &new) {
            (None, _) => Some("added"),
            (_, None) => Some("removed"),
            _ => None,
        };
        let entries = templates(&old.unwrap_or_else(empty), &new.unwrap_or_else(empty));
        if whole.is_some() || !entries.is_empty() {
            out.push(StackDiff { name: name.into(), whole, entries });
        }
    }
    out.extend(documents(before, after));
    out
}

/// What changes between two templates.
pub(crate) fn templates(before: &Template, after: &Template) -> Vec<EntryChange> {
    let mut out = Vec::new();
    for section in ["Parameters", "Conditions", "Resources", "Outputs"] {
        let find = |template: &Template, id: &str| template.json().get(section).and_then(|s| s.get(id)).cloned();
        let removed = before.section(section).filter(|(id, _)| find(after, id).is_none());
        out.extend(removed.map(|(id, old)| entry(section, id, old, Change::Removed { lost: is_lost(old) })));
        for (id, new) in after.section(section) {
            match find(before, id) {
                None => out.push(entry(section, id, new, Change::Added)),
                Some(old) if old != *new => out.extend(changed(&old, new).map(|c| entry(section, id, new, c))),
                Some(_) => {}
            }
        }
    }
    out
}

fn entry(section: &'static str, id: &str, value: &Value, change: Change) -> EntryChange {
    let resource = section == "Resources";
    let path = value.pointer("/Metadata/kidu:path").and_then(Value::as_str);
    EntryChange {
        section,
        id: id.into(),
        path: path.filter(|_| resource).map(str::to_string),
        kind: resource.then(|| type_of(value).to_string()),
        change,
    }
}

/// Whether deleting a resource loses something.
fn is_lost(resource: &Value) -> bool {
    let policy = resource.get("DeletionPolicy").and_then(Value::as_str);
    let kept = policy.is_some_and(|p| p.starts_with("Retain") || p == "Snapshot");
    !kept && aws::find(type_of(resource)).is_some_and(|t| t.stateful)
}

fn changed(before: &Value, after: &Value) -> Option<Change> {
    let mut properties = Vec::new();
    compare(Some(before), Some(after), "", &mut properties);
    // Where a resource stands in the code, and what is accepted of it, changes nothing that is deployed.
    properties.retain(|p| !p.path.starts_with("Metadata"));
    let kind = aws::find(type_of(after));
    let same_type = type_of(before) == type_of(after);
    for property in &mut properties {
        property.replacement = match property.path.strip_prefix("Properties.") {
            _ if !same_type => Replacement::Yes,
            None => Replacement::No,
            Some(path) => {
                let name = path.split(['.', '[']).next().unwrap_or_default();
                match kind.map(|k| k.property(name)) {
                    Some(Some(p)) if p.update == Update::Replace => Replacement::Yes,
                    Some(Some(_)) => Replacement::No,
                    _ => Replacement::Unknown,
                }
            }
        };
    }
    let replacement = properties.iter().map(|p| p.replacement).max()?;
    let kept = before.get("UpdateReplacePolicy").is_some_and(|p| p == "Retain" || p == "Snapshot");
    let stateful = aws::find(type_of(before)).is_some_and(|t| t.stateful);
    Some(Change::Changed { properties, replacement, lost: replacement == Replacement::Yes && stateful && !kept })
}

fn compare(before: Option<&Value>, after: Option<&Value>, at: &str, out: &mut Vec<PropertyChange>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) if !is_function(old) && !is_function(new) => {
            let below = |key: &str| if at.is_empty() { key.to_string() } else { format!("{at}.{key}") };
            let keys = old.keys().chain(new.keys().filter(|k| !old.contains_key(*k)));
            keys.for_each(|key| compare(old.get(key), new.get(key), &below(key), out));
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            old.iter()
                .zip(new)
                .enumerate()
                .for_each(|(i, (o, n))| compare(Some(o), Some(n), &format!("{at}[{i}]"), out));
        }
        (old, new) if old == new => {}
        (old, new) => out.push(PropertyChange {
            path: at.into(),
            before: old.cloned(),
            after: new.cloned(),
            replacement: Replacement::No,
        }),
    }
}

fn is_function(object: &serde_json::Map<String, Value>) -> bool {
    object.len() == 1 && object.keys().all(|k| k == "Ref" || k.starts_with("Fn::"))
}

fn documents(before: &Assembly, after: &Assembly) -> Vec<StackDiff> {
    let names: std::collections::BTreeSet<&String> = before.documents.keys().chain(after.documents.keys()).collect();
    let mut out = Vec::new();
    for name in names {
        let mut properties = Vec::new();
        compare(before.documents.get(name), after.documents.get(name), "", &mut properties);
        if !properties.is_empty() {
            let change = Change::Changed { properties, replacement: Replacement::No, lost: false };
            let entry = EntryChange { section: "Document", id: name.clone(), path: None, kind: None, change };
            out.push(StackDiff { name: name.clone(), whole: None, entries: vec![entry] });
        }
    }
    out
}

/// For people.
pub fn to_text(diffs: &[StackDiff]) -> String {
    let mut out = String::new();
    for stack in diffs {
        let whole = stack.whole.map(|w| format!(" ({w})")).unwrap_or_default();
        let _ = writeln!(out, "{}{whole}", stack.name);
        for entry in &stack.entries {
            line(entry, &mut out);
        }
    }
    let (added, changed, removed, replaced, lost) = counts(diffs);
    let _ = writeln!(
        out,
        "{added} added, {changed} changed ({replaced} replaced), {removed} removed; content of {lost} lost"
    );
    out
}

fn counts(diffs: &[StackDiff]) -> (usize, usize, usize, usize, usize) {
    let of = |is: fn(&Change) -> bool| {
        let resources = diffs.iter().flat_map(|d| &d.entries).filter(|e| e.section == "Resources");
        resources.filter(|e| is(&e.change)).count()
    };
    (
        of(|c| *c == Change::Added),
        of(|c| matches!(c, Change::Changed { .. })),
        of(|c| matches!(c, Change::Removed { .. })),
        of(|c| matches!(c, Change::Changed { replacement: Replacement::Yes, .. })),
        of(|c| matches!(c, Change::Changed { lost: true, .. } | Change::Removed { lost: true })),
    )
}

fn line(entry: &EntryChange, out: &mut String) {
    let name = match (&entry.kind, &entry.path) {
        (Some(kind), Some(path)) => format!("{kind} {path} ({})", entry.id),
        (Some(kind), None) => format!("{kind} {}", entry.id),
        _ => format!("{} {}", entry.section.trim_end_matches('s').to_lowercase(), entry.id),
    };
    let (sign, note) = match &entry.change {
        Change::Added => ('+', ""),
        Change::Removed { lost: true } => ('-', "  its content is lost"),
        Change::Removed { .. } => ('-', ""),
        Change::Changed { lost: true, .. } => ('~', "  replaced, its content is lost"),
        Change::Changed { replacement: Replacement::Yes, .. } => ('~', "  replaced"),
        Change::Changed { replacement: Replacement::Unknown, .. } => ('~', "  replaced or not: the change set says"),
        Change::Changed { .. } => ('~', ""),
    };
    let _ = writeln!(out, "  {sign} {name}{note}");
    if let Change::Changed { properties, .. } = &entry.change {
        for p in properties {
            let forces = if p.replacement == Replacement::Yes { "  (replaces)" } else { "" };
            let _ =
                writeln!(out, "      {}: {} → {}{forces}", p.path, short(p.before.as_ref()), short(p.after.as_ref()));
        }
    }
}

/// A value in one short line.
fn short(value: Option<&Value>) -> String {
    const MOST: usize = 90;
    let text = value.map_or_else(|| "nothing".to_string(), ToString::to_string);
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::{Settings, synth};

    /// An assembly whose text was changed.
    fn edited(change: impl Fn(String) -> String) -> (Assembly, Assembly) {
        let before = synth(&Settings::default()).unwrap();
        let mut after = before.clone();
        for stack in &mut after.stacks {
            let text = change(stack.template.json().to_string());
            stack.template = Template::new(serde_json::from_str(&text).unwrap());
        }
        (before, after)
    }

    #[test]
    fn nothing_changed_is_nothing() {
        let (before, after) = edited(|t| t);
        assert_eq!(diff(&before, &after), []);
        assert_eq!(to_text(&[]), "0 added, 0 changed (0 replaced), 0 removed; content of 0 lost\n");
    }

    #[test]
    fn a_change_in_place_and_a_replacement_are_told_apart() {
        let (before, after) = edited(|t| t.replace("Classifies images", "Classifies pictures"));
        let text = to_text(&diff(&before, &after));
        assert!(text.contains("Properties.Description: \"Classifies images\" → \"Classifies pictures\"\n"), "{text}");
        assert!(text.contains("2 changed (0 replaced)"), "{text}");
        let (before, after) =
            edited(|t| t.replace("${Foundation}-raw-${AWS::AccountId}", "${Foundation}-images-${AWS::AccountId}"));
        let text = to_text(&diff(&before, &after));
        assert!(text.contains("~ AWS::S3::Bucket RawBucket/Bucket"), "{text}");
        assert!(text.contains("(replaces)"), "{text}");
        // It is retained, so nothing is lost.
        assert!(text.contains("content of 0 lost"), "{text}");
    }

    #[test]
    fn loss_is_told() {
        let (mut before, after) =
            edited(|t| t.replace("${Foundation}-raw-${AWS::AccountId}", "${Foundation}-images-${AWS::AccountId}"));
        for stack in &mut before.stacks {
            let text = stack.template.json().to_string().replace("\"Retain\"", "\"Delete\"");
            stack.template = Template::new(serde_json::from_str(&text).unwrap());
        }
        let text = to_text(&diff(&before, &after));
        assert!(text.contains("replaced, its content is lost"), "{text}");
        let mut without = before.clone();
        without.stacks.retain(|s| s.name != "foundation");
        let text = to_text(&diff(&before, &without));
        assert!(text.contains("foundation (removed)") && text.contains("its content is lost"), "{text}");
        assert!(to_text(&diff(&without, &before)).contains("foundation (added)"));
    }
}
