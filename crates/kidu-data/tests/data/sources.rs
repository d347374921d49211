//! Indexing of folders and lists.

use std::fs;

use kidu_core::Split;
use kidu_data::{
    Index,
    index::{Layout, images_below},
};

use crate::support::{dir, fill, png, put, says};

fn count(index: &Index, split: Option<Split>) -> usize {
    index.entries.iter().filter(|e| e.given == split).count()
}

#[test]
fn class_folders() {
    let d = dir();
    fill(d.path(), &[("sea", 3), ("forest", 2)]);
    put(d.path(), "sea/UPPER.JPG", &png(1));
    put(d.path(), "sea/notes.txt", b"x");
    put(d.path(), "sea/._a.png", b"x");
    put(d.path(), "stray.webp", b"x");
    put(d.path(), ".git/config", b"x");
    put(d.path(), "__MACOSX/sea/a.png", b"x");
    let index = Index::of(d.path()).unwrap();
    assert_eq!(index.layout, Layout::ClassFolders);
    assert_eq!(index.classes.as_slice(), ["forest", "sea"]);
    assert_eq!(index.entries.len(), 6);
    assert_eq!((index.entries[0].path.as_str(), index.entries[0].label), ("forest/000.png", 0));
    assert_eq!((index.ignored.hidden, index.ignored.stray_images), (3, 1));
    assert_eq!(index.ignored.by_extension[".txt"], 1);
    assert_eq!(index.notes.len(), 3, "{:?}", index.notes);
}

#[test]
fn images_at_any_depth() {
    let d = dir();
    fill(d.path(), &[("b/c", 1), ("a", 2)]);
    put(d.path(), "top.JPG", &png(1));
    put(d.path(), "a/notes.txt", b"x");
    put(d.path(), "a/._000.png", b"x");
    put(d.path(), "__MACOSX/a.png", b"x");
    #[cfg(unix)]
    std::os::unix::fs::symlink(d.path(), d.path().join("b/circle")).unwrap();
    let found = images_below(d.path()).unwrap();
    let found: Vec<_> = found.iter().map(|p| p.strip_prefix(d.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(found, ["a/000.png", "a/001.png", "b/c/000.png", "top.JPG"]);
    says(images_below(&d.path().join("nothing")), &["cannot list", "nothing"]);
}

#[test]
fn split_folders_with_a_folder_beside_them() {
    let d = dir();
    fill(d.path(), &[("train/a", 3), ("train/b", 3), ("test/a", 2), ("test/b", 1), ("valid/a", 1), ("pred/a", 2)]);
    let index = Index::of(d.path()).unwrap();
    assert_eq!(index.layout, Layout::SplitFolders);
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| count(&index, Some(s))), [6, 1, 3]);
    assert_eq!(index.ignored.folders, ["pred"]);
    assert!(index.notes.iter().any(|n| n.contains("val split has no image of: b")), "{:?}", index.notes);
}

#[test]
fn the_intel_layout_even_inside_one_folder() {
    let d = dir();
    fill(
        d.path(),
        &[
            ("x/seg_train/seg_train/a", 2),
            ("x/seg_train/seg_train/b", 2),
            ("x/seg_test/seg_test/a", 1),
            ("x/seg_test/seg_test/b", 1),
            ("x/seg_pred/seg_pred", 3),
        ],
    );
    let index = Index::of(d.path()).unwrap();
    assert_eq!(index.layout, Layout::Intel);
    assert_eq!((count(&index, Some(Split::Train)), count(&index, Some(Split::Test))), (4, 2));
    assert_eq!(index.ignored.folders, ["x/seg_pred"]);
    assert!(index.entries[0].path.starts_with("x/seg_test/"), "paths are relative to the folder that was given");
}

#[test]
fn a_class_may_be_called_train() {
    let d = dir();
    fill(d.path(), &[("train", 2), ("car", 2), ("plane", 2)]);
    assert_eq!(Index::of(d.path()).unwrap().classes.as_slice(), ["car", "plane", "train"]);
}

