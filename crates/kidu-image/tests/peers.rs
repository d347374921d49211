//! Each transform against OpenCV, albumentations and torchvision, with the same explicit parameters.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and tells what it saw")]

use std::{fs, path::Path, process::Command};

use image::{Rgb, RgbImage};
use kidu_image::augment::{
    functional::{self as f, BorderMode, Dihedral},
    randaugment::Op,
    zoo::IMAGENET,
};
use serde_json::{Value, json};

/// How near ours must be: at most `most` grey levels anywhere, and on average at most `mean`.
struct Case {
    name: String,
    parameters: Value,
    ours: RgbImage,
    most: u8,
    mean: f64,
}

/// Smooth shapes, edges and noise in 61 x 47 pixels, so that no side is a multiple of anything.
fn sample() -> RgbImage {
    let mut noise = kidu_core::rng::stream(5, "peers", &[]);
    RgbImage::from_fn(61, 47, |x, y| {
        use rand::RngExt;
        let (u, v) = (f64::from(x) / 61.0, f64::from(y) / 47.0);
        let ring = if (((u - 0.5).hypot(v - 0.4) * 20.0) as u32).is_multiple_of(2) { 60.0 } else { 0.0 };
        let values = [40.0 + 150.0 * u + ring, 200.0 * v + ring * 0.7, 120.0 + 90.0 * (6.0 * (u + v)).sin()];
        Rgb(values.map(|value| (value + 12.0 * noise.random::<f64>()).clamp(0.0, 255.0) as u8))
    })
}

fn cases(image: &RgbImage) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, parameters: Value, ours: RgbImage, most: u8, mean: f64| {
        cases.push(Case { name: name.into(), parameters, ours, most, mean });
    };
    for turns in 0..4 {
        add("rot90", json!({"factor": turns}), Dihedral::rot90(turns).apply(image), 0, 0.0);
    }
    for (code, flip) in [(1, Dihedral::HORIZONTAL), (0, Dihedral::VERTICAL), (-1, Dihedral::BOTH)] {
        add("flip", json!({"code": code}), flip.apply(image), 0, 0.0);
    }
    add("transpose", json!({}), Dihedral::TRANSPOSE.apply(image), 0, 0.0);
    for ksize in [3, 5, 7] {
        add("blur", json!({"ksize": ksize}), f::box_blur(image, ksize), 0, 0.0);
        add("median", json!({"ksize": ksize}), f::median_blur(image, ksize), 0, 0.0);
    }
    for (sigma, ksize) in [(0.5, 0), (1.7, 0), (1.0, 7)] {
        let ours = f::gaussian_blur(image, &f::gaussian_kernel(sigma, ksize));
        add("gaussian", json!({"sigma": sigma, "ksize": ksize}), ours, 1, 0.01);
    }
    for (ksize, angle, direction) in [(3, 0.0, 0.0), (5, 33.0, 0.0), (7, 110.0, 0.6), (7, 250.0, -1.0)] {
        let ours = f::motion_blur(image, ksize, &f::motion_kernel(ksize, angle, direction, [0.0; 2]));
        add("motion", json!({"ksize": ksize, "angle": angle, "direction": direction}), ours, 1, 0.02);
    }
    for (alpha, lightness) in [(0.2, 1.0), (0.5, 0.5)] {
        let ours = f::sharpen(image, alpha, lightness);
        add("sharpen", json!({"alpha": alpha, "lightness": lightness}), ours, 1, 0.01);
        let ours = f::emboss(image, alpha, lightness);
        add("emboss", json!({"alpha": alpha, "strength": lightness}), ours, 1, 0.01);
    }
    for (alpha, beta) in [(1.17, -20.4), (0.83, 33.15), (1.0, 0.0)] {
        let ours = f::brightness_contrast(image, alpha, beta);
        add("brightness_contrast", json!({"alpha": alpha, "beta": beta}), ours, 0, 0.0);
    }
    for (hue, saturation, value) in [(20, 0, 0), (-13, 30, -20), (0, -30, 20), (7, 11, 3)] {
        // OpenCV cuts fractions off on the way back to RGB, we round.
        let ours = f::shift_hsv(image, hue, saturation, value);
        add("hsv", json!({"hue": hue, "saturation": saturation, "value": value}), ours, 1, 0.5);
    }
    for (clip, grid) in [(1.0, 8), (2.0, 8), (4.0, 3)] {
        // OpenCV rounds a* and b* to whole numbers on the way, which moves its colours; the lightness is the same.
        add("clahe", json!({"clip": clip, "grid": grid}), f::clahe(image, clip, (grid, grid)), 12, 0.5);
    }
    geometry(image, &mut add);
    operations(image, &mut add);
    cases
}

