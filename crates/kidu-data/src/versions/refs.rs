//! Names of versions: ids, their beginnings, tags, and the latest.

use std::fs;

use kidu_core::{Progress, Sha256Hex, files, run::timestamp, suggest};
use serde::Serialize;

use super::{
    error::{Result, VersionError},
    lock,
    log::{Event, LogEntry},
    objects,
    store::VersionStore,
    version::Version,
};

/// The name of a dataset's last version.
const LATEST: &str = "latest";
/// Shortest beginning of an id.
const SHORTEST: usize = 4;

/// A name for a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The version.
    pub version: Sha256Hex,
}

/// A reference as it is written.
#[derive(Debug, PartialEq, Eq)]
enum Reference<'a> {
    /// `latest`, `photos@latest`, `latest~2`.
    Latest {
        dataset: Option<&'a str>,
        back: usize,
    },
    /// At least four digits.
    Prefix(&'a str),
    Name(&'a str),
}

fn parse(text: &str) -> Reference<'_> {
    let (dataset, rest) = text.rsplit_once('@').map_or((None, text), |(dataset, rest)| (Some(dataset), rest));
    let (name, back) = match rest.split_once('~') {
        Some((name, steps)) => (name, steps.parse().ok()),
        None => (rest, Some(0)),
    };
    match back {
        Some(back) if name == LATEST => Reference::Latest { dataset, back },
        _ if text.len() >= SHORTEST && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Reference::Prefix(text)
        }
        _ => Reference::Name(text),
    }
}

impl VersionStore {
    /// The version that a reference names: an id or its beginning (four digits or more), a tag, `latest` (with several
    /// datasets in the store `NAME@latest`), `latest~1` for the one before.
    ///
    /// # Errors
    /// [`VersionError::Unknown`], which says what there is; a damaged version.
    pub fn resolve(&self, reference: &str) -> Result<Version> {
        self.load(&self.resolve_id(reference)?)
    }

