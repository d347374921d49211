//! Zip archives.

use std::{borrow::Cow, fs::File, io::BufReader, path::Path};

use zip::{ZipArchive, result::ZipError};

use super::sink::Sink;
use crate::error::{DataError, Result};

/// File-type bits of a Unix mode, and their values for plain files and folders.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

pub(super) fn extract(archive: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let file = File::open(archive).map_err(|e| DataError::io("read", archive, e))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| zip_error(sink, &e))?;
    sink.begin(Some(zip.len() as u64));
    for i in 0..zip.len() {
        sink.count()?;
        let entry = zip.by_index(i).map_err(|e| zip_error(sink, &e))?;
        let name = entry.name().unwrap_or_else(|_| Cow::Owned(String::from_utf8_lossy(entry.name_raw()).into()));
        let name = name.into_owned();
        let kind = entry.unix_mode().unwrap_or(0) & TYPE_MASK;
        if entry.is_symlink() {
            return Err(sink.entry_error(&name, "is a link"));
        }
        if !matches!(kind, 0 | REGULAR | FOLDER) {
            return Err(sink.entry_error(&name, "is not a plain file or folder"));
        }
        if entry.is_dir() {
            sink.folder(&name)?;
        } else {
            let packed = entry.compressed_size();
            sink.file(&name, Some(packed), entry)?;
        }
    }
    Ok(())
}

fn zip_error(sink: &Sink<'_>, error: &ZipError) -> DataError {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            sink.error("is encrypted; make it again without a password".into())
        }
        ZipError::CompressionMethodNotSupported(method) => {
            sink.error(format!("uses compression method {method}; make it again with deflate, or without compression"))
        }
        other => sink.damaged(other),
    }
}
