//! Values of a parameter written in one line, as in Hydra's Optuna sweeper.

use kidu_config::{Value, resolve_plain, split_commas};

use super::Distribution;
use crate::value::ParamValue;

/// The longest text.
const MAX_TEXT: usize = 10_000;
/// The deepest nesting of `tag(...)`, `int(...)` and so on.
const MAX_DEPTH: usize = 8;

/// What is asked for around the values.
#[derive(Clone, Copy, Default)]
struct Wish {
    log: bool,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Float,
}

/// Reads `choice(...)`, `interval(...)`, `range(...)`, with `tag(log, ...)`, `int(...)` or `float(...)` around it.
///
/// # Errors
/// A sentence with what is wrong.
pub(super) fn parse(text: &str) -> Result<Distribution, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the text is longer than {MAX_TEXT} bytes"));
    }
    read(text.trim(), Wish::default(), 0)
}

fn read(text: &str, wish: Wish, depth: usize) -> Result<Distribution, String> {
    let Some((name, inside)) = call(text).filter(|_| depth <= MAX_DEPTH) else {
        return Err(format!(
            "'{text}' is no range of values; write choice(a, b), interval(0.1, 1.0), range(1, 10), \
             tag(log, interval(1e-5, 0.1)) or a map with type"
        ));
    };
    let parts = split_commas(inside);
    match (name, parts.as_slice()) {
        ("tag", [tags @ .., last]) if !tags.is_empty() => match tags {
            ["log"] => read(last, Wish { log: true, ..wish }, depth + 1),
            _ => Err(format!("'{}' is no tag that is known here; the only one is log", tags.join(", "))),
        },
        ("int", [inner]) => read(inner, Wish { kind: Some(Kind::Int), ..wish }, depth + 1),
        ("float", [inner]) => read(inner, Wish { kind: Some(Kind::Float), ..wish }, depth + 1),
        ("choice", choices) => {
            if wish.log {
                return Err("choices have no order, so that log means nothing; use interval".into());
            }
            let choices: Result<Vec<_>, _> = choices.iter().map(|c| choice(c, wish.kind)).collect();
            Distribution::categorical(choices?)
        }
        ("interval", [low, high]) => numbers(&[low, high], None, wish),
        ("range", [stop]) => numbers(&["0", stop], Some("1"), wish),
        ("range", [start, stop]) => numbers(&[start, stop], Some("1"), wish),
        ("range", [start, stop, step]) => numbers(&[start, stop], Some(step), wish),
        ("interval" | "range", _) => {
            Err(format!("'{text}' has the wrong number of values: interval(low, high), range(start, stop, step)"))
        }
        _ => Err(format!("'{name}' is not one of choice, interval, range, tag, int, float")),
    }
}

/// `name(inside)`.
fn call(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('(')?;
    Some((name.trim(), rest.strip_suffix(')')?))
}

fn numbers(ends: &[&str; 2], step: Option<&str>, wish: Wish) -> Result<Distribution, String> {
    let read = |text: &str| number(text).ok_or_else(|| format!("'{text}' is not a number"));
    let (low, high) = (read(ends[0])?, read(ends[1])?);
    let step = step.map(read).transpose()?;
    // A range of the whole numbers has a step that a logarithmic one does not need.
    let step = step.filter(|s| !(wish.log && s.as_f64() == Some(1.0)));
    let whole = |value: &ParamValue| matches!(value, ParamValue::Int(_));
    let all_whole = whole(&low) && whole(&high) && step.as_ref().is_none_or(whole);
    if wish.kind == Some(Kind::Int) || (wish.kind.is_none() && all_whole) {
        let step = step.as_ref().map(to_whole).transpose()?.unwrap_or(1);
        return Distribution::int(to_whole(&low)?, to_whole(&high)?, step, wish.log);
    }
    let float = |value: &ParamValue| value.as_f64().unwrap_or(f64::NAN);
    Distribution::float(float(&low), float(&high), step.as_ref().map(float), wish.log)
}

fn to_whole(value: &ParamValue) -> Result<i64, String> {
    match value {
        ParamValue::Int(number) => Ok(*number),
        ParamValue::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Ok(*number as i64),
        other => Err(format!("{other} is not a whole number")),
    }
}

fn number(text: &str) -> Option<ParamValue> {
    word(text).ok().filter(|value| value.as_f64().is_some_and(f64::is_finite))
}

