//! Multirun: overrides with several values each.

use std::sync::Arc;

use crate::{
    error::{ConfigError, Result},
    node::{Origin, Value},
    overrides::split,
    scalar::{format_float, resolve_plain},
};

/// The most runs of one sweep.
const MAX_RUNS: usize = 10_000;

/// Every combination of the values of `a=1,2 b=x,y`, one list of overrides a run; the last override varies fastest.
///
/// Commas inside `[]`, `{}`, `()` and quotes do not separate. `range(4)`, `range(1,4)` and `range(1,4,0.5)` count up
/// to but without the end; `choice(a,b)` is the same as `a,b`.
///
/// # Errors
/// [`ConfigError::Syntax`] for an empty value or range, or when there are more than 10,000 combinations.
///
/// ```
/// let runs = kidu_config::expand_sweep(&["a=1,2".into(), "b=[x,y]".into()]).unwrap();
/// assert_eq!(runs, [["a=1", "b=[x,y]"], ["a=2", "b=[x,y]"]]);
/// ```
pub fn expand_sweep(overrides: &[String]) -> Result<Vec<Vec<String>>> {
    let mut runs: Vec<Vec<String>> = vec![Vec::new()];
    for text in overrides {
        let origin = Origin::Override(Arc::from(text.as_str()));
        let (sigil, key, value) = split(text, &origin)?;
        let choices = match value {
            Some(value) if sigil != "~" => {
                let values = values(value.trim()).map_err(|reason| ConfigError::syntax(&origin, reason))?;
                values.iter().map(|v| format!("{sigil}{key}={v}")).collect()
            }
            _ => vec![text.clone()],
        };
        if runs.len() * choices.len() > MAX_RUNS {
            return Err(ConfigError::syntax(&origin, format!("the sweep has more than {MAX_RUNS} runs")));
        }
        runs = runs
            .iter()
            .flat_map(|run| choices.iter().map(|c| [run.as_slice(), std::slice::from_ref(c)].concat()))
            .collect();
    }
    Ok(runs)
}

fn values(text: &str) -> Result<Vec<String>, String> {
    if let Some(inside) = text.strip_prefix("range(").and_then(|t| t.strip_suffix(')')) {
        return range(inside);
    }
    let inside = text.strip_prefix("choice(").and_then(|t| t.strip_suffix(')'));
    let parts = split_commas(inside.unwrap_or(text));
    if parts.len() > 1 && parts.contains(&"") {
        return Err("a value is missing beside a comma; quote the value if the comma belongs to it".into());
    }
    Ok(parts.into_iter().map(String::from).collect())
}

/// The parts between commas that are outside brackets and quotes, trimmed.
pub fn split_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    let mut quote = None;
    // A quote opens only at the beginning of a value, so that `it's` is a word.
    let mut fresh = true;
    let mut escaped = false;
    let mut doubled = false;
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            if doubled || escaped {
                (doubled, escaped) = (false, false);
            } else if c == '\'' && open == c && text[at + 1..].starts_with(c) {
                // Two single quotes inside single quotes are one.
                doubled = true;
            } else if c == open {
                quote = None;
            } else {
                escaped = open == '"' && c == '\\';
            }
            continue;
        }
        match c {
            '\'' | '"' if fresh => quote = Some(c),
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        fresh = matches!(c, ',' | '[' | '{' | '(' | ':') || (fresh && c.is_whitespace());
    }
    parts.push(text[start..].trim());
    parts
}

fn range(text: &str) -> Result<Vec<String>, String> {
    let usage = || format!("range({text}) is not one of range(STOP), range(START,STOP), range(START,STOP,STEP)");
    let numbers: Vec<Value> = text.split(',').map(|p| resolve_plain(p.trim())).collect::<Result<_, _>>()?;
    let whole: Option<Vec<i128>> =
        numbers.iter().map(|v| if let Value::Int(n) = v { Some(*n) } else { None }).collect();
    let real: Option<Vec<f64>> = numbers
        .iter()
        .map(|v| match v {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) if x.is_finite() => Some(*x),
            _ => None,
        })
        .collect();
    let real = real.ok_or_else(usage)?;
    let (start, stop, step) = match real[..] {
        [stop] => (0.0, stop, 1.0),
        [start, stop] => (start, stop, 1.0),
        [start, stop, step] if step != 0.0 => (start, stop, step),
        _ => return Err(usage()),
    };
    // The small allowance keeps range(0,1,0.1) at ten values in spite of rounding.
    let count = ((stop - start) / step - 1e-9).ceil();
    if count < 1.0 || count > MAX_RUNS as f64 {
        return Err(format!("range({text}) has no values, or more than {MAX_RUNS}"));
    }
    let count = count as usize;
    Ok(match whole {
        Some(whole) => {
            let (start, step) = match whole[..] {
                [_] => (0, 1),
                [start, _] => (start, 1),
                [start, _, step, ..] => (start, step),
                [] => return Err(usage()),
            };
            (0..count as i128).map(|i| (start + i * step).to_string()).collect()
        }
        None => (0..count).map(|i| format_float(tidy(start + i as f64 * step))).collect(),
    })
}

/// Rounds to 12 significant digits, so that 0.1 * 3 is 0.3.
fn tidy(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(texts: &[&str]) -> Vec<String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        expand_sweep(&texts).unwrap().iter().map(|run| run.join(" ")).collect()
    }

    #[test]
    fn combinations_in_order() {
        assert_eq!(expand(&["a=1,2", "~c", "+b=x,y"]), ["a=1 ~c +b=x", "a=1 ~c +b=y", "a=2 ~c +b=x", "a=2 ~c +b=y"]);
        assert_eq!(expand(&[]), [""]);
        assert_eq!(expand(&["a=[1,2],{x: 1, y: 2},'p,q',it's,\"a\\\",b\""]).len(), 5);
        assert_eq!(expand(&["a=choice(u,v)"]), ["a=u", "a=v"]);
        assert_eq!(expand(&["a="]), ["a="]);
    }

    #[test]
    fn ranges_exclude_their_end() {
        assert_eq!(expand(&["a=range(1,4)"]), ["a=1", "a=2", "a=3"]);
        assert_eq!(expand(&["a=range(5,1,-2)"]), ["a=5", "a=3"]);
        assert_eq!(expand(&["a=range(0,0.4,0.1)"]), ["a=0.0", "a=0.1", "a=0.2", "a=0.3"]);
        for text in ["a=range(3,1)", "a=range(x)", "a=range(1,2,0)", "a=range(1e9)", "a=1,,2", "a=range()"] {
            assert!(expand_sweep(&[text.to_string()]).is_err(), "{text}");
        }
        let large = vec!["a=range(1000)".to_string(); 2];
        assert!(expand_sweep(&large).unwrap_err().to_string().contains("10000 runs"));
    }
}
