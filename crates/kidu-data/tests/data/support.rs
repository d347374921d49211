//! Small images in temporary folders.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{ImageFormat, Rgb, RgbImage};
use kidu_core::{Filter, ImageSpec};
use kidu_data::DataSettings;
use tempfile::TempDir;

/// A picture that no other number gives.
pub(crate) fn picture(number: u32) -> RgbImage {
    RgbImage::from_fn(20 + number % 3, 16, |x, y| {
        Rgb([(number * 37 + x * 5) as u8, (number / 7 + y * 9) as u8, (number ^ (x * y)) as u8])
    })
}

pub(crate) fn encode(number: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture(number).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn png(number: u32) -> Vec<u8> {
    encode(number, ImageFormat::Png)
}

/// Writes a file and its folders.
pub(crate) fn put(root: &Path, path: &str, bytes: &[u8]) -> PathBuf {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes).unwrap();
    file
}

/// Class folders below `root`: `(prefix, number of images)`, all images different.
pub(crate) fn fill(root: &Path, folders: &[(&str, u32)]) {
    for (k, (folder, n)) in folders.iter().enumerate() {
        for i in 0..*n {
            put(root, &format!("{folder}/{i:03}.png"), &png(1000 * (k as u32 + 1) + i));
        }
    }
}

pub(crate) fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn settings(root: &Path) -> DataSettings {
    DataSettings { root: Some(root.to_path_buf()), num_workers: 2, ..DataSettings::default() }
}

pub(crate) fn spec() -> ImageSpec {
    ImageSpec::imagenet(16, Filter::Bilinear)
}

/// The error's message with all of `parts` in it.
#[track_caller]
pub(crate) fn says<T>(result: kidu_data::Result<T>, parts: &[&str]) {
    let Err(error) = result else { panic!("no error; expected one with {parts:?}") };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}
