//! Which images are judged when nobody says: those of the test split, or what the bundle has not seen.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    command::{Ended, run},
    fixture::{SCENES, TRAINED, copy, scratch, set, short, words},
};

/// `kidu evaluate` on `photos` without `--split`, and what evaluation.json says of it.
#[track_caller]
fn judge(dir: &Path, bundle: &Path, more: &[&str]) -> (Ended, Value) {
    let bundle = bundle.display().to_string();
    let arguments = ["evaluate", "--bundle", &bundle, "data.root=photos", "--out", "judged", "--json"];
    let ended = run(dir, &[&arguments[..], more].concat()).ok();
    let details = ended.json()["kidu"].clone();
    (ended, details)
}

#[track_caller]
fn expect(details: &Value, split: &str, images: u64, reason: &str) {
    assert_eq!(details["judged"]["split"], split, "{details}");
    assert_eq!(details["images"], images, "{details}");
    assert!(details["judged"]["reason"].as_str().unwrap().contains(reason), "{details}");
}

#[test]
fn class_folders_that_the_bundle_has_not_seen_are_judged_whole() {
    let dir = scratch();
    let photos = dir.path().join("photos");
    copy(&SCENES.join("test"), &photos);
    let bundle = TRAINED.join("bundle");
    let (ended, details) = judge(dir.path(), &bundle, &[]);
    expect(&details, "all", 18, "no test split of its own");
    assert!(ended.err.contains("judging all splits, 18 images: the dataset has no test split"), "{ended:#?}");
    let (_, details) = judge(dir.path(), &bundle, &["--split", "test"]);
    expect(&details, "test", 6, "as --split test says");

    // Two images of a class cannot be split, but judged.
    for class in fs::read_dir(&photos).unwrap().map(|e| e.unwrap().path()) {
        fs::remove_file(class.join("00003.jpg")).unwrap();
    }
    let (_, details) = judge(dir.path(), &bundle, &[]);
    expect(&details, "all", 12, "no test split of its own");

    // Images of the bundle's own training among them tell nothing.
    fs::copy(SCENES.join("train/sea/00001.jpg"), photos.join("sea/known.jpg")).unwrap();
    let (_, details) = judge(dir.path(), &bundle, &[]);
    expect(&details, "all", 12, "1 images are left out because they took part in that training");
    let (_, details) = judge(dir.path(), &bundle, &["--split", "all"]);
    expect(&details, "all", 13, "as --split all says");
}

#[test]
fn a_test_split_of_the_dataset_s_own_is_judged_alone() {
    let dir = scratch();
    copy(&SCENES, &dir.path().join("photos"));
    let (_, details) = judge(dir.path(), &TRAINED.join("bundle"), &[]);
    expect(&details, "test", 18, "a test split of its own");
}

#[test]
fn of_the_class_folders_that_the_bundle_was_trained_on_the_test_share_is_judged() {
    let dir = scratch();
    copy(&SCENES.join("train"), &dir.path().join("photos"));
    let short = short();
    let train = ["train", "--out", "run", "data.root=photos", "callbacks=none"];
    run(dir.path(), &[&train[..], &words(&short)[1..]].concat()).ok();
    let (ended, details) = judge(dir.path(), &dir.path().join("run/bundle"), &[]);
    expect(&details, "test", 6, "the bundle was trained on this very division");
    assert!(ended.err.contains("judging the test split, 6 images"), "{ended:#?}");
    let text = run(dir.path(), &["evaluate", "--bundle", "run/bundle", "data.root=photos"]).ok().out;
    assert!(text.contains("judged             test: 6 images (the dataset has no test split"), "{text}");
}

#[test]
fn a_dataset_of_which_the_bundle_has_seen_everything_is_not_judged_unasked() {
    let dir = scratch();
    let (bundle, root) = (TRAINED.join("bundle").display().to_string(), set("data.root", &SCENES.join("train")));
    let judge = |more: &[&str]| run(dir.path(), &[&["evaluate", "--bundle", &bundle, &root], more].concat());
    judge(&[]).fails(1, &["all 48 images took part in the bundle's training", "--split all"]);
    judge(&["--split", "all"]).ok();
}
