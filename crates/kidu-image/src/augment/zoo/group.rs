//! Transforms that hold others.

use serde::{Deserialize, Serialize};

use super::Transform;

/// One of its transforms; albumentations' `OneOf`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneOf {
    /// Of these, one is chosen with a probability in proportion to its `p`, and surely applied.
    pub transforms: Vec<Transform>,
    /// Probability of the whole.
    pub p: f64,
}

/// All of its transforms, one after another, each with its own probability; albumentations' `Sequential`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sequential {
    /// In this order.
    pub transforms: Vec<Transform>,
    /// Probability of the whole.
    pub p: f64,
}

impl Default for OneOf {
    fn default() -> Self {
        Self { transforms: Vec::new(), p: 0.5 }
    }
}

impl Default for Sequential {
    fn default() -> Self {
        Self { transforms: Vec::new(), p: 0.5 }
    }
}
