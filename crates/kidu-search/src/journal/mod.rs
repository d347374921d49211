//! The study's journal, in the format of Optuna's `JournalStorage` over a `JournalFileBackend`: one operation a line,
//! from which the state of all studies follows.

mod lock;
pub(crate) mod operation;
mod python;
mod replay;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use kidu_core::journal::LineJournal;
use serde_json::Value;

pub(crate) use self::{
    operation as op,
    python::{from_number, to_number},
    replay::Replay,
};
use crate::error::{Error, Result};

/// A journal that this process alone of this project's works on; Optuna's may work on it at the same time.
#[derive(Debug)]
pub(crate) struct Journal {
    lines: LineJournal,
    replay: Replay,
    /// How many bytes, and how many lines, are in `replay`.
    position: u64,
    count: usize,
    /// Held as long as the journal is open; the operating system lets go of it when the process dies.
    _owner: File,
}

impl Journal {
    /// Opens a journal, which need not exist, and reads it.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::File`] or [`Error::Journal`].
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let owner = own(path)?;
        lock::remove_ours(path)?;
        let lines = LineJournal::new(path);
        let mut journal = Self { lines, replay: Replay::default(), position: 0, count: 0, _owner: owner };
        let bytes = journal.lines.read_after(0)?;
        take_in(path, &bytes, &mut journal.replay, &mut journal.position, &mut journal.count)?;
        Ok(journal)
    }

    /// Reads a journal without keeping it.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Journal`].
    pub(crate) fn read(path: &Path) -> Result<Replay> {
        let bytes = LineJournal::new(path).read_after(0)?;
        let mut replay = Replay::default();
        take_in(path, &bytes, &mut replay, &mut 0, &mut 0)?;
        Ok(replay)
    }

    /// The state as last read.
    pub(crate) fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Appends what `decide` makes of the present state, all or nothing, with the journal locked in between.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Journal`], [`Error::Locked`], or whatever `decide` returns; nothing is written then.
    pub(crate) fn append<R>(&mut self, decide: impl FnOnce(&Replay) -> Result<(Vec<Value>, R)>) -> Result<R> {
        let Self { lines, replay, position, count, .. } = self;
        let path = lines.path().to_path_buf();
        let _held = lock::acquire(&path)?;
        let (mut text, mut result) = (Vec::new(), None);
        lines.append_after(*position, |new| {
            take_in(&path, new, replay, position, count)?;
            let (operations, answer) = decide(replay)?;
            text = operations.iter().flat_map(|o| python::line(o).into_bytes()).collect();
            result = Some(answer);
            Ok::<_, Error>(text.clone())
        })?;
        take_in(&path, &text, replay, position, count)?;
        result.ok_or_else(|| Error::journal(&path, *count, "the append was not decided"))
    }
}

/// Reads whole lines into the state; of lines that cannot be read, nothing is taken.
fn take_in(path: &Path, bytes: &[u8], replay: &mut Replay, position: &mut u64, count: &mut usize) -> Result<()> {
    let mut operations = Vec::new();
    let mut lines = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        lines += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let json = python::parse(line).map_err(|reason| Error::journal(path, *count + lines, reason))?;
        operations.push(op::read(&json).map_err(|reason| Error::journal(path, *count + lines, reason))?);
    }
    operations.into_iter().for_each(|operation| replay.apply(operation));
    *position += bytes.len() as u64;
    *count += lines;
    Ok(())
}

/// Takes the journal for this process, by a lock on a file beside it.
fn own(path: &Path) -> Result<File> {
    let beside = beside(path, ".owner");
    let io = |action, e| kidu_core::Error::io(action, &beside, e);
    kidu_core::files::create_dir_all(&kidu_core::files::parent_of(path))?;
    let options = File::options().create(true).truncate(false).read(true).write(true).open(&beside);
    let file = options.map_err(|e| io("open", e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: path.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(io("lock", e).into()),
    }
}

/// `path` with something behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
