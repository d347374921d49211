//! Places of objects as people write them.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Result, StoreError};

/// A place of one object or of many: `s3://bucket/key`, a path, or a `file://` URI.
///
/// An S3 key is taken as it stands, without percent decoding, as the AWS command line does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectUri {
    /// A bucket, or what lies in it.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// A key or prefix without `/` at its ends; empty for the whole bucket.
        key: String,
    },
    /// A file or folder.
    Path(PathBuf),
}

impl ObjectUri {
    /// Reads `s3://bucket[/key]`, `file:///absolute/path` (percent-encoded) or a path.
    ///
    /// # Errors
    /// [`StoreError::Uri`].
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |reason: String| StoreError::Uri { uri: text.escape_debug().to_string(), reason };
        match scheme_of(text) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("s3") => parse_s3(rest).map_err(refused),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => parse_file(rest).map_err(refused),
            Some((scheme, _)) => Err(refused(format!("'{scheme}://' is not known; use s3://bucket/key or a path"))),
            None if text.is_empty() => Err(refused("it is empty; use s3://bucket/key or a path".into())),
            None if text.contains('\0') => Err(refused("it has a NUL character; use s3://bucket/key or a path".into())),
            None => Ok(Self::Path(PathBuf::from(text))),
        }
    }

    /// Whether a setting names an object store rather than a path: it begins with `s3://`.
    pub fn is_s3(text: &str) -> bool {
        scheme_of(text).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("s3"))
    }

    /// The place below this one.
    #[must_use]
    pub fn join(&self, key: &str) -> Self {
        match self {
            Self::S3 { bucket, key: prefix } => {
                let key = if prefix.is_empty() || key.is_empty() {
                    format!("{prefix}{key}")
                } else {
                    format!("{prefix}/{key}")
                };
                Self::S3 { bucket: bucket.clone(), key }
            }
            Self::Path(path) => Self::Path(path.join(key)),
        }
    }

    /// The place above this one and the last part of the name, if there is one: `s3://b/x/y` is `y` in `s3://b/x`.
    pub fn split_last(&self) -> Option<(Self, String)> {
        match self {
            Self::S3 { key, .. } if key.is_empty() => None,
            Self::S3 { bucket, key } => {
                let (parent, name) = key.rsplit_once('/').unwrap_or(("", key));
                Some((Self::S3 { bucket: bucket.clone(), key: parent.to_owned() }, name.to_owned()))
            }
            Self::Path(path) => {
                let name = path.file_name()?.to_str()?.to_owned();
                Some((Self::Path(crate::files::parent_of(path)), name))
            }
        }
    }

    /// The path, of a place on this machine.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::S3 { .. } => None,
        }
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } if key.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for ObjectUri {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// `scheme://rest` in two, by RFC 3986's letters for schemes.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (letters && scheme.starts_with(|c: char| c.is_ascii_alphabetic())).then_some((scheme, rest))
}

fn parse_s3(rest: &str) -> Result<ObjectUri, String> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    check_bucket(bucket)?;
    let key = key.strip_suffix('/').unwrap_or(key);
    let uri = ObjectUri::S3 { bucket: bucket.to_owned(), key: key.to_owned() };
    if !key.is_empty() {
        super::check_key(&uri, key).map_err(|e| match e {
            StoreError::Key { reason, .. } => format!("of the key, {reason}"),
            other => other.to_string(),
        })?;
    }
    Ok(uri)
}

/// The rules of AWS for general purpose buckets, which aliases of access points follow too.
fn check_bucket(bucket: &str) -> Result<(), String> {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = bucket.as_bytes();
    let reason = if bucket.is_empty() {
        "the bucket is missing; write s3://bucket/key"
    } else if bucket.starts_with("arn:") {
        "an ARN is not read here; write the bucket's name, or the alias of the access point"
    } else if !(3..=63).contains(&bytes.len()) {
        "a bucket's name has 3 to 63 characters"
    } else if !bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.')) {
        "a bucket's name has lower-case letters, digits, '-' and '.' only"
    } else if !edge(bytes.first().copied()) || !edge(bytes.last().copied()) || bucket.contains("..") {
        "a bucket's name begins and ends with a letter or digit and has no '..' in it"
    } else if bucket.parse::<std::net::Ipv4Addr>().is_ok() {
        "a bucket's name is not an IP address; give the server by AWS_ENDPOINT_URL"
    } else {
        return Ok(());
    };
    Err(reason.to_owned())
}

