//! An append-only file of JSON lines that survives a crash in the middle of a line.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    files,
};

/// An append-only journal of `T`, one JSON object a line. Appends hold an exclusive lock on the file, so several
/// processes may share a journal; each append is flushed to disk before it returns.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    entry: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// A journal at `path`; the file is made by the first append.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), entry: PhantomData }
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All whole entries, oldest first. A torn last line (no newline at its end) is left out; no file means none.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] naming the line that is whole but not an entry.
    pub fn read(&self) -> Result<Vec<T>> {
        match fs::read(&self.path) {
            Ok(bytes) => self.parse(&bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(Error::io("read", &self.path, e)),
        }
    }

    /// Appends what `decide` makes of the entries so far, with the journal locked in between, so that two processes
    /// cannot both decide on the same state.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`], or whatever `decide` returns; nothing is written then.
    pub fn append_with<E: From<Error>>(&self, decide: impl FnOnce(&[T]) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
        let io = |e| Error::io("write", &self.path, e);
        files::create_dir_all(&files::parent_of(&self.path))?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)
            .map_err(|e| Error::io("open", &self.path, e))?;
        file.lock().map_err(|e| Error::io("lock", &self.path, e))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| Error::io("read", &self.path, e))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        if whole < bytes.len() {
            // The tail of an append that a crash cut short: it was never acknowledged.
            file.set_len(whole as u64).map_err(io)?;
            file.seek(SeekFrom::End(0)).map_err(io)?;
        }
        let added = decide(&self.parse(&bytes[..whole])?)?;
        self.write_lines(&mut file, whole as u64, &added)?;
        Ok(added)
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`].
    pub fn append(&self, entry: T) -> Result<()> {
        self.append_with::<Error>(|_| Ok(vec![entry])).map(|_| ())
    }

    fn write_lines(&self, file: &mut File, before: u64, entries: &[T]) -> Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)
                .map_err(|e| Error::format(&self.path, format!("an entry cannot be written as JSON: {e}")))?;
            text.push(b'\n');
        }
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        written.map_err(|e| {
            // A full disk must not leave half a line between two whole ones.
            let _ = file.set_len(before);
            Error::io("write", &self.path, e)
        })
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<T>> {
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        bytes[..whole]
            .split(|b| *b == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
            .map(|(i, line)| {
                serde_json::from_slice(line).map_err(|e| {
                    Error::format(&self.path, format!("line {} is not a valid entry ({e}); mend or remove it", i + 1))
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
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
