//! How much each parameter matters, as the command tells it.

use std::{collections::BTreeMap, path::Path};

use kidu_core::files;
use kidu_search::{Importance, TrialRecord, TrialState};
use serde_json::json;

use crate::Outcome;

/// Beside the study's other results.
const FILE: &str = "importance.json";
/// What the last line but one names.
const MOST_NAMED: usize = 5;

/// Writes `importance.json`; nothing where nothing can be told.
pub(super) fn save(importance: &[Importance], trials: &[TrialRecord], dir: &Path) -> Outcome {
    if importance.is_empty() {
        return Ok(());
    }
    let complete = trials.iter().filter(|t| t.state == TrialState::Complete).count();
    let text = serde_json::to_string_pretty(&json!({"method": "fanova", "trials": complete, "params": importance}))
        .map_err(anyhow::Error::from)?;
    Ok(files::write_atomic(&dir.join(FILE), format!("{text}\n").as_bytes())?)
}

/// By key.
pub(super) fn shares(importance: &[Importance]) -> BTreeMap<&str, f64> {
    importance.iter().map(|i| (i.key.as_str(), i.share)).collect()
}

/// `importance: model.learning_rate 81 %, model.optimizer.name 19 %`
pub(super) fn line(importance: &[Importance]) -> Option<String> {
    let word = |i: &Importance| format!("{} {:.0} %", i.key, 100.0 * i.share);
    let named: Vec<String> = importance.iter().take(MOST_NAMED).map(word).collect();
    let more = importance.len().saturating_sub(MOST_NAMED);
    let rest = if more > 0 { format!(", {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("importance: {}{rest}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_first_five() {
        let one = |n: usize| Importance { key: format!("p{n}"), share: 0.125, variance: 0.1, deviation: 0.0 };
        assert_eq!(line(&[]), None);
        assert_eq!(line(&[one(0)]).unwrap(), "importance: p0 12 %");
        let many: Vec<Importance> = (0..7).map(one).collect();
        assert!(line(&many).unwrap().ends_with("p4 12 %, 2 more"));
    }
}
