//! Names that some file systems do not tell apart.

use std::{collections::HashMap, fs, path::Path};

/// Two paths of which a file system that does not tell upper and lower case apart keeps one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    one: String,
    other: String,
}

impl Clash {
    /// Why they cannot be checked out.
    pub(super) fn reason(&self) -> String {
        format!(
            "'{}' and '{}' differ in upper and lower case alone, which this file system does not tell apart; name a folder on \
             another one, or rename one of the two where the version was made",
            self.one, self.other
        )
    }
}

/// The first two paths, in files or in folders above them, that differ in case alone. `paths` are sorted.
pub(super) fn clash<'a>(paths: impl Iterator<Item = &'a str>) -> Option<Clash> {
    let mut spelled: HashMap<String, &str> = HashMap::new();
    let mut known_folder = "";
    for path in paths {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        // Neighbours mostly lie in one folder, which need not be looked at again.
        let from = if folder == known_folder { folder.len() } else { 0 };
        known_folder = folder;
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > from).chain([path.len()]);
        for part in ends.map(|end| &path[..end]) {
            let first = *spelled.entry(part.to_lowercase()).or_insert(part);
            if first != part {
                return Some(Clash { one: first.into(), other: part.into() });
            }
        }
    }
    None
}

/// Whether the file system of a folder, which must be empty, takes two cases of a name for one.
pub(super) fn is_folded(dir: &Path) -> bool {
    let (small, large) = (dir.join("kidu-case"), dir.join("KIDU-CASE"));
    let folded = fs::write(&small, "").is_ok() && large.symlink_metadata().is_ok();
    let _ = fs::remove_file(&small);
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&str]) -> Option<(String, String)> {
        clash(paths.iter().copied()).map(|c| (c.one, c.other))
    }

    #[test]
    fn files_and_folders_that_differ_in_case_alone_are_found() {
        let pair = |one: &str, other: &str| Some((one.to_string(), other.to_string()));
        assert_eq!(found(&["a/1.jpg", "a/2.jpg", "b/1.jpg", "c"]), None);
        assert_eq!(found(&["a/1.JPG", "a/1.jpg"]), pair("a/1.JPG", "a/1.jpg"));
        assert_eq!(found(&["Sea/1", "Sea/2", "ice/1", "sea/3"]), pair("Sea", "sea"));
        assert_eq!(found(&["a/B/1", "a/b"]), pair("a/B", "a/b"));
        assert_eq!(found(&["É", "é"]), pair("É", "é"));
    }

    #[test]
    fn asking_the_file_system_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folded = is_folded(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        if cfg!(target_os = "linux") {
            assert!(!folded);
        }
        assert!(Clash { one: "Sea".into(), other: "sea".into() }.reason().contains("'Sea' and 'sea'"));
    }
}
