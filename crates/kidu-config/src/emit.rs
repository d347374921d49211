//! Values as YAML and JSON.

use std::fmt::Write as _;

use crate::{
    node::{Node, Value},
    scalar::{format_float, format_text},
};

/// As YAML on one line.
pub(crate) fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format_float(*number),
        Value::String(text) => format_text(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let pairs: Vec<_> = entries.iter().map(|e| format!("{}: {}", format_text(&e.key), flow(&e.node))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// As a YAML document: maps in blocks, lists on one line.
pub(crate) fn document(node: &Node) -> String {
    let mut out = String::new();
    if node.entries().is_empty() {
        out.push_str(&flow(node));
        out.push('\n');
    } else {
        block(node, 0, &mut out);
    }
    out
}

fn block(node: &Node, indent: usize, out: &mut String) {
    for entry in node.entries() {
        let key = format_text(&entry.key);
        // Writing to a string cannot fail.
        if entry.node.entries().is_empty() {
            let _ = writeln!(out, "{:indent$}{key}: {}", "", flow(&entry.node));
        } else {
            let _ = writeln!(out, "{:indent$}{key}:", "");
            block(&entry.node, indent + 2, out);
        }
    }
}

/// As JSON, keys in order.
pub(crate) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(number) => match u64::try_from(*number) {
            Ok(unsigned) => unsigned.into(),
            Err(_) => i64::try_from(*number).map_or_else(|_| number.to_string().into(), Into::into),
        },
        Value::Float(number) => {
            serde_json::Number::from_f64(*number).map_or_else(|| format_float(*number).into(), Into::into)
        }
        Value::String(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            serde_json::Value::Object(entries.iter().map(|e| (e.key.clone(), json(&e.node))).collect())
        }
    }
}

/// As JSON with sorted keys and no spaces.
pub(crate) fn canonical_json(node: &Node) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match &node.value {
        Value::List(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            let pairs: Vec<_> =
                sorted.iter().map(|e| format!("{}:{}", quoted(&e.key), canonical_json(&e.node))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        _ => json(node).to_string(),
    }
}

/// At most 120 characters of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_string(),
    }
}
