//! From a path to a manifest.

use std::fs;

use image::ImageFormat;
use kidu_core::{DatasetManifest, Split, progress::Silent};
use kidu_data::{
    DataSettings, Decoded, OnBadImage, OnDuplicate, OnNearDuplicate, Report,
    check::{Survey, measure},
    materialize, prepare, prepare_decoded,
    synth::{SynthOptions, synthesize},
};

use crate::support::{dir, encode, fill, png, put, says, settings};

#[test]
fn the_same_content_and_seed_give_the_same_manifest() {
    let d = dir();
    fill(d.path(), &[("data/a", 20), ("data/b", 10)]);
    let root = d.path().join("data");
    let one = prepare(&settings(&root), 7, &d.path().join("o1"), &Silent).unwrap();
    let serial = DataSettings { num_workers: 1, ..settings(&root) };
    let two = prepare(&serial, 7, &d.path().join("o2"), &Silent).unwrap();
    assert_eq!(one.manifest.items, two.manifest.items);
    let rows: Vec<_> = one.report.summary.iter().map(|r| (r.class.as_str(), r.train, r.val, r.test)).collect();
    assert_eq!(rows, [("a", 16, 2, 2), ("b", 8, 1, 1)]);
    let other = prepare(&settings(&root), 8, &d.path().join("o3"), &Silent).unwrap();
    assert_ne!(one.manifest.version, other.manifest.version);
    assert_eq!(DatasetManifest::load(&one.manifest_path).unwrap(), one.manifest);
    assert!(d.path().join("o1").join(Report::FILE).is_file());
}

#[test]
fn settings_and_small_classes_give_clear_messages() {
    let d = dir();
    let out = d.path().join("out");
    says(prepare(&DataSettings::default(), 1, &out, &Silent), &["data.root", "is not set"]);
    fill(d.path(), &[("data/a", 5), ("data/b", 2)]);
    let root = d.path().join("data");
    says(
        prepare(&settings(&root), 1, &out, &Silent),
        &["too few images to split: 'b' (2 images)", "at least 3, one for each of train, val, test"],
    );
    assert!(!out.exists(), "a refused dataset writes nothing");
    let shares = DataSettings { train_val_test_split: [0.8, 0.2, 0.0], ..settings(&root) };
    assert_eq!(prepare(&shares, 1, &out, &Silent).unwrap().report.summary[1].train, 1);
}

#[test]
fn bad_images_stop_or_are_reported() {
    let d = dir();
    fill(d.path(), &[("data/a", 5), ("data/b", 5)]);
    let root = d.path().join("data");
    put(&root, "a/text.jpg", b"not a picture");
    put(&root, "b/empty.png", b"");
    put(&root, "b/cut.png", &png(1)[..60]);
    let out = d.path().join("out");
    says(
        prepare(&settings(&root), 1, &out, &Silent),
        &[
            "3 of 13 images cannot be used",
            "a/text.jpg: is",
            "b/empty.png: is empty",
            "b/cut.png: ",
            "on_bad_image=skip",
        ],
    );
    let skip = DataSettings { on_bad_image: OnBadImage::Skip, ..settings(&root) };
    let prepared = prepare(&skip, 1, &out, &Silent).unwrap();
    let paths: Vec<_> = prepared.report.skipped.iter().map(|s| s.0.as_str()).collect();
    assert_eq!(paths, ["a/text.jpg", "b/cut.png", "b/empty.png"]);
    assert_eq!(prepared.manifest.items.len(), 10);
    let tiny = DataSettings { max_pixels: 10, ..skip.clone() };
    says(prepare(&tiny, 1, &out, &Silent), &["no usable image is left"]);
    let bytes = DataSettings { max_bytes: 20, on_bad_image: OnBadImage::Error, ..skip };
    says(prepare(&bytes, 1, &out, &Silent), &["more than data.max_bytes=20"]);
}

#[test]
fn equal_bytes_in_two_splits_are_refused_dropped_or_allowed() {
    let d = dir();
    fill(d.path(), &[("data/train/a", 6), ("data/train/b", 6), ("data/test/a", 2), ("data/test/b", 2)]);
    let root = d.path().join("data");
    put(&root, "train/a/again.png", &fs::read(root.join("test/a/000.png")).unwrap());
    put(&root, "train/b/copy.png", &fs::read(root.join("train/b/000.png")).unwrap());
    let out = d.path().join("out");
    says(
        prepare(&settings(&root), 1, &out, &Silent),
        &["in two splits: test/a/000.png (test) = train/a/again.png (train)", "data.on_duplicate=drop"],
    );
    let with = |policy| DataSettings { on_duplicate: policy, ..settings(&root) };
    let dropped = prepare(&with(OnDuplicate::Drop), 1, &out, &Silent).unwrap();
    assert!(dropped.manifest.items.iter().all(|i| i.path != "train/a/again.png" && i.path != "train/b/copy.png"));
    assert_eq!(dropped.manifest.counts(Split::Test), [2, 2]);
    assert_eq!(dropped.report.duplicates.len(), 2);
    let allowed = prepare(&with(OnDuplicate::Allow), 1, &out, &Silent).unwrap();
    assert_eq!(allowed.manifest.items.len(), 18);
    assert!(allowed.report.notes.iter().any(|n| n.contains("too good")));
}

