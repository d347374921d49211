//! `${...}`: values that name other values.

use kidu_core::suggest::{did_you_mean, nearest};

use crate::{
    emit,
    error::{ConfigError, Result},
    node::{Entry, MAX_DEPTH, Node, Origin, Value, join},
    scalar::format_float,
    sources::ConfigSources,
    sweep::split_commas,
    value::parse_value,
};

/// Values visited while resolving, and bytes of text made: more is a bomb, not a configuration.
const MAX_STEPS: usize = 100_000;
const MAX_TEXT: usize = 4 << 20;

/// A copy of the tree without interpolations. Keys are left as they are.
///
/// # Errors
/// [`ConfigError::Interpolation`] for a name without a value, a circle, or a malformed `${...}`.
pub(crate) fn resolve(root: &Node, sources: &ConfigSources) -> Result<Node> {
    Resolver { root, sources, stack: Vec::new(), steps: 0, text: 0 }.node(root, "", 0)
}

struct Resolver<'a> {
    root: &'a Node,
    sources: &'a ConfigSources,
    /// Keys whose texts are being resolved, for circles.
    stack: Vec<String>,
    steps: usize,
    text: usize,
}

/// Where an interpolation is written.
#[derive(Clone, Copy)]
struct Site<'s> {
    key: &'s str,
    origin: &'s Origin,
    depth: usize,
}

impl Site<'_> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        Err(ConfigError::interpolation(self.key, self.origin, reason))
    }

    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// A piece of a text.
enum Part<'t> {
    Literal(String),
    /// What stands between `${` and its `}`.
    Reference(&'t str),
}

