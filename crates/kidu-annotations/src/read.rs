//! Readers of the formats. A format is known by its content; a record that cannot be used is reported with its place
//! and costs no other record.

mod coco;
mod json;
mod table;
mod value;

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::annotation::{Annotation, Problem};

/// What is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Label Studio's S3 target storage: one annotation with its task inside.
    LabelStudioAnnotation,
    /// Label Studio's tasks with their annotations: its JSON export, or one task as its target storage writes it.
    LabelStudioTasks,
    /// Label Studio's JSON_MIN export: one flat object for each annotation.
    JsonMin,
    /// Label Studio's CSV or TSV export.
    LabelStudioCsv,
    /// COCO: `images`, `annotations`, `categories`. The categories of an image's annotations are taken; boxes are not.
    Coco,
    /// A CSV list: `path,label` and perhaps `split`, `annotator`, `updated_at`.
    List,
}

impl Format {
    const ALL: [Self; 6] = [
        Self::LabelStudioAnnotation,
        Self::LabelStudioTasks,
        Self::JsonMin,
        Self::LabelStudioCsv,
        Self::Coco,
        Self::List,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LabelStudioAnnotation => "label-studio-annotation",
            Self::LabelStudioTasks => "label-studio-tasks",
            Self::JsonMin => "json-min",
            Self::LabelStudioCsv => "label-studio-csv",
            Self::Coco => "coco",
            Self::List => "list",
        }
    }

    /// Whether a file holds one annotation or task of many, so that what it lacks is not withdrawn.
    pub(crate) fn is_piece(self, values: usize) -> bool {
        self == Self::LabelStudioAnnotation || (self == Self::LabelStudioTasks && values == 1)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name);
            let nearest = kidu_core::suggest::nearest(text, known);
            let hint = kidu_core::suggest::did_you_mean(nearest);
            format!("unknown format '{text}'{hint}; known formats: {}", known.join(", "))
        })
    }
}

/// What a reader needs to be told where the content leaves a choice.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The format; `None` is by content.
    pub format: Option<Format>,
    /// The key of the task's data, or the column, that holds the image. Default: `image`, or the only one that looks
    /// like an image's address.
    pub image_key: Option<String>,
    /// The control (`from_name`) or column that holds the class.
    pub from_name: Option<String>,
    /// What a single file is called in messages and in the origin of labels. Default: its path.
    pub called: Option<String>,
}

/// What was read from one file.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The formats found; more than one only where a folder's files are gathered.
    pub formats: Vec<Format>,
    /// The annotations, in the order of the file; skipped and empty ones too.
    pub annotations: Vec<Annotation>,
    /// Tasks without any annotation.
    pub unannotated: usize,
    /// Records that cannot be used.
    pub problems: Vec<Problem>,
    /// Whether the file is one of many that belong together.
    pub piece: bool,
}

/// Reads one file. Any bytes give a reading, never a panic.
pub fn read(file: &str, bytes: &[u8], options: &ReadOptions) -> Reading {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reading = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{' | b'[') => json::read(file, bytes, options),
        Some(_) => table::read(file, bytes, options),
        None => {
            let mut reading = Reading::default();
            reading.problem(file, "", "is empty");
            reading
        }
    };
    reading.formats.sort_unstable();
    reading.formats.dedup();
    reading
}

impl Reading {
    fn problem(&mut self, file: &str, place: &str, reason: impl Into<String>) {
        self.problems.push(Problem { file: file.into(), place: place.into(), reason: reason.into() });
    }

    /// Whether a record of this format is wanted; notes the format, or the problem.
    fn expects(&mut self, file: &str, place: &str, found: Format, options: &ReadOptions) -> bool {
        match options.format.filter(|wanted| *wanted != found) {
            Some(wanted) => {
                self.problem(file, place, format!("is {found}, not {wanted} as --format says"));
                false
            }
            None => {
                if self.formats.last() != Some(&found) {
                    self.formats.push(found);
                }
                true
            }
        }
    }

    /// Adds what another file held.
    pub(crate) fn merge(&mut self, other: Self) {
        self.formats.extend(other.formats);
        self.annotations.extend(other.annotations);
        self.unannotated += other.unannotated;
        self.problems.extend(other.problems);
        self.formats.sort_unstable();
        self.formats.dedup();
    }
}
