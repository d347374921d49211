//! `predictions.csv`: one line per image.

use std::{
    fmt::Write as _,
    io::{self, BufWriter},
    path::Path,
};

use csv::{ReaderBuilder, StringRecord, Writer};
use kidu_core::{ClassNames, files};

use crate::{
    error::{Error, Result},
    predictions::Predictions,
    scores::Scores,
};

const FIXED: [&str; 4] = ["path", "label", "predicted", "score"];
const PROBABILITY: &str = "prob_";
const LOGIT: &str = "logit_";

pub(crate) fn save(predictions: &Predictions, path: &Path, temperature: f64) -> Result<()> {
    let scores = Scores::new(predictions, temperature)?;
    files::write_atomic_with(path, |file| {
        let mut csv = Writer::from_writer(BufWriter::new(file));
        write_all(&mut csv, predictions, &scores).map_err(io::Error::other)?;
        csv.flush()
    })?;
    Ok(())
}

fn write_all<W: io::Write>(csv: &mut Writer<W>, predictions: &Predictions, scores: &Scores<'_>) -> csv::Result<()> {
    let classes = predictions.classes();
    let probabilities = classes.len() <= Predictions::MAX_PROBABILITY_COLUMNS;
    for name in FIXED {
        csv.write_field(name)?;
    }
    for class in classes.iter().filter(|_| probabilities) {
        csv.write_field(format!("{PROBABILITY}{class}"))?;
    }
    for class in classes.iter() {
        csv.write_field(format!("{LOGIT}{class}"))?;
    }
    csv.write_record(None::<&[u8]>)?;

    let mut number = String::new();
    for (i, row) in predictions.logits().iter().enumerate() {
        let image = scores.image(i);
        csv.write_field(&predictions.paths()[i])?;
        csv.write_field(&classes[predictions.labels()[i]])?;
        csv.write_field(&classes[image.predicted])?;
        // `{:?}` is the shortest text that reads back as the same number.
        write_number(csv, &mut number, format_args!("{:?}", image.confidence))?;
        for c in (0..classes.len()).filter(|_| probabilities) {
            write_number(csv, &mut number, format_args!("{:?}", scores.probability(i, c)))?;
        }
        for value in row {
            write_number(csv, &mut number, format_args!("{value:?}"))?;
        }
        csv.write_record(None::<&[u8]>)?;
    }
    Ok(())
}

fn write_number<W: io::Write>(
    csv: &mut Writer<W>,
    buffer: &mut String,
    value: std::fmt::Arguments<'_>,
) -> csv::Result<()> {
    buffer.clear();
    // Writing to a String cannot fail.
    let _ = buffer.write_fmt(value);
    csv.write_field(&*buffer)
}

pub(crate) fn load(path: &Path) -> Result<Predictions> {
    let bad = |line: Option<u64>, reason: String| Error::Csv { path: path.to_path_buf(), line, reason };
    let file = std::fs::File::open(path).map_err(|e| kidu_core::Error::io("read", path, e))?;
    let mut reader = ReaderBuilder::new().from_reader(io::BufReader::new(file));
    let header = reader.headers().map_err(|e| bad(Some(1), unreadable(&e)))?.clone();
    let columns = Columns::find(&header).map_err(|reason| bad(Some(1), reason))?;

    let (mut labels, mut logits, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(e) => return Err(bad(e.position().map(csv::Position::line), unreadable(&e))),
        }
        let line = record.position().map(csv::Position::line);
        let (label, row) = columns.read(&record).map_err(|reason| bad(line, reason))?;
        labels.push(label);
        logits.push(row);
        paths.push(record[columns.path].to_string());
    }
    Predictions::new(columns.classes, labels, logits, paths)
}

fn unreadable(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} fields where the header has {expected_len}; write the file again with `kidu evaluate`")
        }
        _ => format!("is not readable as CSV ({error}); write the file again with `kidu evaluate`"),
    }
}

