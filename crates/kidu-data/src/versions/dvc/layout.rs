//! Hashes, keys and lists as DVC 3 has them.

use std::{fmt::Write, fs::File, io::Read, path::Path};

use kidu_core::dataset::is_inside;
use md5::{Digest, Md5};
use serde::Deserialize;

use super::super::error::{Result, VersionError};

/// A file in the list of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DirEntry {
    /// MD5 of the content, 32 lower-case hexadecimal digits.
    pub md5: String,
    /// Path relative to the folder, with forward slashes.
    pub relpath: String,
}

/// MD5 of bytes.
pub(super) fn md5_of_bytes(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// MD5 of a file's content.
///
/// # Errors
/// An I/O error.
pub fn md5_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| VersionError::io("read", path, e))?;
    let (mut hasher, mut block) = (Md5::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(n) => hasher.update(&block[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(VersionError::io("read", path, e)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a text is an MD5 as DVC writes it.
pub(super) fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The key of an object in a remote: `files/md5/ab/cdef...`. `hash` is an MD5, of a list with `.dir` after it.
pub fn key_of(hash: &str) -> String {
    let (shard, rest) = hash.split_at_checked(2).unwrap_or((hash, ""));
    format!("files/md5/{shard}/{rest}")
}

/// The list of a folder as DVC writes it: Python's `json.dumps` of the entries, sorted by path (by code points), keys
/// sorted. `entries` must be sorted.
pub fn dir_bytes<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut text = String::from("[");
    for (i, (relpath, md5)) in entries.into_iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{{\"md5\": \"{md5}\", \"relpath\": \"{}\"}}", ascii(relpath));
    }
    text.push(']');
    text.into_bytes()
}

/// A text as Python's `json` writes it in ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
        }
    }
    out
}

/// Reads the list of a folder; `place` is for messages.
pub(super) fn read_dir_object(bytes: &[u8], place: &str) -> Result<Vec<DirEntry>> {
    let fail = |reason: String| VersionError::Dvc { place: place.into(), reason };
    let entries: Vec<DirEntry> = serde_json::from_slice(bytes)
        .map_err(|e| fail(format!("is not the list of a folder as DVC 3 writes it ({e}); push it again with dvc")))?;
    match entries.iter().find(|e| !is_md5(&e.md5) || !is_inside(&e.relpath)) {
        Some(bad) => {
            Err(fail(format!("the entry '{}' leaves the folder or has no MD5; refused", bad.relpath.escape_debug())))
        }
        None => Ok(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What DVC 3.67 wrote for these files.
    #[test]
    fn the_list_of_a_folder_has_dvc_s_own_hash() {
        let entries = [
            (".hid/x", "01fbdc44ef819db6273bc30965a23814"),
            ("a-b", "401b30e3b8b5d629635a5c613cdb7919"),
            ("a/b", "6d7fce9fee471194aa8b5b6e47267f03"),
            ("b.txt", "f6255bb01c648fe967714d52a89e8e9c"),
            ("train/ü b/1.txt", "764efa883dda1e11db47671c4a3bbd9e"),
        ];
        let bytes = dir_bytes(entries);
        assert_eq!(md5_of_bytes(&bytes), "9b13335e2a501c7fbb43bfd91828d5ae");
        assert_eq!(md5_of_bytes(b"h\n"), entries[0].1);
        let back = read_dir_object(&bytes, "x").unwrap();
        assert_eq!((back.len(), &back[4].relpath[..]), (5, "train/ü b/1.txt"));
    }

    #[test]
    fn names_are_written_in_python_s_ascii() {
        assert_eq!(ascii("a\"b\\c\u{7f}é😀\n"), "a\\\"b\\\\c\\u007f\\u00e9\\ud83d\\ude00\\n");
    }

    #[test]
    fn a_list_that_leaves_its_folder_is_refused() {
        for relpath in ["../x", "/x", "a\\\\b", ""] {
            let text = format!(r#"[{{"md5": "01fbdc44ef819db6273bc30965a23814", "relpath": "{relpath}"}}]"#);
            assert!(read_dir_object(text.as_bytes(), "x").is_err(), "{relpath}");
        }
        assert!(read_dir_object(br#"[{"md5": "../../x", "relpath": "a"}]"#, "x").is_err());
        assert!(read_dir_object(b"{}", "x").is_err());
    }

    #[test]
    fn keys_are_sharded() {
        assert_eq!(key_of("abcdef.dir"), "files/md5/ab/cdef.dir");
    }
}