#[test]
fn a_frozen_dataset_can_be_written_out() {
    let d = dir();
    for i in 0..4 {
        put(d.path(), &format!("one/{i}.png"), &png(i));
        put(d.path(), &format!("two/{i}.png"), &png(10 + i));
        put(d.path(), &format!("three/{i}.jpg"), &encode(20 + i, ImageFormat::Jpeg));
    }
    let line = |i: usize| format!("one/{i}.png,a b\ntwo/{i}.png,a b\nthree/{i}.jpg,ç\n");
    let list = put(d.path(), "list.csv", format!("path,label\n{}", (0..4).map(line).collect::<String>()).as_bytes());
    let prepared = prepare(&settings(&list), 1, &d.path().join("out"), &Silent).unwrap();
    let target = d.path().join("dataset");
    let written = materialize(&prepared.manifest, &target, &Silent).unwrap();
    assert_eq!(written.version, prepared.manifest.version);
    assert!(written.items.iter().all(|i| written.file_of(i).is_file()));
    assert!(target.join("train/ç").is_dir());
    says(materialize(&prepared.manifest, &target, &Silent), &["already holds a dataset"]);
    // The written folder is itself a dataset, with all splits given.
    let again = prepare(&settings(&target), 99, &d.path().join("out2"), &Silent).unwrap();
    assert_eq!(again.manifest.version, written.version);

    let victim = prepared.manifest.file_of(&prepared.manifest.items[0]);
    fs::remove_file(&victim).unwrap();
    fs::write(&victim, png(77)).unwrap();
    let other = d.path().join("other");
    says(materialize(&prepared.manifest, &other, &Silent), &["does not match its recorded SHA-256"]);
    assert!(!other.join("train").exists());
}

#[test]
fn what_the_doctor_decoded_is_not_decoded_again_and_nothing_else_changes() {
    let d = dir();
    let root = d.path().join("data");
    let options = SynthOptions { train_per_class: 4, test_per_class: 2, size: 48, seed: 3 };
    synthesize(&options, &root, &Silent).unwrap();
    put(&root, "train/sea/text.jpg", b"not a picture");
    let scene = fs::read(root.join("train/sea/00001.jpg")).unwrap();
    put(&root, "train/sea/cut.jpg", &scene[..scene.len() / 2]);
    put(&root, "train/sea/small.png", &png(1));
    fs::copy(root.join("test/street/00001.jpg"), root.join("train/street/again.jpg")).unwrap();
    let settings = DataSettings {
        on_bad_image: OnBadImage::Skip,
        on_duplicate: OnDuplicate::Drop,
        on_near_duplicate: OnNearDuplicate::Warn,
        ..settings(&root)
    };
    let facts = || measure(&Survey::of(&root, d.path(), &Silent).unwrap(), &settings, None, &Silent).unwrap().facts;
    let decoded = Decoded::of(facts(), &settings.limits());
    let written = |out: &str, decoded: &Decoded| {
        let out = d.path().join(out);
        prepare_decoded(&settings, 1, &out, decoded, &Silent).unwrap();
        ["manifest.json", Report::FILE].map(|name| fs::read_to_string(out.join(name)).unwrap())
    };
    let plain = written("plain", &Decoded::default());
    assert!(plain[1].contains("text.jpg") && plain[1].contains("cut.jpg"), "{}", plain[1]);
    assert_eq!(written("known", &decoded), plain);

    // It goes by the bytes: what was put in the place of a decoded file is looked at.
    fs::write(root.join("train/sea/00002.jpg"), b"no picture any more").unwrap();
    assert!(written("changed", &decoded)[1].contains("00002.jpg"));
    // And these bytes, which are said to decode, are not asked.
    let mut claimed = facts();
    claimed.retain(|f| f.pixels.is_some());
    claimed[0].sha256 = Some(kidu_core::Sha256Hex::of_bytes(b"not a picture"));
    let trusted = Decoded::of(claimed, &settings.limits());
    let report: serde_json::Value = serde_json::from_str(&written("trusted", &trusted)[1]).unwrap();
    let skipped: Vec<&str> = report["skipped"].as_array().unwrap().iter().map(|s| s[0].as_str().unwrap()).collect();
    assert_eq!(skipped, ["train/sea/00002.jpg", "train/sea/cut.jpg"]);
}
