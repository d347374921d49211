//! Where the files of a configuration are: those embedded in the program, then folders of the user's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use include_dir::{Dir, include_dir};

use crate::{
    error::{ConfigError, Result},
    node::SourceName,
    yaml::MAX_BYTES,
};

static EMBEDDED: Dir<'static> = include_dir!("$OUT_DIR/configs");

/// Levels of folders below a folder of configurations.
const MAX_LEVELS: usize = 8;
/// Files in a folder of configurations.
const MAX_FILES: usize = 2_000;

/// One file, read.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) name: Arc<SourceName>,
    pub(crate) text: Arc<str>,
}

/// All files of configuration, by their path without `.yaml`. Everything is read when the sources are made, so that
/// composing touches no file.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    files: BTreeMap<String, SourceFile>,
    groups: BTreeSet<String>,
    environment: Option<BTreeMap<String, String>>,
}

impl ConfigSources {
    /// The files that ship with the program.
    pub fn embedded() -> Self {
        let mut sources = Self::default();
        sources.add_embedded(&EMBEDDED);
        sources
    }

    /// Only the files of these folders, later folders win file by file.
    ///
    /// # Errors
    /// As for [`ConfigSources::overlay`].
    pub fn from_dirs<P: AsRef<Path>>(dirs: impl IntoIterator<Item = P>) -> Result<Self> {
        dirs.into_iter().try_fold(Self::default(), |sources, dir| sources.overlay(dir.as_ref()))
    }

    /// Files given as `(path, text)`, for tests: `("trainer/default.yaml", "max_epochs: 1")`.
    ///
    /// # Errors
    /// [`ConfigError::Folder`] for a path that does not end in `.yaml`.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut sources = Self::default();
        for (path, text) in texts {
            let Some(stem) = path.strip_suffix(".yaml") else {
                return Err(ConfigError::Folder { path: path.into(), reason: "must end in .yaml".into() });
            };
            for (at, _) in stem.match_indices('/') {
                sources.groups.insert(stem[..at].to_string());
            }
            sources.add(stem.to_string(), path.to_string(), false, text);
        }
        Ok(sources)
    }

    /// Adds the files of a folder; a file replaces the one of the same path that was there before. Hidden files and
    /// files that are not YAML are passed over.
    ///
    /// # Errors
    /// [`ConfigError::Io`] if a file or folder cannot be read, [`ConfigError::Folder`] if it is no folder, is not one
    /// of configurations (too many files or levels), or holds a `.yml`, which would be overlooked.
    pub fn overlay(mut self, dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(folder(dir, "is not a folder; give the one that holds the configurations"));
        }
        self.walk(dir, "", 0)?;
        Ok(self)
    }

    /// Replaces the process's environment for `${oc.env:...}`.
    #[must_use]
    pub fn with_environment(mut self, variables: BTreeMap<String, String>) -> Self {
        self.environment = Some(variables);
        self
    }

    /// The configurations that a command can start from: the files at the root.
    pub fn entries(&self) -> Vec<&str> {
        self.options("")
    }

    /// The groups: every folder, with `/` between levels.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// The options of a group, sorted.
    pub fn options(&self, group: &str) -> Vec<&str> {
        let stems = self.files.keys().map(String::as_str);
        stems
            .filter_map(|stem| match stem.rsplit_once('/') {
                Some((folder, option)) if folder == group => Some(option),
                None if group.is_empty() => Some(stem),
                _ => None,
            })
            .collect()
    }

    /// Whether there is such a group.
    pub fn is_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    pub(crate) fn file(&self, stem: &str) -> Option<&SourceFile> {
        self.files.get(stem)
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match &self.environment {
            Some(variables) => variables.get(name).cloned(),
            None => std::env::var(name).ok(),
        }
    }

    fn add(&mut self, stem: String, shown: String, built_in: bool, text: &str) {
        let name = Arc::new(SourceName { shown, built_in });
        self.files.insert(stem, SourceFile { name, text: text.into() });
    }

    fn add_embedded(&mut self, dir: &Dir<'static>) {
        for file in dir.files() {
            let path = file.path().to_string_lossy().replace('\\', "/");
            if let (Some(stem), Some(text)) = (path.strip_suffix(".yaml"), file.contents_utf8()) {
                self.add(stem.to_string(), format!("configs/{path}"), true, text);
            }
        }
        for child in dir.dirs() {
            self.groups.insert(child.path().to_string_lossy().replace('\\', "/"));
            self.add_embedded(child);
        }
    }

    fn walk(&mut self, dir: &Path, prefix: &str, level: usize) -> Result<()> {
        let io = |source| ConfigError::Io { action: "read folder", path: dir.to_path_buf(), source };
        for entry in fs::read_dir(dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|n| !n.starts_with('.')) else {
                continue;
            };
            if path.is_dir() {
                if level >= MAX_LEVELS {
                    return Err(folder(&path, "lies too deep for a folder of configurations"));
                }
                self.groups.insert(format!("{prefix}{name}"));
                self.walk(&path, &format!("{prefix}{name}/"), level + 1)?;
            } else if let Some(stem) = name.strip_suffix(".yaml") {
                let text = read(&path)?;
                self.add(format!("{prefix}{stem}"), path.display().to_string(), false, &text);
                if self.files.len() > MAX_FILES {
                    return Err(folder(dir, "holds too many YAML files for a folder of configurations"));
                }
            } else if name.ends_with(".yml") {
                return Err(folder(&path, "would be overlooked; rename it to end in .yaml"));
            }
        }
        Ok(())
    }
}

fn folder(path: &Path, reason: &str) -> ConfigError {
    ConfigError::Folder { path: path.to_path_buf(), reason: reason.into() }
}

/// Reads a file of bounded size.
pub(crate) fn read(path: &Path) -> Result<String> {
    let io = |source| ConfigError::Io { action: "read", path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(io)?.len() > MAX_BYTES as u64 {
        return Err(folder(path, "is larger than 1 MiB, too large for a configuration"));
    }
    fs::read_to_string(path).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_folders_win_file_by_file() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, text) in [(&a, "x: 1"), (&b, "x: 2")] {
            fs::create_dir(dir.path().join("data")).unwrap();
            fs::write(dir.path().join("data/default.yaml"), text).unwrap();
        }
        fs::write(a.path().join("train.yaml"), "y: 1").unwrap();
        let sources = ConfigSources::from_dirs([a.path(), b.path()]).unwrap();
        assert_eq!(&*sources.file("data/default").unwrap().text, "x: 2");
        assert_eq!((sources.entries(), sources.options("data")), (vec!["train"], vec!["default"]));
        fs::write(b.path().join("x.yml"), "").unwrap();
        assert!(ConfigSources::from_dirs([b.path()]).unwrap_err().to_string().contains("rename it"));
        assert!(ConfigSources::from_dirs([b.path().join("none")]).is_err());
    }
}
