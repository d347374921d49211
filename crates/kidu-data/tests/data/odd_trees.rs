//! Folders that nobody would make on purpose: links, long names, what is no file, one class or none.

use std::{fs, path::Path};

use kidu_core::progress::Silent;
use kidu_data::{
    DataSettings, Index,
    check::{self, CheckReport, Evidence, Kind, Survey},
    versions::{CheckoutOptions, LinkMode, SnapshotOptions, VersionStore, checkout, snapshot, verify},
};

use crate::support::{dir, fill, picture, png, put, says, settings};

fn checked(root: &Path) -> CheckReport {
    let settings: DataSettings = settings(root);
    let survey = Survey::of(root, root, &Silent).unwrap();
    let facts = check::measure(&survey, &settings, None, &Silent).unwrap().facts;
    check::judge(&survey, &facts, &Evidence::default(), &settings, 1, &Silent).unwrap()
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use kidu_data::versions::LinkPolicy;

    use super::*;

    /// A dataset in which one image is a link to a file elsewhere.
    fn linked() -> (tempfile::TempDir, VersionStore, kidu_data::versions::Version) {
        let dir = dir();
        let root = dir.path().join("photos");
        fill(&root, &[("cat", 2), ("dog", 2)]);
        put(dir.path(), "elsewhere.png", &png(7));
        symlink("../../elsewhere.png", root.join("cat/link.png")).unwrap();
        let options = SnapshotOptions { links: LinkPolicy::Follow, link: LinkMode::Hard, ..SnapshotOptions::default() };
        let taken = snapshot(&dir.path().join("store"), &root, &options, &Silent).unwrap();
        let store = VersionStore::open(&dir.path().join("store")).unwrap();
        (dir, store, taken.version)
    }

    #[test]
    fn a_followed_link_is_kept_as_a_content_and_its_file_left_alone() {
        let (dir, store, version) = linked();
        let elsewhere = dir.path().join("elsewhere.png");
        assert!(!fs::metadata(&elsewhere).unwrap().permissions().readonly(), "it is no file of the dataset");
        assert!(fs::metadata(dir.path().join("photos/cat/000.png")).unwrap().permissions().readonly());
        let verified = verify(&store, &Silent).unwrap();
        assert_eq!((verified.objects, verified.damage), (5, vec![]));
        fs::write(&elsewhere, b"something else").unwrap();
        for link in [LinkMode::Copy, LinkMode::Hard] {
            let to = dir.path().join(format!("{link:?}"));
            checkout(&store, &version, &to, CheckoutOptions { link, force: false }, &Silent).unwrap();
            assert_eq!(fs::read(to.join("cat/link.png")).unwrap(), png(7));
        }
    }

    #[test]
    fn a_forced_checkout_leaves_no_link_in_the_tree() {
        let (dir, store, version) = linked();
        let root = dir.path().join("photos");
        checkout(&store, &version, &root, CheckoutOptions { link: LinkMode::Copy, force: true }, &Silent).unwrap();
        let restored = root.join("cat/link.png");
        assert!(!restored.is_symlink() && fs::read(&restored).unwrap() == png(7));
        fs::write(&restored, b"mine").unwrap();
        assert_eq!(fs::read(dir.path().join("elsewhere.png")).unwrap(), png(7));
    }

    #[test]
    fn a_pipe_with_the_name_of_an_image_keeps_nobody_waiting() {
        let dir = dir();
        let root = dir.path().join("photos");
        fill(&root, &[("cat", 3), ("dog", 3)]);
        let made = std::process::Command::new("mkfifo").arg(root.join("cat/pipe.jpg")).status().unwrap();
        assert!(made.success());
        let report = checked(&root);
        let pipe = report.findings.iter().find(|f| f.kind == Kind::Corrupt).unwrap();
        assert!(pipe.files[0].path == "cat/pipe.jpg" && pipe.message.contains("not a plain file"), "{pipe:?}");
        let refused = snapshot(&dir.path().join("store"), &root, &SnapshotOptions::default(), &Silent).unwrap_err();
        assert!(refused.to_string().contains("cat/pipe.jpg"), "{refused}");
    }
}

#[test]
fn the_longest_names_are_kept_and_restored() {
    let dir = dir();
    let root = dir.path().join("photos");
    // 255 bytes, and a path of more than a thousand.
    let folder = ["é".repeat(127), "b".repeat(255), "c".repeat(255), "d".repeat(255)].join("/");
    let long = format!("{folder}/{}.png", "x".repeat(251));
    put(&root, &long, &png(1));
    put(&root, "short.png", &png(2));
    let store = dir.path().join("store");
    let version = snapshot(&store, &root, &SnapshotOptions::default(), &Silent).unwrap().version;
    assert_eq!(version.files.len(), 2);
    let to = dir.path().join("restored");
    let store = VersionStore::open(&store).unwrap();
    checkout(&store, &version, &to, CheckoutOptions::default(), &Silent).unwrap();
    assert_eq!(fs::read(to.join(&long)).unwrap(), png(1));
}

#[test]
fn one_class_is_looked_over_and_not_trained_on() {
    let dir = dir();
    let root = dir.path().join("photos");
    fill(&root, &[("cat", 12)]);
    let report = checked(&root);
    assert_eq!((report.images, report.classes.len(), report.labels.is_none()), (12, 1, true));
    says(Index::of(&root), &["all 12 images are of one class, 'cat'"]);
    // All of its images but one are bad.
    for i in 1..12 {
        put(&root, &format!("cat/{i:03}.png"), b"");
    }
    let report = checked(&root);
    assert_eq!(report.findings.iter().filter(|f| f.kind == Kind::Corrupt).count(), 11);
    assert_eq!(report.classes[0].train, 1);
}

#[test]
fn without_an_image_the_doctor_says_what_it_found_instead() {
    let dir = dir();
    let survey = |path: &str| Survey::of(&dir.path().join(path), dir.path(), &Silent);
    fs::create_dir_all(dir.path().join("empty")).unwrap();
    says(survey("empty"), &["the folder is empty"]);
    fs::create_dir_all(dir.path().join("hollow/cat")).unwrap();
    fs::create_dir_all(dir.path().join("hollow/dog")).unwrap();
    says(survey("hollow"), &["cat, dog", "no image"]);
    put(dir.path(), "texts/cat/notes.txt", b"buy milk");
    put(dir.path(), "texts/dog/notes.txt", b"buy milk");
    says(survey("texts"), &["no image"]);
    says(survey("absent"), &["there is no such file or folder"]);
}

#[test]
fn images_of_one_pixel_and_of_one_row_are_measured() {
    let dir = dir();
    let root = dir.path().join("photos");
    for (name, width, height) in [("cat/dot", 1, 1), ("cat/row", 400, 1), ("dog/column", 1, 400), ("dog/whole", 40, 40)]
    {
        let image = image::imageops::resize(&picture(9), width, height, image::imageops::FilterType::Nearest);
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        put(&root, &format!("{name}.png"), &bytes.into_inner());
    }
    let report = checked(&root);
    let of = |kind: Kind| report.findings.iter().filter(|f| f.kind == kind).count();
    assert_eq!((of(Kind::Tiny), of(Kind::Corrupt)), (3, 0), "{:?}", report.findings);
}
