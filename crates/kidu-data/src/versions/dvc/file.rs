//! `.dvc` files.

use std::{collections::BTreeMap, fs, path::Path};

use granit_parser::{Event, Parser};
use kidu_core::files;

use super::{
    super::error::{Result, VersionError},
    layout::is_md5,
};

/// No `.dvc` file is nearly as long, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What a `.dvc` file says of its one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DvcFile {
    /// MD5 of the file, or of the list of a folder with `.dir` after it.
    pub md5: String,
    /// Size in bytes, of a folder that of all files.
    pub size: Option<u64>,
    /// Number of files of a folder.
    pub nfiles: Option<u64>,
    /// The output's path, relative to the `.dvc` file.
    pub path: String,
}

impl DvcFile {
    /// The text, as `dvc add` writes it.
    pub fn to_yaml(&self) -> String {
        let mut text = format!("outs:\n- md5: {}\n", self.md5);
        for (key, value) in [("size", self.size), ("nfiles", self.nfiles)] {
            if let Some(value) = value {
                text += &format!("  {key}: {value}\n");
            }
        }
        text + &format!("  hash: md5\n  path: {}\n", scalar(&self.path))
    }

    /// Whether it stands for a folder.
    pub fn is_dir(&self) -> bool {
        self.md5.ends_with(".dir")
    }

    /// Reads a `.dvc` file.
    ///
    /// # Errors
    /// [`VersionError::Dvc`] for one that has not exactly one output with an MD5 of DVC 3's kind.
    pub fn load(path: &Path) -> Result<Self> {
        let size = fs::metadata(path).map_err(|e| VersionError::io("read", path, e))?.len();
        if size > MAX_BYTES {
            return Err(failed(path, "is too long for a .dvc file".into()));
        }
        let text = fs::read_to_string(path).map_err(|e| VersionError::io("read", path, e))?;
        Self::parse(&text).map_err(|reason| failed(path, reason))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut outs = outs_of(text)?;
        let out = match (outs.pop(), outs.len()) {
            (Some(out), 0) => out,
            (None, _) => return Err("has no 'outs': it is no .dvc file of an output".into()),
            (Some(_), others) => return Err(format!("has {} outputs; one is expected", others + 1)),
        };
        let field = |name: &str| out.get(name).cloned();
        if field("hash").as_deref() != Some("md5") {
            return Err(
                "was written by DVC 2 (it has no 'hash: md5'); run `dvc cache migrate --dvc-files` and push".into()
            );
        }
        let md5 = field("md5").unwrap_or_default();
        if !is_md5(md5.strip_suffix(".dir").unwrap_or(&md5)) {
            return Err(format!("names no MD5 ('{md5}'); run `dvc commit` and push"));
        }
        let number = |name: &str| field(name).and_then(|n| n.parse().ok());
        let path = field("path").ok_or("names no path")?;
        Ok(Self { md5, size: number("size"), nfiles: number("nfiles"), path })
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// An I/O error.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(files::write_atomic(path, self.to_yaml().as_bytes())?)
    }
}

/// Refuses to write over a file that is not the `.dvc` file of the same output.
///
/// # Errors
/// [`VersionError::Dvc`].
pub fn check_replaceable(path: &Path, output: &str) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    match DvcFile::load(path) {
        Ok(there) if there.path == output => Ok(()),
        Ok(there) => {
            Err(failed(path, format!("stands for '{}', not for '{output}'; name another file by --out", there.path)))
        }
        Err(_) => Err(failed(path, "something else is there; name another file by --out".into())),
    }
}

fn failed(path: &Path, reason: String) -> VersionError {
    VersionError::Dvc { place: path.display().to_string(), reason }
}

/// A text as YAML: plain where nothing about it can be mistaken.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    // JSON's strings are YAML's.
    if plain { text.to_string() } else { serde_json::Value::from(text).to_string() }
}