impl Resolver<'_> {
    fn node(&mut self, node: &Node, key: &str, depth: usize) -> Result<Node> {
        let site = Site { key, origin: &node.origin, depth };
        self.step(site)?;
        let value = match &node.value {
            Value::String(text) if text.contains("${") => return self.string(node, text, site),
            Value::List(items) => {
                let numbered = items.iter().enumerate();
                let items = numbered.map(|(i, item)| self.node(item, &join(key, &i.to_string()), depth + 1));
                Value::List(items.collect::<Result<_>>()?)
            }
            Value::Map(entries) => {
                let resolved = entries.iter().map(|e| {
                    let node = self.node(&e.node, &join(key, &e.key), depth + 1)?;
                    Ok(Entry { key: e.key.clone(), key_origin: e.key_origin.clone(), node })
                });
                Value::Map(resolved.collect::<Result<_>>()?)
            }
            other => other.clone(),
        };
        Ok(Node { value, ..shallow(node) })
    }

    fn step(&mut self, site: Site<'_>) -> Result<()> {
        self.steps += 1;
        if site.depth > MAX_DEPTH {
            return site.fail(format!("nested more than {MAX_DEPTH} deep"));
        }
        if self.steps > MAX_STEPS || self.text > MAX_TEXT {
            return site.fail("the interpolations multiply without end; name fewer values");
        }
        Ok(())
    }

    fn string(&mut self, node: &Node, text: &str, site: Site<'_>) -> Result<Node> {
        if self.stack.iter().any(|k| k == site.key) {
            return site.fail(format!(
                "the interpolations go in a circle: {} -> {}",
                self.stack.join(" -> "),
                site.key
            ));
        }
        self.stack.push(site.key.to_string());
        let mut resolved = self.value(text, site)?;
        self.stack.pop();
        resolved.history.clone_from(&node.history);
        resolved.expression = Some(text.to_string());
        Ok(resolved)
    }

    /// The value of a text: typed when it is a single interpolation, otherwise a text.
    fn value(&mut self, text: &str, site: Site<'_>) -> Result<Node> {
        self.step(site)?;
        let parts = match split(text) {
            Ok(parts) => parts,
            Err(reason) => return site.fail(reason),
        };
        if let [Part::Reference(inside)] = parts[..] {
            return self.reference(inside, site.deeper());
        }
        let mut out = String::new();
        for part in &parts {
            match part {
                Part::Literal(literal) => out.push_str(literal),
                Part::Reference(inside) => {
                    let node = self.reference(inside, site.deeper())?;
                    match as_text(&node) {
                        Some(text) => out.push_str(&text),
                        None => {
                            let found = node.describe();
                            return site.fail(format!("${{{inside}}} is {found}, which cannot be part of a text"));
                        }
                    }
                }
            }
            self.text += out.len();
            self.step(site)?;
        }
        Ok(Node::new(Value::String(out), site.origin.clone()))
    }

    /// What `${inside}` stands for.
    fn reference(&mut self, inside: &str, site: Site<'_>) -> Result<Node> {
        self.step(site)?;
        let colon = inside.find(':').filter(|at| !inside[..*at].contains("${"));
        if let Some(at) = colon {
            return self.function(inside[..at].trim(), &inside[at + 1..], site);
        }
        let name = self.value(inside, site.deeper())?;
        let Some(name) = as_text(&name) else { return site.fail(format!("'{inside}' is not the name of a key")) };
        let Some(key) = absolute(name.trim(), site.key) else {
            return site.fail(format!("'${{{name}}}' names no key; write ${{a.b}}, ${{.b}} or ${{oc.env:NAME}}"));
        };
        let found = self.lookup(&key, site)?;
        // The value was set here, whatever it names; what it named keeps its own place further down.
        Ok(Node { origin: site.origin.clone(), ..found })
    }

    fn lookup(&mut self, key: &str, site: Site<'_>) -> Result<Node> {
        let root = self.root;
        let (mut node, mut path) = (root, String::new());
        let parts: Vec<&str> = key.split('.').collect();
        for (i, part) in parts.iter().enumerate() {
            // A key on the way may itself be an interpolation.
            if node.as_str().is_some_and(|t| t.contains("${")) {
                let resolved = self.node(node, &path, site.depth + 1)?;
                let rest = parts[i..].join(".");
                return match resolved.get(&rest) {
                    Some(found) => Ok(found.clone()),
                    None => site.fail(format!("there is no '{key}': '{path}' has no '{rest}'")),
                };
            }
            match node.child(part) {
                Some(child) => (node, path) = (child, join(&path, part)),
                None => {
                    let near = nearest(part, node.entries().iter().map(|e| e.key.as_str())).map(|k| join(&path, k));
                    return site.fail(format!("there is no '{key}'{}", did_you_mean(near.as_deref())));
                }
            }
        }
        self.node(node, &path, site.depth + 1)
    }

    /// `oc.env` and `oc.decode`.
    fn function(&mut self, name: &str, arguments: &str, site: Site<'_>) -> Result<Node> {
        let mut resolved = Vec::new();
        for argument in split_commas(arguments) {
            let bare = unquote(argument);
            let node = self.value(bare.unwrap_or(argument), site.deeper())?;
            let is_null = bare.is_none() && argument == "null";
            resolved.push(if is_null { Node::new(Value::Null, site.origin.clone()) } else { node });
        }
        match (name, &resolved[..]) {
            ("oc.env", [variable] | [variable, _]) => {
                let variable = as_text(variable).unwrap_or_default();
                if let Some(text) = self.sources.variable(&variable) {
                    let at = Box::new(site.origin.clone());
                    let origin = Origin::Environment { name: variable.as_str().into(), at };
                    return Ok(Node::new(Value::String(text), origin));
                }
                match resolved.get(1) {
                    Some(default) if default.is_null() => Ok(default.clone()),
                    Some(default) => match as_text(default) {
                        Some(text) => Ok(Node::new(Value::String(text), site.origin.clone())),
                        None => site.fail(format!("the default of {variable} is {}, not a text", default.describe())),
                    },
                    None => site.fail(format!(
                        "the environment variable {variable} is not set; set it or write ${{oc.env:{variable},DEFAULT}}"
                    )),
                }
            }
            ("oc.decode", [text]) => match as_text(text).map(|t| parse_value(&t, &text.origin)) {
                Some(Ok(node)) => Ok(node),
                Some(Err(reason)) => site.fail(reason),
                None => Ok(text.clone()),
            },
            ("oc.env", _) => site.fail("write ${oc.env:NAME} or ${oc.env:NAME,DEFAULT}"),
            ("oc.decode", _) => site.fail("write ${oc.decode:TEXT}"),
            _ => site.fail(format!("there is no '{name}:'; there are oc.env and oc.decode")),
        }
    }
}

fn shallow(node: &Node) -> Node {
    Node {
        value: Value::Null,
        origin: node.origin.clone(),
        history: node.history.clone(),
        expression: node.expression.clone(),
    }
}

/// Splits a text at its interpolations. Backslashes before `${` are read in pairs; an odd one makes it literal.
fn split(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let plain = before.trim_end_matches('\\');
        let backslashes = before.len() - plain.len();
        literal.push_str(plain);
        literal.push_str(&"\\".repeat(backslashes / 2));
        if backslashes % 2 == 1 {
            literal.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        let Some(end) = closing(&rest[at + 2..]) else {
            return Err("'${' has no '}'; write \\${ if it is meant literally".into());
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Reference(&rest[at + 2..at + 2 + end]));
        rest = &rest[at + 3 + end..];
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// Position of the `}` that closes an interpolation, over nested ones.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

/// A key from the root: leading dots climb from the map that holds `here`.
fn absolute(name: &str, here: &str) -> Option<String> {
    let path = name.trim_start_matches('.');
    let dots = name.len() - path.len();
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return None;
    }
    if dots == 0 {
        return Some(path.to_string());
    }
    let above: Vec<&str> = here.split('.').collect();
    let base = above.get(..above.len().checked_sub(dots)?)?.join(".");
    Some(join(&base, path))
}

/// A scalar as it stands in a longer text; nothing for null, lists and maps.
fn as_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        Value::Float(number) => Some(format_float(*number)),
        Value::Bool(_) | Value::Int(_) => Some(emit::flow(node)),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

fn unquote(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q))
}
