//! Decoding and resizing against Pillow's results for real photographs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test; helpers outside #[test] functions too")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use kidu_core::{Filter, ImageSpec};
use kidu_image::{Limits, Preprocessor, RgbImage, decode};

/// The folder of reference data, or none with a message; in continuous integration its absence is a failure.
fn reference() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = env::var_os("KIDU_SHARED").map_or(default, PathBuf::from).join("goldens/preprocess");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(env::var("CI").as_deref() != Ok("true"), "{} is missing; set KIDU_SHARED", folder.display());
    println!("skipped: {} is missing; set KIDU_SHARED to the folder of reference data", folder.display());
    None
}

fn read(path: &Path) -> RgbImage {
    let bytes = fs::read(path).unwrap();
    decode(&bytes, &Limits::default()).unwrap_or_else(|e| panic!("{} {e}", path.display()))
}

/// Mean absolute difference in grey levels, and the share of values within 4.
fn compare(a: &RgbImage, b: &RgbImage) -> (f64, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let differences: Vec<u8> = a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
    let count = differences.len() as f64;
    let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / count;
    (mean, differences.iter().filter(|d| **d <= 4).count() as f64 / count)
}

#[test]
fn photographs_agree_with_pillow() {
    let Some(folder) = reference() else { return };
    let mut compared = 0;
    for class in fs::read_dir(folder.join("source")).unwrap() {
        let class = class.unwrap().path();
        for source in fs::read_dir(&class).unwrap() {
            let source = source.unwrap().path();
            let image = read(&source);
            for (filter, name) in [(Filter::Bilinear, "bilinear"), (Filter::Bicubic, "bicubic")] {
                let class = class.file_name().unwrap().to_string_lossy();
                let stem = source.file_stem().unwrap().to_string_lossy();
                let golden = read(&folder.join(format!("{class}_{stem}.{name}.png")));
                let found = Preprocessor::new(&ImageSpec::imagenet(golden.width(), filter)).resize(&image);
                let (mean, within) = compare(&found, &golden);
                println!("{class}_{stem}.{name}: mean {mean:.3}, within 4: {within:.5}");
                assert!(mean < 1.0 && within >= 0.995, "{class}_{stem}.{name}: {mean} {within}");
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "{} holds no source image", folder.display());
}
