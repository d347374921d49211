//! One normal form for all formats.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use kidu_core::Split;
use serde::{Deserialize, Serialize};

/// One answer of one person about one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Where the image is, as the source says.
    pub address: String,
    /// The Label Studio task.
    pub task: Option<u64>,
    /// The project, where the source states it.
    pub project: Option<String>,
    /// Whose numbers `id` is one of.
    pub system: System,
    /// The annotation's number.
    pub id: Option<String>,
    /// Who answered: the number of the user where there is one, else the name or address.
    pub annotator: Option<String>,
    /// What was chosen, by the control that asked (Label Studio's `from_name`). Controls without an answer are absent.
    pub answers: BTreeMap<String, Vec<String>>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
    /// The person had no answer.
    pub skipped: bool,
    /// An answer that counts before all others; `None` where the format does not say.
    pub ground_truth: Option<bool>,
    /// The split that the source wants for the image.
    pub split: Option<Split>,
    /// Where it was read.
    pub origin: Origin,
}

impl Annotation {
    /// When it was last touched.
    pub fn time(&self) -> Option<Timestamp> {
        self.updated.or(self.created)
    }
}

/// Whose numbers annotations have. Numbers of different systems are not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Label Studio.
    LabelStudio,
    /// A COCO file.
    Coco,
    /// A CSV list.
    List,
}

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file or object.
    pub file: String,
    /// Within it: `[2].annotations[0]` (counted from 0), `line 5` (counted from 1), or empty for the whole.
    pub place: String,
}

impl Origin {
    /// A place in a file.
    pub fn new(file: &str, place: impl Into<String>) -> Self {
        Self { file: file.into(), place: place.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.file),
            place => write!(f, "{}: {place}", self.file),
        }
    }
}

/// A record that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file or object.
    pub file: String,
    /// Within it, as in [`Origin::place`].
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(origin: &Origin, reason: impl Into<String>) -> Self {
        Self { file: origin.file.clone(), place: origin.place.clone(), reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = Origin { file: self.file.clone(), place: self.place.clone() };
        write!(f, "{origin}: {}", self.reason)
    }
}
