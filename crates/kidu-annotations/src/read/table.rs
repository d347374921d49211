//! CSV and TSV: Label Studio's exports, and lists of paths and labels.

use csv::StringRecord;
use kidu_core::Split;
use serde_json::Value;

use super::{
    Format, ReadOptions, Reading,
    json::flat,
    value::{Object, Reason, moment, shown},
};
use crate::annotation::{Annotation, Origin, System};

/// What the columns of lists are called.
const PATHS: [&str; 10] =
    ["path", "image", "file", "filename", "file_name", "filepath", "image_path", "image_name", "url", "uri"];
const LABELS: [&str; 7] = ["label", "class", "category", "choice", "target", "class_name", "label_name"];
/// The control's name for lists.
const CONTROL: &str = "label";

pub(super) fn read(file: &str, bytes: &[u8], options: &ReadOptions) -> Reading {
    let mut reading = Reading::default();
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let delimiter =
        [b'\t', b',', b';'].into_iter().max_by_key(|d| (count_outside_quotes(first, *d), *d == b',')).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).flexible(true).from_reader(bytes);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(e) => {
            reading.problem(file, "line 1", reason_of(&e));
            return reading;
        }
    };
    let columns = match Columns::find(&header, options) {
        Ok(columns) => columns,
        Err(reason) => {
            reading.problem(file, "line 1", reason);
            return reading;
        }
    };
    if !reading.expects(file, "line 1", columns.format(), options) {
        return reading;
    }
    for record in reader.records() {
        match record {
            Ok(record) => {
                let place = format!("line {}", record.position().map_or(0, csv::Position::line));
                match columns.take(&header, &record, file, &place, options) {
                    Ok(annotation) => reading.annotations.push(annotation),
                    Err(reason) => reading.problem(file, &place, reason),
                }
            }
            Err(e) => {
                let place = e.position().map(|p| format!("line {}", p.line())).unwrap_or_default();
                reading.problem(file, &place, reason_of(&e));
                if matches!(e.kind(), csv::ErrorKind::Io(_)) {
                    break;
                }
            }
        }
    }
    reading
}

fn count_outside_quotes(line: &[u8], delimiter: u8) -> usize {
    let mut quoted = false;
    line.iter()
        .filter(|b| {
            quoted ^= **b == b'"';
            !quoted && **b == delimiter
        })
        .count()
}

/// Which columns matter.
enum Columns {
    LabelStudio,
    List { path: usize, label: usize, split: Option<usize>, annotator: Option<usize>, updated: Option<usize> },
}

impl Columns {
    fn find(header: &StringRecord, options: &ReadOptions) -> Result<Self, Reason> {
        let names: Vec<String> = header.iter().map(|n| n.trim().to_lowercase()).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) && !name.is_empty() {
                return Err(format!("the column '{}' stands twice", shown(name)));
            }
        }
        let at = |name: &str| names.iter().position(|n| n == name);
        if at("annotation_id").is_some() {
            return Ok(Self::LabelStudio);
        }
        let column = |option: Option<&str>, usual: &[&str], what: &str, flag: &str| {
            let found = match option {
                Some(name) => at(&name.to_lowercase()),
                None => usual.iter().find_map(|n| at(n)),
            };
            found.ok_or_else(|| {
                let wanted = option.map_or_else(|| usual.join(", "), str::to_string);
                let header = shown(&names.join(","));
                format!("no column of the header '{header}' holds the {what} ({wanted}); name it with {flag}")
            })
        };
        Ok(Self::List {
            path: column(options.image_key.as_deref(), &PATHS, "image's path", "--image-key")?,
            label: column(options.from_name.as_deref(), &LABELS, "class", "--from-name")?,
            split: at("split"),
            annotator: at("annotator"),
            updated: at("updated_at"),
        })
    }

    fn format(&self) -> Format {
        match self {
            Self::LabelStudio => Format::LabelStudioCsv,
            Self::List { .. } => Format::List,
        }
    }

    fn take(
        &self,
        header: &StringRecord,
        record: &StringRecord,
        file: &str,
        place: &str,
        options: &ReadOptions,
    ) -> Result<Annotation, Reason> {
        if record.len() != header.len() {
            let (has, needs) = (record.len(), header.len());
            return Err(format!("has {has} values, the header has {needs}; put values with commas in double quotes"));
        }
        let Self::List { path, label, split, annotator, updated } = self else {
            let filled = header.iter().zip(record).filter(|(_, value)| !value.is_empty());
            let object: Object = filled.map(|(k, v)| (k.to_string(), Value::String(v.to_string()))).collect();
            return flat(&object, file, place, options);
        };
        let cell = |i: Option<usize>| i.and_then(|i| record.get(i)).filter(|v| !v.is_empty());
        let address = cell(Some(*path)).ok_or("the path is empty")?.to_string();
        let split = cell(*split).map(|s| s.to_lowercase().parse::<Split>()).transpose()?;
        let updated = moment("updated_at", cell(*updated).map(|v| Value::String(v.into())).as_ref())?;
        let answers = cell(Some(*label)).map(|l| (CONTROL.to_string(), vec![l.to_string()])).into_iter().collect();
        Ok(Annotation {
            address,
            task: None,
            project: None,
            system: System::List,
            id: None,
            annotator: cell(*annotator).map(str::to_string),
            answers,
            created: None,
            updated,
            skipped: false,
            ground_truth: None,
            split,
            origin: Origin::new(file, place),
        })
    }
}

fn reason_of(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not valid UTF-8; save the file as UTF-8".into(),
        _ => error.to_string(),
    }
}
