//! Data that cannot be learned from: one message, and nothing that was there is lost.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use crate::{
    command::{Ended, run},
    fixture::{SCENES, TRAINED, assert_kept, copy, scratch, set, short, snapshot, words},
};

/// 16x16 pixels with four inks, as Photoshop's kin write them (an Adobe marker, inverted values).
const CMYK_JPEG: [u8; 208] = [
    0xff, 0xd8, 0xff, 0xee, 0x00, 0x0e, 0x41, 0x64, 0x6f, 0x62, 0x65, 0x00, 0x64, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff,
    0xdb, 0x00, 0x43, 0x00, 0x0d, 0x09, 0x0a, 0x0b, 0x0a, 0x08, 0x0d, 0x0b, 0x0a, 0x0b, 0x0e, 0x0e, 0x0d, 0x0f, 0x13,
    0x20, 0x15, 0x13, 0x12, 0x12, 0x13, 0x27, 0x1c, 0x1e, 0x17, 0x20, 0x2e, 0x29, 0x31, 0x30, 0x2e, 0x29, 0x2d, 0x2c,
    0x33, 0x3a, 0x4a, 0x3e, 0x33, 0x36, 0x46, 0x37, 0x2c, 0x2d, 0x40, 0x57, 0x41, 0x46, 0x4c, 0x4e, 0x52, 0x53, 0x52,
    0x32, 0x3e, 0x5a, 0x61, 0x5a, 0x50, 0x60, 0x4a, 0x51, 0x52, 0x4f, 0xff, 0xc0, 0x00, 0x14, 0x08, 0x00, 0x10, 0x00,
    0x10, 0x04, 0x43, 0x11, 0x00, 0x4d, 0x11, 0x00, 0x59, 0x11, 0x00, 0x4b, 0x11, 0x00, 0xff, 0xc4, 0x00, 0x16, 0x00,
    0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x06,
    0xff, 0xc4, 0x00, 0x19, 0x10, 0x01, 0x00, 0x02, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x06, 0x15, 0x42, 0x62, 0xa1, 0xff, 0xda, 0x00, 0x0e, 0x04, 0x43, 0x00, 0x4d, 0x00, 0x59, 0x00,
    0x4b, 0x00, 0x00, 0x3f, 0x00, 0xd5, 0x48, 0xb3, 0x6a, 0xaf, 0xf7, 0xea, 0x9c, 0xa1, 0x25, 0x72, 0x2c, 0xcb, 0xfd,
    0xfa, 0x0a, 0xa4, 0x8b, 0x34, 0xae, 0xff, 0x00, 0x7e, 0x82, 0x57, 0x22, 0xcc, 0xbf, 0xdf, 0xa0, 0xff, 0xd9,
];

/// A folder with an earlier run's files in it.
fn workplace() -> TempDir {
    let dir = scratch();
    let earlier = dir.path().join("runs/train/earlier");
    fs::create_dir_all(earlier.join("bundle")).unwrap();
    fs::write(earlier.join("metrics.csv"), "epoch,step\n0,3\n").unwrap();
    fs::write(earlier.join("bundle/bundle.json"), "{}").unwrap();
    dir
}

/// `kidu train` on `root`, which must fail without touching anything that was there and without a result.
#[track_caller]
fn refuses(dir: &Path, root: &str, words: &[&str]) -> Ended {
    let before = snapshot(dir);
    let root = format!("data.root={root}");
    let arguments = ["train", &root, "model=resnet18", "data.image_size=32", "trainer.max_epochs=1", "--out", "new"];
    let ended = run(dir, &arguments).fails(1, words);
    assert_kept(&before);
    assert!(ended.err.contains("run folder: new"), "{ended:#?}");
    let made: Vec<_> =
        ["bundle", "checkpoints", "summary.json"].iter().filter(|n| dir.join("new").join(n).exists()).collect();
    assert!(made.is_empty(), "{made:?}");
    ended
}

