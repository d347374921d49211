//! From a source as it was given to readings: a file, a folder, or `s3://bucket/prefix`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use kidu_core::Progress;
use kidu_fetch::{Address, Buckets, FetchOptions};
use rayon::prelude::*;

use crate::{
    error::{ImportError, Result},
    provenance,
    read::{self, ReadOptions, Reading},
};

/// The most bytes of one file of annotations.
const LARGEST: u64 = 2 << 30;
/// Extensions of the files that a folder is searched for, besides none at all; in lower case.
const EXTENSIONS: [&str; 5] = ["json", "jsonl", "json_min", "csv", "tsv"];
/// How many objects are fetched at a time.
const AT_A_TIME: usize = 16;

/// What one source held.
#[derive(Debug)]
pub(crate) struct SourceReading {
    /// The source as it was given.
    pub(crate) name: String,
    /// Everything read from it.
    pub(crate) reading: Reading,
    /// How many files or objects were read.
    pub(crate) files: usize,
    /// Files of a folder that were not taken for annotations, by extension.
    pub(crate) passed_over: BTreeMap<String, usize>,
    /// Where relative image paths in it begin; `None` for objects.
    pub(crate) base: Option<PathBuf>,
}

impl SourceReading {
    /// Whether an annotation that is not in it has been withdrawn, for all that is known.
    pub(crate) fn is_complete(&self) -> bool {
        !self.reading.piece
    }
}

/// Reads a source.
pub(crate) fn load(
    source: &str,
    options: &ReadOptions,
    fetch: &FetchOptions,
    progress: &dyn Progress,
) -> Result<SourceReading> {
    let fail = |reason: String| ImportError::Source { path: source.into(), reason };
    match Address::parse(source) {
        Ok(Address::Object { bucket, key }) => from_store(source, &bucket, &key, options, fetch, progress),
        // A bucket without a prefix is no image's address, but a source.
        Err(_) if source.strip_prefix("s3://").is_some_and(|b| !b.trim_matches('/').is_empty()) => {
            from_store(source, source["s3://".len()..].trim_matches('/'), "", options, fetch, progress)
        }
        Ok(Address::Http(_)) => Err(fail("is a web address; download the export and give the file".into())),
        _ => {
            let path = Path::new(source);
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => from_folder(path, options, progress),
                Ok(_) => from_file(path, options),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    Err(fail("there is no such file or folder".into()))
                }
                Err(e) => Err(ImportError::io("read", path, e)),
            }
        }
    }
}

fn from_file(path: &Path, options: &ReadOptions) -> Result<SourceReading> {
    let name = options.called.clone().unwrap_or_else(|| path.display().to_string());
    let reading = read_file(path, &name, options)?;
    if let ([], [problem]) = (reading.annotations.as_slice(), reading.problems.as_slice())
        && reading.formats.is_empty()
    {
        return Err(ImportError::Source { path: name, reason: problem.reason.clone() });
    }
    let base = Some(kidu_core::files::parent_of(path));
    Ok(SourceReading { name, reading, files: 1, passed_over: BTreeMap::new(), base })
}

fn read_file(path: &Path, name: &str, options: &ReadOptions) -> Result<Reading> {
    let size = fs::metadata(path).map_err(|e| ImportError::io("read", path, e))?.len();
    if size > LARGEST {
        let reason = format!("has {size} bytes; more than {LARGEST} are not read, export fewer tasks at a time");
        return Err(ImportError::Source { path: name.into(), reason });
    }
    let bytes = fs::read(path).map_err(|e| ImportError::io("read", path, e))?;
    Ok(read::read(name, &bytes, options))
}

fn from_folder(folder: &Path, options: &ReadOptions, progress: &dyn Progress) -> Result<SourceReading> {
    let (mut files, mut passed_over) = (Vec::new(), BTreeMap::new());
    walk(folder, &mut files, &mut passed_over)?;
    files.sort();
    let name = folder.display().to_string();
    if files.is_empty() {
        let reason = "holds no file without extension and no .json, .jsonl, .csv or .tsv file".into();
        return Err(ImportError::Source { path: name, reason });
    }
    progress.begin("read annotations", "files", Some(files.len() as u64));
    let readings: Result<Vec<Reading>> = files
        .par_iter()
        .map(|file| {
            let reading = read_file(file, &file.display().to_string(), options);
            progress.advance(1);
            reading
        })
        .collect();
    progress.end();
    let mut reading = Reading::default();
    readings?.into_iter().for_each(|r| reading.merge(r));
    Ok(SourceReading { name, reading, files: files.len(), passed_over, base: Some(folder.into()) })
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>, passed_over: &mut BTreeMap<String, usize>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| ImportError::io("list", folder, e))? {
        let entry = entry.map_err(|e| ImportError::io("list", folder, e))?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') || name.to_str() == Some(provenance::FILE) {
            continue;
        }
        let kind = entry.file_type().map_err(|e| ImportError::io("read", &path, e))?;
        if kind.is_dir() {
            walk(&path, files, passed_over)?;
        } else if path.is_file() {
            match path.extension().map(|e| e.to_string_lossy().to_lowercase()) {
                None => files.push(path),
                Some(e) if EXTENSIONS.contains(&e.as_str()) => files.push(path),
                Some(e) => *passed_over.entry(format!(".{e}")).or_default() += 1,
            }
        }
    }
    Ok(())
}

fn from_store(
    source: &str,
    bucket: &str,
    prefix: &str,
    options: &ReadOptions,
    fetch: &FetchOptions,
    progress: &dyn Progress,
) -> Result<SourceReading> {
    let fail = |reason: &str| ImportError::Source { path: source.into(), reason: reason.into() };
    let Some(buckets) = &fetch.buckets else {
        return Err(fail("no object store is at hand here; copy the objects to a folder and give that"));
    };
    let listed = buckets.list(bucket, prefix)?;
    // `annotations/1` is a beginning of `annotations/10` too, and `lab` of `laboratory/1`.
    let whole = prefix.is_empty() || prefix.ends_with('/');
    let folder = format!("{prefix}/");
    let keys: Vec<String> = match listed.iter().find(|o| !whole && o.key == prefix) {
        Some(one) => vec![one.key.clone()],
        None => listed.into_iter().map(|o| o.key).filter(|k| whole || k.starts_with(&folder)).collect(),
    };
    if keys.is_empty() {
        return Err(fail("there is no object of that name or below it"));
    }
    let piece = keys.len() == 1 && keys[0] == prefix;
    progress.begin("read annotations", "objects", Some(keys.len() as u64));
    let readings = get_all(&**buckets, bucket, &keys, options, progress);
    progress.end();
    let mut reading = Reading::default();
    for one in readings {
        let one = one?;
        reading.piece = piece && one.piece;
        reading.merge(one);
    }
    Ok(SourceReading { name: source.into(), reading, files: keys.len(), passed_over: BTreeMap::new(), base: None })
}

/// Fetches and reads objects, several at a time, in the order of the keys.
fn get_all(
    buckets: &dyn Buckets,
    bucket: &str,
    keys: &[String],
    options: &ReadOptions,
    progress: &dyn Progress,
) -> Vec<Result<Reading>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Reading>)>> = Mutex::new(Vec::with_capacity(keys.len()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(keys.len()) {
            scope.spawn(|| {
                while let Some((i, key)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, keys.get(i)?)))
                {
                    let bytes = buckets.get(bucket, key, LARGEST).map_err(ImportError::from);
                    let reading = bytes.map(|b| read::read(&format!("s3://{bucket}/{key}"), &b, options));
                    progress.advance(1);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((i, reading));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, r)| r).collect()
}
