//! `annotations.jsonl`: where each image's label came from.

use std::path::{Path, PathBuf};

use kidu_core::{Sha256Hex, Split, files, journal::Journal};
use kidu_fetch::{Address, FetchError};
use serde::{Deserialize, Serialize};

use crate::{
    error::{ImportError, Result},
    settle::{Rule, Vote},
};

/// The file's name, in the dataset's folder.
pub const FILE: &str = "annotations.jsonl";

/// One line: an image and where its label came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The image, relative to the dataset's folder, with forward slashes.
    pub path: String,
    /// Hash of its bytes.
    pub sha256: Sha256Hex,
    /// Its class.
    pub label: String,
    /// Its split, where the dataset has splits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// The addresses under which it was annotated, sorted. Secrets of signed addresses are left out.
    pub addresses: Vec<String>,
    /// The number of the annotation that gave the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotator: Option<String>,
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<jiff::Timestamp>,
    /// The rule by which it was chosen.
    pub rule: Rule,
    /// The file or object that held it, and the place in it.
    pub origin: String,
    /// The class that the image had before any annotation; absent for images that an import brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// All usable answers about the image.
    pub votes: Vec<Vote>,
}

/// Where the file of a dataset is.
pub fn path_in(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// The entries of a dataset, in the order of the file; none without a file.
///
/// # Errors
/// [`kidu_core::Error`], with the line that is no entry.
pub fn load(dir: &Path) -> Result<Vec<Entry>> {
    Journal::new(path_in(dir)).read().map_err(ImportError::from)
}

/// Writes the entries sorted by path, whole or not at all; leaves a file alone that holds just that.
pub(crate) fn save(dir: &Path, entries: &mut [Entry]) -> Result<()> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut text = Vec::new();
    for entry in entries.iter() {
        serde_json::to_writer(&mut text, entry)
            .map_err(|e| kidu_core::Error::format(path_in(dir), format!("an entry cannot be written: {e}")))?;
        text.push(b'\n');
    }
    let path = path_in(dir);
    if std::fs::read(&path).is_ok_and(|old| old == text) || (text.is_empty() && !path.exists()) {
        return Ok(());
    }
    Ok(files::write_atomic(&path, &text)?)
}

/// An address as it is kept: without the content of a data URI, a password, and what may be secret in a query.
pub(crate) fn recorded(address: &str) -> String {
    match Address::parse(address) {
        Ok(data @ Address::Data(_)) => data.to_string(),
        Ok(Address::Http(url)) if url.query().is_some_and(is_secret) => Address::Http(url).to_string(),
        // It may be refused for a user name and password.
        Err(FetchError::Address { address: shown, .. }) if address.contains('@') => shown,
        _ => address.to_string(),
    }
}

/// Whether a query looks signed.
fn is_secret(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    ["signature=", "sig=", "token=", "credential=", "key=", "password="].iter().any(|s| query.contains(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_contents_are_not_kept() {
        assert_eq!(recorded("https://b/k.jpg?X-Amz-Signature=1&x=2"), "https://b/k.jpg");
        assert_eq!(recorded("https://b/k.jpg?v=2"), "https://b/k.jpg?v=2");
        assert_eq!(recorded("data:image/png;base64,AAAA"), "data:image/png;base64,...");
        assert_eq!(recorded("/data/upload/1/a.jpg"), "/data/upload/1/a.jpg");
        assert_eq!(recorded("https://u:secret@h/a.jpg"), "https://h/a.jpg");
    }
}
