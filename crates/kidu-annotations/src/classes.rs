//! Names of classes: mapped, known or new, fit to name a folder.

use std::collections::{BTreeMap, BTreeSet};

use kidu_core::suggest;

use crate::error::{ImportError, Result};

/// Names as given to names as kept.
pub(crate) type ClassMap = BTreeMap<String, String>;

/// Refuses a map that leads on: `a=b` beside `b=c` could mean two things.
pub(crate) fn check_map(map: &ClassMap) -> Result<()> {
    match map.iter().find(|(from, to)| map.contains_key(*to) && from != to) {
        Some((from, to)) => Err(ImportError::Option(format!(
            "--class-map {from}={to} leads to '{to}', which is itself mapped to '{}'; map each name to where it shall end",
            map[to]
        ))),
        None => Ok(()),
    }
}

/// Why a class name cannot name a folder; `None` if it can.
pub(crate) fn unfit(name: &str) -> Option<&'static str> {
    match name {
        _ if name.trim().is_empty() => Some("is empty"),
        _ if name.trim() != name => Some("begins or ends with a space"),
        _ if name.starts_with('.') => Some("begins with a dot"),
        _ if name.ends_with('.') => Some("ends with a dot"),
        _ if name.chars().any(|c| matches!(c, '/' | '\\')) => Some("contains a slash or backslash"),
        _ if name.chars().any(char::is_control) => Some("contains a control character"),
        _ if name.len() > 200 => Some("has more than 200 bytes"),
        _ => None,
    }
}

/// The classes among `wanted` (with the number of their annotations) that are not known, each as a line with the
/// nearest known name.
pub(crate) fn unknown(wanted: &BTreeMap<String, usize>, known: &BTreeSet<String>) -> Vec<(String, String)> {
    wanted
        .iter()
        .filter(|(name, _)| !known.contains(*name))
        .map(|(name, n)| {
            let nearest = suggest::nearest(name, known.iter().map(String::as_str));
            let hint = suggest::did_you_mean(nearest);
            let line = format!("'{name}' ({n} annotation{}){hint}", if *n == 1 { "" } else { "s" });
            (name.clone(), line)
        })
        .collect()
}

/// Two names that only differ in case would be one folder on some file systems.
pub(crate) fn same_but_for_case<'a>(names: impl IntoIterator<Item = &'a String>) -> Option<(String, String)> {
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    names.into_iter().find_map(|name| match seen.insert(name.to_lowercase(), name) {
        Some(other) if other != name => Some((other.clone(), name.clone())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_folders() {
        for bad in ["", " ", ".a", "a/b", "a\\b", "a\nb", " a", "..", "a."] {
            assert!(unfit(bad).is_some(), "{bad:?}");
        }
        assert_eq!(unfit("sea, calm (2)"), None);
    }

    #[test]
    fn unknown_names_offer_the_nearest() {
        let known: BTreeSet<String> = ["sea", "glacier"].map(String::from).into();
        let wanted = [("Sea".to_string(), 2), ("sea".to_string(), 1)].into();
        assert_eq!(unknown(&wanted, &known)[0].1, "'Sea' (2 annotations) (did you mean 'sea'?)");
        assert_eq!(unknown(&wanted, &known).len(), 1);
        assert!(same_but_for_case([&"Sea".to_string(), &"sea".to_string()]).is_some());
        assert!(check_map(&[("a".to_string(), "b".to_string()), ("b".into(), "c".into())].into()).is_err());
        assert!(check_map(&[("a".to_string(), "b".to_string())].into()).is_ok());
    }
}
