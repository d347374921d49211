//! The gate: may a model be registered? A pure decision, with a reason for every rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{self, PairedComparison},
    error::{Error, Result},
    evaluation::Evaluation,
    interval::{Interval, check_confidence},
};

/// What the gate knows of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// How messages call it, for example `kidu/7`.
    pub name: String,
    /// Accuracy on the test split, in [0, 1].
    pub accuracy: f64,
    /// Content version of that test split; empty if unknown.
    pub test_split_version: String,
    /// Whether each image of it was predicted right, by content hash.
    pub correct: BTreeMap<String, bool>,
}

impl Candidate {
    /// Takes from an evaluation what the gate needs.
    pub fn new(name: impl Into<String>, evaluation: &Evaluation) -> Self {
        Self {
            name: name.into(),
            accuracy: evaluation.accuracy(),
            test_split_version: evaluation.details.test_split_version.clone().unwrap_or_default(),
            correct: evaluation.details.correct.clone(),
        }
    }
}

/// What a model must fulfil.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateRules {
    /// Least accuracy on the test split, in [0, 1]; reaching it exactly is enough.
    pub min_accuracy: f64,
    /// Whether it must also not be worse than the model in production on the same test set.
    pub compare_with_incumbent: bool,
    /// Confidence of the bootstrap interval, for example 0.95.
    pub confidence: f64,
    /// Number of bootstrap resamples.
    pub bootstrap_samples: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for GateRules {
    fn default() -> Self {
        Self { min_accuracy: 0.60, compare_with_incumbent: true, confidence: 0.95, bootstrap_samples: 2000, seed: 42 }
    }
}

impl GateRules {
    /// Checks the ranges, to refuse bad rules before any work is done.
    ///
    /// # Errors
    /// [`Error::Option`] naming the rule.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.min_accuracy) {
            let reason = format!("{} is not a share between 0 and 1; 0.6 means 60 %", self.min_accuracy);
            return Err(Error::option("gate.min_accuracy", reason));
        }
        check_confidence(self.confidence)?;
        bootstrap::check_samples(self.bootstrap_samples)
    }
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The rule: `min_accuracy`, `not_worse_than_incumbent` or `rules_valid`.
    pub name: String,
    /// Whether it is fulfilled.
    pub passed: bool,
    /// Why, with the numbers, and what to do if it is not.
    pub detail: String,
}

/// The decision, rule by rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateDecision {
    /// Whether every rule is fulfilled.
    pub passed: bool,
    /// All rules that were looked at.
    pub rules: Vec<RuleOutcome>,
}

impl GateDecision {
    /// The rules that refused.
    pub fn refusals(&self) -> impl Iterator<Item = &RuleOutcome> {
        self.rules.iter().filter(|r| !r.passed)
    }

    /// The rules that refused, each with its reason, in one line; none if every rule is fulfilled.
    pub fn refusal(&self) -> Option<String> {
        let refusals: Vec<String> = self.refusals().map(|r| format!("{}: {}", r.name, r.detail)).collect();
        (!refusals.is_empty()).then(|| refusals.join("; "))
    }
}

/// Decides whether `candidate` may be registered. Depends on its arguments alone: the same models and rules always
/// give the same decision.
///
/// - `min_accuracy`: refused below [`GateRules::min_accuracy`].
/// - `not_worse_than_incumbent`: refused when the whole paired bootstrap interval of (candidate - incumbent) lies below 0.
///   Without an incumbent it is fulfilled; when the two were judged on different images it is refused, since nothing can
///   be said before the incumbent has been evaluated on the present test set.
/// - Rules outside their ranges refuse under the name `rules_valid`.
pub fn decide(candidate: &Candidate, incumbent: Option<&Candidate>, rules: &GateRules) -> GateDecision {
    let outcomes = match rules.validate() {
        Err(error) => vec![RuleOutcome { name: "rules_valid".into(), passed: false, detail: error.to_string() }],
        Ok(()) => {
            let mut outcomes = vec![min_accuracy(candidate, rules)];
            if rules.compare_with_incumbent {
                outcomes.push(not_worse(candidate, incumbent, rules));
            }
            outcomes
        }
    };
    GateDecision { passed: outcomes.iter().all(|o| o.passed), rules: outcomes }
}

fn min_accuracy(candidate: &Candidate, rules: &GateRules) -> RuleOutcome {
    let (found, least) = (candidate.accuracy, rules.min_accuracy);
    let passed = found >= least;
    let detail = if passed {
        format!("accuracy {found:.4} is at least {least:.4}")
    } else {
        format!("accuracy {found:.4} is below the required {least:.4}: improve the model or lower gate.min_accuracy")
    };
    RuleOutcome { name: "min_accuracy".into(), passed, detail }
}

fn not_worse(candidate: &Candidate, incumbent: Option<&Candidate>, rules: &GateRules) -> RuleOutcome {
    let outcome = |passed, detail| RuleOutcome { name: "not_worse_than_incumbent".into(), passed, detail };
    let Some(incumbent) = incumbent else {
        return outcome(true, "there is no incumbent: this is the first model".to_string());
    };
    if let Some(reason) = not_comparable(candidate, incumbent) {
        return outcome(false, reason);
    }
    let (first, second): (Vec<bool>, Vec<bool>) =
        candidate.correct.values().copied().zip(incumbent.correct.values().copied()).unzip();
    match bootstrap::compare(&first, &second, rules.confidence, rules.bootstrap_samples, rules.seed) {
        Ok(result) => outcome(result.interval.upper >= 0.0, describe(&result, candidate, incumbent)),
        Err(error) => outcome(false, error.to_string()),
    }
}

