//! Scalars: what an unquoted word means (YAML 1.2 core schema, <https://yaml.org/spec/1.2.2/#103-core-schema>) and how
//! a value is written.

use crate::node::Value;

/// The value of an unquoted word.
///
/// # Errors
/// A sentence, for a number that does not fit 64 bits.
pub fn resolve_plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Ok(Value::Float(f64::NAN)),
        _ => {}
    }
    let too_large = || format!("the number {text} does not fit 64 bits; put it in quotes if it is a text");
    if let Some(digits) = integer_digits(text) {
        let (digits, radix) = digits;
        let number = i128::from_str_radix(digits, radix).map_err(|_| too_large())?;
        let fits = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number);
        return if fits { Ok(Value::Int(number)) } else { Err(too_large()) };
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Ok(Value::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if is_float(unsigned) {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(too_large()),
        };
    }
    Ok(Value::String(text.to_string()))
}

/// The digits (with sign) and the radix of a whole number.
fn integer_digits(text: &str) -> Option<(&str, u32)> {
    let all = |s: &str, radix| !s.is_empty() && s.chars().all(|c: char| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x") {
        return all(hex, 16).then_some((hex, 16));
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return all(octal, 8).then_some((octal, 8));
    }
    all(text.strip_prefix(['-', '+']).unwrap_or(text), 10).then_some((text, 10))
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    mantissa_ok && exponent_ok
}

/// A float as YAML 1.1 and 1.2 both read it: always with a point.
pub fn format_float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf".into() } else { "-.inf".into() };
    }
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text,
    }
}

/// A text as YAML: bare when that is read as the same text by every YAML parser, otherwise in double quotes.
pub fn format_text(text: &str) -> String {
    if is_safe_bare(text) { text.to_string() } else { quote_double(text) }
}

fn is_safe_bare(text: &str) -> bool {
    // The words that YAML 1.1 reads as booleans, as some other readers of the saved file do.
    const RESERVED: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let first_ok = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '.'));
    let rest_ok = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '+'));
    let is_text = matches!(resolve_plain(text), Ok(Value::String(_)));
    // "..." ends a document, and ".5x" would be a puzzle.
    let dots = text.starts_with('.') && text.chars().nth(1).is_some_and(|c| c.is_ascii_digit() || c == '.');
    first_ok && rest_ok && is_text && (!dots || text.starts_with("../")) && !RESERVED.contains(&&*text.to_lowercase())
}

fn quote_double(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Not printable in YAML, or a line break to some parsers.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_yaml_1_2_says() {
        let value = |text| resolve_plain(text).unwrap();
        assert_eq!(value("1e-3"), Value::Float(0.001));
        assert_eq!(value("1."), Value::Float(1.0));
        assert_eq!(value("-.5"), Value::Float(-0.5));
        assert_eq!(value("+7"), Value::Int(7));
        assert_eq!(value("0x1f"), Value::Int(31));
        assert_eq!(value("18446744073709551615"), Value::Int(i128::from(u64::MAX)));
        assert_eq!(value("-.inf"), Value::Float(f64::NEG_INFINITY));
        for text in ["yes", "1_000", "e3", ".", "1e", "0x", "0xg", "--1", "1.2.3", "inf", "nan", "5m", "+", "-"] {
            assert_eq!(value(text), Value::String(text.into()));
        }
        assert!(resolve_plain("18446744073709551616").is_err());
        assert!(resolve_plain("1e999").is_err());
    }

    #[test]
    fn floats_keep_a_point() {
        for (number, text) in [(1e-7, "1.0e-7"), (1.0, "1.0"), (1e300, "1.0e300"), (0.1, "0.1"), (-0.0, "-0.0")] {
            assert_eq!(format_float(number), text);
            assert_eq!(resolve_plain(text).unwrap(), Value::Float(number));
        }
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for text in ["", "null", "no", "12", "1e3", "a: b", "-x", "...", ".inf", "a b", "ä"] {
            assert!(format_text(text).starts_with('"'), "{text}");
        }
        for text in ["max", "val/acc", "./runs", "../runs", "/tmp/a-b.zip", "one_cycle"] {
            assert_eq!(format_text(text), text);
        }
    }
}
