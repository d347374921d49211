//! What people and machines see: results on standard output, everything else on standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this module is where the command speaks")]

mod progress;

use std::io::Write;

use serde::Serialize;

pub(crate) use progress::{Console, human_bytes, human_duration};

use crate::{Outcome, failure::Failure};

/// A line of the result. A closed pipe (`kidu ... | head`) is not an error.
pub(crate) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// The result for machines, as pretty JSON.
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The failure, on standard error.
pub(crate) fn error(failure: &Failure) {
    let _ = writeln!(std::io::stderr().lock(), "{failure}");
}

/// A line for people that is no result.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// Where the results are, as the last line. A step of a pipeline says nothing: its folder is moved when it is done.
pub(crate) fn place(what: &str, path: &std::path::Path) {
    if !crate::step::is_step() {
        note(format!("{what} {}", path.display()));
    }
}
