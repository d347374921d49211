//! Measurements that are kept from one check to the next.
//!
//! A measurement belongs to the hash of a file's bytes, to the version of this check and to the limits on images. Whether
//! a file is still the one that was measured is told by its path, size and time of change; where these are new, the file
//! is read and measured again. A file whose content was changed while its size and time of change were set back is not
//! noticed, as with `make` and `rsync`: `--no-cache` reads everything.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    time::UNIX_EPOCH,
};

use kidu_core::files;
use kidu_image::Limits;
use serde::{Deserialize, Serialize};

use super::facts::Facts;

/// Raise it when anything that is measured changes.
const VERSION: u32 = 1;

/// The first line of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    kidu_check_cache: u32,
    limits: Limits,
}

/// One line for each file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: String,
    stamp: Stamp,
    facts: Facts,
}

/// What tells without reading whether a file is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    bytes: u64,
    /// Nanoseconds since 1970.
    changed: u128,
}

impl Stamp {
    /// Of a file; `None` where the system does not tell, or for a change so recent that another could have the same time.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let changed = metadata.modified().ok()?;
        let settled = changed.elapsed().is_ok_and(|age| age.as_millis() > 10);
        let changed = changed.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        settled.then_some(Self { bytes: metadata.len(), changed })
    }
}

/// What is known of files by their paths.
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<String, (Stamp, Facts)>);

impl Cache {
    /// Reads a cache. One that is missing, torn, of another version or of other limits knows the less.
    pub(crate) fn load(path: &Path, limits: &Limits) -> Self {
        let Ok(file) = File::open(path) else { return Self::default() };
        let mut lines = BufReader::with_capacity(1 << 20, file).lines().map_while(Result::ok);
        let header = lines.next().and_then(|line| serde_json::from_str::<Header>(&line).ok());
        if header != Some(Header { kidu_check_cache: VERSION, limits: *limits }) {
            return Self::default();
        }
        let known = lines.filter_map(|line| serde_json::from_str::<Line>(&line).ok());
        Self(known.map(|l| (l.path, (l.stamp, l.facts))).collect())
    }

    /// What was measured of a file, if it is still the same.
    pub(crate) fn get(&self, path: &str, stamp: Option<Stamp>) -> Option<&Facts> {
        self.0.get(path).filter(|(known, _)| Some(*known) == stamp).map(|(_, facts)| facts)
    }

    /// Writes a cache of these files, atomically.
    pub(crate) fn save<'a>(
        path: &Path,
        limits: &Limits,
        files: impl Iterator<Item = (&'a str, Option<Stamp>, &'a Facts)>,
    ) -> kidu_core::Result<()> {
        files::write_atomic_with(path, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            let header = Header { kidu_check_cache: VERSION, limits: *limits };
            writeln!(out, "{}", serde_json::to_string(&header)?)?;
            for (path, stamp, facts) in files {
                // What could not be read may be readable next time.
                if let Some(stamp) = stamp.filter(|_| facts.sha256.is_some()) {
                    let line = Line { path: path.into(), stamp, facts: facts.clone() };
                    writeln!(out, "{}", serde_json::to_string(&line)?)?;
                }
            }
            out.flush()
        })
    }
}
