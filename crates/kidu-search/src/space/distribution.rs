//! What values a parameter may have, in Optuna's terms.

use serde_json::{Value, json};

use crate::value::ParamValue;

/// The largest whole number that a float holds exactly.
const MAX_WHOLE: i64 = 1 << 53;
/// The most choices or grid points of a parameter.
const MAX_CHOICES: usize = 1000;

/// The values of a parameter. Inside the samplers a value is a number: itself, or the index of a choice.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// Numbers from `low` to `high`, both included.
    Float {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
        /// Only `low` and whole multiples of this above it.
        step: Option<f64>,
        /// Whether the logarithm is spread evenly; `low` is then above 0.
        log: bool,
    },
    /// Whole numbers from `low` to `high`, both included.
    Int {
        /// The least value.
        low: i64,
        /// The greatest value, on the steps.
        high: i64,
        /// Only `low` and whole multiples of this above it; at least 1, and 1 where `log` is set.
        step: i64,
        /// Whether the logarithm is spread evenly; `low` is then at least 1.
        log: bool,
    },
    /// One of some values without order.
    Categorical {
        /// The values, all different, at least one.
        choices: Vec<ParamValue>,
    },
}

impl Distribution {
    /// Numbers; with a step, `high` is lowered to the last step.
    ///
    /// # Errors
    /// A sentence with the broken rule.
    pub fn float(low: f64, high: f64, step: Option<f64>, log: bool) -> Result<Self, String> {
        if !(low.is_finite() && high.is_finite() && low <= high && (high - low).is_finite()) {
            return Err(format!("the range from {low} to {high} is empty or not finite; give low <= high"));
        }
        if log && low <= 0.0 {
            return Err(format!("a logarithmic range begins above 0, not at {low}"));
        }
        let Some(width) = step else { return Ok(Self::Float { low, high, step: None, log }) };
        if log {
            return Err("log and step exclude each other; leave one out".into());
        }
        if !(width.is_finite() && width > 0.0) {
            return Err(format!("step must be above 0, not {width}"));
        }
        let count = ((high - low) / width + 1e-9).floor();
        // Rounded to what a person would write: 0.1 + 2 * 0.1 is 0.3.
        let last = format!("{:.12e}", low + count * width).parse().unwrap_or(high);
        Ok(Self::Float { low, high: f64::min(last, high), step, log })
    }

    /// Whole numbers; with a step, `high` is lowered to the last step.
    ///
    /// # Errors
    /// A sentence with the broken rule.
    pub fn int(low: i64, high: i64, step: i64, log: bool) -> Result<Self, String> {
        if low > high {
            return Err(format!("the range from {low} to {high} is empty; give low <= high"));
        }
        if low < -MAX_WHOLE || high > MAX_WHOLE {
            return Err(format!("whole numbers must lie within {MAX_WHOLE} of 0"));
        }
        if step < 1 {
            return Err(format!("step must be at least 1, not {step}"));
        }
        if log && (low < 1 || step != 1) {
            return Err("a logarithmic range of whole numbers begins at 1 or above and has no step".into());
        }
        Ok(Self::Int { low, high: low + (high - low) / step * step, step, log })
    }

    /// One of `choices`.
    ///
    /// # Errors
    /// A sentence with the broken rule.
    pub fn categorical(choices: Vec<ParamValue>) -> Result<Self, String> {
        if choices.is_empty() || choices.len() > MAX_CHOICES {
            return Err(format!("there must be 1 to {MAX_CHOICES} choices, not {}", choices.len()));
        }
        for (i, choice) in choices.iter().enumerate() {
            if matches!(choice, ParamValue::Float(number) if !number.is_finite()) {
                return Err(format!("the choice {choice} is no finite number"));
            }
            // Python, which reads the journal, takes 1, 1.0 and True for the same.
            if choices[..i].iter().any(|earlier| same_in_python(earlier, choice)) {
                return Err(format!("the choice {choice} is given twice"));
            }
        }
        Ok(Self::Categorical { choices })
    }

    /// Whether there is only one value.
    pub fn is_single(&self) -> bool {
        match self {
            Self::Float { low, high, .. } => low == high,
            Self::Int { low, high, .. } => low == high,
            Self::Categorical { choices } => choices.len() == 1,
        }
    }

    /// Whether the values have an order.
    pub fn is_numerical(&self) -> bool {
        !matches!(self, Self::Categorical { .. })
    }

    /// Whether the logarithm is spread evenly.
    pub fn is_log(&self) -> bool {
        matches!(self, Self::Float { log: true, .. } | Self::Int { log: true, .. })
    }