#[test]
fn odd_folders_say_what_was_found_and_expected() {
    let d = dir();
    says(Index::of(&d.path().join("none")), &["there is no such file or folder", "data.root takes"]);
    says(Index::of(d.path()), &["the folder is empty", "Expected one of: class folders"]);
    put(d.path(), "a.gif", b"x");
    says(Index::of(d.path()), &["1 files (1 .gif)"]);
    put(d.path(), "a.png", b"x");
    says(Index::of(d.path()), &["1 images directly in the folder"]);
    says(Index::of(&d.path().join("a.png")), &["is not a folder or a list"]);

    let d = dir();
    fill(d.path(), &[("only", 3)]);
    says(Index::of(d.path()), &["all 3 images are of one class, 'only'"]);
    fs::create_dir(d.path().join("void")).unwrap();
    says(Index::of(d.path()), &["class folders without an image: 'void'"]);
    fill(d.path(), &[("void/deep", 1)]);
    says(Index::of(d.path()), &["one level too deep, in 'void/deep'", "Expected one of"]);

    let d = dir();
    fill(d.path(), &[("test/a", 1), ("test/b", 1), ("other", 1)]);
    says(Index::of(d.path()), &["other, test but no train folder"]);

    let d = dir();
    fill(d.path(), &[("train/forest", 1), ("train/sea", 1), ("test/Forests", 1)]);
    says(Index::of(d.path()), &["'Forests' (did you mean 'forest'?)", "none to train on"]);
}

#[cfg(unix)]
#[test]
fn links_stay_inside() {
    use std::os::unix::fs::symlink;
    let (d, outside) = (dir(), dir());
    fill(d.path(), &[("a", 2), ("b", 2)]);
    symlink("000.png", d.path().join("a/link.png")).unwrap();
    assert_eq!(Index::of(d.path()).unwrap().entries.len(), 5);
    let secret = put(outside.path(), "secret.png", &png(1));
    symlink(&secret, d.path().join("b/out.png")).unwrap();
    says(Index::of(d.path()), &["b/out.png is a symbolic link that leaves the dataset's folder"]);
    fs::remove_file(d.path().join("b/out.png")).unwrap();
    symlink(outside.path(), d.path().join("c")).unwrap();
    says(Index::of(d.path()), &["leaves the dataset's folder"]);
    fs::remove_file(d.path().join("c")).unwrap();
    symlink("nowhere.png", d.path().join("a/broken.png")).unwrap();
    says(Index::of(d.path()), &["leads nowhere"]);
}

#[test]
fn a_list_with_splits() {
    let d = dir();
    fill(d.path(), &[("x", 3), ("y", 3)]);
    let text =
        "\u{feff}Path, label ,split,camera\nx/000.png,sea,test,1\n./x/001.png,sea,,2\n\"y/000.png\",forest,train,3\n";
    let list = put(d.path(), "list.csv", text.as_bytes());
    let index = Index::of(&list).unwrap();
    assert_eq!(index.classes.as_slice(), ["forest", "sea"]);
    let rows: Vec<_> = index.entries.iter().map(|e| (e.path.as_str(), e.label, e.given)).collect();
    let expected = [("x/000.png", 1, Some(Split::Test)), ("x/001.png", 1, None), ("y/000.png", 0, Some(Split::Train))];
    assert_eq!(rows, expected);
    assert!(index.notes[0].contains("'camera'"));
}

#[test]
fn wrong_lists_name_their_lines() {
    let d = dir();
    fill(d.path(), &[("x", 3)]);
    let bad = |text: &str| Index::of(&put(d.path(), "list.csv", text.as_bytes()));
    says(bad("file,label\n"), &["no column 'path'", "path,label"]);
    says(bad("path;label\n"), &["line 1", "separated by commas"]);
    says(bad("path,label,splits\n"), &["unknown column 'splits' (did you mean 'split'?)"]);
    says(bad("path,label\n"), &["no line after it"]);
    let many = "path,label,split\nx/000.png,a,dev\n../x/000.png,a,\nx/009.png,a,\nx/001.png,,\nx/002.png,a\nx/000.png,b,test\nx/000.png,b,\nx/001.png,../up,\n";
    says(
        bad(many),
        &[
            "line 2: unknown split 'dev'; use train, val or test",
            "line 3: '../x/000.png' is not a path inside",
            "line 4: there is no file 'x/009.png'",
            "line 5: the label is empty",
            "line 6: has 2 values, the header has 3",
            "line 8: 'x/000.png' already stands on line 7",
            "line 9: the label '../up'",
        ],
    );
    let d2 = dir();
    let list = d2.path().join("latin.csv");
    fs::write(&list, b"path,label\nx\xe9.png,a\n").unwrap();
    says(Index::of(&list), &["line 2", "UTF-8"]);
}