/// Some training images of a class, copied.
fn take(class: &str, images: usize, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(SCENES.join("train").join(class)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in &paths[..images] {
        fs::copy(path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Two whole classes in `photos`.
fn two_classes(dir: &Path) -> PathBuf {
    let photos = dir.join("photos");
    take("sea", 8, &photos.join("sea"));
    take("forest", 8, &photos.join("forest"));
    photos
}

#[test]
fn an_empty_folder() {
    let dir = workplace();
    fs::create_dir(dir.path().join("photos")).unwrap();
    refuses(dir.path(), "photos", &["photos", "the folder is empty", "Expected"]);
}

#[test]
fn a_folder_that_is_not_there() {
    let dir = workplace();
    refuses(dir.path(), "nothing", &["nothing", "no such file or folder"]);
}

#[test]
fn one_class_only() {
    let dir = workplace();
    take("sea", 8, &dir.path().join("photos/sea"));
    refuses(dir.path(), "photos", &["one class", "'sea'", "at least two classes"]);
}

#[test]
fn a_class_with_two_images() {
    let dir = workplace();
    take("sea", 8, &dir.path().join("photos/sea"));
    take("forest", 2, &dir.path().join("photos/forest"));
    refuses(dir.path(), "photos", &["'forest' (2 images)", "at least 3", "Add images"]);
}

/// Two classes as a zip archive, with one more entry.
fn zipped(path: &Path, more: Option<&str>) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default();
    for class in ["sea", "forest"] {
        for number in 1..=8 {
            let name = format!("{class}/{number:05}.jpg");
            archive.start_file(&name, options).unwrap();
            archive.write_all(&fs::read(SCENES.join("train").join(&name)).unwrap()).unwrap();
        }
    }
    if let Some(name) = more {
        archive.start_file(name, options).unwrap();
        archive.write_all(b"out").unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn a_zip_that_is_none() {
    let dir = workplace();
    fs::write(dir.path().join("photos.zip"), "PK and then nothing").unwrap();
    refuses(dir.path(), "photos.zip", &["photos.zip", "is not a whole zip archive", "nothing was extracted"]);
}

#[test]
fn a_zip_that_was_cut_off() {
    let dir = workplace();
    let path = dir.path().join("photos.zip");
    zipped(&path, None);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refuses(dir.path(), "photos.zip", &["photos.zip", "is not a whole zip archive", "nothing was extracted"]);
}

#[test]
fn a_zip_with_a_damaged_image() {
    let dir = workplace();
    let path = dir.path().join("photos.zip");
    zipped(&path, None);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].fill(0);
    fs::write(&path, bytes).unwrap();
    refuses(dir.path(), "photos.zip", &["photos.zip", "nothing was extracted"]);
    assert!(no_images_in(&dir.path().join("new")));
}

#[test]
fn a_zip_that_leaves_its_folder() {
    let dir = workplace();
    zipped(&dir.path().join("photos.zip"), Some("../evil.txt"));
    refuses(dir.path(), "photos.zip", &["photos.zip", "'../evil.txt'", "leaves the folder", "nothing was extracted"]);
    let all = snapshot(dir.path());
    assert!(!all.keys().any(|p| p.ends_with("evil.txt")), "{all:?}");
    assert!(no_images_in(&dir.path().join("new")));
}

fn no_images_in(dir: &Path) -> bool {
    !snapshot(dir).keys().any(|p| p.extension().is_some_and(|e| e == "jpg"))
}

/// A whole PNG of 30000x30000 pixels by its header, with next to nothing in it.
fn huge_png() -> Vec<u8> {
    let side = 30_000_u32.to_be_bytes();
    let header = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    // Deflate: one stored block of one byte, with its Adler-32.
    let data = [0x78, 0x01, 0x01, 0x01, 0x00, 0xfe, 0xff, 0x00, 0x00, 0x01, 0x00, 0x01];
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", &header[..]), (b"IDAT", &data), (b"IEND", &[])] {
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(kind);
        png.extend(content);
        png.extend(crc32(&[&kind[..], content].concat()).to_be_bytes());
    }
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

#[test]
fn a_png_of_30000_pixels_a_side_is_refused_before_it_is_decoded() {
    let dir = workplace();
    let photos = two_classes(dir.path());
    fs::write(photos.join("sea/huge.png"), huge_png()).unwrap();
    let start = Instant::now();
    let words = ["sea/huge.png", "30000x30000", "data.max_pixels=50000000", "raise data.max_pixels and data.max_side"];
    refuses(dir.path(), "photos", &words);
    // 2.7 GB of pixels would take longer to decode, where they fit at all.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let huge = photos.join("sea/huge.png").display().to_string();
    let bundle = TRAINED.join("bundle").display().to_string();
    let words = ["huge.png", "30000x30000", "raise --max-pixels and --max-side"];
    run(dir.path(), &["predict", "--bundle", &bundle, &huge, "--json"]).fails(1, &words);
}

#[test]
fn the_limits_on_images_can_be_set() {
    let dir = workplace();
    image::RgbImage::new(20_000, 4).save(two_classes(dir.path()).join("sea/wide.png")).unwrap();
    let split =
        |more: &[&str]| run(dir.path(), &[&["data", "split", "data.root=photos", "--out", "split"], more].concat());
    split(&[]).fails(1, &["sea/wide.png", "20000x4", "data.max_side=16384", "raise data.max_side"]);
    split(&["data.max_side=20000"]).ok();
    split(&["data.max_side=20000", "data.max_pixels=79999"]).fails(1, &["wide.png", "raise data.max_pixels"]);

    let bundle = TRAINED.join("bundle").display().to_string();
    let predict =
        |more: &[&str]| run(dir.path(), &[&["predict", "--bundle", &bundle, "photos/sea/wide.png"], more].concat());
    predict(&[]).fails(1, &["wide.png", "--max-side=16384", "raise --max-side"]);
    predict(&["--max-side", "20000"]).ok();
    predict(&["--max-side", "20000", "--max-bytes", "50"]).fails(1, &["wide.png", "raise --max-bytes"]);
}

#[test]
fn a_text_file_named_jpg_is_named_or_left_out_by_choice() {
    let dir = workplace();
    let photos = two_classes(dir.path());
    fs::write(photos.join("sea/notes.jpg"), "buy milk\n").unwrap();
    let words_expected = ["sea/notes.jpg", "is text", "data.on_bad_image=skip"];
    refuses(dir.path(), "photos", &words_expected);

    let arguments = ["data", "split", "data.root=photos", "data.on_bad_image=skip", "--out", "split", "--json"];
    let ended = run(dir.path(), &arguments).ok();
    assert!(ended.err.contains("left out sea/notes.jpg: is text"), "{ended:#?}");
    assert!(ended.json()["report"]["skipped"].to_string().contains("sea/notes.jpg"), "{ended:#?}");
}

#[test]
fn a_jpeg_with_four_inks_is_read() {
    let dir = workplace();
    let photos = two_classes(dir.path());
    let image = photos.join("sea/inks.jpg");
    fs::write(&image, CMYK_JPEG).unwrap();
    run(dir.path(), &["data", "split", "data.root=photos", "--out", "split"]).ok();
    let manifest = fs::read_to_string(dir.path().join("split/manifest.json")).unwrap();
    assert!(manifest.contains("sea/inks.jpg"), "{manifest}");

    let bundle = TRAINED.join("bundle").display().to_string();
    let ended = run(dir.path(), &["predict", "--bundle", &bundle, "photos/sea/inks.jpg", "--json"]).ok();
    assert_eq!(ended.json().as_array().unwrap().len(), 1, "{ended:#?}");
}

#[test]
fn a_class_that_the_bundle_does_not_know() {
    let dir = workplace();
    let photos = two_classes(dir.path());
    take("street", 8, &photos.join("desert"));
    let before = snapshot(dir.path());
    let bundle = TRAINED.join("bundle").display().to_string();
    let ended = run(dir.path(), &["evaluate", "--bundle", &bundle, "data.root=photos", "--out", "judged"]);
    ended.fails(1, &["the class 'desert'", "knows only buildings, forest", "its own classes"]);
    assert_kept(&before);
    assert!(!dir.path().join("judged/evaluation.json").exists());
}

#[test]
fn a_bundle_with_changed_weights_is_not_used() {
    let dir = workplace();
    let bundle = dir.path().join("bundle");
    copy(&TRAINED.join("bundle"), &bundle);
    let weights = bundle.join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let image = SCENES.join("test/sea/00001.jpg").display().to_string();
    let expected = ["weights.safetensors", "SHA-256", "restore it or build it again"];
    run(dir.path(), &["predict", "--bundle", "bundle", &image, "--json"]).fails(1, &expected);
    let root = set("data.root", &SCENES);
    run(dir.path(), &["evaluate", "--bundle", "bundle", &root, "--json"]).fails(1, &expected);
    assert!(!dir.path().join("runs/evaluate").exists(), "nothing was begun");

    run(dir.path(), &["predict", "--bundle", "nothing", &image]).fails(1, &["nothing", "is not a bundle"]);
}

#[test]
fn the_same_image_in_training_and_test_is_refused_by_default() {
    let dir = workplace();
    let photos = dir.path().join("photos");
    copy(&SCENES, &photos);
    fs::copy(photos.join("train/sea/00001.jpg"), photos.join("test/sea/copy.jpg")).unwrap();
    refuses(dir.path(), "photos", &["train/sea/00001.jpg", "test/sea/copy.jpg", "data.on_duplicate=drop"]);
    let mut arguments = short();
    arguments.splice(0..1, ["data.root=photos".into(), "data.on_duplicate=drop".into()]);
    let arguments = [vec!["data", "split", "--out", "split"], words(&arguments)].concat();
    run(dir.path(), &arguments).ok();
}