    /// As [`VersionStore::resolve`], the id alone.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_id(&self, reference: &str) -> Result<Sha256Hex> {
        let fail = |reason| VersionError::Unknown { reference: reference.into(), store: self.dir().into(), reason };
        match parse(reference) {
            Reference::Latest { dataset, back } => self.latest_by(dataset, back).and_then(|found| found.map_err(fail)),
            Reference::Prefix(prefix) => {
                let prefix = prefix.to_ascii_lowercase();
                let mut ids: Vec<_> = self.ids()?.into_iter().filter(|id| id.as_str().starts_with(&prefix)).collect();
                match (ids.pop(), ids.len()) {
                    (Some(id), 0) => Ok(id),
                    (Some(_), others) => Err(fail(format!("{} ids begin so; give more digits", others + 1))),
                    (None, _) => Err(fail("no id begins so; see `kidu data log`".into())),
                }
            }
            Reference::Name(name) => {
                let tags = self.tags()?;
                if let Some(tag) = tags.iter().find(|t| t.name == name) {
                    return Ok(tag.version.clone());
                }
                let names = tags.iter().map(|t| t.name.as_str()).chain([LATEST]);
                let nearest = suggest::did_you_mean(suggest::nearest(name, names));
                Err(fail(format!(
                    "give an id of at least {SHORTEST} digits, a tag or 'latest'{nearest}; see `kidu data log`"
                )))
            }
        }
    }

    fn latest_by(&self, dataset: Option<&str>, back: usize) -> Result<Result<Sha256Hex, String>> {
        let datasets = self.datasets()?;
        let dataset = match (dataset, datasets.as_slice()) {
            (Some(name), all) if all.iter().any(|d| d == name) => name,
            (None, [only]) => only,
            (_, []) => return Ok(Err("it holds no version yet".into())),
            (_, all) => {
                let names: Vec<_> = all.iter().map(|d| format!("{d}@latest")).collect();
                return Ok(Err(format!("it holds several datasets; give one of {}", names.join(", "))));
            }
        };
        let history = self.history(dataset)?;
        let found = history.len().checked_sub(back + 1).map(|i| history[i].clone());
        Ok(match found {
            Some(id) if self.has(&id) => Ok(id),
            Some(id) => Err(format!("{} was dropped by `kidu data gc`", id.short())),
            None => Err(format!("'{dataset}' has only {} versions", history.len())),
        })
    }

    /// All tags, sorted by name.
    ///
    /// # Errors
    /// [`VersionError::Tag`] for one that cannot be read.
    pub fn tags(&self) -> Result<Vec<Tag>> {
        let mut tags = Vec::new();
        for path in objects::entries(&self.tags_dir())? {
            let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|n| check_name(n).is_ok()) else {
                continue;
            };
            let text = fs::read_to_string(&path).map_err(|e| VersionError::io("read", &path, e))?;
            let Some(version) = Sha256Hex::parse(text.trim()) else {
                let reason = format!("{} holds no id; set the tag again with --force", path.display());
                return Err(VersionError::Tag { name: name.into(), reason });
            };
            tags.push(Tag { name: name.into(), version });
        }
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tags)
    }

    /// Names a version. A tag that stands for another version is moved only by `force`.
    ///
    /// # Errors
    /// [`VersionError::Tag`] for a name that cannot be used or is taken, [`VersionError::Unknown`].
    pub fn tag(&self, name: &str, reference: &str, author: &str, force: bool, progress: &dyn Progress) -> Result<Tag> {
        check_name(name)?;
        let _held = lock::exclusive(self.dir(), progress)?;
        let tag = Tag { name: name.into(), version: self.resolve_id(reference)? };
        self.set_tag(&tag, author, force)?;
        Ok(tag)
    }

    /// As [`VersionStore::tag`], for the one who holds the store alone.
    pub(super) fn set_tag(&self, tag: &Tag, author: &str, force: bool) -> Result<()> {
        self.check_tag_is_free(&tag.name, &tag.version, force)?;
        files::write_atomic(&self.tags_dir().join(&tag.name), format!("{}\n", tag.version).as_bytes())?;
        let event = Event::Tag { name: tag.name.clone(), version: tag.version.clone() };
        Ok(self.journal().append(LogEntry { time: timestamp(), author: author.into(), event })?)
    }

    pub(super) fn check_tag_is_free(&self, name: &str, version: &Sha256Hex, force: bool) -> Result<()> {
        check_name(name)?;
        let path = self.tags_dir().join(name);
        match fs::read_to_string(&path) {
            Ok(text) if !force && text.trim() != version.as_str() => {
                let stands = text.trim().chars().take(12).collect::<String>();
                let reason = format!("stands for {stands} already; choose another name, or move it by --force");
                Err(VersionError::Tag { name: name.into(), reason })
            }
            _ => Ok(()),
        }
    }

    /// Removes a tag; the version stays until [`gc()`](super::gc()) drops it.
    ///
    /// # Errors
    /// [`VersionError::Tag`] if there is none.
    pub fn untag(&self, name: &str, author: &str, progress: &dyn Progress) -> Result<()> {
        check_name(name)?;
        let _held = lock::exclusive(self.dir(), progress)?;
        let path = self.tags_dir().join(name);
        if !path.is_file() {
            return Err(VersionError::Tag { name: name.into(), reason: "there is none of that name".into() });
        }
        objects::remove(&path)?;
        let event = Event::Untag { name: name.into() };
        Ok(self.journal().append(LogEntry { time: timestamp(), author: author.into(), event })?)
    }
}

/// Letters, digits, `.`, `_` and `-`; nothing that is an id or a reference of another kind.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fail = |reason: &str| Err(VersionError::Tag { name: name.into(), reason: reason.into() });
    if name.is_empty() || name.len() > 100 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        fail("a name has 1 to 100 letters, digits, '.', '_' and '-'")
    } else if name.starts_with(['.', '-']) {
        fail("a name begins with a letter, a digit or '_'")
    } else if name == LATEST {
        fail("'latest' always stands for the last snapshot")
    } else if matches!(parse(name), Reference::Prefix(_)) {
        fail("it could be the beginning of an id; add a letter beyond f")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_written() {
        assert_eq!(parse("latest"), Reference::Latest { dataset: None, back: 0 });
        assert_eq!(parse("my photos@latest~2"), Reference::Latest { dataset: Some("my photos"), back: 2 });
        assert_eq!(parse("12ab"), Reference::Prefix("12ab"));
        assert_eq!(parse("12a"), Reference::Name("12a"));
        assert_eq!(parse("latest~x"), Reference::Name("latest~x"));
        assert_eq!(parse("v1.0"), Reference::Name("v1.0"));
        assert_eq!(parse(""), Reference::Name(""));
    }

    #[test]
    fn a_tag_is_never_mistaken_for_something_else() {
        for name in ["v1", "2026-11-25", "gold_set.2", "abc"] {
            check_name(name).unwrap();
        }
        for name in ["", "latest", "12ab", "face", "a/b", "..", ".a", "-a", "a b", "a~1", "a@latest", "é"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
