//! The corruptions against NumPy, SciPy, OpenCV, Pillow and ImageMagick: those without chance pixel by pixel, motion blur too
//! for angles that are drawn, the others by statistics.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and tells what it saw")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use image::{Rgb, RgbImage};
use kidu_core::rng;
use kidu_image::{Corruption, Severity};
use rand::RngExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Rings, ramps and edges, 224 pixels a side.
fn sample() -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| {
        let (u, v) = (f64::from(x) / 224.0, f64::from(y) / 224.0);
        let ring = if (((u - 0.5).hypot(v - 0.4) * 30.0) as u32).is_multiple_of(2) { 70.0 } else { 0.0 };
        let values = [30.0 + 140.0 * u + ring, 180.0 * v + ring * 0.7, 110.0 + 90.0 * (9.0 * (u + v)).sin()];
        Rgb(values.map(|value| value.clamp(0.0, 255.0) as u8))
    })
}

/// The peer's answers to cases, in order.
fn ask<T: DeserializeOwned>(python: &Path, image: &RgbImage, cases: &[Value]) -> Vec<T> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cases.json");
    let question = json!({"width": 224, "height": 224, "pixels": image.as_raw(), "cases": cases});
    fs::write(&file, question.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/corruptions.py");
    let output = Command::new(python).arg(script).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn corruptions_are_those_of_the_paper() {
    let test = "corruptions_are_those_of_the_paper";
    let Some(python) = kidu_testing::peer_python(test, &["numpy", "scipy", "cv2", "PIL"]) else { return };
    let image = sample();
    // The most that a value and the mean may differ, in levels. JPEG has another encoder's tables and sampling.
    let compared = [
        (Corruption::GaussianBlur, 1, 0.01),
        (Corruption::DefocusBlur, 1, 0.01),
        (Corruption::ZoomBlur, 1, 0.02),
        (Corruption::Brightness, 1, 0.05),
        (Corruption::Contrast, 1, 0.01),
        (Corruption::Pixelate, 1, 0.05),
        (Corruption::JpegCompression, 255, 14.0),
    ];
    let cells: Vec<_> = compared.iter().flat_map(|c| Severity::ALL.map(|severity| (*c, severity))).collect();
    let cases: Vec<Value> = cells
        .iter()
        .map(|((corruption, ..), severity)| json!({"name": corruption.name(), "severity": severity}))
        .collect();
    let theirs: Vec<Vec<u8>> = ask(&python, &image, &cases);
    assert_eq!(theirs.len(), cells.len());
    for (((corruption, most, mean), severity), theirs) in cells.into_iter().zip(theirs) {
        let ours = corruption.apply(&image, severity, &mut rng::stream(0, "none", &[]));
        let differences = || ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b));
        let greatest = differences().max().unwrap();
        let average = differences().map(f64::from).sum::<f64>() / ours.len() as f64;
        println!("{corruption} {severity}: at most {greatest}, on average {average:.4}");
        assert!(
            greatest <= most && average <= mean,
            "{corruption} {severity}: at most {greatest}, on average {average}"
        );
    }
}

/// Mean, standard deviation, root mean square distance to the image and between neighbours, in levels.
fn statistics(out: &RgbImage, image: &RgbImage) -> [f64; 4] {
    let n = out.len() as f64;
    let mean = out.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = out.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    let distance = out.iter().zip(image.iter()).map(square).sum::<f64>() / n;
    let stride = 3 * out.width() as usize;
    let across = |row: &[u8]| row.iter().zip(&row[3..]).map(square).sum::<f64>();
    let neighbours = out.as_raw().chunks_exact(stride).map(across).sum::<f64>() / (n - 3.0 * f64::from(out.height()));
    [mean, variance.sqrt(), distance.sqrt(), neighbours.sqrt()]
}

#[test]
fn random_corruptions_have_the_papers_statistics() {
    let test = "random_corruptions_have_the_papers_statistics";
    let Some(python) = kidu_testing::peer_python(test, &["numpy", "scipy", "cv2"]) else { return };
    let image = sample();
    // How often each is drawn, and how much the means may differ, in levels: clouds and maps are few for an image.
    let compared = [
        (Corruption::GaussianNoise, 2, 1.0),
        (Corruption::ShotNoise, 2, 1.0),
        (Corruption::ImpulseNoise, 2, 1.0),
        (Corruption::SpeckleNoise, 2, 1.0),
        (Corruption::GlassBlur, 1, 0.5),
        (Corruption::Fog, 40, 6.0),
        (Corruption::ElasticTransform, 16, 6.0),
    ];
    let of_interest = [Severity::ALL[0], Severity::ALL[2], Severity::ALL[4]];
    let cells: Vec<_> = compared.iter().flat_map(|c| of_interest.map(|severity| (*c, severity))).collect();
    let case = |((corruption, times, _), severity): &((Corruption, u64, f64), Severity)| json!({"name": corruption.name(), "severity": severity, "times": times});
    let theirs: Vec<[f64; 4]> = ask(&python, &image, &cells.iter().map(case).collect::<Vec<_>>());
    assert_eq!(theirs.len(), cells.len());
    let mut failures = Vec::new();
    for (((corruption, times, most), severity), theirs) in cells.into_iter().zip(theirs) {
        let draw = |key| statistics(&corruption.apply(&image, severity, &mut rng::stream(1, "peer", &[key])), &image);
        let drawn: Vec<[f64; 4]> = (0..times).map(draw).collect();
        let ours: [f64; 4] = std::array::from_fn(|i| drawn.iter().map(|d| d[i]).sum::<f64>() / times as f64);
        let line = format!("{corruption} {severity}: {ours:.2?} {theirs:.2?}");
        println!("{line}");
        if ours.iter().zip(theirs).any(|(a, b)| (a - b).abs() > most) {
            failures.push(format!("{line}; {most} allowed"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What ImageMagick's command makes of an image.
fn convert(command: &str, image: &RgbImage, arguments: &[&str]) -> RgbImage {
    let (width, height) = image.dimensions();
    let mut process = Command::new(command)
        .args(["ppm:-"])
        .args(arguments)
        .args(["-depth", "8", "ppm:-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let head = format!("P6\n{width} {height}\n255\n");
    // It reads everything before it writes.
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(head.as_bytes()).unwrap();
    stdin.write_all(image.as_raw()).unwrap();
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    let pixels = output.stdout.strip_prefix(head.as_bytes()).unwrap();
    RgbImage::from_raw(width, height, pixels.to_vec()).unwrap()
}

#[test]
fn motion_blur_is_imagemagicks() {
    let Some(command) = kidu_testing::imagemagick("motion_blur_is_imagemagicks") else { return };
    let image = sample();
    let constants = ["10x3", "15x5", "15x8", "15x12", "20x15"];
    for (severity, constants) in Severity::ALL.into_iter().zip(constants) {
        for key in 0..4 {
            let stream = || rng::stream(1, "peer", &[key]);
            let angle: f64 = stream().random_range(-45.0..45.0);
            let ours = Corruption::MotionBlur.apply(&image, severity, &mut stream());
            let theirs = convert(command, &image, &["-motion-blur", &format!("{constants}{angle:+}")]);
            let differences = || ours.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b));
            let greatest = differences().max().unwrap();
            let average = differences().map(f64::from).sum::<f64>() / ours.len() as f64;
            println!("motion_blur {severity}, {angle:.1} degrees: at most {greatest}, on average {average:.4}");
            assert!(greatest <= 1 && average < 0.05, "{severity}, {angle}: at most {greatest}, on average {average}");
        }
    }
}
