//! What an import did, or would do.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use kidu_core::Split;
use serde::Serialize;

use crate::{agreement::Agreement, annotation::Problem, read::Format, settle::Rule};

/// What an import did, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// The dataset's folder.
    pub into: PathBuf,
    /// What each source held.
    pub sources: Vec<SourceReport>,
    /// Annotations in numbers.
    pub annotations: Counts,
    /// Images in numbers, by class; sorted by name.
    pub classes: Vec<ClassRow>,
    /// Images whose class was changed: from, to.
    pub moved: Vec<Moved>,
    /// Images about which annotators disagree.
    pub conflicts: Vec<Conflict>,
    /// How far annotators agree.
    pub agreement: Agreement,
    /// Classes that the dataset did not have.
    pub new_classes: Vec<String>,
    /// Annotations that an earlier import brought and that are no more.
    pub withdrawn: Vec<Withdrawn>,
    /// Images that cannot be used.
    pub unavailable: Vec<Unavailable>,
    /// Records that cannot be used.
    pub problems: Vec<Problem>,
    /// Answers with several classes.
    pub not_single_label: Vec<Problem>,
    /// Sentences for the person who imports.
    pub notes: Vec<String>,
}

/// What a source held.
#[derive(Clone, Debug, Serialize)]
pub struct SourceReport {
    /// The source as it was given.
    pub source: String,
    /// Files or objects read.
    pub files: usize,
    /// The formats found.
    pub formats: Vec<Format>,
    /// Annotations read.
    pub annotations: usize,
}

/// Annotations in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Annotations read; the next five are parts of it.
    pub read: usize,
    /// With exactly one class.
    pub usable: usize,
    /// The person had no answer.
    pub skipped: usize,
    /// Without an answer to the question that counts.
    pub empty: usize,
    /// With several classes.
    pub not_single_label: usize,
    /// Of a class that was to be ignored.
    pub ignored_class: usize,
    /// Usable ones that repeat one of the same number, as when a project is given in two formats.
    pub repeated: usize,
    /// Records that cannot be used.
    pub bad: usize,
    /// Tasks without any annotation.
    pub unannotated: usize,
}

/// Images of one class in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassRow {
    /// The class.
    pub class: String,
    /// Images that came in.
    pub new: usize,
    /// Images that were of another class before.
    pub changed: usize,
    /// Annotated images that were of this class already.
    pub unchanged: usize,
    /// Of all these, those about which annotators disagree.
    pub conflicting: usize,
    /// Annotated images that were left out: not to be had, unreadable, or dropped for a conflict.
    pub ignored: usize,
}

/// An image whose class was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub to: String,
}

/// An image about which annotators disagree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The answers that count: one of each annotator.
    pub answers: Vec<Answer>,
    /// What was decided; `None` if the image is left out.
    pub label: Option<String>,
    /// By which rule.
    pub rule: Rule,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Who.
    pub annotator: Option<String>,
    /// What.
    pub label: String,
    /// When.
    pub time: Option<jiff::Timestamp>,
    /// Whether it is a ground truth.
    pub ground_truth: bool,
    /// The annotation's number.
    pub annotation: Option<String>,
}

impl Conflict {
    /// As one line.
    pub fn line(&self) -> String {
        let who = |a: &Answer| a.annotator.clone().unwrap_or_else(|| "somebody".into());
        let truth = |a: &Answer| if a.ground_truth { ", ground truth" } else { "" };
        let answers: Vec<String> =
            self.answers.iter().map(|a| format!("{} ({}{})", a.label, who(a), truth(a))).collect();
        let end = match &self.label {
            Some(label) => format!("{label} by {}", self.rule),
            None => self.rule.to_string(),
        };
        format!("{}: {} -> {end}", self.addresses.first().map_or("", String::as_str), answers.join(" or "))
    }
}

/// An annotation that an earlier import brought and that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    /// The image.
    pub path: String,
    /// The class it gave.
    pub label: String,
    /// Its number.
    pub annotation: Option<String>,
    /// Who had made it.
    pub annotator: Option<String>,
    /// `deleted` or `skipped`.
    pub reason: &'static str,
    /// What became of the image.
    pub outcome: Outcome,
}

/// What became of an image whose annotation was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It stays as it is until an import with `--prune`.
    Kept,
    /// Other answers decide.
    Settled,
    /// It was moved there.
    Quarantined(String),
    /// It got back the class that it had before any import.
    Restored(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("the image stays; --prune takes it out"),
            Self::Settled => f.write_str("other answers decide"),
            Self::Quarantined(to) => write!(f, "moved to {to}"),
            Self::Restored(class) => write!(f, "back in {class}, as before the first import"),
        }
    }
}

/// An image that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// Its address.
    pub address: String,
    /// A stable name of the reason: `corrupt`, `not_found`, `ambiguous`, `timeout`...
    pub code: String,
    /// The reason.
    pub reason: String,
}

impl ImportReport {
    /// Whether the import left the dataset as it was.
    pub fn is_unchanged(&self) -> bool {
        let pruned = self.withdrawn.iter().any(|w| w.outcome != Outcome::Kept);
        self.moved.is_empty() && !pruned && self.classes.iter().all(|c| c.new == 0 && c.changed == 0)
    }
}

/// The rows of the classes while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<String, ClassRow>);

impl Rows {
    pub(crate) fn of(&mut self, class: &str) -> &mut ClassRow {
        self.0.entry(class.into()).or_insert_with(|| ClassRow { class: class.into(), ..ClassRow::default() })
    }

    pub(crate) fn done(self) -> Vec<ClassRow> {
        self.0.into_values().collect()
    }
}

/// A split's name for messages.
pub(crate) fn split_name(split: Option<Split>) -> &'static str {
    split.map_or("the dataset", Split::name)
}
