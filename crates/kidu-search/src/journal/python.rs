//! JSON as Python writes it: with `NaN` and `Infinity`. In between they are texts with a control character.

use serde_json::Value;

const NAMES: [(&str, f64); 3] = [("-Infinity", f64::NEG_INFINITY), ("Infinity", f64::INFINITY), ("NaN", f64::NAN)];
const MARK: char = '\u{1}';

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_string())?;
    let found = serde_json::from_str(text).or_else(|e| match has_names(text) {
        true => serde_json::from_str(&mark_names(text)),
        false => Err(e),
    });
    found.map_err(|e| format!("it is no JSON ({e})"))
}

/// Writes a line, its newline included.
pub(super) fn line(value: &Value) -> String {
    let mut text = value.to_string();
    for (name, _) in NAMES {
        text = text.replace(&format!("\"\\u0001{name}\""), name);
    }
    text.push('\n');
    text
}

/// A number that JSON may lack.
pub(crate) fn from_number(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(finite) => Value::Number(finite),
        None if number.is_nan() => Value::String(format!("{MARK}NaN")),
        None if number > 0.0 => Value::String(format!("{MARK}Infinity")),
        None => Value::String(format!("{MARK}-Infinity")),
    }
}

/// The number of what [`parse`] or [`from_number`] gave.
pub(crate) fn to_number(value: &Value) -> Option<f64> {
    let named = |text: &str| {
        let name = text.strip_prefix(MARK)?;
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    };
    value.as_f64().or_else(|| named(value.as_str()?))
}

fn has_names(text: &str) -> bool {
    text.contains("NaN") || text.contains("Infinity")
}

/// Puts names outside of texts into texts.
fn mark_names(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let (mut inside, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let name = NAMES.iter().map(|(name, _)| *name).find(|name| !inside && rest.starts_with(name));
        if let Some(name) = name {
            out.push_str(&format!("\"\\u0001{name}\""));
            rest = &rest[name.len()..];
            continue;
        }
        inside ^= c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_json_lacks_go_both_ways() {
        let text = r#"{"a":NaN,"b":[-Infinity,Infinity,1.5],"c":"NaN \" Infinity"}"#;
        let value = parse(text.as_bytes()).unwrap();
        assert!(to_number(&value["a"]).unwrap().is_nan());
        assert_eq!(to_number(&value["b"][0]), Some(f64::NEG_INFINITY));
        assert_eq!(value["c"], "NaN \" Infinity");
        assert_eq!(line(&value), format!("{text}\n"));
        assert_eq!(to_number(&json!("NaN")), None);
        assert_eq!(line(&json!([from_number(f64::NAN), from_number(0.1)])), "[NaN,0.1]\n");
        for wrong in ["{", "nan", "{\"a\":Nan}", "NaNNaN"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse(b"\xff").is_err());
    }
}
