//! The durable buffer: entries as JSON lines, and a state file that says how many bytes of them are delivered.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use kidu_core::files;
use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, MOST_BYTES},
    recorder::{RunIdentity, SPOOL, STATE},
};
use crate::error::{Error, Result};

/// A spool that is wholly delivered and longer than this is emptied.
const COMPACT: u64 = 1 << 20;

/// A run on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RemoteRun {
    pub(super) run_id: String,
    pub(super) experiment_id: String,
    pub(super) artifact_uri: String,
}

/// What `mlflow.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) identity: RunIdentity,
    /// Where it went last.
    pub(super) tracking_uri: String,
    pub(super) remote: Option<RemoteRun>,
    /// Bytes of the spool that are delivered.
    pub(super) cursor: u64,
    /// Entries that the server refused for good.
    pub(super) rejected: u64,
    /// Metric values that were not recorded because the spool was full.
    pub(super) dropped: u64,
    /// The last step of which each kind of metric was delivered.
    pub(super) seen: Seen,
}

/// The last steps that are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) step: u64,
    pub(super) epoch: u64,
}

/// An open spool; no other process has it open.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) state: State,
    file: File,
    path: PathBuf,
    state_path: PathBuf,
    len: u64,
    /// The most bytes that wait.
    limit: u64,
    /// Whether the folder had a recording already.
    pub(super) resumed: bool,
}

/// What goes into one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entry: Entry,
    /// How many lines it is made of.
    pub(super) lines: usize,
    /// The cursor after it.
    pub(super) end: u64,
}

impl Spool {
    /// Opens the spool of a run's folder, making it and its state if `identity` is of a run that has none.
    pub(super) fn open(dir: &Path, identity: Option<RunIdentity>, limit: u64) -> Result<Self> {
        let (path, state_path) = (dir.join(SPOOL), dir.join(STATE));
        let known = state_path.is_file().then(|| files::read_json::<State>(&state_path, "MLflow state")).transpose()?;
        let resumed = known.is_some();
        let state = match (known, identity) {
            (Some(state), _) => state,
            (None, Some(identity)) => State {
                identity,
                tracking_uri: String::new(),
                remote: None,
                cursor: 0,
                rejected: 0,
                dropped: 0,
                seen: Seen::default(),
            },
            (None, None) => return Err(Error::NoSpool { path: dir.into(), file: STATE }),
        };
        files::create_dir_all(dir)?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(|e| Error::io("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path }),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
        }
        let len = mend(&mut file).map_err(|e| Error::io("mend", &path, e))?;
        let mut spool = Self { state, file, path, state_path, len, limit, resumed };
        // Emptied, and then the power went before the state was written.
        if spool.state.cursor > spool.len {
            spool.state.cursor = 0;
        }
        spool.save()?;
        Ok(spool)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.len - self.state.cursor
    }

    /// Whether values of single steps still fit. Everything else is taken in any case.
    pub(super) fn has_room(&self) -> bool {
        self.waiting() < self.limit
    }

    /// Adds an entry; `durable` waits until it is on the disk.
    pub(super) fn append(&mut self, entry: &Entry, durable: bool) -> Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| if durable { self.file.sync_data() } else { Ok(()) });
        written.map_err(|e| {
            // A full disk must not leave half a line between two whole ones.
            let _ = self.file.set_len(self.len);
            Error::io("write", &self.path, e)
        })?;
        self.len += line.len() as u64;
        Ok(())
    }

    /// The next request: entries of one kind, at most `most` lines. Nothing is taken away.
    pub(super) fn peek(&self, most: usize) -> Result<Option<Batch>> {
        let (mut batch, mut at): (Option<Batch>, _) = (None, self.state.cursor);
        for line in self.lines(MOST_BYTES)? {
            at += line.len() as u64 + 1;
            let entry: Entry = match serde_json::from_slice(&line) {
                Ok(entry) => entry,
                Err(_) if batch.is_some() => break,
                Err(e) => return Err(Error::Entry { path: self.path.clone(), reason: e.to_string() }),
            };
            match &mut batch {
                None => batch = Some(Batch { entry, lines: 1, end: at }),
                Some(batch) => {
                    if batch.lines >= most || batch.entry.merge(entry).is_err() {
                        break;
                    }
                    (batch.lines, batch.end) = (batch.lines + 1, at);
                }
            }
        }
        Ok(batch)
    }

    /// Entries that wait.
    pub(super) fn count(&self) -> Result<usize> {
        Ok(self.lines(usize::MAX)?.len())
    }

    /// The last steps recorded, those that wait included.
    pub(super) fn seen(&self, mut note: impl FnMut(&Entry, &mut Seen)) -> Result<Seen> {
        let mut seen = self.state.seen;
        for line in self.lines(usize::MAX)? {
            if let Ok(entry) = serde_json::from_slice(&line) {
                note(&entry, &mut seen);
            }
        }
        Ok(seen)
    }

    /// Everything before `cursor` is delivered. An emptied spool gives its space back.
    pub(super) fn advance(&mut self, cursor: u64) -> Result<()> {
        self.state.cursor = cursor;
        if self.waiting() == 0 && self.len > COMPACT {
            self.file.set_len(0).map_err(|e| Error::io("empty", &self.path, e))?;
            (self.len, self.state.cursor) = (0, 0);
        }
        self.save()
    }

    /// Writes the state.
    pub(super) fn save(&self) -> Result<()> {
        Ok(files::write_json(&self.state_path, &self.state)?)
    }

    /// Whole lines from the cursor on, until they hold so many bytes; always at least one if there is one.
    fn lines(&self, most: usize) -> Result<Vec<Vec<u8>>> {
        let io = |e| Error::io("read", &self.path, e);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.state.cursor)).map_err(io)?;
        let mut bytes = Vec::new();
        // The longest single entry is far below this.
        let read = (most as u64).max(4 << 20).min(self.waiting());
        file.take(read).read_to_end(&mut bytes).map_err(io)?;
        let (mut lines, mut total) = (Vec::new(), 0);
        for line in bytes.split_inclusive(|b| *b == b'\n').filter_map(|l| l.strip_suffix(b"\n")) {
            total += line.len();
            if total > most && !lines.is_empty() {
                break;
            }
            lines.push(line.to_vec());
        }
        Ok(lines)
    }
}

