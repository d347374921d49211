//! Where an image is, as annotation tools write it.

use std::{borrow::Cow, fmt, path::PathBuf};

use url::Url;

use crate::{
    data_uri::percent_bytes,
    error::{FetchError, Result},
};

/// How much of an address a message shows.
const SHOWN: usize = 120;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `http://` or `https://`.
    Http(Url),
    /// A `data:` URI, whole.
    Data(String),
    /// An object: `s3://bucket/key`.
    Object {
        /// The bucket.
        bucket: String,
        /// The key, without a leading slash.
        key: String,
    },
    /// A path and query on a Label Studio, as `/data/upload/1/a.jpg` or `/tasks/3/presign/?fileuri=..`.
    LabelStudio(String),
    /// A file below the document root of a Label Studio's local storage: `/data/local-files/?d=photos/a.jpg`.
    LocalFiles(String),
    /// A file: a path or a `file://` URL.
    Local(PathBuf),
}

impl Address {
    /// Reads an address. Nothing is looked up.
    ///
    /// # Errors
    /// [`FetchError::Address`] for text that is none, [`FetchError::Scheme`] for a scheme that is not read.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bad = |reason: &str| FetchError::Address { address: shown(text), reason: reason.into() };
        if text.is_empty() {
            return Err(bad("is an empty address"));
        }
        if text.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("data:")) {
            return Ok(Self::Data(text.to_string()));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("contains a control character"));
        }
        if let Some((scheme, rest)) = text.split_once("://").filter(|(s, _)| is_scheme(s)) {
            return match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" => http(text),
                "s3" => object(text, rest),
                "file" => file(text),
                other => Err(FetchError::Scheme { address: shown(text), scheme: other.into() }),
            };
        }
        if let Some(query) = text.strip_prefix("/data/local-files/") {
            let query = query.trim_start_matches('?');
            let inner = url::form_urlencoded::parse(query.as_bytes()).find(|(k, _)| k == "d");
            let inner = inner.map(|(_, v)| v.into_owned()).filter(|v| !v.is_empty());
            return inner.map(Self::LocalFiles).ok_or_else(|| bad("names no file: the part ?d=PATH is missing"));
        }
        if is_label_studio_path(text) {
            return Ok(Self::LabelStudio(text.to_string()));
        }
        Ok(Self::Local(PathBuf::from(text)))
    }

    /// The last part of the path, decoded; `None` where there is none, as in a data URI.
    pub fn file_name(&self) -> Option<String> {
        self.segments().pop()
    }

    /// The parts of the path, decoded: what can be compared with files in a folder.
    pub fn segments(&self) -> Vec<String> {
        let decode = |part: &str| percent_decoded(part);
        let split = |path: &str| path.split('/').filter(|p| !p.is_empty()).map(str::to_string).collect::<Vec<_>>();
        match self {
            Self::Http(url) => url.path().split('/').filter(|p| !p.is_empty()).map(decode).collect(),
            Self::Data(_) => Vec::new(),
            Self::Object { key, .. } => split(key),
            Self::LabelStudio(path) => match wrapped(path) {
                Some(inner) => inner.segments(),
                None => {
                    let path = path.split(['?', '#']).next().unwrap_or_default();
                    path.split('/').filter(|p| !p.is_empty()).map(decode).collect()
                }
            },
            Self::LocalFiles(path) => split(path),
            Self::Local(path) => split(&path.to_string_lossy().replace('\\', "/")),
        }
    }

    /// Whether getting it may need a network.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Object { .. } | Self::LabelStudio(_))
    }
}

/// The address for messages: without query, user name and content.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(&shown_url(url)),
            Self::Data(text) => f.write_str(&shown(text)),
            Self::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::LabelStudio(path) => f.write_str(path.split('?').next().unwrap_or_default()),
            Self::LocalFiles(path) => write!(f, "/data/local-files/?d={path}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A URL without what may be secret in it.
pub(crate) fn shown_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails for URLs without a host only, which have no user name either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Any text for a message: without the content of a data URI, without a query and a user name, cut short.
fn shown(text: &str) -> String {
    let text = &*without_user(text);
    let data = text.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("data:"));
    let end = if data { text.find(',').map_or(text.len(), |i| i + 1) } else { text.find('?').unwrap_or(text.len()) };
    let head: String = text[..end].chars().take(SHOWN).filter(|c| !c.is_control()).collect();
    if head.len() < text.len() { format!("{head}...") } else { head }
}

/// A text that may be a URL, without what stands before the host.
fn without_user(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else { return text.into() };
    let slashes = rest.len() - rest.trim_start_matches(['/', '\\']).len();
    let authority = rest[slashes..].find(['/', '?', '#']).map_or(rest.len(), |end| slashes + end);
    match rest[..authority].rfind('@') {
        Some(at) if !scheme.eq_ignore_ascii_case("data") => {
            format!("{scheme}:{}{}", &rest[..slashes], &rest[at + 1..]).into()
        }
        _ => text.into(),
    }
}

