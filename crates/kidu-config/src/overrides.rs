//! Reading `key=value` from the command line.

use std::sync::Arc;

use crate::{
    error::{ConfigError, Result},
    node::{MAX_DEPTH, Node, Origin, Value},
    sources::ConfigSources,
    value::parse_value,
};

/// What an override does to a key.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// `a=b`: the key must exist.
    Set(Node),
    /// `+a=b`: the key must not exist.
    Add(Node),
    /// `++a=b`: either.
    Force(Node),
    /// `~a`, or `~a=b` to remove it only if it has that value.
    Delete(Option<Node>),
}

/// An override of a value.
#[derive(Clone, Debug)]
pub(crate) struct ValueOverride {
    pub(crate) key: String,
    pub(crate) mode: Mode,
    pub(crate) origin: Origin,
}

/// The choice of a group's options: `group=option`, or from `override /group: option` in a file.
#[derive(Clone, Debug)]
pub(crate) struct GroupOverride {
    pub(crate) group: String,
    pub(crate) package: Option<String>,
    pub(crate) mode: GroupMode,
    pub(crate) origin: Origin,
    pub(crate) used: bool,
}

/// What is done to the group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupMode {
    /// It is in the defaults list, and gets these options.
    Choose(Vec<String>),
    /// It is added to the defaults list.
    Add(Vec<String>),
    /// Added, or chosen if it is there.
    Force(Vec<String>),
    /// Taken off the defaults list.
    Delete,
}

/// All overrides of a command line, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) groups: Vec<GroupOverride>,
    pub(crate) values: Vec<ValueOverride>,
}

/// Sorts overrides into those of groups (a key without dots that names a group) and those of values. Of several for
/// one group the last counts.
pub(crate) fn parse(sources: &ConfigSources, texts: &[String]) -> Result<Overrides> {
    let mut all = Overrides::default();
    for text in texts {
        let origin = Origin::Override(Arc::from(text.as_str()));
        let (sigil, key, value) = split(text, &origin)?;
        let (group, package) = match key.split_once('@') {
            Some((group, package)) => (group, Some(package.to_string())),
            None => (key, None),
        };
        let group = group.trim_matches('/');
        let is_group = sources.is_group(group) || key.contains(['@', '/']);
        let node = value.map(|v| parse_value(v, &origin)).transpose();
        let node = node.map_err(|reason| ConfigError::syntax(&origin, reason))?;
        if is_group {
            let mode = group_mode(sigil, group, node, &origin)?;
            all.groups.retain(|o| (&*o.group, &o.package) != (group, &package));
            all.groups.push(GroupOverride { group: group.into(), package, mode, origin, used: false });
        } else {
            check_key(key, &origin)?;
            let mode = match (sigil, node) {
                ("~", node) => Mode::Delete(node),
                ("+", Some(node)) => Mode::Add(node),
                ("++", Some(node)) => Mode::Force(node),
                (_, Some(node)) => Mode::Set(node),
                (_, None) => return Err(ConfigError::syntax(&origin, "it has no '='; write key=value")),
            };
            all.values.push(ValueOverride { key: key.into(), mode, origin });
        }
    }
    Ok(all)
}

/// The sigil (`+`, `++`, `~` or nothing), the key and the text after `=`.
pub(crate) fn split<'a>(text: &'a str, origin: &Origin) -> Result<(&'static str, &'a str, Option<&'a str>)> {
    let (sigil, rest) =
        ["++", "+", "~"].into_iter().find_map(|s| text.strip_prefix(s).map(|rest| (s, rest))).unwrap_or(("", text));
    let (key, value) = match rest.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value)),
        None => (rest.trim(), None),
    };
    if key.is_empty() {
        return Err(ConfigError::syntax(origin, "it has no key; write key=value"));
    }
    Ok((sigil, key, value))
}

fn check_key(key: &str, origin: &Origin) -> Result<()> {
    let parts: Vec<&str> = key.split('.').collect();
    if parts.len() > MAX_DEPTH / 4 || key.len() > 1024 {
        return Err(ConfigError::syntax(origin, "the key is too long"));
    }
    if parts.iter().any(|p| p.is_empty() || p.contains(|c: char| c.is_whitespace() || "[]{}'\"$,".contains(c))) {
        let reason = format!("'{key}' is not a key; keys are words joined with dots, as in trainer.max_epochs=3");
        return Err(ConfigError::syntax(origin, reason));
    }
    Ok(())
}

fn group_mode(sigil: &str, group: &str, node: Option<Node>, origin: &Origin) -> Result<GroupMode> {
    if sigil == "~" {
        return Ok(GroupMode::Delete);
    }
    let Some(node) = node else {
        return Err(ConfigError::syntax(origin, format!("it has no '='; write {group}=OPTION")));
    };
    let options = options(&node).ok_or_else(|| {
        let reason = format!(
            "'{group}' is a group: give the name of an option, [several] or null; single values are set by \
             {group}.KEY=VALUE"
        );
        ConfigError::syntax(origin, reason)
    })?;
    Ok(match sigil {
        "+" => GroupMode::Add(options),
        "++" => GroupMode::Force(options),
        _ => GroupMode::Choose(options),
    })
}

/// The names of a group's options: a text, a list of texts, or null.
pub(crate) fn options(node: &Node) -> Option<Vec<String>> {
    let name = |node: &Node| match node.value() {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    };
    match node.value() {
        Value::Null => Some(Vec::new()),
        Value::List(items) => items.iter().map(name).collect(),
        _ => name(node).map(|n| vec![n]),
    }
}
