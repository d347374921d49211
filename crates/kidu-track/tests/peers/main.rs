//! What real TensorBoard and a real MLflow server make of our records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mlflow;
mod tensorboard;

use std::{path::Path, process::Command};

/// Runs a script of `tests/peers` and reads what it prints as JSON.
fn script(python: &Path, name: &str, arguments: &[&str]) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers").join(name);
    let out = Command::new(python).arg(path).args(arguments).env("NO_PROXY", "127.0.0.1").output().unwrap();
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A PNG of one colour.
fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(width, height, image::Rgb(colour))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}
