//! A run's own folder: what was asked for, in what state of the working tree, and where everything went.

use std::path::{Path, PathBuf};

use kidu_core::{files, run};
use serde_json::json;

use crate::{Outcome, git, settings::Configuration};

/// Makes the folder (`out`, `paths.output_dir`, or a new one below `paths.log_dir/task_name`) and writes into it the
/// resolved configuration, the overrides, the tags and the state of the working tree.
pub(crate) fn create(configuration: &Configuration, out: Option<&Path>) -> Outcome<PathBuf> {
    let settings = &configuration.settings;
    let dir = match out.or(settings.paths.output_dir.as_deref()) {
        Some(dir) => {
            files::create_dir_all(dir)?;
            dir.to_path_buf()
        }
        None => run::create_run_dir(&settings.paths.log_dir.join(&settings.task_name))?,
    };
    let composed = &configuration.composed;
    files::write_atomic(&dir.join("config.yaml"), composed.to_yaml().as_bytes())?;
    let overrides: String = composed.overrides().iter().map(|o| format!("{o}\n")).collect();
    files::write_atomic(&dir.join("overrides.txt"), overrides.as_bytes())?;
    let here = std::env::current_dir().unwrap_or_default();
    let state = json!({
        "time": run::timestamp(),
        "kidu_version": env!("CARGO_PKG_VERSION"),
        "git_commit": git::commit(&here),
        "config_hash": composed.hash(),
        "tags": settings.tags,
        "command": std::env::args().collect::<Vec<_>>(),
    });
    files::write_json(&dir.join("run.json"), &state)?;
    Ok(dir)
}
