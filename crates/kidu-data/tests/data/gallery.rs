//! The gallery in Chromium; see `check_gallery.py` beside this file. With `KIDU_SCREENSHOTS`, a folder, pictures of it are
//! left there.

use std::{fs, path::Path, process::Command};

use kidu_core::{files, progress::Silent};
use kidu_data::{
    check::{self, CheckReport, Evidence, Survey, gallery},
    synth::{SynthOptions, synthesize},
};

use crate::support::{dir, put, settings};

/// Scenes with findings of each severity, in groups and alone, in two splits, and with names that a page may stumble on.
fn scenes(root: &Path) {
    let options = SynthOptions { train_per_class: 14, test_per_class: 3, size: 150, seed: 4 };
    synthesize(&options, root, &Silent).unwrap();
    let read = |path: &str| fs::read(root.join(path)).unwrap();
    let sea = read("train/sea/00001.jpg");
    put(root, "test/sea/leaked.jpg", &sea);
    put(root, "train/sea/again <b>&amp;.jpg", &read("train/sea/00002.jpg"));
    put(root, "train/glacier/is it a sea.jpg", &read("train/sea/00003.jpg"));
    put(root, "train/street/torn.jpg", &sea[..sea.len() / 2]);
    put(root, "train/street/notes.jpg", b"buy milk");
    put(root, "train/forest/really a jpeg.png", &read("train/forest/00002.jpg")[..]);
    put(root, "test/street/empty.jpg", b"");
    let long = format!("train/mountain/{}.jpg", "a-name-without-a-single-space-".repeat(7));
    let plain = |value: u8| {
        let image = image::RgbImage::from_pixel(60, 40, image::Rgb([value; 3]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    put(root, &long, &plain(5));
    for (i, value) in [120, 130, 250].into_iter().enumerate() {
        put(root, &format!("train/black|white/{i}.jpg"), &plain(value));
    }
}

#[test]
fn the_gallery_works_in_a_browser() {
    let test = "the_gallery_works_in_a_browser";
    let Some(python) = kidu_testing::peer_python(test, &["playwright"]) else { return };
    let Some(_) = kidu_testing::chromium(test) else { return };
    let dir = dir();
    let root = dir.path().join("scenes & more");
    scenes(&root);
    let settings = settings(&root);
    let survey = Survey::of(&root, dir.path(), &Silent).unwrap();
    let measured = check::measure(&survey, &settings, None, &Silent).unwrap();
    let report = check::judge(&survey, &measured.facts, &Evidence::default(), &settings, 7, &Silent).unwrap();
    let page = dir.path().join(gallery::FILE);
    gallery::save(&page, &report, &settings.limits(), settings.check.gallery_images, &Silent).unwrap();
    files::write_json(&dir.path().join(CheckReport::FILE), &report).unwrap();

    // And one of data without a finding.
    let clean = CheckReport { summary: Vec::new(), findings: Vec::new(), ..report };
    let clean_page = dir.path().join("clean.html");
    gallery::save(&clean_page, &clean, &settings.limits(), 1, &Silent).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/check_gallery.py");
    let mut command = Command::new(python);
    command.arg(script).args([&page, &dir.path().join(CheckReport::FILE), &clean_page]);
    let output = command.args(std::env::var_os("KIDU_SCREENSHOTS")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    println!("{out}");
}
