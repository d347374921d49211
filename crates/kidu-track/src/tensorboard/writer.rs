//! One event file.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use kidu_core::files;

use super::{
    event,
    hparams::{self, Metric, SessionStatus},
    record,
};
use crate::{
    error::{Error, Result},
    params::ParamValue,
};

/// What event files' names begin with; TensorBoard looks for it.
const PREFIX: &str = "events.out.tfevents.";

/// Writes are gathered up to so many bytes.
const BUFFER: usize = 64 * 1024;

/// An event file that grows. Every call adds to a buffer; [`EventWriter::flush`] makes it visible to TensorBoard.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl EventWriter {
    /// A new file in the folder of a run, which is made if it is missing. With `purge_step`, a file of a run that goes
    /// on: whatever earlier files hold of that step and later ones is dropped by TensorBoard.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`].
    pub fn create(dir: &Path, purge_step: Option<u64>) -> Result<Self> {
        files::create_dir_all(dir)?;
        let (file, path) = new_file(dir)?;
        let mut writer = Self { file, path, buffer: Vec::new() };
        record::push(&mut writer.buffer, &event::file_version(now()));
        if let Some(step) = purge_step {
            record::push(&mut writer.buffer, &event::session_start(now(), step));
        }
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number at a step; kept in single precision, as TensorBoard does.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<()> {
        self.push(&event::summary(now(), step, event::scalar(tag, value)))
    }

    /// A picture, as the bytes of a PNG.
    ///
    /// # Errors
    /// [`Error::NotPng`] or [`Error::Io`].
    pub fn image(&mut self, tag: &str, step: u64, png: &[u8]) -> Result<()> {
        let size = png_size(png).ok_or_else(|| Error::NotPng { tag: tag.into() })?;
        self.push(&event::summary(now(), step, event::image(tag, size, png)))
    }

    /// A text in Markdown.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn text(&mut self, tag: &str, step: u64, markdown: &str) -> Result<()> {
        self.push(&event::summary(now(), step, event::text(tag, markdown)))
    }

    /// The hparams plugin's table and this run's row in it, at the beginning of a run. Runs of the same `group` make
    /// one row.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start_session(&mut self, group: &str, params: &[(String, ParamValue)], metrics: &[Metric]) -> Result<()> {
        let time = now();
        self.push(&event::summary(time, 0, hparams::experiment(time, params, metrics)))?;
        self.push(&event::summary(time, 0, hparams::session_start(time, group, params)))?;
        self.flush()
    }

    /// The end of that row.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn end_session(&mut self, status: SessionStatus) -> Result<()> {
        let time = now();
        self.push(&event::summary(time, 0, hparams::session_end(time, status)))?;
        self.flush()
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// [`Error::Io`]; what could not be written is dropped, so that a full disk does not fill the memory.
    pub fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.file.write_all(&buffer).map_err(|e| Error::io("write", &self.path, e))
    }

    fn push(&mut self, event: &[u8]) -> Result<()> {
        record::push(&mut self.buffer, event);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.flush();
    }
}

/// The largest step at which the files of a run's folder hold a value of `tag`; none without such a value.
///
/// # Errors
/// [`Error::Io`].
pub fn last_step(dir: &Path, tag: &str) -> Result<Option<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("list", dir, e)),
    };
    let mut last = None;
    for entry in entries {
        let path = entry.map_err(|e| Error::io("list", dir, e))?.path();
        if !path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(PREFIX)) {
            continue;
        }
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let steps = record::records(&bytes).map(event::step_and_tags);
        last = last.max(steps.filter(|(_, tags)| tags.contains(&tag.as_bytes())).map(|(step, _)| step).max());
    }
    Ok(last)
}

/// `events.out.tfevents.<seconds>.<host>.<process>.<number>`. TensorBoard reads the files of a folder in the order of
/// their names, so a name must come after those of earlier files.
fn new_file(dir: &Path) -> Result<(File, PathBuf)> {
    let host: String = std::env::var("HOSTNAME")
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    let mut seconds = now() as u64;
    let process = std::process::id();
    loop {
        let begun = format!("{PREFIX}{seconds:010}.");
        let taken = fs::read_dir(dir)
            .map_err(|e| Error::io("list", dir, e))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .any(|name| name.starts_with(PREFIX) && name[..begun.len().min(name.len())] >= *begun);
        let path = dir.join(format!("{begun}{host}.{process}.0"));
        // A restart within the same second, or a clock that was set back.
        if taken {
            seconds += 1;
            continue;
        }
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        return file.map(|file| (file, path.clone())).map_err(|e| Error::io("create", &path, e));
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// [width, height] from a PNG's first chunk.
fn png_size(png: &[u8]) -> Option<[u32; 2]> {
    let rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    (rest.get(4..8)? == b"IHDR").then_some([number(8)?, number(12)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_of_a_tag_is_found_over_several_and_torn_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_step(&dir.path().join("none"), "loss").unwrap(), None);
        let mut first = EventWriter::create(dir.path(), None).unwrap();
        for step in 1..=5 {
            first.scalar("loss", step, 0.1).unwrap();
        }
        first.scalar("acc", 9, 0.1).unwrap();
        let path = first.path().to_path_buf();
        drop(first);
        assert_eq!(last_step(dir.path(), "loss").unwrap(), Some(5));
        let second = EventWriter::create(dir.path(), Some(4)).unwrap();
        assert!(second.path() > path.as_path());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(last_step(dir.path(), "acc").unwrap(), None);
        assert_eq!(last_step(dir.path(), "loss").unwrap(), Some(5));
    }

    #[test]
    fn what_is_no_png_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path(), None).unwrap();
        assert!(writer.image("x", 0, b"\xff\xd8 a photograph").is_err());
        assert_eq!(png_size(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x03"), Some([2, 3]));
    }
}
