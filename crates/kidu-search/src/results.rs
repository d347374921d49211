//! What a search leaves beside its journal: `optimization_results.yaml` and `trials.csv`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    error::Result,
    study::Study,
    trial::{TrialRecord, TrialState},
};

/// The name that Hydra's sweeper gives its results.
const NAME: &str = "optuna";

impl Study {
    /// Writes `optimization_results.yaml` (the `name`, `best_params` and `best_value` of Hydra's Optuna sweeper first,
    /// then the study, the best trial's number and how many trials ended how) and `trials.csv` into a folder, and
    /// returns their paths. Without a complete trial the best ones are null.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File).
    pub fn write_results(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let trials = self.trials();
        let files = [("optimization_results.yaml", self.results_yaml(&trials)), ("trials.csv", trials_csv(&trials))];
        let write = |(name, text): (&str, String)| {
            let path = dir.join(name);
            kidu_core::files::write_atomic(&path, text.as_bytes())?;
            Ok(path)
        };
        files.into_iter().map(write).collect()
    }

    fn results_yaml(&self, trials: &[TrialRecord]) -> String {
        let settings = self.settings();
        let best = crate::trial::best(trials, self.direction());
        let mut text = format!("name: {NAME}\n");
        match best {
            Some(trial) if !trial.params.is_empty() => {
                text.push_str("best_params:\n");
                for (key, value) in trial.values() {
                    text.push_str(&format!("  {}: {}\n", kidu_config::format_text(&key), value.to_yaml()));
                }
            }
            _ => text.push_str("best_params: {}\n"),
        }
        let value = best.and_then(|t| t.value).map_or("null".into(), kidu_config::format_float);
        text.push_str(&format!("best_value: {value}\n"));
        let number = best.map_or("null".into(), |t| t.number.to_string());
        text.push_str(&format!("best_trial: {number}\n"));
        text.push_str(&format!("study_name: {}\n", kidu_config::format_text(&settings.study_name)));
        text.push_str(&format!("metric: {}\n", kidu_config::format_text(&settings.metric)));
        text.push_str("trials:\n");
        for state in [TrialState::Complete, TrialState::Pruned, TrialState::Failed, TrialState::Running] {
            let count = trials.iter().filter(|t| t.state == state).count();
            text.push_str(&format!("  {}: {count}\n", state.name()));
        }
        text
    }
}

/// A line for each trial, a column for each parameter; empty where a trial has none.
fn trials_csv(trials: &[TrialRecord]) -> String {
    let keys: BTreeSet<&str> = trials.iter().flat_map(|t| t.params.keys().map(String::as_str)).collect();
    let mut rows: Vec<Vec<String>> = Vec::with_capacity(trials.len() + 1);
    let fixed = ["number", "state", "value", "seconds", "steps", "failure"];
    rows.push(fixed.iter().copied().chain(keys.iter().copied()).map(String::from).collect());
    for trial in trials {
        let shown = |number: Option<f64>| number.map(kidu_config::format_float).unwrap_or_default();
        let failure = trial.user_attrs.get("failure").and_then(Value::as_str).unwrap_or_default();
        let mut row = vec![
            trial.number.to_string(),
            trial.state.name().to_string(),
            shown(trial.value),
            shown(trial.seconds()),
            trial.intermediate.len().to_string(),
            failure.to_string(),
        ];
        let values = trial.values();
        row.extend(keys.iter().map(|key| values.get(*key).map(ToString::to_string).unwrap_or_default()));
        rows.push(row);
    }
    let line = |row: &Vec<String>| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    rows.iter().map(line).collect()
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_string(),
    }
}