/// Cuts off a last line that a crash left without its end; the length after that.
fn mend(file: &mut File) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    if whole < bytes.len() {
        file.set_len(whole as u64)?;
    }
    Ok(whole as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mlflow::Metric;

    fn identity() -> RunIdentity {
        RunIdentity { key: "k".into(), experiment: "e".into(), run_name: "r".into(), start_time: 1 }
    }

    fn metric(step: u64) -> Entry {
        Entry::Metrics(vec![Metric { key: "loss".into(), value: 0.5, timestamp: 1, step }])
    }

    #[test]
    fn entries_wait_in_order_over_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), Some(identity()), 1 << 20).unwrap();
        assert!(matches!(Spool::open(dir.path(), None, 1), Err(Error::Busy { .. })));
        assert!(spool.peek(10).unwrap().is_none());
        for step in 0..3 {
            spool.append(&metric(step), step == 2).unwrap();
        }
        spool.append(&Entry::Params(vec![("a".into(), "b".into())]), true).unwrap();
        let batch = spool.peek(100).unwrap().unwrap();
        assert_eq!(batch.lines, 3);
        assert_eq!(spool.peek(2).unwrap().unwrap().lines, 2);
        spool.advance(batch.end).unwrap();
        drop(spool);
        // Half a line at the end.
        let path = dir.path().join(SPOOL);
        std::fs::write(&path, [std::fs::read(&path).unwrap(), b"{\"met".to_vec()].concat()).unwrap();
        let mut spool = Spool::open(dir.path(), None, 1 << 20).unwrap();
        assert_eq!(spool.count().unwrap(), 1);
        let batch = spool.peek(100).unwrap().unwrap();
        assert!(matches!(batch.entry, Entry::Params(_)));
        spool.advance(batch.end).unwrap();
        assert_eq!(spool.waiting(), 0);
        assert_eq!(spool.state.identity, identity());
    }

    #[test]
    fn a_folder_without_a_spool_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Spool::open(dir.path(), None, 1).unwrap_err().to_string();
        assert!(error.contains(STATE), "{error}");
    }
}