/// Where the columns that matter are.
struct Columns {
    path: usize,
    label: usize,
    first_logit: usize,
    classes: ClassNames,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, String> {
        let position = |name: &str| {
            header.iter().position(|h| h == name).ok_or_else(|| {
                format!("has no column '{name}'; a predictions file has the columns path, label and logit_<class>")
            })
        };
        let first_logit = header
            .iter()
            .position(|h| h.starts_with(LOGIT))
            .ok_or("has no logit_<class> columns; a predictions file has one per class")?;
        // All that follows must be logits: a gap would shift the classes.
        let names: Option<Vec<&str>> = header.iter().skip(first_logit).map(|h| h.strip_prefix(LOGIT)).collect();
        let names = names.ok_or("has another column among or after the logit_<class> columns; remove it")?;
        let classes = ClassNames::new(names).map_err(|e| e.to_string())?;
        Ok(Self { path: position("path")?, label: position("label")?, first_logit, classes })
    }

    fn read(&self, record: &StringRecord) -> Result<(usize, Vec<f32>), String> {
        let label = &record[self.label];
        let index = self.classes.index_of(label).ok_or_else(|| {
            let near = kidu_core::suggest::nearest(label, self.classes.iter());
            format!("label '{label}' is not a class of this file{}", kidu_core::suggest::did_you_mean(near))
        })?;
        let row = record.iter().skip(self.first_logit).zip(self.classes.iter()).map(|(text, class)| {
            text.parse().map_err(|_| format!("'{text}' in column '{LOGIT}{class}' is not a number"))
        });
        Ok((index, row.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures;

    fn reload(predictions: &Predictions) -> Predictions {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.csv");
        predictions.save(&path, 1.5).unwrap();
        Predictions::load(&path).unwrap()
    }

    fn error_for(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        std::fs::write(&path, text).unwrap();
        Predictions::load(&path).unwrap_err().to_string()
    }

    #[test]
    fn the_columns_are_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.csv");
        let classes = ClassNames::new(["sea", "street, wet"]).unwrap();
        let p = Predictions::new(classes, vec![1], vec![vec![0.0, 0.0]], vec!["a/\"1\".jpg".into()]).unwrap();
        p.save(&path, 1.0).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "path,label,predicted,score,prob_sea,\"prob_street, wet\",logit_sea,\"logit_street, wet\"\n\
                        \"a/\"\"1\"\".jpg\",\"street, wet\",sea,0.5,0.5,0.5,0.0,0.0\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn many_classes_leave_the_probabilities_out() {
        let p = fixtures::predictions(3, 101);
        assert_eq!(reload(&p), p);
    }

    #[test]
    fn errors_name_the_line_and_the_remedy() {
        assert!(error_for("path,label,score\n").contains("no logit_<class> columns"));
        assert!(error_for("label,logit_a\n").contains("no column 'path'"));
        assert!(error_for("path,label,logit_a,note\n").contains("another column"));
        let head = "path,label,logit_sea,logit_street\n";
        assert!(error_for(&format!("{head}x,seaa,1,2\n")).contains("line 2: label 'seaa'"));
        assert!(error_for(&format!("{head}x,seaa,1,2\n")).contains("did you mean 'sea'"));
        assert!(error_for(&format!("{head}x,sea,1,2\ny,sea,1,two\n")).contains("line 3: 'two' in column"));
        assert!(error_for(&format!("{head}x,sea,1\n")).contains("line 2: has 3 fields where the header has 4"));
        assert!(error_for(&format!("{head}x,sea,1,inf\n")).contains("not finite"));
        assert!(error_for(head).contains("no predictions"));
    }

    proptest! {
        #[test]
        fn any_names_and_numbers_survive_the_file(
            names in proptest::collection::hash_set("\\PC{0,6}[a-z,\"\n;é]", 1..5),
            rows in proptest::collection::vec(
                ("\\PC{0,12}", any::<prop::sample::Index>(), [prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL; 4]),
                1..6,
            ),
        ) {
            let names: Vec<String> = names.into_iter().filter(|n| !n.trim().is_empty()).collect();
            prop_assume!(!names.is_empty());
            let n = names.len();
            let predictions = Predictions::new(
                ClassNames::new(names).unwrap(),
                rows.iter().map(|r| r.1.index(n)).collect(),
                rows.iter().map(|r| r.2[..n].to_vec()).collect(),
                rows.iter().map(|r| r.0.clone()).collect(),
            ).unwrap();
            prop_assert_eq!(reload(&predictions), predictions);
        }
    }
}
