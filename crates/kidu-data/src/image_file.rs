//! One image file: read within bounds, decoded by the one decoder there is.

use std::{fs::File, io::Read, path::Path};

use kidu_core::Sha256Hex;
use kidu_image::{DecodeError, Limits, RgbImage, decode};

use crate::{
    check::Thumbnail,
    decoded::Decoded,
    error::{DataError, Result},
};

/// Reads and decodes one image file.
///
/// # Errors
/// [`DataError::BadImage`] with the file's path.
pub fn load_one(path: &Path, limits: &Limits) -> Result<RgbImage> {
    let bad = |reason| DataError::BadImage { path: path.into(), reason };
    let bytes = read_bounded(path, limits).map_err(bad)?;
    decode(&bytes, limits).map_err(|e| bad(explain(&e)))
}

/// What the check of one file found.
pub(crate) struct Checked {
    pub(crate) sha256: Sha256Hex,
    pub(crate) bytes: u64,
    /// What it is recognised by, if that was asked for.
    pub(crate) thumbnail: Option<Thumbnail>,
}

/// Reads, hashes and decodes a file, or says why it cannot be used. One whose bytes were decoded before is not decoded
/// again.
pub(crate) fn check(path: &Path, limits: &Limits, recognise: bool, decoded: &Decoded) -> Result<Checked, String> {
    let bytes = read_bounded(path, limits)?;
    let sha256 = Sha256Hex::of_bytes(&bytes);
    let thumbnail = match decoded.get(&sha256, limits) {
        Some(known) => known.filter(|_| recognise).cloned(),
        None => {
            let image = decode(&bytes, limits).map_err(|e| explain(&e))?;
            if recognise { Thumbnail::of(&image) } else { None }
        }
    };
    Ok(Checked { sha256, bytes: bytes.len() as u64, thumbnail })
}

/// Why an image is not read, with its limits under their keys.
pub(crate) fn explain(error: &DecodeError) -> String {
    error.explain(|limit| format!("data.{limit}"))
}

/// The bytes of a plain file no larger than the limits allow, or why not.
pub(crate) fn read_bounded(path: &Path, limits: &Limits) -> Result<Vec<u8>, String> {
    let unreadable = |e: std::io::Error| format!("cannot be read: {e}");
    // Asked before opening: opening a pipe would wait for its other end.
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is not a plain file".into());
    }
    if metadata.len() > limits.max_bytes as u64 {
        let bytes = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        return Err(explain(&DecodeError::TooManyBytes { bytes, limit: limits.max_bytes }));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow meanwhile.
    let limit = limits.max_bytes as u64 + 1;
    File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    Ok(bytes)
}
