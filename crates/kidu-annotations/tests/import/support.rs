//! Small images, annotations and datasets in temporary folders.

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{ImageFormat, Rgb, RgbImage};
use kidu_annotations::{ImportError, ImportOptions, ImportReport, import};
use kidu_core::{Sha256Hex, progress::Silent};
use serde_json::{Value, json};

/// A picture that no other number gives, as PNG.
pub(crate) fn png(number: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(24, 16, |x, y| {
        Rgb([(number * 37 + x * 5) as u8, (number / 7 + y * 9) as u8, (number ^ (x * y)) as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes a file and its folders.
pub(crate) fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes).unwrap();
    file
}

/// A folder with images, annotations and a dataset.
pub(crate) struct Desk {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) options: ImportOptions,
}

impl Desk {
    /// Images by these names, each of other content.
    pub(crate) fn with_images(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("images")).unwrap();
        for (i, name) in names.iter().enumerate() {
            put(&dir.path().join("images"), name, png(i as u32 + 1));
        }
        let options = ImportOptions { images: vec![dir.path().join("images")], ..ImportOptions::default() };
        Self { dir, options }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The dataset's folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file of annotations.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        put(self.dir.path(), name, content).display().to_string()
    }

    pub(crate) fn try_import(&self, source: &str) -> Result<ImportReport, ImportError> {
        import(&[source.to_string()], &self.data(), &self.options, &Silent)
    }

    #[track_caller]
    pub(crate) fn import(&self, source: &str) -> ImportReport {
        self.try_import(source).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The error's message, and that nothing was written.
    #[track_caller]
    pub(crate) fn refused(&self, source: &str) -> String {
        let before = tree(&self.data());
        let error = self.try_import(source).expect_err("a refusal");
        assert_eq!(tree(&self.data()), before, "nothing is written: {error}");
        error.to_string()
    }

    /// Every image's split and class, by the name of the file it was made from.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let names: BTreeMap<Sha256Hex, String> = files(&self.path("images"))
            .into_iter()
            .map(|f| {
                (Sha256Hex::of_file(&self.path("images").join(&f)).unwrap(), f.rsplit('/').next().unwrap().to_string())
            })
            .collect();
        let images = files(&self.data()).into_iter().filter(|f| f.ends_with(".png") && !f.starts_with('.'));
        images
            .map(|f| {
                let name = names[&Sha256Hex::of_file(&self.data().join(&f)).unwrap()].clone();
                (name, f.rsplit_once('/').unwrap().0.to_string())
            })
            .collect()
    }
}

/// All files below a folder, relative, sorted.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_string())
            }
        }
    }
    found.sort();
    found
}

/// The hash of each file below a folder.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Sha256Hex> {
    files(root)
        .into_iter()
        .map(|f| {
            let h = Sha256Hex::of_file(&root.join(&f)).unwrap();
            (f, h)
        })
        .collect()
}

/// A map of text to text.
pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

/// One answer, as tests write it: number, annotator, class (empty: none), second of the day, and whether it is a ground
/// truth or skipped.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) who: u64,
    pub(crate) what: String,
    pub(crate) at: u64,
    pub(crate) truth: bool,
    pub(crate) skipped: bool,
}

pub(crate) fn answer(id: u64, who: u64, what: &str, at: u64) -> Answer {
    Answer { id, who, what: what.into(), at, truth: false, skipped: what.is_empty() }
}

impl Answer {
    pub(crate) fn time(&self) -> String {
        format!("2026-11-23T04:{:02}:{:02}.500000Z", self.at / 60 % 60, self.at % 60)
    }

    pub(crate) fn json(&self) -> Value {
        let result = match self.what.as_str() {
            "" => json!([]),
            what => {
                json!([{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [what]}}])
            }
        };
        json!({"id": self.id, "completed_by": self.who, "result": result, "was_cancelled": self.skipped,
            "ground_truth": self.truth, "created_at": self.time(), "updated_at": self.time(), "project": 1})
    }
}

/// Tasks of a project: number, address, answers.
pub(crate) type Tasks = Vec<(u64, String, Vec<Answer>)>;

/// The JSON export of a project.
pub(crate) fn export(tasks: &Tasks) -> String {
    let tasks: Vec<Value> = tasks.iter().map(task).collect();
    json!(tasks).to_string()
}

pub(crate) fn task((id, image, answers): &(u64, String, Vec<Answer>)) -> Value {
    json!({"id": id, "data": {"image": image}, "project": 1, "annotations": answers.iter().map(Answer::json).collect::<Vec<_>>()})
}

/// One task for each image, `/data/upload/1/<name>`.
pub(crate) fn tasks(rows: &[(&str, &[Answer])]) -> Tasks {
    rows.iter().enumerate().map(|(i, (name, a))| (i as u64 + 1, format!("/data/upload/1/{name}"), a.to_vec())).collect()
}
