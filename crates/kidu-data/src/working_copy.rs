//! A dataset's images in a folder of their own that may be changed: annotations are brought into it, not into what was
//! given.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, Split, files};
use rayon::prelude::*;

use crate::{
    archive,
    error::{DataError, Result},
    index::{Index, IndexEntry},
    materialize::{Places, place},
};

/// Links the images of a folder, an archive or a CSV list to `<to>/<class>/<file>`, or to `<to>/<split>/<class>/<file>`
/// where the data states splits. Files are hard links where the file system allows it, else copies. `to` is made anew.
///
/// # Errors
/// As [`Index::of`], an I/O error, and what an archive gives.
pub fn working_copy(source: &Path, to: &Path, extract_to: &Path, progress: &dyn Progress) -> Result<Index> {
    let index = Index::of(&archive::opened(source, extract_to, progress)?)?;
    if to.exists() {
        fs::remove_dir_all(to).map_err(|e| DataError::io("replace", to, e))?;
    }
    let placed = places(&index)?;
    let folders: HashSet<PathBuf> = placed.iter().map(|(_, path)| files::parent_of(&to.join(path))).collect();
    folders.iter().try_for_each(|folder| files::create_dir_all(folder))?;
    progress.begin("link images", "images", Some(placed.len() as u64));
    let made = placed.par_iter().try_for_each(|(entry, path)| {
        progress.advance(1);
        place(&index.root.join(&entry.path), &to.join(path))
    });
    progress.end();
    made?;
    Index::of(to)
}

/// Where each image goes.
fn places<'a>(index: &'a Index) -> Result<Vec<(&'a IndexEntry, String)>> {
    let has_splits = index.entries.iter().any(|e| e.given.is_some());
    let mut places = Places::new(&index.root);
    let mut to = |entry: &'a IndexEntry| -> Result<(&'a IndexEntry, String)> {
        let IndexEntry { path, label, given } = entry;
        let split = has_splits.then(|| given.unwrap_or(Split::Train));
        // The files have not been read yet: the path tells two of the same name apart.
        let hash = Sha256Hex::of_bytes(path.as_bytes());
        Ok((entry, places.path(split, &index.classes[*label], path, &hash)?))
    };
    index.entries.iter().map(&mut to).collect()
}

#[cfg(test)]
mod tests {
    use kidu_core::progress::Silent;

    use super::*;

    fn write(dir: &Path, path: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.to_string_lossy().as_bytes()).unwrap();
    }

    fn paths(index: &Index) -> Vec<&str> {
        index.entries.iter().map(|e| e.path.as_str()).collect()
    }

    #[test]
    fn layouts_become_class_folders_with_the_splits_they_state() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, intel, to) = (dir.path().join("plain"), dir.path().join("intel"), dir.path().join("to"));
        ["sea/a.jpg", "ice/b.png"].iter().for_each(|p| write(&plain, p));
        let found = working_copy(&plain, &to, dir.path(), &Silent).unwrap();
        assert_eq!(paths(&found), ["ice/b.png", "sea/a.jpg"]);
        let scenes = ["seg_train/seg_train/sea/a.jpg", "seg_train/seg_train/ice/b.jpg"];
        let tests = ["seg_test/seg_test/sea/a.jpg", "seg_test/seg_test/ice/c.jpg"];
        scenes.iter().chain(&tests).for_each(|p| write(&intel, p));
        let found = working_copy(&intel, &to, dir.path(), &Silent).unwrap();
        assert_eq!(paths(&found), ["test/ice/c.jpg", "test/sea/a.jpg", "train/ice/b.jpg", "train/sea/a.jpg"]);
        // What was given is as it was, whatever becomes of the copy.
        fs::remove_file(to.join("train/sea/a.jpg")).unwrap();
        assert!(intel.join(scenes[0]).is_file());
    }

    #[test]
    fn a_class_that_leads_elsewhere_writes_nothing_there() {
        let dir = tempfile::tempdir().unwrap();
        ["data/a.jpg", "data/b.jpg"].iter().for_each(|p| write(dir.path(), p));
        let list = dir.path().join("data/list.csv");
        fs::write(&list, "path,label\na.jpg,../../out\nb.jpg,ice\n").unwrap();
        let refused = working_copy(&list, &dir.path().join("data/to"), dir.path(), &Silent).unwrap_err();
        assert!(refused.to_string().contains("../../out"), "{refused}");
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn files_of_a_list_with_the_same_name_do_not_replace_each_other() {
        let dir = tempfile::tempdir().unwrap();
        ["one/a.jpg", "two/a.jpg", "b.jpg"].iter().for_each(|p| write(dir.path(), p));
        let list = dir.path().join("list.csv");
        fs::write(&list, "path,label\none/a.jpg,sea\ntwo/a.jpg,sea\nb.jpg,ice\n").unwrap();
        let found = working_copy(&list, &dir.path().join("to"), dir.path(), &Silent).unwrap();
        assert_eq!(found.entries.len(), 3);
        let contents: HashSet<Vec<u8>> =
            found.entries.iter().map(|e| fs::read(found.root.join(&e.path)).unwrap()).collect();
        assert_eq!(contents.len(), 3);
    }
}
