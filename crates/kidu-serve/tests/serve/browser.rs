//! The page in Chromium; see `tests/peers/serve_page.py`.

use std::{path::Path, process::Command};

use kidu_core::BundleManifest;
use serde_json::Value;

use crate::support::{self, Process, jpeg};

#[test]
fn the_page_works_in_a_browser() {
    let test = "the_page_works_in_a_browser";
    let Some(python) = kidu_testing::peer_python(test, &["playwright"]) else { return };
    let Some(_) = kidu_testing::chromium(test) else { return };
    let dir = tempfile::tempdir().unwrap();
    // Numbers that are long, small, large and whole.
    let numbers = [("lr", 1e-4), ("epochs", 12.0), ("test/acc", 0.912_444_4), ("test/ece", 1.234_4e-5)];
    let change = |manifest: &mut BundleManifest| {
        manifest.temperature = 1.376_842_105_263_157_9;
        manifest.metrics.extend(numbers.map(|(name, value)| (name.to_owned(), value)));
        manifest.metrics.insert("throughput".into(), 12_345.678);
    };
    support::bundle(&dir.path().join("bundle")).update(change).unwrap();
    let (image, corrupt) = (dir.path().join("image.jpg"), dir.path().join("corrupt.jpg"));
    let bytes = jpeg(1);
    std::fs::write(&image, &bytes).unwrap();
    std::fs::write(&corrupt, &bytes[..bytes.len() / 2]).unwrap();
    let process = Process::start(&dir.path().join("bundle"), dir.path(), &[]);
    let answer = process.client().post("/v1/predict", "image/jpeg", &bytes).unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/serve_page.py");
    let output = Command::new(python)
        .arg(script)
        .arg(format!("http://{}", process.address))
        .args([&image, &corrupt])
        .arg(answer["predictions"][0]["label"].as_str().unwrap())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    println!("{out}");
}
