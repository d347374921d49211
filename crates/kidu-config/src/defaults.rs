//! Reading one file: its defaults list, its `# @package` header, its own keys.

use crate::{
    error::{ConfigError, Result},
    node::{Node, Origin, Value},
    overrides::options,
    sources::SourceFile,
    yaml,
};

/// A file, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct ParsedFile {
    /// The keys other than `defaults`; always a map.
    pub(crate) content: Node,
    /// The defaults list, with `_self_` in it.
    pub(crate) defaults: Vec<DefaultEntry>,
    /// `# @package NAME`.
    pub(crate) header: Option<String>,
}

/// One entry of a defaults list.
#[derive(Clone, Debug)]
pub(crate) struct DefaultEntry {
    pub(crate) kind: DefaultKind,
    pub(crate) origin: Origin,
}

/// What the entry asks for.
#[derive(Clone, Debug)]
pub(crate) enum DefaultKind {
    /// `_self_`.
    Own,
    /// `name` or `name@package`: a file of the same folder, or from the root with a leading `/`.
    File { name: String, package: Option<String> },
    /// `group: option`.
    Group { group: String, package: Option<String>, options: Vec<String>, optional: bool },
    /// `override group: option`.
    Override { group: String, package: Option<String>, options: Vec<String> },
}

/// Parses a file and takes it apart.
pub(crate) fn read(source: &SourceFile) -> Result<ParsedFile> {
    let start = Origin::File { file: source.name.clone(), line: 1, column: 1 };
    let mut content = match yaml::parse(&source.text, &source.name)? {
        Some(node) if !node.is_null() => node,
        _ => Node::new(Value::Map(Vec::new()), start.clone()),
    };
    let Value::Map(entries) = &mut content.value else {
        let reason = format!("a configuration is a map of keys to values, not {}", content.describe());
        return Err(ConfigError::syntax(&content.origin, reason));
    };
    let list = entries.iter().position(|e| e.key == "defaults").map(|at| entries.remove(at).node);
    let mut defaults = match &list {
        None => Vec::new(),
        Some(node) => match node.value() {
            Value::List(items) => items.iter().map(entry).collect::<Result<Vec<_>>>()?,
            _ => return Err(ConfigError::syntax(&node.origin, "defaults must be a list, as in '- model: default'")),
        },
    };
    let mut own = defaults.iter().filter(|d| matches!(d.kind, DefaultKind::Own));
    match (own.next(), own.next()) {
        (_, Some(second)) => return Err(ConfigError::syntax(&second.origin, "_self_ is listed twice; keep one")),
        (None, _) => defaults.push(DefaultEntry { kind: DefaultKind::Own, origin: start }),
        _ => {}
    }
    Ok(ParsedFile { content, defaults, header: header(&source.text) })
}

/// The package named in the comments before the first key.
fn header(text: &str) -> Option<String> {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .take_while(|line| line.is_empty() || line.starts_with('#'))
        .find_map(|line| line.trim_start_matches('#').trim_start().strip_prefix("@package"))
        .and_then(|rest| rest.split_whitespace().next())
        .map(String::from)
}

fn entry(node: &Node) -> Result<DefaultEntry> {
    let wrong = || {
        let reason = "an entry of a defaults list is one of: _self_; name; 'group: option'; 'group: [a, b]'; 'group: \
                      null'; 'override /group: option'; 'optional group: option'";
        ConfigError::syntax(&node.origin, reason)
    };
    let kind = match node.value() {
        Value::String(text) if text == "_self_" => DefaultKind::Own,
        Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => {
            let (name, package) = at_package(text);
            DefaultKind::File { name, package }
        }
        Value::Map(entries) if entries.len() == 1 => {
            let mut words: Vec<&str> = entries[0].key.split_whitespace().collect();
            let (group, package) = at_package(words.pop().ok_or_else(wrong)?);
            let options = options(&entries[0].node).ok_or_else(wrong)?;
            match words[..] {
                [] => DefaultKind::Group { group, package, options, optional: false },
                ["optional"] => DefaultKind::Group { group, package, options, optional: true },
                ["override"] => DefaultKind::Override { group, package, options },
                _ => return Err(wrong()),
            }
        }
        _ => return Err(wrong()),
    };
    Ok(DefaultEntry { kind, origin: node.origin.clone() })
}

fn at_package(text: &str) -> (String, Option<String>) {
    match text.split_once('@') {
        Some((name, package)) => (name.to_string(), Some(package.to_string())),
        None => (text.to_string(), None),
    }
}