fn parse_file(rest: &str) -> Result<ObjectUri, String> {
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file:// URI names a file of this machine by its absolute path: file:///folder/file".into());
    }
    let decoded = percent_decode(path).ok_or("it has a % that two hexadecimal digits do not follow; write %25")?;
    let text = String::from_utf8(decoded).map_err(|_| "its percent-encoded bytes are not UTF-8; give a plain path")?;
    if text.contains('\0') {
        return Err("it has a NUL character; give a plain path".into());
    }
    // file:///C:/x on Windows
    let path = if cfg!(windows) { text.trim_start_matches('/') } else { &text };
    Ok(ObjectUri::Path(PathBuf::from(path)))
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut value = [0];
            hex::decode_to_slice(digits, &mut value).ok()?;
            decoded.push(value[0]);
        } else {
            decoded.push(b);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s3(bucket: &str, key: &str) -> ObjectUri {
        ObjectUri::S3 { bucket: bucket.into(), key: key.into() }
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        let cases = [
            ("s3://my-bucket/a/b.zip", s3("my-bucket", "a/b.zip")),
            ("S3://my-bucket/a/", s3("my-bucket", "a")),
            ("s3://my.bucket", s3("my.bucket", "")),
            ("s3://my.bucket/", s3("my.bucket", "")),
            ("s3://bucket/a b%20+ü?x#y", s3("bucket", "a b%20+ü?x#y")),
            ("data/scenes", ObjectUri::Path("data/scenes".into())),
            ("/a:b", ObjectUri::Path("/a:b".into())),
            ("./a://b", ObjectUri::Path("./a://b".into())),
            ("C:\\data", ObjectUri::Path("C:\\data".into())),
        ];
        for (text, uri) in cases {
            assert_eq!(ObjectUri::parse(text).unwrap(), uri, "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn file_uris_are_percent_decoded() {
        assert_eq!(ObjectUri::parse("file:///a%20b/%C3%BC").unwrap(), ObjectUri::Path("/a b/ü".into()));
        assert_eq!(ObjectUri::parse("file://localhost/a").unwrap(), ObjectUri::Path("/a".into()));
        for bad in ["file://host/a", "file://a", "file:///%", "file:///%zz", "file:///%ff", "file:///%00"] {
            assert!(matches!(ObjectUri::parse(bad), Err(StoreError::Uri { .. })), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", "empty"),
            ("s3://", "bucket is missing"),
            ("s3:///key", "bucket is missing"),
            ("s3://ab/key", "3 to 63"),
            ("s3://My_Bucket/key", "lower-case"),
            ("s3://-bucket/key", "begins and ends"),
            ("s3://buc..ket/key", "'..'"),
            ("s3://127.0.0.1/key", "AWS_ENDPOINT_URL"),
            ("s3://arn:aws:s3:eu-west-1:1:accesspoint/x", "alias"),
            ("s3://bucket/a//b", "//"),
            ("s3://bucket/a/../b", "'..'"),
            ("gs://bucket/key", "s3://bucket/key"),
            ("https://x.s3.amazonaws.com/key", "s3://bucket/key"),
        ];
        for (text, expected) in cases {
            let message = ObjectUri::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn joining_and_splitting_are_inverse() {
        for text in ["s3://bucket", "s3://bucket/a", "folder/a"] {
            let base = ObjectUri::parse(text).unwrap();
            assert_eq!(base.join("x").split_last().unwrap(), (base, "x".to_owned()));
        }
        assert_eq!(s3("bucket", "").split_last(), None);
        assert_eq!(s3("bucket", "a").join(""), s3("bucket", "a"));
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_from_its_text(text in "(s3://|S3://|file:///|\\PC{0,4})?[a-zA-Z0-9%:./ \\\\_-]{0,24}") {
            if let Ok(uri) = ObjectUri::parse(&text) {
                prop_assert_eq!(ObjectUri::parse(&uri.to_string()).unwrap(), uri);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*", bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = ObjectUri::parse(&text);
            let _ = ObjectUri::parse(&String::from_utf8_lossy(&bytes));
            let _ = ObjectUri::parse(&format!("s3://bucket/{text}"));
            let _ = ObjectUri::parse(&format!("file:///{text}"));
        }

        #[test]
        fn a_key_stays_below_its_place(key in "[a-z.]{1,4}(/[a-z.]{1,4}){0,3}") {
            let base = ObjectUri::parse("s3://bucket/prefix").unwrap();
            if super::super::check_key(&base, &key).is_ok() {
                let text = base.join(&key).to_string();
                prop_assert_eq!(text.strip_prefix("s3://bucket/prefix/"), Some(key.as_str()));
                prop_assert_eq!(ObjectUri::parse(&text).unwrap(), base.join(&key));
            }
        }
    }
}
