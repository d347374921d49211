//! Which part of a network is left as it is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{error::ModelError, network::Cut};

/// The part of the network that is not trained: its parameters get no gradient and its batch norms keep their running
/// statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FreezeText", into = "String")]
pub enum Freeze {
    /// Everything is trained.
    #[default]
    None,
    /// Only the classifier is trained.
    Backbone,
    /// The stem and this many stages are frozen (at least 1).
    Stages(usize),
    /// Everything but the last so many stages (at least 1), the head and the classifier is frozen; written as a
    /// negative number. [`Freeze::resolve`] makes it [`Freeze::Stages`].
    AllBut(usize),
}

impl Freeze {
    /// Counts from the front for a network with so many stages. All but all of them is [`Freeze::None`].
    #[must_use]
    pub fn resolve(self, num_stages: usize) -> Self {
        match self {
            Self::AllBut(n) if n >= num_stages => Self::None,
            Self::AllBut(n) => Self::Stages(num_stages - n),
            other => other,
        }
    }

    /// The point of the network up to which nothing changes. [`Freeze::AllBut`] must be resolved before; unresolved it
    /// counts as [`Freeze::None`].
    pub fn cut(self) -> Cut {
        match self {
            Self::None | Self::AllBut(_) => Cut::Image,
            Self::Backbone => Cut::Features,
            Self::Stages(n) => Cut::Stage(n),
        }
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Backbone => f.write_str("backbone"),
            Self::Stages(n) => write!(f, "{n}"),
            Self::AllBut(n) => write!(f, "-{n}"),
        }
    }
}

impl FromStr for Freeze {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "none" | "0" => Ok(Self::None),
            "backbone" => Ok(Self::Backbone),
            _ => match text.parse::<i32>() {
                Ok(n) if n > 0 => Ok(Self::Stages(n.unsigned_abs() as usize)),
                Ok(n) => Ok(Self::AllBut(n.unsigned_abs() as usize)),
                Err(_) => Err(ModelError::Setting(format!(
                    "model.freeze: '{text}' is not none, backbone, N (the stem and the first N stages) or -N (all but the \
                     last N)"
                ))),
            },
        }
    }
}

/// A word or a number, as YAML gives it.
#[derive(Deserialize)]
#[serde(untagged)]
enum FreezeText {
    Number(i32),
    Word(String),
}

impl TryFrom<FreezeText> for Freeze {
    type Error = ModelError;

    fn try_from(text: FreezeText) -> Result<Self, ModelError> {
        match text {
            FreezeText::Number(n) => n.to_string().parse(),
            FreezeText::Word(w) => w.parse(),
        }
    }
}

impl From<Freeze> for String {
    fn from(freeze: Freeze) -> Self {
        freeze.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_count_stages_from_either_end() {
        let parse = |t: &str| t.parse::<Freeze>().unwrap();
        assert_eq!(parse("-1").resolve(7), Freeze::Stages(6));
        assert_eq!(parse("-7").resolve(7), Freeze::None);
        assert_eq!(parse("3").resolve(7).cut(), Cut::Stage(3));
        assert_eq!(parse("backbone").to_string(), "backbone");
        assert_eq!(parse("0"), Freeze::None);
        assert!("most".parse::<Freeze>().unwrap_err().to_string().contains("backbone"));
        assert_eq!(parse(&parse("-2").to_string()), Freeze::AllBut(2));
    }
}
