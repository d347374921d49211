//! Merging one tree into another, and setting single values.

use kidu_core::suggest::nearest;

use crate::{
    emit,
    error::{ConfigError, Place, Result},
    node::{Entry, Node, Setting, Value, index, join},
    overrides::{Mode, ValueOverride},
};

/// Maps are merged, anything else is replaced and remembered.
pub(crate) fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Map(entries), Value::Map(others)) => others.into_iter().for_each(|other| merge_entry(entries, other)),
        (_, value) => {
            let past = Setting { value: emit::shorten(&emit::flow(base)), origin: base.origin.clone() };
            base.history.push(past);
            base.history.extend(over.history);
            (base.value, base.origin, base.expression) = (value, over.origin, over.expression);
        }
    }
}

fn merge_entry(entries: &mut Vec<Entry>, other: Entry) {
    match entries.iter_mut().find(|e| e.key == other.key) {
        Some(entry) => {
            if !matches!(other.node.value, Value::Map(_)) {
                entry.key_origin = other.key_origin;
            }
            merge(&mut entry.node, other.node);
        }
        None => entries.push(other),
    }
}

/// Puts a tree below the keys of a package.
pub(crate) fn wrap(node: Node, package: &[String]) -> Node {
    package.iter().rev().fold(node, |node, key| {
        let origin = node.origin.clone();
        Node::new(Value::Map(vec![Entry { key: key.clone(), key_origin: origin.clone(), node }]), origin)
    })
}

/// Applies `a.b=c`, `+a.b=c`, `++a.b=c` or `~a.b`.
pub(crate) fn apply(root: &mut Node, over: &ValueOverride) -> Result<()> {
    let parts: Vec<&str> = over.key.split('.').collect();
    match &over.mode {
        Mode::Delete(expected) => delete(root, &parts, over, expected.as_ref()),
        Mode::Set(value) => set(root, &parts, over, value, true, false),
        Mode::Add(value) => set(root, &parts, over, value, false, true),
        Mode::Force(value) => set(root, &parts, over, value, false, false),
    }
}

fn set(root: &mut Node, parts: &[&str], over: &ValueOverride, value: &Node, must: bool, must_not: bool) -> Result<()> {
    if must && root.get(&over.key).is_none() {
        return Err(no_such_key(root, parts, over));
    }
    let mut node = root;
    for (depth, part) in parts.iter().enumerate() {
        let last = depth + 1 == parts.len();
        // A `null` section may be filled by `+a.b=c`.
        if node.is_null() {
            merge(node, Node::new(Value::Map(Vec::new()), over.origin.clone()));
        }
        let parent = parts[..depth].join(".");
        if let Value::Map(entries) = &mut node.value
            && !entries.iter().any(|e| e.key == *part)
        {
            let fresh = if last { value.clone() } else { Node::new(Value::Map(Vec::new()), over.origin.clone()) };
            entries.push(Entry { key: (*part).to_string(), key_origin: over.origin.clone(), node: fresh });
            if last {
                return Ok(());
            }
        }
        node = match &mut node.value {
            Value::Map(entries) => entries.iter_mut().find(|e| e.key == *part).map(|e| &mut e.node),
            Value::List(items) => index(part).and_then(|i| items.get_mut(i)),
            _ => None,
        }
        .ok_or_else(|| ConfigError::syntax(&over.origin, format!("'{parent}' has nothing called '{part}'")))?;
    }
    let both_maps = matches!((&node.value, &value.value), (Value::Map(_), Value::Map(_)));
    if must_not && !both_maps {
        let reason = format!("'{}' exists already ({}); leave out the '+' to change it", over.key, node.origin);
        return Err(ConfigError::syntax(&over.origin, reason));
    }
    merge(node, value.clone());
    Ok(())
}

fn delete(root: &mut Node, parts: &[&str], over: &ValueOverride, expected: Option<&Node>) -> Result<()> {
    let found = root.get(&over.key).ok_or_else(|| no_such_key(root, parts, over))?;
    if let Some(expected) = expected
        && expected != found
    {
        let reason = format!("'{}' is {}, so it is not removed", over.key, found.describe());
        return Err(ConfigError::syntax(&over.origin, reason));
    }
    let mut node = root;
    for part in &parts[..parts.len() - 1] {
        let next = match &mut node.value {
            Value::Map(entries) => entries.iter_mut().find(|e| e.key == *part).map(|e| &mut e.node),
            Value::List(items) => index(part).and_then(|i| items.get_mut(i)),
            _ => None,
        };
        let Some(next) = next else { return Ok(()) };
        node = next;
    }
    let last = parts[parts.len() - 1];
    match &mut node.value {
        Value::Map(entries) => entries.retain(|e| e.key != last),
        Value::List(items) => {
            if let Some(i) = index(last).filter(|i| *i < items.len()) {
                items.remove(i);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The error for a key that does not exist, with the most likely intended one.
fn no_such_key(root: &Node, parts: &[&str], over: &ValueOverride) -> ConfigError {
    let mut node = root;
    let mut parent = String::new();
    for part in parts {
        match node.child(part) {
            Some(child) => (node, parent) = (child, join(&parent, part)),
            None if node.is_null() && !parent.is_empty() => {
                let reason = format!(
                    "'{parent}' is null ({}), so it has no '{part}'; write +{} to make it a map, or choose an option \
                     that sets it",
                    node.origin, over.key
                );
                return ConfigError::syntax(&over.origin, reason);
            }
            None => {
                let near = nearest(part, node.entries().iter().map(|e| e.key.as_str())).map(|k| join(&parent, k));
                let last = parts[parts.len() - 1];
                let near = leaf_called(root, "", last).or(near);
                let hint = format!("; write +{} to add a new key", over.key);
                return ConfigError::UnknownKey { place: Place::new(&over.key, &over.origin), nearest: near, hint };
            }
        }
    }
    ConfigError::syntax(&over.origin, format!("there is no '{}'", over.key))
}

/// The first key of that name anywhere in the tree, in full.
fn leaf_called(node: &Node, path: &str, name: &str) -> Option<String> {
    node.entries().iter().find_map(|e| {
        let here = join(path, &e.key);
        if e.key == name { Some(here) } else { leaf_called(&e.node, &here, name) }
    })
}
