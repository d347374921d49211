//! Thresholds that make the robustness test a gate.

use serde::{Deserialize, Serialize};

use super::Robustness;
use crate::{
    error::{Error, Result},
    gate::{GateDecision, RuleOutcome},
};

/// What a model must bear. What is not set is not asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RobustnessRules {
    /// Least mean accuracy over corruptions and severities, in [0, 1].
    pub min_accuracy: Option<f64>,
    /// Least accuracy under each corruption at each severity, in [0, 1].
    pub min_cell_accuracy: Option<f64>,
    /// Most that corruptions may take from the clean accuracy on the mean, in [0, 1].
    pub max_drop: Option<f64>,
    /// Greatest mean corruption error against the baseline; 1 is as bad as it.
    pub max_mce: Option<f64>,
    /// Greatest mean share of answers that a corruption changes, in [0, 1].
    pub max_flipped: Option<f64>,
    /// Least severity at which an answer may begin to differ from the clean image's, 1 to 5: none may at a smaller one.
    pub min_flip_severity: Option<u8>,
    /// Whether every answer must stay what it is without a corruption (the original's test).
    pub labels_hold: bool,
}

impl RobustnessRules {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the ranges, before any work is done.
    ///
    /// # Errors
    /// [`Error::Option`] naming the rule.
    pub fn validate(&self, with_baseline: bool) -> Result<()> {
        let shares = [
            ("min_accuracy", self.min_accuracy),
            ("min_cell_accuracy", self.min_cell_accuracy),
            ("max_drop", self.max_drop),
            ("max_flipped", self.max_flipped),
        ];
        for (name, value) in shares {
            if let Some(value) = value.filter(|v| !(0.0..=1.0).contains(v)) {
                return Err(Error::option(name, format!("{value} is not a share between 0 and 1")));
            }
        }
        if let Some(value) = self.min_flip_severity.filter(|v| !(1..=5).contains(v)) {
            return Err(Error::option("min_flip_severity", format!("{value} is no severity; they are 1 to 5")));
        }
        match self.max_mce {
            Some(value) if !(value >= 0.0 && value.is_finite()) => {
                Err(Error::option("max_mce", format!("{value} is no error; 1 is as bad as the baseline")))
            }
            Some(_) if !with_baseline => {
                Err(Error::option("max_mce", "needs a baseline: give the robustness.json of another model"))
            }
            _ => Ok(()),
        }
    }

    /// Decides, rule by rule; none of the rules, no decision.
    pub fn decide(&self, result: &Robustness) -> Option<GateDecision> {
        if self.is_empty() {
            return None;
        }
        let mut rules: Vec<RuleOutcome> = Vec::new();
        let mut rule = |name: &str, passed: bool, detail: String| {
            rules.push(RuleOutcome { name: name.into(), passed, detail });
        };
        let against = |value: f64, word: &str, limit: f64| format!("{value:.4}, {word} {limit}");
        if let Some(least) = self.min_accuracy {
            let value = result.mean_accuracy;
            rule("min_accuracy", value >= least, format!("mean accuracy {}", against(value, "at least", least)));
        }
        if let Some(least) = self.min_cell_accuracy {
            let cells = result.corruptions.iter().flat_map(|c| c.cells.iter().map(move |cell| (c, cell)));
            let worst = cells.min_by(|a, b| a.1.accuracy.total_cmp(&b.1.accuracy));
            if let Some((corruption, cell)) = worst {
                let place = format!("under {} at severity {}", corruption.name, cell.severity);
                let detail = format!("lowest accuracy {} {place}", against(cell.accuracy, "at least", least));
                rule("min_cell_accuracy", cell.accuracy >= least, detail);
            }
        }
        if let Some(most) = self.max_drop {
            let drop = result.clean_accuracy - result.mean_accuracy;
            let detail =
                format!("accuracy falls by {}, from {:.4}", against(drop, "at most", most), result.clean_accuracy);
            rule("max_drop", drop <= most, detail);
        }
        if let Some(most) = self.max_flipped {
            let value = result.mean_flipped;
            rule("max_flipped", value <= most, format!("share of changed answers {}", against(value, "at most", most)));
        }
        if let Some(most) = self.max_mce {
            match result.mce {
                Some(mce) => {
                    rule("max_mce", mce <= most, format!("mean corruption error {}", against(mce, "at most", most)))
                }
                None => rule("max_mce", false, "there is no mean corruption error: the baseline made no error".into()),
            }
        }
        if let Some(least) = self.min_flip_severity {
            let flips = result.per_image.iter().flat_map(|i| {
                let of_image = i.flips_at.iter();
                of_image.filter_map(move |(corruption, at)| Some(((*at)?, i.path.as_str(), corruption)))
            });
            let (passed, detail) = match flips.min() {
                None => (true, "no answer changes at any severity that was tested".to_string()),
                Some((at, path, corruption)) => (
                    at >= least,
                    format!("{path} changes its answer under {corruption} at severity {at}, at least {least}"),
                ),
            };
            rule("min_flip_severity", passed, detail);
        }
        if self.labels_hold {
            let changed: Vec<&str> = result
                .per_image
                .iter()
                .filter(|i| i.flips_at.values().any(Option::is_some))
                .map(|i| i.path.as_str())
                .collect();
            let detail = match changed.as_slice() {
                [] => format!("all {} answers hold", result.images),
                [first, rest @ ..] => {
                    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                    format!("of {} images these change their answer: {first}{more}", result.images)
                }
            };
            rule("labels_hold", changed.is_empty(), detail);
        }
        Some(GateDecision { passed: rules.iter().all(|r| r.passed), rules })
    }
}
