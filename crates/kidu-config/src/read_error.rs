//! What serde complains of while typed settings are read, until it is given its place.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::error::ConfigError;

/// An error of serde; it gets its place from the first reader that it passes on its way out.
#[derive(Debug)]
pub(crate) struct ReadError {
    pub(crate) problem: Problem,
    pub(crate) settled: Option<Box<ConfigError>>,
}

/// What serde complains of.
#[derive(Debug)]
pub(crate) enum Problem {
    Other(String),
    Type(String),
    UnknownKey(String, Vec<&'static str>),
    MissingKey(&'static str),
    Variant(String, Vec<&'static str>),
}

impl From<Problem> for ReadError {
    fn from(problem: Problem) -> Self {
        Self { problem, settled: None }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.settled, &self.problem) {
            (Some(error), _) => error.fmt(f),
            (None, Problem::Other(reason)) => f.write_str(reason),
            (None, Problem::Type(expected)) => write!(f, "must be {expected}"),
            (None, Problem::UnknownKey(key, _)) => write!(f, "unknown key '{key}'"),
            (None, Problem::MissingKey(key)) => write!(f, "missing key '{key}'"),
            (None, Problem::Variant(found, known)) => write!(f, "'{found}' is not one of {}", known.join(", ")),
        }
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::Other(message.to_string()).into()
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Problem::Type(in_words(&expected.to_string())).into()
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Problem::Type(in_words(&expected.to_string())).into()
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Problem::Other(format!("must be {}, but it has {length}", in_words(&expected.to_string()))).into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Problem::UnknownKey(field.to_string(), expected.to_vec()).into()
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Problem::Variant(variant.to_string(), expected.to_vec()).into()
    }

    fn missing_field(field: &'static str) -> Self {
        Problem::MissingKey(field).into()
    }
}

/// What serde calls `usize`, for people.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number of at least 0".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number of at least 1".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" | "path string" | "a borrowed string" => "a text".into(),
        "a sequence" => "a list".into(),
        "unit" => "null".into(),
        other => match other.strip_prefix("struct ").or_else(|| other.strip_prefix("enum ")) {
            Some(_) => "a map of keys".into(),
            None => {
                match other.strip_prefix("an array of length ").or_else(|| other.strip_prefix("a tuple of size ")) {
                    Some(length) => format!("a list of {length}"),
                    None => other.to_string(),
                }
            }
        },
    }
}

/// More help for a text where something else should be.
pub(crate) fn hint(expected: &str, text: &str) -> &'static str {
    match expected {
        "true or false" if matches!(&*text.to_lowercase(), "yes" | "no" | "on" | "off") => "; write true or false",
        _ if expected.contains("number") && text.parse::<f64>().is_ok() => "; write it without quotes",
        _ if expected.contains("number") && text.contains(',') => {
            "; several values, one run for each, need -m (multirun)"
        }
        _ => "",
    }
}
