//! Append-only files of lines that survive a crash in the middle of a line, and such files of JSON.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    files,
};

/// An append-only file of lines of any format. Appends hold an exclusive lock on the file, so several processes may
/// share it; each append is flushed to disk before it returns.
#[derive(Clone, Debug)]
pub struct LineJournal {
    path: PathBuf,
    patience: Option<Duration>,
}

/// Between two tries to get the lock.
const PAUSE: Duration = Duration::from_millis(5);

impl LineJournal {
    /// A journal at `path`; the file is made by the first append.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), patience: None }
    }

    /// With so much time at most to wait for the lock: then an append fails. Without it an append waits.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    fn lock(&self, file: &File) -> std::io::Result<()> {
        let Some(patience) = self.patience else { return file.lock() };
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(std::io::Error::new(ErrorKind::WouldBlock, "another process has it for long"));
                }
            }
        }
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All whole lines after the first `from` bytes, with their newlines. A torn last line (no newline at its end) is
    /// left out; no file means none.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] if the file is shorter than `from`.
    pub fn read_after(&self, from: u64) -> Result<Vec<u8>> {
        let mut bytes = match File::open(&self.path) {
            Ok(mut file) => self.read_open(&mut file, from)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && from == 0 => Vec::new(),
            Err(e) => return Err(Error::io("read", &self.path, e)),
        };
        bytes.truncate(whole_lines(&bytes));
        Ok(bytes)
    }

    /// Appends what `decide` makes of the whole lines after the first `from` bytes, with the journal locked in between,
    /// so that two processes cannot both decide on the same state. `decide` returns whole lines; a torn last line is
    /// removed first. Returns the length of the file afterwards.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] if the file is shorter than `from`, or whatever `decide` returns; nothing is
    /// written then.
    pub fn append_after<E: From<Error>>(
        &self,
        from: u64,
        decide: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<u64, E> {
        let io = |e| Error::io("write", &self.path, e);
        files::create_dir_all(&files::parent_of(&self.path))?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)
            .map_err(|e| Error::io("open", &self.path, e))?;
        self.lock(&file).map_err(|e| Error::io("lock", &self.path, e))?;
        let bytes = self.read_open(&mut file, from)?;
        let whole = whole_lines(&bytes);
        let end = from + whole as u64;
        if whole < bytes.len() {
            // The tail of an append that a crash cut short: it was never acknowledged.
            file.set_len(end).map_err(io)?;
            file.seek(SeekFrom::End(0)).map_err(io)?;
        }
        let added = decide(&bytes[..whole])?;
        debug_assert_eq!(whole_lines(&added), added.len());
        let written = file.write_all(&added).and_then(|()| file.sync_data());
        written.map_err(|e| {
            // A full disk must not leave half a line between two whole ones.
            let _ = file.set_len(end);
            io(e)
        })?;
        Ok(end + added.len() as u64)
    }

    fn read_open(&self, file: &mut File, from: u64) -> Result<Vec<u8>> {
        let io = |e| Error::io("read", &self.path, e);
        if file.metadata().map_err(io)?.len() < from {
            return Err(Error::format(&self.path, "is shorter than it was; something cut it while it was in use"));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from)).map_err(io)?;
        file.read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    }
}

/// How many of the bytes are whole lines.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1)
}

/// An append-only journal of `T`, one JSON object a line, with the properties of a [`LineJournal`].
#[derive(Debug)]
pub struct Journal<T> {
    lines: LineJournal,
    entry: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// A journal at `path`; the file is made by the first append.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { lines: LineJournal::new(path), entry: PhantomData }
    }

    /// As [`LineJournal::with_patience`].
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { lines: self.lines.with_patience(patience), ..self }
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// All whole entries, oldest first. A torn last line (no newline at its end) is left out; no file means none.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] naming the line that is whole but not an entry.
    pub fn read(&self) -> Result<Vec<T>> {
        self.parse(&self.lines.read_after(0)?)
    }

    /// Appends what `decide` makes of the entries so far, with the journal locked in between, so that two processes
    /// cannot both decide on the same state.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`], or whatever `decide` returns; nothing is written then.
    pub fn append_with<E: From<Error>>(&self, decide: impl FnOnce(&[T]) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
        let mut added = Vec::new();
        self.lines.append_after::<E>(0, |bytes| {
            added = decide(&self.parse(bytes)?)?;
            Ok(self.lines_of(&added)?)
        })?;
        Ok(added)
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`].
    pub fn append(&self, entry: T) -> Result<()> {
        self.append_with::<Error>(|_| Ok(vec![entry])).map(|_| ())
    }

    fn lines_of(&self, entries: &[T]) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)
                .map_err(|e| Error::format(self.path(), format!("an entry cannot be written as JSON: {e}")))?;
            text.push(b'\n');
        }
        Ok(text)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<T>> {
        bytes
            .split(|b| *b == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
            .map(|(i, line)| {
                serde_json::from_slice(line).map_err(|e| {
                    Error::format(self.path(), format!("line {} is not a valid entry ({e}); mend or remove it", i + 1))
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_torn_tail_is_dropped_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::<u32>::new(dir.path().join("j.jsonl"));
        journal.append(1).unwrap();
        journal.append(2).unwrap();
        let mut bytes = fs::read(journal.path()).unwrap();
        bytes.extend_from_slice(b"3");
        fs::write(journal.path(), bytes).unwrap();
        assert_eq!(journal.read().unwrap(), [1, 2]);
        journal.append(4).unwrap();
        assert_eq!(journal.read().unwrap(), [1, 2, 4]);
    }

    #[test]
    fn lines_are_followed_from_where_one_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let lines = LineJournal::new(dir.path().join("j.log"));
        assert!(lines.read_after(0).unwrap().is_empty());
        let end = lines.append_after::<Error>(0, |_| Ok(b"a\nb\n".to_vec())).unwrap();
        fs::write(lines.path(), "a\nb\nc\ntorn").unwrap();
        assert_eq!(lines.read_after(end).unwrap(), b"c\n");
        let next = lines.append_after::<Error>(end, |new| Ok([new, b"d\n"].concat())).unwrap();
        assert_eq!(fs::read_to_string(lines.path()).unwrap(), "a\nb\nc\nc\nd\n");
        assert_eq!(next, 10);
        fs::write(lines.path(), "a\n").unwrap();
        assert!(lines.read_after(next).unwrap_err().to_string().contains("shorter"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::<u32>::new(dir.path().join("j.jsonl"));
        fs::write(journal.path(), "1\nx\n3\n").unwrap();
        assert!(journal.read().unwrap_err().to_string().contains("line 2"));
        assert!(journal.append(4).is_err());
        assert_eq!(fs::read_to_string(journal.path()).unwrap(), "1\nx\n3\n");
    }

    #[test]
    fn a_decision_sees_all_earlier_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.jsonl");
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..10 {
                        let journal = Journal::<usize>::new(&path);
                        journal.append_with::<Error>(|e| Ok(vec![e.len()])).unwrap();
                    }
                });
            }
        });
        assert_eq!(Journal::<usize>::new(&path).read().unwrap(), (0..40).collect::<Vec<_>>());
    }
}