/// Why two models cannot be compared, if so.
fn not_comparable(candidate: &Candidate, incumbent: &Candidate) -> Option<String> {
    let remedy = format!(
        "evaluate {} on the present test set (`kidu evaluate` with its bundle) and try again, or set \
         gate.compare_with_incumbent=false",
        incumbent.name
    );
    for model in [candidate, incumbent] {
        if model.correct.is_empty() || model.test_split_version.is_empty() {
            let what = "has no test set version and results image by image";
            return Some(format!("the evaluation of {} {what}, so it cannot be compared: {remedy}", model.name));
        }
    }
    let (new, old) = (&candidate.test_split_version, &incumbent.test_split_version);
    if new != old {
        return Some(format!(
            "{} was judged on test set {new}, the incumbent {} on test set {old}; accuracies on different images cannot \
             be compared: {remedy}",
            candidate.name, incumbent.name
        ));
    }
    if !candidate.correct.keys().eq(incumbent.correct.keys()) {
        return Some(format!(
            "{} and {} name the same test set {new} but hold results for different images ({} and {}); one of the \
             evaluations is incomplete: {remedy}",
            candidate.name,
            incumbent.name,
            candidate.correct.len(),
            incumbent.correct.len()
        ));
    }
    None
}

fn describe(result: &PairedComparison, candidate: &Candidate, incumbent: &Candidate) -> String {
    let Interval { lower, upper, confidence } = result.interval;
    let verdict = if upper < 0.0 {
        "the candidate is worse"
    } else if lower > 0.0 {
        "the candidate is better"
    } else {
        "the candidate is not worse"
    };
    format!(
        "{verdict}: {} has accuracy {:.4}, the incumbent {} has {:.4} on the same {} images; difference {:+.4}, {} % \
         interval [{lower:+.4}, {upper:+.4}], right only by the candidate {}, only by the incumbent {} (McNemar p = \
         {:.2e})",
        candidate.name,
        candidate.accuracy,
        incumbent.name,
        incumbent.accuracy,
        result.images,
        result.difference,
        confidence * 100.0,
        result.only_first,
        result.only_second,
        result.mcnemar_p,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, version: &str, correct: impl Iterator<Item = bool>) -> Candidate {
        let correct: BTreeMap<String, bool> = correct.enumerate().map(|(i, c)| (format!("{i:05}"), c)).collect();
        let right = correct.values().filter(|c| **c).count();
        let accuracy = right as f64 / correct.len() as f64;
        Candidate { name: name.into(), accuracy, test_split_version: version.into(), correct }
    }

    fn with_accuracy(name: &str, right: usize) -> Candidate {
        model(name, "v1", (0..1000).map(|i| i < right))
    }

    fn rules() -> GateRules {
        GateRules { bootstrap_samples: 500, ..GateRules::default() }
    }

    #[test]
    fn the_first_model_needs_the_accuracy_only() {
        let d = decide(&with_accuracy("new", 600), None, &rules());
        assert!(d.passed && d.rules[1].detail.contains("no incumbent"));
        let d = decide(&with_accuracy("new", 599), None, &rules());
        assert!(!d.passed);
        assert_eq!(d.refusals().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["min_accuracy"]);
        assert!(d.rules[0].detail.contains("0.5990 is below the required 0.6000"));
    }

    #[test]
    fn clearly_worse_is_refused_and_noise_is_not() {
        let old = with_accuracy("old/3", 900);
        let worse = decide(&with_accuracy("new", 870), Some(&old), &rules());
        assert!(!worse.passed && worse.rules[0].passed);
        assert!(worse.rules[1].detail.contains("worse") && worse.rules[1].detail.contains("old/3"));
        // Two images fewer, forty disagreements: within chance.
        let noisy = model("new", "v1", (0..1000).map(|i| (21..919).contains(&i)));
        let d = decide(&noisy, Some(&old), &rules());
        assert!(d.passed, "{d:?}");
        assert_eq!(d, decide(&noisy, Some(&old), &rules()));
        let better = decide(&with_accuracy("new", 950), Some(&old), &rules());
        assert!(better.passed && better.rules[1].detail.contains("is better"));
        assert!(decide(&old.clone(), Some(&old), &rules()).passed);
    }

    #[test]
    fn different_test_sets_are_refused_with_a_remedy() {
        let new = with_accuracy("new", 900);
        let elsewhere = model("old", "v2", (0..1000).map(|_| false));
        let d = decide(&new, Some(&elsewhere), &rules());
        assert!(!d.passed && d.rules[1].detail.contains("evaluate old on the present test set"), "{d:?}");
        let fewer = model("old", "v1", (0..900).map(|_| true));
        assert!(decide(&new, Some(&fewer), &rules()).rules[1].detail.contains("different images (1000 and 900)"));
        let unknown = model("old", "", (0..1000).map(|_| true));
        assert!(!decide(&new, Some(&unknown), &rules()).passed);
        let lax = GateRules { compare_with_incumbent: false, ..rules() };
        let d = decide(&new, Some(&elsewhere), &lax);
        assert!(d.passed && d.rules.len() == 1);
    }

    #[test]
    fn bad_rules_and_bad_numbers_never_pass() {
        let model = with_accuracy("new", 1000);
        let bad = [
            GateRules { min_accuracy: 60.0, ..rules() },
            GateRules { min_accuracy: f64::NAN, ..rules() },
            GateRules { confidence: 95.0, ..rules() },
            GateRules { bootstrap_samples: 0, ..rules() },
        ];
        for rules in bad {
            let d = decide(&model, None, &rules);
            assert!(!d.passed && d.rules[0].name == "rules_valid", "{rules:?}");
        }
        assert!(!decide(&Candidate { accuracy: f64::NAN, ..model }, None, &rules()).passed);
    }
}