    /// Least and greatest number inside the samplers.
    pub fn bounds(&self) -> (f64, f64) {
        match self {
            Self::Float { low, high, .. } => (*low, *high),
            Self::Int { low, high, .. } => (*low as f64, *high as f64),
            Self::Categorical { choices } => (0.0, choices.len() as f64 - 1.0),
        }
    }

    /// The distance between neighbouring numbers, if they are discrete.
    pub fn step(&self) -> Option<f64> {
        match self {
            Self::Float { step, .. } => *step,
            Self::Int { step, .. } => Some(*step as f64),
            Self::Categorical { .. } => Some(1.0),
        }
    }

    /// The number of a value, if it is one of this distribution's kind.
    pub fn to_internal(&self, value: &ParamValue) -> Option<f64> {
        match self {
            Self::Categorical { choices } => choices.iter().position(|c| c == value).map(|i| i as f64),
            _ => value.as_f64(),
        }
    }

    /// The value of a number.
    pub fn to_value(&self, internal: f64) -> ParamValue {
        match self {
            Self::Float { .. } => ParamValue::Float(internal),
            Self::Int { .. } => ParamValue::Int(internal as i64),
            Self::Categorical { choices } => choices.get(internal as usize).cloned().unwrap_or(ParamValue::Null),
        }
    }

    /// Whether a number lies within the bounds.
    pub fn contains(&self, internal: f64) -> bool {
        let (low, high) = self.bounds();
        (low..=high).contains(&internal)
    }

    /// The nearest number of this distribution.
    pub(crate) fn nearest(&self, internal: f64) -> f64 {
        let (low, high) = self.bounds();
        let on_step = match self.step() {
            Some(step) => low + ((internal - low) / step).round() * step,
            None => internal,
        };
        on_step.clamp(low, high)
    }

    /// The numbers of a grid: all of them where they are discrete (and not logarithmic), otherwise `points` from end to
    /// end.
    ///
    /// # Errors
    /// A sentence, if there is no such grid.
    pub fn grid(&self, points: Option<usize>) -> Result<Vec<f64>, String> {
        let (low, high) = self.bounds();
        if self.is_single() {
            return Ok(vec![low]);
        }
        if let (Some(step), false) = (self.step(), self.is_log()) {
            let count = ((high - low) / step + 1e-9).floor() as usize + 1;
            if count > MAX_CHOICES {
                return Err(format!("a grid of {count} points is too fine, at most {MAX_CHOICES}; widen the step"));
            }
            return Ok((0..count).map(|i| self.nearest(low + i as f64 * step)).collect());
        }
        let Some(points) = points.filter(|n| (2..=MAX_CHOICES).contains(n)) else {
            return Err(format!(
                "a grid needs choices, a step, or hparams_search.sampler.points (2 to {MAX_CHOICES}) for this range"
            ));
        };
        let share = |i: usize| i as f64 / (points - 1) as f64;
        let at =
            |i: usize| if self.is_log() { low * (high / low).powf(share(i)) } else { low + share(i) * (high - low) };
        let mut grid: Vec<f64> = (0..points).map(|i| self.nearest(at(i))).collect();
        grid.dedup();
        Ok(grid)
    }

    /// The text by which Optuna stores it.
    pub fn to_json(&self) -> String {
        let (name, attributes) = match self {
            Self::Float { low, high, step, log } => {
                ("FloatDistribution", json!({"step": step, "low": low, "high": high, "log": log}))
            }
            Self::Int { low, high, step, log } => {
                ("IntDistribution", json!({"log": log, "step": step, "low": low, "high": high}))
            }
            Self::Categorical { choices } => ("CategoricalDistribution", json!({"choices": choices})),
        };
        json!({"name": name, "attributes": attributes}).to_string()
    }

