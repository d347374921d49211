//! YAML text to a tree with positions. The parser's events are assembled without recursion, with limits on size,
//! depth and aliases, so that no text can exhaust stack or memory.

use std::{collections::HashMap, sync::Arc};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use crate::{
    error::{ConfigError, Result},
    node::{Entry, MAX_DEPTH, Node, Origin, SourceName, Value},
    scalar::resolve_plain,
};

/// The largest file, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The most values in a file, after aliases are expanded.
const MAX_NODES: usize = 10_000;
/// The longest key, in characters.
const MAX_KEY: usize = 128;

/// The document of a text; `None` when the text holds nothing but comments.
pub(crate) fn parse(text: &str, file: &Arc<SourceName>) -> Result<Option<Node>> {
    let mut builder = Builder { file, stack: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0 };
    if text.len() > MAX_BYTES {
        let reason = format!("the file has {} bytes, more than the {MAX_BYTES} allowed", text.len());
        return Err(ConfigError::syntax(&builder.at(1, 0), reason));
    }
    let mut options = Options::default();
    (options.flow_nesting_limit, options.block_nesting_limit) = (4 * MAX_DEPTH, 4 * MAX_DEPTH);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.event(event, &span)?,
            Err(e) => {
                let at = builder.at(e.marker().line(), e.marker().col());
                return Err(ConfigError::syntax(&at, format!("not valid YAML: {}", e.info())));
            }
        }
    }
    Ok(builder.root)
}

enum Frame {
    List { items: Vec<Node>, origin: Origin, anchor: usize },
    Map { entries: Vec<Entry>, key: Option<(String, Origin)>, origin: Origin, anchor: usize },
}