fn choice(text: &str, kind: Option<Kind>) -> Result<ParamValue, String> {
    if text.is_empty() {
        return Err("a choice is missing beside a comma".into());
    }
    let value = word(text)?;
    match kind {
        None => Ok(value),
        Some(Kind::Int) => to_whole(&value).map(ParamValue::Int),
        Some(Kind::Float) => value.as_f64().map(ParamValue::Float).ok_or_else(|| format!("'{text}' is not a number")),
    }
}

/// A word as in an override: quoted, or what YAML makes of it.
fn word(text: &str) -> Result<ParamValue, String> {
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let inside = rest.strip_suffix(quote).ok_or_else(|| format!("the closing {quote} of {text} is missing"))?;
            return Ok(ParamValue::Text(if quote == '\'' { inside.replace("''", "'") } else { inside.into() }));
        }
    }
    match resolve_plain(text)? {
        Value::Null => Ok(ParamValue::Null),
        Value::Bool(value) => Ok(ParamValue::Bool(value)),
        Value::Int(value) => i64::try_from(value).map(ParamValue::Int).map_err(|_| format!("{text} is too large")),
        Value::Float(value) => Ok(ParamValue::Float(value)),
        Value::String(value) if !value.contains(['(', ')', '[', ']', '{', '}']) => Ok(ParamValue::Text(value)),
        _ => Err(format!("'{text}' is no single value; put a text with brackets in quotes")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float(low: f64, high: f64, step: Option<f64>, log: bool) -> Distribution {
        Distribution::float(low, high, step, log).unwrap()
    }

    #[test]
    fn forms_of_hydra() {
        let int = |low, high, step, log| Distribution::int(low, high, step, log).unwrap();
        for (text, expected) in [
            ("interval(0.0001, 0.1)", float(1e-4, 0.1, None, false)),
            ("interval(1,10)", int(1, 10, 1, false)),
            ("tag(log, interval(1e-5, 1))", float(1e-5, 1.0, None, true)),
            ("tag(log, int(interval(1, 1024)))", int(1, 1024, 1, true)),
            ("int(tag(log, range(1, 8)))", int(1, 8, 1, true)),
            ("float(interval(0, 1))", float(0.0, 1.0, None, false)),
            ("range(1, 10)", int(1, 10, 1, false)),
            ("range(5)", int(0, 5, 1, false)),
            ("range(0, 10, 4)", int(0, 8, 4, false)),
            (" range( 0.0, 1.0, 0.25 ) ", float(0.0, 1.0, Some(0.25), false)),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        let choices = vec!["resnet18".into(), ParamValue::Null, 2.into(), 0.5.into(), true.into(), "a, (b)".into()];
        let expected = Distribution::categorical(choices).unwrap();
        assert_eq!(parse("choice(resnet18, null, 2, 0.5, true, 'a, (b)')").unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, words) in [
            ("resnet18", "is no range of values"),
            ("intervall(1, 2)", "not one of choice"),
            ("interval(1)", "wrong number"),
            ("interval(a, b)", "'a' is not a number"),
            ("interval(2, 1)", "low <= high"),
            ("tag(log, choice(1, 2))", "no order"),
            ("tag(log, interval(0, 1.0))", "above 0"),
            ("tag(fast, interval(0, 1))", "only one is log"),
            ("choice(a,,b)", "missing"),
            ("choice(a, a)", "twice"),
            ("choice('a, b)", "closing"),
            ("int(interval(0.5, 2))", "not a whole number"),
            ("choice([1], 2)", "no single value"),
            ("int(int(int(int(int(int(int(int(int(int(range(3)))))))))))", "is no range"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z(),'\" 0-9.e\\-]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_call_panics(name in "(tag\\(log,|int\\(|)(choice|interval|range)", inside in "[^()]{0,40}") {
            let _ = parse(&format!("{name}({inside}))"));
            let _ = parse(&format!("{name}({inside})"));
        }

        #[test]
        fn floats_are_read_as_they_are(a in -1e9f64..1e9, b in -1e9f64..1e9) {
            prop_assume!(a != b);
            let (low, high) = (a.min(b), a.max(b));
            let text = format!("float(interval({}, {}))", kidu_config::format_float(low), kidu_config::format_float(high));
            prop_assert_eq!(parse(&text).unwrap(), float(low, high, None, false));
        }
    }
}
