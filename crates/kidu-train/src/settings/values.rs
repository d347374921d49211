//! Settings that are a word, a number or a list.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Weights of the classes in the loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ClassWeightsText", into = "ClassWeightsText")]
pub enum ClassWeights {
    /// All 1.
    #[default]
    None,
    /// images / (classes * images of the class): every class counts the same.
    Balanced,
    /// One number for each class, in their order.
    Given(Vec<f64>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ClassWeightsText {
    Word(String),
    Numbers(Vec<f64>),
}

impl TryFrom<ClassWeightsText> for ClassWeights {
    type Error = String;

    fn try_from(text: ClassWeightsText) -> Result<Self, String> {
        match text {
            ClassWeightsText::Numbers(weights) => Ok(Self::Given(weights)),
            ClassWeightsText::Word(word) => match word.as_str() {
                "none" => Ok(Self::None),
                "balanced" => Ok(Self::Balanced),
                _ => Err(format!("'{word}' is not none, balanced or a list of numbers, one for each class")),
            },
        }
    }
}

impl From<ClassWeights> for ClassWeightsText {
    fn from(weights: ClassWeights) -> Self {
        match weights {
            ClassWeights::None => Self::Word("none".into()),
            ClassWeights::Balanced => Self::Word("balanced".into()),
            ClassWeights::Given(numbers) => Self::Numbers(numbers),
        }
    }
}

/// A learning rate, or `auto`: what a range test suggests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LearningRateText", into = "LearningRateText")]
pub enum LearningRate {
    /// What [`find_learning_rate`](crate::find_learning_rate) suggests.
    Auto,
    /// This one, greater than 0.
    Value(f64),
}

impl LearningRate {
    /// The rate, if it is known.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Auto => None,
            Self::Value(rate) => Some(rate),
        }
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        Self::Value(rate)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LearningRateText {
    Number(f64),
    Word(String),
}

impl TryFrom<LearningRateText> for LearningRate {
    type Error = String;

    fn try_from(text: LearningRateText) -> Result<Self, String> {
        match text {
            LearningRateText::Number(rate) => Ok(Self::Value(rate)),
            LearningRateText::Word(word) if word == "auto" => Ok(Self::Auto),
            LearningRateText::Word(word) => Err(format!("'{word}' is not a number or auto")),
        }
    }
}

impl From<LearningRate> for LearningRateText {
    fn from(rate: LearningRate) -> Self {
        match rate {
            LearningRate::Auto => Self::Word("auto".into()),
            LearningRate::Value(rate) => Self::Number(rate),
        }
    }
}

/// A duration: `90s`, `5m`, `2h`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MaxTimeText", into = "String")]
pub struct MaxTime(f64);

impl MaxTime {
    /// The duration in seconds, greater than 0.
    pub fn seconds(self) -> f64 {
        self.0
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MaxTimeText {
    Seconds(f64),
    Text(String),
}

impl TryFrom<MaxTimeText> for MaxTime {
    type Error = String;

    fn try_from(text: MaxTimeText) -> Result<Self, String> {
        let (shown, seconds) = match text {
            MaxTimeText::Seconds(s) => (s.to_string(), Some(s)),
            MaxTimeText::Text(t) => {
                let trimmed = t.trim();
                let scale = match trimmed.chars().last() {
                    Some('s') => 1.0,
                    Some('m') => 60.0,
                    Some('h') => 3600.0,
                    _ => f64::NAN,
                };
                let number = trimmed.trim_end_matches(['s', 'm', 'h']).parse::<f64>().ok();
                let seconds = number.map(|n| n * scale);
                (t, seconds)
            }
        };
        match seconds {
            Some(s) if s.is_finite() && s > 0.0 => Ok(Self(s)),
            _ => Err(format!("'{shown}' is not a duration; write 90s, 5m or 2h")),
        }
    }
}

impl fmt::Display for MaxTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl From<MaxTime> for String {
    fn from(time: MaxTime) -> Self {
        time.to_string()
    }
}

/// The text form of [`kidu_models::WeightsSpec`].
pub(super) mod weights_text {
    use kidu_models::WeightsSpec;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::settings) fn serialize<S: Serializer>(spec: &WeightsSpec, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(spec)
    }

    pub(in crate::settings) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<WeightsSpec, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
