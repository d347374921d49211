//! CSV lists: `path,label` and perhaps `split`.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::{Component, Path},
};

use kidu_core::{Split, dataset::is_inside, files, suggest};

use super::{EXTENSIONS, Found, Ignored, Layout, check_link, has_extension};
use crate::error::{DataError, Result};

const COLUMNS: [&str; 3] = ["path", "label", "split"];

/// Reads a list; its paths are relative to its own folder. `list` must be canonical.
pub(super) fn read(list: &Path) -> Result<Found> {
    let file = File::open(list).map_err(|e| DataError::io("read", list, e))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let wrong = |problems: Vec<String>| DataError::Csv { path: list.into(), problems };
    let header = reader.headers().map_err(|e| wrong(vec![csv_problem(&e)]))?.clone();
    let columns = Columns::find(&header).map_err(|e| wrong(vec![e]))?;
    let root = files::parent_of(list);
    let mut rows = Rows { root: &root, first_line: HashMap::new(), folders: HashSet::new(), files: Vec::new() };
    let mut problems = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                if let Err(problem) = rows.take(&columns, &record, line) {
                    problems.push(format!("line {line}: {problem}"));
                }
            }
            Err(e) => problems.push(csv_problem(&e)),
        }
    }
    if !problems.is_empty() {
        return Err(wrong(problems));
    }
    if rows.files.is_empty() {
        return Err(wrong(vec!["the list has a header and no line after it; add one line for each image".into()]));
    }
    let files = rows.files;
    Ok(Found { root, layout: Layout::Csv, files, ignored: Ignored::default(), notes: columns.notes })
}

/// Where the columns are.
struct Columns {
    path: usize,
    label: usize,
    split: Option<usize>,
    notes: Vec<String>,
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Self, String> {
        // A byte order mark may stand before the first name.
        let names: Vec<String> =
            header.iter().map(|n| n.trim_start_matches('\u{feff}').trim().to_lowercase()).collect();
        let shown = header.iter().collect::<Vec<_>>().join(",");
        let need = |name: &str| {
            names.iter().position(|n| n == name).ok_or_else(|| {
                format!("line 1: there is no column '{name}' in the header '{shown}'; it must be path,label or path,label,split, separated by commas")
            })
        };
        let (path, label) = (need("path")?, need("label")?);
        let mut notes = Vec::new();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(format!("line 1: the column '{name}' stands twice"));
            }
            if COLUMNS.contains(&name.as_str()) {
                continue;
            }
            // A typo must not quietly make a new split.
            if let Some(known) = suggest::nearest(name, COLUMNS.into_iter().filter(|c| !names.iter().any(|n| n == c))) {
                return Err(format!("line 1: unknown column '{name}' (did you mean '{known}'?)"));
            }
            notes.push(format!("the column '{name}' of the list was not used"));
        }
        Ok(Self { path, label, split: names.iter().position(|n| n == "split"), notes })
    }
}

struct Rows<'a> {
    root: &'a Path,
    first_line: HashMap<String, u64>,
    /// Folders already known to lie inside the root.
    folders: HashSet<std::path::PathBuf>,
    files: Vec<(String, String, Option<Split>)>,
}

impl Rows<'_> {
    /// Checks and keeps one line, or says what is wrong with it.
    fn take(&mut self, columns: &Columns, record: &csv::StringRecord, line: u64) -> Result<(), String> {
        let path = record.get(columns.path).unwrap_or_default();
        let label = record.get(columns.label).unwrap_or_default();
        let split = match columns.split.and_then(|i| record.get(i)).unwrap_or_default() {
            "" => None,
            text => Some(text.to_lowercase().parse::<Split>()?),
        };
        check_label(label)?;
        let path = self.check_path(path)?;
        if let Some(first) = self.first_line.insert(path.clone(), line) {
            return Err(format!("'{path}' already stands on line {first}"));
        }
        self.files.push((path, label.to_string(), split));
        Ok(())
    }

    /// The path in its plain form (`./a//b.jpg` becomes `a/b.jpg`), known to be an image file inside the root.
    fn check_path(&mut self, text: &str) -> Result<String, String> {
        if text.is_empty() {
            return Err("the path is empty".into());
        }
        let parts: Vec<_> = Path::new(text)
            .components()
            .filter(|c| !matches!(c, Component::CurDir))
            .map(|c| c.as_os_str().to_string_lossy())
            .collect();
        let plain = parts.join("/");
        if !is_inside(&plain) || plain.chars().any(char::is_control) {
            return Err(format!("'{text}' is not a path inside the list's own folder, with forward slashes"));
        }
        let file = self.root.join(&plain);
        if !has_extension(&file, &EXTENSIONS) {
            return Err(format!("'{text}' has none of the extensions .jpg, .jpeg, .png, .webp"));
        }
        let is_link = file.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink());
        if !file.is_file() && !is_link {
            return Err(format!("there is no file '{text}' in {}", self.root.display()));
        }
        let folder = files::parent_of(&file);
        if is_link || !self.folders.contains(&folder) {
            check_link(self.root, &file).map_err(|e| e.to_string())?;
            self.folders.insert(folder);
        }
        Ok(plain)
    }
}

/// A label also names a folder when the dataset is copied.
fn check_label(label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err("the label is empty".into());
    }
    if label.starts_with('.') || label.chars().any(|c| c == '/' || c == '\\' || c.is_control()) {
        return Err(format!(
            "the label '{label}' must not begin with a dot nor contain a slash, backslash or control character"
        ));
    }
    Ok(())
}

fn csv_problem(error: &csv::Error) -> String {
    let line = error.position().map(csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} values, the header has {expected_len}; put values with commas in double quotes")
        }
        csv::ErrorKind::Utf8 { .. } => "is not valid UTF-8; save the list as UTF-8".into(),
        _ => error.to_string(),
    };
    line.map_or_else(|| reason.clone(), |line| format!("line {line}: {reason}"))
}
