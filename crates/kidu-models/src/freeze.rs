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
}

impl Freeze {
    /// The point of the network up to which nothing changes.
    pub fn cut(self) -> Cut {
        match self {
            Self::None => Cut::Image,
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
        }
    }
}

impl FromStr for Freeze {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "none" | "0" => Ok(Self::None),
            "backbone" => Ok(Self::Backbone),
            _ => text.parse().map(Self::Stages).map_err(|_| {
                ModelError::Setting(format!(
                    "model.freeze: '{text}' is not none, backbone or a number of stages (the stem and the first N)"
                ))
            }),
        }
    }
}

/// A word or a number, as YAML gives it.
#[derive(Deserialize)]
#[serde(untagged)]
enum FreezeText {
    Number(usize),
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
