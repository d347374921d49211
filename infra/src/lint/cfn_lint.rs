//! cfn-lint, where it is installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::Finding;
use crate::error::{Error, Result};

/// What came of calling cfn-lint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CfnLint {
    /// It is not installed.
    Missing,
    /// Its findings.
    Ran(Vec<Finding>),
}

/// Lets cfn-lint look at templates; `program` is its name or path.
///
/// # Errors
/// [`Error::CfnLint`] when it runs and does not answer as it should.
pub fn run(program: &Path, templates: &[PathBuf]) -> Result<CfnLint> {
    let output = match Command::new(program).args(["--format", "json", "--"]).args(templates).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(CfnLint::Missing),
        Err(error) => return Err(Error::CfnLint { reason: error.to_string() }),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let text = if text.trim().is_empty() && output.status.success() { "[]" } else { text.trim() };
    let matches: Vec<Value> = serde_json::from_str(text).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
        Error::CfnLint { reason: last.to_string() }
    })?;
    Ok(CfnLint::Ran(matches.iter().map(finding).collect()))
}

fn finding(found: &Value) -> Finding {
    let file = Path::new(found["Filename"].as_str().unwrap_or_default());
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let path = found.pointer("/Location/Path").and_then(Value::as_array).into_iter().flatten();
    let path: Vec<String> = path.map(|p| p.as_str().map_or_else(|| p.to_string(), str::to_string)).collect();
    Finding {
        stack: name.trim_end_matches(".template.json").into(),
        place: path.join("."),
        rule: format!("cfn-lint {}", found.pointer("/Rule/Id").and_then(Value::as_str).unwrap_or("?")),
        message: found["Message"].as_str().unwrap_or_default().into(),
    }
}