struct Builder<'a> {
    file: &'a Arc<SourceName>,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Builder<'_> {
    fn at(&self, line: usize, column: usize) -> Origin {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Origin::File { file: Arc::clone(self.file), line: number(line.max(1)), column: number(column + 1) }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<()> {
        let at = self.at(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), at),
            Event::SequenceStart(_, anchor, tag) => {
                self.open(tag.as_deref(), &at)?;
                self.stack.push(Frame::List { items: Vec::new(), origin: at, anchor });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.open(tag.as_deref(), &at)?;
                self.stack.push(Frame::Map { entries: Vec::new(), key: None, origin: at, anchor });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::List { items, origin, anchor }) => {
                    self.value(Node::new(Value::List(items), origin), anchor)
                }
                Some(Frame::Map { entries, origin, anchor, .. }) => {
                    self.value(Node::new(Value::Map(entries), origin), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(id) => self.alias(id, &at),
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(ConfigError::syntax(&at, "a second YAML document begins here; keep one document a file"))
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, tag: Option<&Tag>, at: &Origin) -> Result<()> {
        if tag.is_some_and(|t| !matches!(t.core_suffix(), Some("map" | "seq"))) {
            return Err(tag_error(at));
        }
        if self.awaits_key() {
            return Err(ConfigError::syntax(at, "a key must be a text, not a list or a map"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(ConfigError::syntax(at, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.count(1, at)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map { key: None, .. }))
    }

    fn count(&mut self, nodes: usize, at: &Origin) -> Result<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let reason = format!("more than {MAX_NODES} values, counting each alias in full");
            return Err(ConfigError::syntax(at, reason));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, at: Origin) -> Result<()> {
        let quoted = match tag {
            None => style != ScalarStyle::Plain,
            Some(tag) if tag.core_suffix() == Some("str") => true,
            Some(_) => return Err(tag_error(&at)),
        };
        if self.awaits_key() {
            return self.key(text, quoted, at);
        }
        self.count(1, &at)?;
        let value = if quoted {
            Value::String(text.to_string())
        } else {
            resolve_plain(text).map_err(|reason| ConfigError::syntax(&at, reason))?
        };
        self.value(Node::new(value, at), anchor)
    }

    fn key(&mut self, text: &str, quoted: bool, at: Origin) -> Result<()> {
        let Some(Frame::Map { entries, key, .. }) = self.stack.last_mut() else { return Ok(()) };
        if text.is_empty() || text.chars().count() > MAX_KEY {
            return Err(ConfigError::syntax(&at, format!("a key must have 1 to {MAX_KEY} characters")));
        }
        if text == "<<" && !quoted {
            return Err(ConfigError::syntax(&at, "merge keys (<<) are not read; use the defaults list"));
        }
        if let Some(first) = entries.iter().find(|e| e.key == text) {
            let reason = format!("the key '{text}' is written twice, first at {}; keep one", first.key_origin);
            return Err(ConfigError::syntax(&at, reason));
        }
        *key = Some((text.to_string(), at));
        Ok(())
    }

    fn alias(&mut self, id: usize, at: &Origin) -> Result<()> {
        if self.awaits_key() {
            return Err(ConfigError::syntax(at, "a key must be a text, not an alias"));
        }
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(ConfigError::syntax(at, "the alias stands inside the value that it names"));
        };
        let (nodes, depth) = size(&node);
        if self.stack.len() + depth > MAX_DEPTH {
            return Err(ConfigError::syntax(at, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.count(nodes, at)?;
        self.value(Node { origin: at.clone(), ..node }, 0)
    }

    /// A complete value: the next item, the value of the pending key, or the root.
    fn value(&mut self, node: Node, anchor: usize) -> Result<()> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => {
                if let Some((key, key_origin)) = key.take() {
                    entries.push(Entry { key, key_origin, node });
                }
            }
            None => self.root = Some(node),
        }
        Ok(())
    }
}

fn tag_error(at: &Origin) -> ConfigError {
    ConfigError::syntax(at, "YAML tags (!name) are not read; write the plain value")
}

/// Number of values and levels of containers.
fn size(node: &Node) -> (usize, usize) {
    let sum = |children: &mut dyn Iterator<Item = &Node>| {
        let (nodes, depth) = children.map(size).fold((0, 0), |a, b| (a.0 + b.0, a.1.max(b.1)));
        (nodes + 1, depth + 1)
    };
    match &node.value {
        Value::List(items) => sum(&mut items.iter()),
        Value::Map(entries) => sum(&mut entries.iter().map(|e| &e.node)),
        _ => (1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit;

    fn read(text: &str) -> Result<Option<Node>> {
        parse(text, &Arc::new(SourceName { shown: "t.yaml".into(), built_in: false }))
    }

    #[test]
    fn keys_and_values_have_lines_and_columns() {
        let node = read("# x\na:\n  b: [1, two]\n  'c': null\n").unwrap().unwrap();
        let a = &node.entries()[0];
        assert_eq!(a.key_origin.to_string(), "t.yaml:2:1");
        assert_eq!(a.node.entries()[0].key_origin.to_string(), "t.yaml:3:3");
        assert_eq!(node.get("a.b.1").unwrap().origin().to_string(), "t.yaml:3:10");
        assert_eq!(emit::flow(&node), "{a: {b: [1, two], c: null}}");
        assert!(read("# nothing\n").unwrap().is_none());
    }

    #[test]
    fn odd_yaml_is_refused_with_its_line() {
        for (text, part) in [
            ("a: 1\na: 2", "t.yaml:2:1: the key 'a' is written twice, first at t.yaml:1:1"),
            ("a: 1\n---\nb: 2", "a second YAML document"),
            ("[1]: 2", "a key must be a text"),
            ("a: !x 1", "YAML tags"),
            ("a: &a [*a]", "inside the value that it names"),
            ("b: &b {x: 1}\na:\n  <<: *b", "t.yaml:3:3: merge keys"),
            ("a: 99999999999999999999", "t.yaml:1:4: the number 99999999999999999999 does not fit"),
            ("a: [1", "not valid YAML"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }

    #[test]
    fn bombs_are_defused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
        for i in 1..12 {
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
        }
        assert!(read(&bomb).unwrap_err().to_string().contains("more than 10000 values"));
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"a: ".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(100_000)).is_err());
        let deep: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(read(&deep).unwrap_err().to_string().contains("64 deep"));
    }
}
