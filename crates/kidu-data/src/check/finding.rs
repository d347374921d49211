//! One thing that was found.

use kidu_core::Split;
use serde::Serialize;

use super::{
    kind::{Kind, Severity},
    survey::Survey,
};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, as a sentence without a full stop.
    pub message: String,
    /// What was measured.
    pub value: Option<f64>,
    /// What it was held against: a key of `data.check` where there is one.
    pub threshold: Option<f64>,
    /// What to do about it.
    pub advice: &'static str,
    /// The file, or all files of a group; none for a class.
    pub files: Vec<FileRef>,
    /// The pairs that make a group.
    pub pairs: Vec<Pair>,
    /// The class that it is about.
    pub class: Option<String>,
    /// The class that a wrong label more likely has.
    pub suggested: Option<String>,
    /// The files that `--fix` moves away for this kind; of duplicates all but the one that stays.
    pub removable: Vec<String>,
}

/// A file of a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileRef {
    /// Path relative to the data's root.
    pub path: String,
    /// Its class.
    pub class: String,
    /// The split that the data states.
    pub split: Option<Split>,
}

/// Two files that are alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Path of one.
    pub a: String,
    /// Path of the other.
    pub b: String,
    /// Bits of 64 in which the perceptual hashes differ.
    pub distance: Option<u32>,
    /// Correlation of edges, or cosine of features; 1 for equal bytes.
    pub similarity: f64,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
}

impl Finding {
    /// A finding of a kind, with its usual severity.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity: kind.severity(),
            message: message.into(),
            value: None,
            threshold: None,
            advice: kind.advice(),
            files: Vec::new(),
            pairs: Vec::new(),
            class: None,
            suggested: None,
            removable: Vec::new(),
        }
    }

    /// About one file, which a fix would move.
    pub(crate) fn of_file(kind: Kind, survey: &Survey, file: usize, message: impl Into<String>) -> Self {
        let file = FileRef::of(survey, file);
        Self {
            class: Some(file.class.clone()),
            removable: vec![file.path.clone()],
            files: vec![file],
            ..Self::new(kind, message)
        }
    }

    /// With what was measured and what it was held against.
    pub(crate) fn measured(self, value: f64, threshold: f64) -> Self {
        Self { value: Some(value), threshold: Some(threshold), ..self }
    }
}

impl FileRef {
    pub(crate) fn of(survey: &Survey, file: usize) -> Self {
        let file = &survey.files[file];
        Self { path: file.path.clone(), class: survey.classes[file.class].clone(), split: file.split }
    }
}