/// The scalars of each map in the list `outs`, as they are written. Everything else is passed over.
fn outs_of(text: &str) -> Result<Vec<BTreeMap<String, String>>, String> {
    /// A map with its present key, or a list.
    enum Level {
        Map(Option<String>),
        List,
    }
    let mut levels: Vec<Level> = Vec::new();
    let mut outs: Vec<BTreeMap<String, String>> = Vec::new();
    let in_outs = |levels: &[Level]| matches!(levels, [Level::Map(Some(key)), Level::List, ..] if key == "outs");
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| format!("is not valid YAML: {e}"))?;
        let begins_map = matches!(event, Event::MappingStart(..));
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if begins_map && in_outs(&levels) && levels.len() == 2 {
                    outs.push(BTreeMap::new());
                }
                levels.push(if begins_map { Level::Map(None) } else { Level::List });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                value_is_over(levels.last_mut().map(|l| match l {
                    Level::Map(key) => Some(key),
                    Level::List => None,
                }));
            }
            Event::Scalar(value, ..) => {
                let of_out = in_outs(&levels) && levels.len() == 3;
                if let Some(Level::Map(key)) = levels.last_mut() {
                    match key.take() {
                        None => *key = Some(value.to_string()),
                        Some(name) if of_out => {
                            if let Some(out) = outs.last_mut() {
                                out.insert(name, value.to_string());
                            }
                        }
                        Some(_) => {}
                    }
                }
            }
            Event::Alias(_) => return Err(format!("line {}: aliases are not read here", span.start.line())),
            _ => {}
        }
    }
    Ok(outs)
}

/// A list or map that ended was the value of a key.
fn value_is_over(key: Option<Option<&mut Option<String>>>) {
    if let Some(Some(key)) = key {
        *key = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &str) -> DvcFile {
        DvcFile {
            md5: "9b13335e2a501c7fbb43bfd91828d5ae.dir".into(),
            size: Some(12),
            nfiles: Some(5),
            path: path.into(),
        }
    }

    #[test]
    fn the_text_is_dvc_s_own() {
        let text =
            "outs:\n- md5: 9b13335e2a501c7fbb43bfd91828d5ae.dir\n  size: 12\n  nfiles: 5\n  hash: md5\n  path: ds\n";
        assert_eq!(sample("ds").to_yaml(), text);
    }

    #[test]
    fn any_path_is_read_again() {
        for path in ["ds", "my photos", "é", "a: b", "# x", "1e5", "true", "- x", "a\"b", "../data/x", "'q'"] {
            let file = sample(path);
            assert_eq!(DvcFile::parse(&file.to_yaml()).unwrap(), file, "{path}");
        }
    }

    #[test]
    fn what_people_add_is_passed_over() {
        let text = "# by hand\nmeta:\n  outs: [1, {md5: x}]\ndesc: photos\nouts:\n  - path: \"ds\"\n    cache: true\n    \
                    remote: r\n    md5: 01fbdc44ef819db6273bc30965a23814\n    meta: {path: no, a: [b]}\n    hash: md5\n";
        let file = DvcFile::parse(text).unwrap();
        assert_eq!((file.path.as_str(), file.is_dir(), file.size), ("ds", false, None));
    }

    #[test]
    fn what_is_no_dvc_file_is_named() {
        let md5 = "01fbdc44ef819db6273bc30965a23814";
        for (text, word) in [
            ("", "no 'outs'"),
            ("outs: 3", "no 'outs'"),
            ("outs: [", "YAML"),
            (&format!("outs:\n- md5: {md5}\n  path: a\n"), "DVC 2"),
            ("outs:\n- md5: ../x\n  hash: md5\n  path: a\n", "names no MD5"),
            (&format!("outs:\n- md5: {md5}\n  hash: md5\n"), "no path"),
            (&format!("outs:\n- {{md5: {md5}, hash: md5, path: a}}\n- {{path: b}}\n"), "2 outputs"),
        ] {
            let reason = DvcFile::parse(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }
}