fn geometry(image: &RgbImage, add: &mut impl FnMut(&str, Value, RgbImage, u8, f64)) {
    let modes = [
        (BorderMode::Constant, 0),
        (BorderMode::Replicate, 1),
        (BorderMode::Reflect, 2),
        (BorderMode::Wrap, 3),
        (BorderMode::Reflect101, 4),
    ];
    let (width, height) = image.dimensions();
    for (mode, code) in modes {
        for (angle, scale, dx, dy) in [(30.0, 1.2, 3.1, -2.6), (-45.0, 0.8, 0.0, 0.0), (7.0, 1.0, -3.8, 2.9)] {
            let matrix = f::rotation_matrix(width, height, angle, scale, [dx, dy]);
            let ours = f::warp_affine(image, matrix, mode, [9, 80, 200]);
            let parameters = json!({"angle": angle, "scale": scale, "dx": dx, "dy": dy, "border": code});
            // OpenCV computes places in single precision, we in its older fixed point of 1/32 pixel.
            add("shift_scale_rotate", parameters, ours, 4, 0.2);
        }
    }
    for k in [-0.5, -0.05, 0.05, 0.5] {
        let ours = f::optical_distortion(image, k, BorderMode::Reflect101, [0; 3]);
        add("optical", json!({"k": k}), ours, 4, 0.2);
    }
    for normalized in [false, true] {
        let (x, y) = ([1.2, 0.8, 1.05, 0.9, 1.3, 0.75], [0.7, 1.1, 1.25, 1.0, 0.9, 1.15]);
        let columns = f::grid_axis(width, 5, &x, normalized);
        let rows = f::grid_axis(height, 5, &y, normalized);
        let ours = f::grid_distortion(image, &columns, &rows, BorderMode::Reflect101, [0; 3]);
        add("grid", json!({"x": x, "y": y, "normalized": normalized}), ours, 4, 0.2);
    }
    let offsets: Vec<[f32; 2]> = (0..20).map(|i| [(i * 7 % 5) as f32 - 2.0, (i * 3 % 4) as f32 - 1.5]).collect();
    let ours = f::piecewise_affine(image, (4, 5), &offsets, BorderMode::Replicate, [0; 3]);
    add("piecewise", json!({"rows": 4, "columns": 5, "offsets": offsets}), ours, 4, 0.2);
}

/// The operations of the policies, at strengths of both AutoAugment and TrivialAugment. Pillow is their reference.
fn operations(image: &RgbImage, add: &mut impl FnMut(&str, Value, RgbImage, u8, f64)) {
    let (width, height) = image.dimensions();
    for op in Op::ALL.into_iter().chain([Op::Invert]) {
        for strength in [op.strength_at(0.7, width, height), op.wide_strength(0.9)] {
            let parameters = json!({"op": format!("{op:?}"), "strength": strength});
            add("operation", parameters, op.apply(image.clone(), strength), 0, 0.0);
        }
    }
}

fn run(python: &Path, dir: &Path, image: &RgbImage, cases: &[Case]) {
    let list: Vec<Value> = cases.iter().map(|c| json!({"name": c.name, "parameters": c.parameters})).collect();
    let request = json!({"width": image.width(), "height": image.height(), "pixels": image.as_raw(), "cases": list});
    let input = dir.join("cases.json");
    fs::write(&input, request.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/augment.py");
    let out = Command::new(python).arg(script).arg(&input).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answers.len(), cases.len());
    let mut failures = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let theirs: Vec<u8> = serde_json::from_value(answer["pixels"].clone()).unwrap();
        assert_eq!(answer["width"], case.ours.width(), "{}", case.name);
        let differences: Vec<u8> = case.ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).collect();
        let most = differences.iter().copied().max().unwrap_or(0);
        let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / differences.len() as f64;
        let line = format!("{} {}: at most {most}, on average {mean:.4}", case.name, case.parameters);
        if most > case.most || mean > case.mean {
            failures.push(format!("{line}; allowed are {} and {}", case.most, case.mean));
        }
        assert_eq!(theirs.len(), case.ours.as_raw().len(), "{line}");
        println!("{line}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_transform_agrees_with_opencv_and_albumentations() {
    let name = "every_transform_agrees_with_opencv_and_albumentations";
    let Some(python) = kidu_testing::peer_python(name, &["cv2", "albumentations", "PIL", "numpy"]) else { return };
    let image = sample();
    run(&python, tempfile::tempdir().unwrap().path(), &image, &cases(&image));
}

#[test]
fn the_policies_are_torchvisions_tables() {
    let name = "the_policies_are_torchvisions_tables";
    let Some(python) = kidu_testing::heavy_peer_python(name, &["torchvision"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/augment_policies.py");
    let out = Command::new(python).arg(script).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let theirs: Value = serde_json::from_slice(&out.stdout).unwrap();
    let ours: Vec<Value> = IMAGENET
        .iter()
        .map(|pair| {
            pair.iter()
                .map(|(op, p, step)| {
                    let has_strength = !matches!(op, Op::AutoContrast | Op::Equalize | Op::Invert);
                    json!([format!("{op:?}"), p, has_strength.then_some(*step)])
                })
                .collect()
        })
        .collect();
    assert_eq!(theirs["imagenet"], json!(ours));
    for (space, bins, strength) in [
        ("auto_space", 10, (|op: Op, share| op.strength_at(share, 331, 662)) as fn(Op, f64) -> f64),
        ("trivial_space", 31, |op, share| op.wide_strength(share)),
    ] {
        for op in Op::ALL {
            let Some(magnitudes) = theirs[space].get(format!("{op:?}")) else { continue };
            assert_eq!(magnitudes["signed"], op.is_signed(), "{op:?}");
            for (i, theirs) in magnitudes["values"].as_array().unwrap().iter().enumerate() {
                let ours = strength(op, i as f64 / f64::from(bins - 1));
                let theirs = theirs.as_f64().unwrap();
                assert!((ours - theirs).abs() < 1e-4 * theirs.abs().max(1.0), "{space} {op:?} {i}: {ours} {theirs}");
            }
        }
    }
}
