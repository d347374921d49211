//! The values of overrides.

use crate::{
    node::{Entry, MAX_DEPTH, Node, Origin, Value},
    scalar::resolve_plain,
};

/// Writes a text as the value of an override, so that it is taken literally whatever it contains.
///
/// How values are read: `[a, b]` is a list and `{a: 1, b: [2]}` a map (a space after `:` is not needed); a value in
/// single quotes is a text in which `''` is one quote; in double quotes `\"`, `\\`, `\n`, `\t` and `\uXXXX` are read
/// as in JSON; anything else is one plain value, spaces, colons and commas included: `null`, `true`, `false`, numbers
/// as YAML 1.2 has them, otherwise a text. Nothing after `=` is the empty text. `${...}` is interpolated in every
/// text, also in quotes; `\${` is a literal `${`.
///
/// ```
/// assert_eq!(kidu_config::quote("it's ${x}"), r"'it''s \${x}'");
/// ```
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let mut backslashes = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '$' && rest.peek() == Some(&'{') {
            // Backslashes before `${` are read in pairs, one more makes it literal.
            out.push_str(&"\\".repeat(backslashes + 1));
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        out.push(c);
        if c == '\'' {
            out.push('\'');
        }
    }
    format!("'{out}'")
}

/// Reads the value of an override.
///
/// # Errors
/// A sentence with what is wrong.
pub(crate) fn parse_value(text: &str, origin: &Origin) -> Result<Node, String> {
    let text = text.trim();
    let mut reader = Reader { text, at: 0, origin };
    let value = match text.chars().next() {
        None => Value::String(String::new()),
        Some('[' | '{' | '\'' | '"') => {
            let value = reader.value(0)?;
            let rest = &text[reader.at..];
            if !rest.trim().is_empty() {
                return Err(format!("'{}' follows the end of the value; put the whole value in quotes", rest.trim()));
            }
            return Ok(value);
        }
        Some(_) => resolve_plain(text)?,
    };
    Ok(Node::new(value, origin.clone()))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    origin: &'a Origin,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH / 2 {
            return Err(format!("nested more than {} deep", MAX_DEPTH / 2));
        }
        self.skip_spaces();
        let value = match self.peek() {
            Some('[') => self.list(depth)?,
            Some('{') => self.map(depth)?,
            Some('\'' | '"') => Value::String(self.quoted()?),
            _ => match self.plain(&[',', ']', '}'])? {
                "" => return Err("a value is missing between the commas or brackets".into()),
                word => resolve_plain(word)?,
            },
        };
        Ok(Node::new(value, self.origin.clone()))
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        self.next();
        loop {
            self.skip_spaces();
            if self.peek() == Some(']') {
                break;
            }
            items.push(self.value(depth + 1)?);
            if !self.comma(']')? {
                break;
            }
        }
        self.next();
        Ok(Value::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Value, String> {
        let mut entries: Vec<Entry> = Vec::new();
        self.next();
        loop {
            self.skip_spaces();
            if self.peek() == Some('}') {
                break;
            }
            let key = match self.peek() {
                Some('\'' | '"') => self.quoted()?,
                _ => self.plain(&[':', ',', '}', ']'])?.to_string(),
            };
            self.skip_spaces();
            if self.next() != Some(':') || key.is_empty() {
                return Err("a map is written {key: value, key: value}".into());
            }
            if entries.iter().any(|e| e.key == key) {
                return Err(format!("the key '{key}' is written twice"));
            }
            let node = self.value(depth + 1)?;
            entries.push(Entry { key, key_origin: self.origin.clone(), node });
            if !self.comma('}')? {
                break;
            }
        }
        self.next();
        Ok(Value::Map(entries))
    }

    /// Consumes a comma; false before the closing bracket, which is left.
    fn comma(&mut self, close: char) -> Result<bool, String> {
        self.skip_spaces();
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(true)
            }
            Some(c) if c == close => Ok(false),
            Some(c) => Err(format!("'{c}' stands where ',' or '{close}' should; quote texts with special characters")),
            None => Err(format!("the closing '{close}' is missing")),
        }
    }

    /// A bare word up to one of `ends`, which do not count inside `${...}`.
    fn plain(&mut self, ends: &[char]) -> Result<&'a str, String> {
        let start = self.at;
        let mut open = 0;
        while let Some(c) = self.peek() {
            match c {
                '$' if self.text[self.at..].starts_with("${") => {
                    open += 1;
                    self.next();
                }
                '}' if open > 0 => open -= 1,
                _ if open == 0 && ends.contains(&c) => break,
                '[' | '{' if open == 0 => return Err(format!("'{c}' inside a word; put the text in quotes")),
                _ => {}
            }
            self.next();
        }
        Ok(self.text[start..self.at].trim())
    }

    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.next().unwrap_or('\'');
        let mut out = String::new();
        while let Some(c) = self.next() {
            match c {
                '\'' if quote == '\'' && self.peek() == Some('\'') => {
                    self.next();
                    out.push('\'');
                }
                _ if c == quote => return Ok(out),
                '\\' if quote == '"' => self.escape(&mut out)?,
                _ => out.push(c),
            }
        }
        Err(format!("the closing {quote} is missing"))
    }

    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        match self.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some(c @ ('"' | '\\' | '/')) => out.push(c),
            // `\${` is left for the interpolation, which reads it as a literal `${`.
            Some('$') => out.push_str("\\$"),
            Some('u') => {
                let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
                let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                out.push(code.ok_or_else(|| format!("\\u{digits} is not a character; write four hexadecimal digits"))?);
                self.at += 4;
            }
            _ => return Err(r#"after a backslash in double quotes comes one of " \ / n t u $"#.into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit;

    fn read(text: &str) -> Result<String, String> {
        parse_value(text, &Origin::Override("t".into())).map(|n| emit::flow(&n))
    }

    #[test]
    fn values_as_documented() {
        for (text, expected) in [
            ("", r#""""#),
            ("null", "null"),
            ("1e-3", "0.001"),
            ("a, b: c # d", r#""a, b: c # d""#),
            ("[1,two, 'x,y',]", r#"[1, two, "x,y"]"#),
            ("{name:sgd, betas: [0.9,0.999], p: ${a.b}/c}", r#"{name: sgd, betas: [0.9, 0.999], p: "${a.b}/c"}"#),
            ("{root:C:\\data}", r#"{root: "C:\\data"}"#),
            ("'it''s'", r#""it's""#),
            (r#""a\nb\u00e4""#, "\"a\\nbä\""),
            ("[]", "[]"),
            ("{}", "{}"),
            ("*x", r#""*x""#),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn broken_values_are_refused() {
        let deep = "[".repeat(10_000);
        for text in ["[1", "[1,,2]", "{a}", "{a:1", "'x", "'x' y", "[a}", "{a:1,a:2}", "\"\\q\"", "[a[b]", &deep] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
