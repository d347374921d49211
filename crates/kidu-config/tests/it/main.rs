//! Composition as a whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod composition;
mod fuzz;
mod messages;
mod shipped;
mod typed;

use kidu_config::{Composed, ConfigSources, Result};

/// Composes `train` from texts.
fn compose(files: &[(&str, &str)], overrides: &[&str]) -> Result<Composed> {
    let sources = ConfigSources::from_texts(files.iter().copied())?
        .with_environment([("HOME_DIR".to_string(), "/home".to_string())].into());
    kidu_config::compose(&sources, "train", &overrides.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The value of a key as JSON.
fn json(composed: &Composed, key: &str) -> String {
    composed.get(key).map_or("(none)".into(), |node| node.to_json().to_string())
}
