//! Images in folders by name: `--images DIR`.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use kidu_fetch::Address;

use crate::error::{ImportError, Result};

/// The files below some folders, by name.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    by_name: HashMap<String, Vec<File>>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    /// Relative to the folder that was given.
    segments: Vec<String>,
}

/// What was found for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// The file.
    File(PathBuf),
    /// Several that fit equally well.
    Ambiguous(Vec<String>),
    /// None.
    Missing,
}

impl Folders {
    /// Lists the visible files below each folder; links to folders are not followed.
    pub(crate) fn index(folders: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        for folder in folders {
            all.walk(folder, &mut Vec::new())?;
        }
        all.by_name.values_mut().for_each(|files| files.sort_by(|a, b| a.path.cmp(&b.path)));
        Ok(all)
    }

    fn walk(&mut self, folder: &Path, segments: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(folder).map_err(|e| ImportError::io("list", folder, e))? {
            let entry = entry.map_err(|e| ImportError::io("list", folder, e))?;
            // A name that is not text is the name of no address.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(|e| ImportError::io("read", entry.path(), e))?;
            segments.push(name.clone());
            if kind.is_dir() {
                self.walk(&entry.path(), segments)?;
            } else {
                let file = File { path: entry.path(), segments: segments.clone() };
                self.by_name.entry(name).or_default().push(file);
            }
            segments.pop();
        }
        Ok(())
    }

    /// The file of an address: the one with its name; among several, the one that shares most of its path. An upload to
    /// Label Studio is also known by its name before Label Studio put eight digits before it.
    pub(crate) fn locate(&self, address: &Address) -> Located {
        let mut wanted = address.segments();
        let found = self.best(&wanted);
        if found == Located::Missing
            && matches!(address, Address::LabelStudio(_))
            && let Some(name) = wanted.pop()
            && let Some(original) = before_upload(&name)
        {
            // The folders are those of Label Studio and say nothing.
            return self.best(&[original.to_string()]);
        }
        found
    }

    fn best(&self, wanted: &[String]) -> Located {
        let Some(files) = wanted.last().and_then(|name| self.by_name.get(name)) else { return Located::Missing };
        let shared = |f: &File| f.segments.iter().rev().zip(wanted.iter().rev()).take_while(|(a, b)| a == b).count();
        let most = files.iter().map(shared).max().unwrap_or(0);
        let best: Vec<&File> = files.iter().filter(|f| shared(f) == most).collect();
        match best.as_slice() {
            [] => Located::Missing,
            [one] => Located::File(one.path.clone()),
            several => Located::Ambiguous(several.iter().map(|f| f.path.display().to_string()).collect()),
        }
    }
}

/// `buildings_0.jpg` of `b7b149b8-buildings_0.jpg`.
fn before_upload(name: &str) -> Option<&str> {
    let (head, rest) = name.split_once('-')?;
    let hex = head.len() == 8 && head.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_common_path_decides() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/1.jpg", "b/1.jpg", "b/c/2.jpg", "x/buildings_0.jpg", "y/b7b149b8-sea.jpg", "z/sea.jpg"] {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, path).unwrap();
        }
        let folders = Folders::index(&[dir.path().into()]).unwrap();
        let locate = |text: &str| folders.locate(&Address::parse(text).unwrap());
        let file = |path: &str| Located::File(dir.path().join(path));
        assert_eq!(locate("s3://src/raw/b/1.jpg"), file("b/1.jpg"));
        assert_eq!(locate("c/2.jpg"), file("b/c/2.jpg"));
        assert_eq!(locate("/data/upload/1/b7b149b8-buildings_0.jpg"), file("x/buildings_0.jpg"));
        assert_eq!(locate("/data/upload/1/b7b149b8-sea.jpg"), file("y/b7b149b8-sea.jpg"));
        assert_eq!(locate("https://h/none.jpg"), Located::Missing);
        assert_eq!(locate("data:image/png;base64,AA"), Located::Missing);
        assert!(matches!(locate("s3://src/raw/1.jpg"), Located::Ambiguous(of) if of.len() == 2));
    }
}