    /// Reads Optuna's text, also that of its older releases.
    ///
    /// # Errors
    /// A sentence with what cannot be read.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|e| format!("the distribution is no JSON ({e})"))?;
        let attributes = &json["attributes"];
        let number = |key: &str| attributes[key].as_f64().ok_or_else(|| format!("the distribution lacks '{key}'"));
        let whole = |key: &str| number(key).map(|n| n as i64);
        let log = attributes["log"].as_bool().unwrap_or(false);
        let step = attributes["step"].as_f64();
        let int_step = step.map_or(1, |s| s as i64);
        match json["name"].as_str().unwrap_or_default() {
            "FloatDistribution" => Self::float(number("low")?, number("high")?, step, log),
            "UniformDistribution" => Self::float(number("low")?, number("high")?, None, false),
            "LogUniformDistribution" => Self::float(number("low")?, number("high")?, None, true),
            "DiscreteUniformDistribution" => Self::float(number("low")?, number("high")?, Some(number("q")?), false),
            "IntDistribution" => Self::int(whole("low")?, whole("high")?, int_step, log),
            "IntUniformDistribution" => Self::int(whole("low")?, whole("high")?, int_step, false),
            "IntLogUniformDistribution" => Self::int(whole("low")?, whole("high")?, 1, true),
            "CategoricalDistribution" => {
                let choices = serde_json::from_value(attributes["choices"].clone());
                let choices = choices.map_err(|_| "a choice is neither null, a truth value, a number nor a text")?;
                // Optuna takes equal choices.
                Ok(Self::Categorical { choices })
            }
            other => Err(format!("there is no distribution '{other}'")),
        }
    }

    /// The range that covers this one and another; `None` if they are of different kinds.
    pub(crate) fn cover(self, other: &Self) -> Option<Self> {
        if !self.is_compatible(other) {
            return None;
        }
        Some(match (self, other) {
            (Self::Float { low, high, step, log }, Self::Float { low: l, high: h, .. }) => {
                Self::Float { low: low.min(*l), high: high.max(*h), step, log }
            }
            (Self::Int { low, high, step, log }, Self::Int { low: l, high: h, .. }) => {
                Self::Int { low: low.min(*l), high: high.max(*h), step, log }
            }
            (same, _) => same,
        })
    }

    /// Whether one study may hold both for one parameter, by Optuna's rule: the same kind and scale, the same choices.
    pub fn is_compatible(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float { log: a, .. }, Self::Float { log: b, .. }) => a == b,
            (Self::Int { log: a, .. }, Self::Int { log: b, .. }) => a == b,
            (Self::Categorical { choices: a }, Self::Categorical { choices: b }) => a == b,
            _ => false,
        }
    }
}

fn same_in_python(a: &ParamValue, b: &ParamValue) -> bool {
    let number = |value: &ParamValue| match value {
        ParamValue::Bool(truth) => Some(f64::from(u8::from(*truth))),
        other => other.as_f64(),
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_on_a_step() {
        assert_eq!(Distribution::int(1, 10, 4, false).unwrap().bounds(), (1.0, 9.0));
        let tenths = Distribution::float(0.1, 0.45, Some(0.1), false).unwrap();
        assert_eq!(tenths.bounds(), (0.1, 0.4));
        assert_eq!(tenths.nearest(0.26), 0.30000000000000004);
        assert_eq!(tenths.grid(None).unwrap().len(), 4);
        let log = Distribution::float(1e-4, 1.0, None, true).unwrap();
        let grid = log.grid(Some(5)).unwrap();
        assert!(grid.iter().zip([1e-4, 1e-3, 1e-2, 1e-1, 1.0]).all(|(a, b)| (a / b - 1.0).abs() < 1e-12));
        assert!(log.grid(None).unwrap_err().contains("sampler.points"));
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        for wrong in [
            Distribution::float(1.0, 0.0, None, false),
            Distribution::float(0.0, 1.0, None, true),
            Distribution::float(0.0, f64::INFINITY, None, false),
            Distribution::float(0.1, 1.0, Some(0.1), true),
            Distribution::float(0.0, 1.0, Some(0.0), false),
            Distribution::int(0, 10, 1, true),
            Distribution::int(1, 10, 2, true),
            Distribution::int(3, 2, 1, false),
            Distribution::int(0, i64::MAX, 1, false),
            Distribution::categorical(vec![]),
            Distribution::categorical(vec![1.into(), true.into()]),
        ] {
            assert!(wrong.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn optunas_text_is_read_again() {
        for distribution in [
            Distribution::float(1e-7, 0.1, None, true).unwrap(),
            Distribution::float(0.0, 1.0, Some(0.25), false).unwrap(),
            Distribution::int(1, 9, 2, false).unwrap(),
            Distribution::categorical(vec!["a".into(), ParamValue::Null, 2.into(), 0.5.into(), false.into()]).unwrap(),
        ] {
            assert_eq!(Distribution::from_json(&distribution.to_json()).unwrap(), distribution);
        }
        let old = r#"{"name": "DiscreteUniformDistribution", "attributes": {"low": 0, "high": 1, "q": 0.5}}"#;
        assert_eq!(Distribution::from_json(old).unwrap(), Distribution::float(0.0, 1.0, Some(0.5), false).unwrap());
        assert!(Distribution::from_json("{}").is_err());
    }
}