fn is_scheme(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn http(text: &str) -> Result<Address> {
    let bad = |reason: String| FetchError::Address { address: shown(text), reason };
    let url = Url::parse(text).map_err(|e| bad(format!("is not a URL: {e}")))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("names no host".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("carries a user name, which is not sent; remove it".into()));
    }
    Ok(Address::Http(url))
}

fn object(text: &str, rest: &str) -> Result<Address> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || key.is_empty() {
        let reason = "must be s3://bucket/key".to_string();
        return Err(FetchError::Address { address: shown(text), reason });
    }
    Ok(Address::Object { bucket: bucket.into(), key: key.into() })
}

fn file(text: &str) -> Result<Address> {
    let bad = |reason: &str| FetchError::Address { address: shown(text), reason: reason.into() };
    let url = Url::parse(text).map_err(|_| bad("is not a file URL"))?;
    url.to_file_path().map(Address::Local).map_err(|()| bad("is not a file URL of this machine"))
}

fn is_label_studio_path(text: &str) -> bool {
    let mut parts = text.split(['/', '?']);
    if parts.next() != Some("") {
        return false;
    }
    match (parts.next(), parts.next(), parts.next()) {
        (Some("data"), Some("upload"), Some(_)) | (Some("storage-data"), Some(_), _) => true,
        (Some("tasks" | "projects"), Some(id), Some("presign" | "resolve")) => {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

/// The address inside `/tasks/3/presign/?fileuri=<base64 or plain>`.
fn wrapped(path: &str) -> Option<Address> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let query = path.split_once('?')?.1;
    let (_, value) = url::form_urlencoded::parse(query.as_bytes()).find(|(k, _)| k == "fileuri")?;
    let decoded = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).ok().and_then(|b| String::from_utf8(b).ok());
    let inner = Address::parse(&decoded.unwrap_or_else(|| value.into_owned())).ok()?;
    // One wrapping: an address inside itself must not be followed for ever.
    (!matches!(inner, Address::LabelStudio(_))).then_some(inner)
}

fn percent_decoded(text: &str) -> String {
    String::from_utf8(percent_bytes(text)).unwrap_or_else(|_| text.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn each_kind_is_known_by_its_form() {
        assert!(matches!(parse("HTTPS://Example.com/a.jpg"), Address::Http(_)));
        assert_eq!(parse("s3://b/k/a.jpg"), Address::Object { bucket: "b".into(), key: "k/a.jpg".into() });
        assert!(matches!(parse("/data/upload/1/b7b149b8-a.jpg"), Address::LabelStudio(_)));
        assert!(matches!(parse("/tasks/3/presign/?fileuri=czM6Ly9zcmMvYS5qcGc="), Address::LabelStudio(_)));
        assert_eq!(parse("/data/local-files/?d=photos%2Fa%20b.jpg"), Address::LocalFiles("photos/a b.jpg".into()));
        assert_eq!(parse("file:///x/a%20b.jpg"), Address::Local("/x/a b.jpg".into()));
        assert_eq!(parse("sea/1.jpg"), Address::Local("sea/1.jpg".into()));
        assert_eq!(parse("/data/other/1.jpg"), Address::Local("/data/other/1.jpg".into()));
    }

    #[test]
    fn what_is_no_address_says_so() {
        for (text, words) in [
            (" ", "empty"),
            ("s3://bucket", "s3://bucket/key"),
            ("gs://b/k", "'gs' addresses are not read"),
            ("http://u:p@h/a", "user name"),
            ("http://", "not a URL"),
            ("/data/local-files/?x=1", "?d=PATH"),
            ("a\nb", "control character"),
        ] {
            let message = Address::parse(text).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let signed = parse("https://h/a.jpg?X-Amz-Signature=secret");
        assert_eq!(signed.to_string(), "https://h/a.jpg");
        assert_eq!(parse("data:image/png;base64,iVBORw0KGgo=").to_string(), "data:image/png;base64,...");
        assert_eq!(parse("/tasks/3/presign/?fileuri=secret").to_string(), "/tasks/3/presign/");
        for text in ["http://u:secret@h/?q=secret", "ftp://secret@h/a", "http://u:secret@/a"] {
            let told = Address::parse(text).unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
        assert_eq!(shown("https://h/a@2x.jpg"), "https://h/a@2x.jpg");
    }

    #[test]
    fn names_are_those_of_the_file() {
        assert_eq!(parse("https://h/x/a%20b.jpg?v=1").file_name().unwrap(), "a b.jpg");
        assert_eq!(parse("/tasks/3/presign/?fileuri=czM6Ly9zcmMvYS5qcGc=").file_name().unwrap(), "a.jpg");
        assert_eq!(parse("/tasks/3/resolve/?fileuri=s3%3A%2F%2Fsrc%2Fb.jpg").file_name().unwrap(), "b.jpg");
        assert_eq!(parse("data:,x").file_name(), None);
        assert_eq!(parse("c\\d\\e.jpg").segments(), ["c", "d", "e.jpg"]);
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "\\PC{0,60}|(s3|http|file|data)://?\\PC{0,40}|/(data|tasks)/\\PC{0,40}") {
            if let Ok(address) = Address::parse(&text) {
                let _ = (address.to_string(), address.segments(), address.file_name());
            }
        }
    }
}
