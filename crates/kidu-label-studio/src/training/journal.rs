//! The journal on disk, and the state that follows from it.

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use kidu_core::{files, journal::LineJournal};
use tokio::sync::Notify;

use super::{Entry, State, now_ms};
use crate::error::{BackendError, Result};

/// A journal of more bytes than this is written anew, as what it amounts to, when it has grown to twice what that takes.
const COMPACT_FROM: u64 = 8 << 20;

/// The journal of the loop, open for writing by this process alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LoopJournal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: LineJournal,
    inner: Mutex<Held>,
    /// Told of each entry.
    news: Notify,
    /// Held for life, so that two backends never share a folder.
    _lock: File,
}

#[derive(Debug)]
struct Held {
    state: State,
    /// Bytes of the file that are in the state.
    read: u64,
    /// The length at which it is written anew.
    compact_at: u64,
}

impl LoopJournal {
    /// Opens the journal of a state folder, or makes it.
    ///
    /// # Errors
    /// [`BackendError::InUse`], or [`BackendError::State`] for a journal that cannot be read: the message names the line.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, COMPACT_FROM)
    }

    fn open_with(dir: &Path, compact_at: u64) -> Result<Self> {
        files::create_dir_all(dir)?;
        let lock = dir.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(|e| kidu_core::Error::io("open", &lock, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(BackendError::InUse { path: dir.into() }),
            Err(std::fs::TryLockError::Error(e)) => return Err(kidu_core::Error::io("lock", &lock, e).into()),
        }
        let lines = LineJournal::new(dir.join("loop.jsonl"));
        let (mut state, bytes) = (State::default(), lines.read_after(0)?);
        for (i, line) in bytes.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty()) {
            let entry: Entry = serde_json::from_slice(line).map_err(|e| {
                let reason = format!("line {} is not a valid entry ({e}); mend or remove it", i + 1);
                kidu_core::Error::format(lines.path(), reason)
            })?;
            state.apply(&entry);
        }
        state.forget_misconfiguration();
        let mut held = Held { state, read: bytes.len() as u64, compact_at };
        held.compact(&lines);
        Ok(Self(Arc::new(Inner { lines, inner: Mutex::new(held), news: Notify::new(), _lock: file })))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.lines.path()
    }

    /// Appends an entry: on disk, and in the state, when this returns. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`BackendError::State`]; nothing has happened then.
    pub fn append(&self, entry: &Entry) -> Result<()> {
        let mut line = serde_json::to_vec(entry)
            .map_err(|e| kidu_core::Error::format(self.path(), format!("an entry cannot be written as JSON: {e}")))?;
        line.push(b'\n');
        {
            let mut held = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
            // Only we write: what follows can be no more than the torn tail of an earlier life.
            held.read = self.0.lines.append_after::<kidu_core::Error>(held.read, |_| Ok(line))?;
            held.state.apply(entry);
            held.compact(&self.0.lines);
        }
        self.0.news.notify_one();
        Ok(())
    }

    /// As [`append`](Self::append), for asynchronous code.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub async fn record(&self, entry: Entry) -> Result<()> {
        let journal = self.clone();
        let written = tokio::task::spawn_blocking(move || journal.append(&entry)).await;
        written.unwrap_or_else(|e| Err(BackendError::System { what: "threads", source: std::io::Error::other(e) }))
    }

    /// Looks at the state.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.inner.lock().unwrap_or_else(PoisonError::into_inner).state)
    }

    /// Waits for the next entry, or one since the last call.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }
}

impl Held {
    /// Writes the file anew as what it amounts to, if it has become long. The new one takes the place of the old one
    /// whole or not at all; where it cannot be written the old one goes on growing.
    fn compact(&mut self, lines: &LineJournal) {
        if self.read < self.compact_at {
            return;
        }
        let entry = Entry::Compacted { at: now_ms(), state: Box::new(self.state.clone()) };
        let written = serde_json::to_vec(&entry)
            .map_err(|e| kidu_core::Error::format(lines.path(), format!("cannot be written as JSON: {e}")))
            .and_then(|mut line| {
                line.push(b'\n');
                files::write_atomic(lines.path(), &line).map(|()| line.len() as u64)
            });
        match written {
            Ok(bytes) => {
                tracing::info!(from = self.read, to = bytes, "the loop's journal was compacted");
                self.read = bytes;
            }
            Err(error) => tracing::warn!(%error, "the loop's journal cannot be compacted, and goes on growing"),
        }
        self.compact_at = self.compact_at.max(self.read.saturating_mul(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Change, Event};

    fn event(id: u64) -> Entry {
        let changes = vec![Change { annotation: id.to_string(), state: "1".into() }];
        Entry::Event { at: id, event: Event { action: "x".into(), project: None, changes, train: false } }
    }

    #[test]
    fn what_was_written_is_there_again_and_a_torn_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let journal = LoopJournal::open(dir.path()).unwrap();
        (1..4).for_each(|id| journal.append(&event(id)).unwrap());
        assert!(matches!(LoopJournal::open(dir.path()), Err(BackendError::InUse { .. })));
        let path = journal.path().to_path_buf();
        drop(journal);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let journal = LoopJournal::open(dir.path()).unwrap();
        assert_eq!(journal.with_state(State::pending), 2);
        journal.append(&event(9)).unwrap();
        drop(journal);
        assert_eq!(LoopJournal::open(dir.path()).unwrap().with_state(State::pending), 3);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(LoopJournal::open(dir.path()).unwrap_err().to_string().contains("line 1"));
    }
    #[test]
    fn a_journal_does_not_grow_without_end_and_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let journal = LoopJournal::open_with(dir.path(), 4000).unwrap();
        let length = || std::fs::metadata(dir.path().join("loop.jsonl")).unwrap().len();
        // The same twenty annotations over and over.
        for i in 0..2000 {
            journal.append(&event(i % 20)).unwrap();
            assert!(length() <= 8000, "{} after {i}", length());
        }
        journal.append(&Entry::Planned { at: 1, build: "a".into(), reason: super::super::Reason::Asked }).unwrap();
        journal.append(&event(99)).unwrap();
        let state = journal.with_state(State::clone);
        assert_eq!((state.events(), state.pending(), state.current().unwrap().annotations), (2001, 1, 20));
        drop(journal);
        let again = LoopJournal::open(dir.path()).unwrap();
        assert_eq!(again.with_state(State::clone), state);
        again.append(&event(5)).unwrap();
        assert_eq!(again.with_state(State::pending), 1, "a repeated event is still known");
        drop(again);
        // At a start, too.
        drop(LoopJournal::open_with(dir.path(), 10).unwrap());
        let text = std::fs::read_to_string(dir.path().join("loop.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(LoopJournal::open(dir.path()).unwrap().with_state(State::pending), 1);
    }
}
