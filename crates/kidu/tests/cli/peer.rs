//! A bundle's weights in Python's timm: the same answers.
//!
//! Runs when `KIDU_PEER_PYTHON` names a Python with torch, timm, safetensors and Pillow.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{end_of, isolate, run},
    fixture::{SCENES, TRAINED, copy, scratch, short, snapshot, words},
};

/// Sets the calibration temperature of a bundle. One that six images gave would scale all differences up or down.
fn set_temperature(bundle: &Path, temperature: f64) {
    let path = bundle.join("bundle.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    manifest["temperature"] = temperature.into();
    fs::write(&path, manifest.to_string()).unwrap();
}

/// The test scenes as lossless images of 32 pixels a side, which nobody needs to resize.
fn lossless(dir: &Path) -> Vec<PathBuf> {
    fs::create_dir(dir).unwrap();
    let images: Vec<_> = snapshot(&SCENES.join("test")).into_keys().collect();
    images
        .iter()
        .enumerate()
        .map(|(number, path)| {
            let to = dir.join(format!("{number:02}.png"));
            image::open(path).unwrap().crop_imm(4, 4, 32, 32).to_rgb8().save(&to).unwrap();
            to
        })
        .collect()
}

#[test]
fn a_bundle_gives_the_same_answers_in_timm() {
    let modules = ["torch", "timm", "safetensors", "PIL"];
    let Some(python) = kidu_testing::heavy_peer_python("a_bundle_gives_the_same_answers_in_timm", &modules) else {
        return;
    };
    let dir = scratch();
    copy(&TRAINED.join("bundle"), &dir.path().join("resnet18"));
    let short = short();
    let mobile = ["train", "--out", "run", "callbacks=none"];
    let same = ["model=mobilenetv2_100", "model.pad_type=same"];
    run(dir.path(), &[&mobile[..], &words(&short), &same].concat()).ok();
    fs::rename(dir.path().join("run/bundle"), dir.path().join("mobilenetv2_100")).unwrap();

    let lossless = lossless(&dir.path().join("lossless"));
    let photos: Vec<_> = snapshot(&SCENES.join("test")).into_keys().collect();
    // JPEG decoders and resampling differ by a grey level here and there.
    for (bundle, images, tolerance) in
        [("resnet18", &lossless, "1e-5"), ("mobilenetv2_100", &lossless, "1e-4"), ("resnet18", &photos, "5e-3")]
    {
        set_temperature(&dir.path().join(bundle), 1.0);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/load_bundle.py");
        let mut command = Command::new(&python);
        isolate(&mut command, dir.path());
        command.arg(script).args(["--kidu", env!("CARGO_BIN_EXE_kidu"), "--tolerance", tolerance, bundle]).args(images);
        let ended = end_of(command).ok();
        assert!(ended.out.contains("18 images") && ended.out.contains("all agree"), "{ended:#?}");
        eprintln!("{}", ended.out.trim());
    }
}
