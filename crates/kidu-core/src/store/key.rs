//! Which keys are usable: those that name the same object in a bucket and in a folder, and never one outside.

use super::{ObjectUri, Result, StoreError};

/// S3's limit, which counts the store's own prefix too.
pub const MAX_KEY_BYTES: usize = 1024;

/// Refuses a key that is empty or too long, starts or ends with `/`, has an empty part, a part `.` or `..`, a
/// backslash or a control character.
///
/// # Errors
/// [`StoreError::Key`].
pub fn check_key(location: &ObjectUri, key: &str) -> Result<()> {
    reason_against(key).map_or(Ok(()), |reason| Err(refused(location, key, reason)))
}

/// As [`check_key`] for the beginning of keys: it may be empty, and its last part may be incomplete or missing.
///
/// # Errors
/// [`StoreError::Key`].
pub fn check_prefix(location: &ObjectUri, prefix: &str) -> Result<()> {
    let folder = prefix.rsplit_once('/').map(|(folder, _)| folder);
    let reason = folder.and_then(reason_against).or_else(|| {
        let bad = prefix.chars().find(|c| is_unusable(*c));
        bad.map(|_| "it has a backslash or a control character; give another beginning")
    });
    reason.map_or(Ok(()), |reason| Err(refused(location, prefix, reason)))
}

pub(super) fn refused(location: &ObjectUri, key: &str, reason: impl Into<String>) -> StoreError {
    StoreError::Key { location: location.to_string(), key: key.escape_debug().to_string(), reason: reason.into() }
}

fn reason_against(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("it is empty; name an object")
    } else if key.len() > MAX_KEY_BYTES {
        Some("it is longer than 1024 bytes; shorten it")
    } else if key.chars().any(is_unusable) {
        Some("it has a backslash or a control character; rename the object, with / between parts")
    } else if key.split('/').any(str::is_empty) {
        Some("it starts or ends with / or has // in it; give the parts with one / between them")
    } else if key.split('/').any(|part| part == "." || part == "..") {
        Some("it has a part '.' or '..'; give the path without them")
    } else {
        None
    }
}

fn is_unusable(c: char) -> bool {
    c == '\\' || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_relative_paths() {
        let at = ObjectUri::parse("s3://bucket/p").unwrap();
        for key in ["a", "a/b.jpg", ".hidden", "a b/ü+%20", "..a/b..", "a:b"] {
            check_key(&at, key).unwrap();
        }
        for key in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\nb", "a\0", &"x".repeat(1025)] {
            assert!(matches!(check_key(&at, key), Err(StoreError::Key { .. })), "{key:?}");
        }
    }

    #[test]
    fn prefixes_may_end_anywhere() {
        let at = ObjectUri::parse("s3://bucket/p").unwrap();
        for prefix in ["", "a", "a/", "a/b", "a/.", "."] {
            check_prefix(&at, prefix).unwrap();
        }
        for prefix in ["/", "/a", "a//", "../", "a/../b", "a\\"] {
            assert!(check_prefix(&at, prefix).is_err(), "{prefix:?}");
        }
    }
}
