//! A bundle and the endpoint that serves it, on corrupted images.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    command::{Ended, Running, kidu, run},
    fixture::{SCENES, TRAINED, scratch, set},
};

/// `kidu robustness` with few corruptions of the test images.
#[track_caller]
fn test(dir: &Path, model: &[&str], more: &[&str]) -> Ended {
    let data = set("data.root", &SCENES);
    let few = ["--corruptions", "fog,gaussian_noise,pixelate", "--severities", "1,5", "--json"];
    run(dir, &[&["robustness", &data], model, &few, more].concat())
}

#[test]
fn a_bundle_and_its_endpoint_give_the_same_result() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle").display().to_string();
    let here = test(dir.path(), &["--bundle", &bundle], &["--out", "here"]).ok().json();
    assert_eq!((&here["images"], &here["image_side"]), (&18.into(), &32.into()), "{here}");
    assert_eq!(here["corruptions"].as_array().unwrap().len(), 3);
    for corruption in here["corruptions"].as_array().unwrap() {
        assert_eq!(corruption["cells"].as_array().unwrap().len(), 2);
        assert!((0.0..=1.0).contains(&corruption["accuracy"].as_f64().unwrap()), "{corruption}");
    }
    assert_eq!(here["per_image"].as_array().unwrap().len(), 18);
    for name in ["robustness.json", "robustness.csv", "robustness.svg", "robustness.png", "corruptions.png"] {
        assert!(fs::metadata(dir.path().join("here").join(name)).unwrap().len() > 100, "{name}");
    }

    let port = dir.path().join("port");
    let arguments = ["serve", "--bundle", &bundle, "--port", "0", "--port-file", port.to_str().unwrap()];
    let mut server = Running::start(kidu(dir.path(), &arguments), &dir.path().join("server.log"));
    server.until("a port", |_| fs::read_to_string(&port).is_ok_and(|p| !p.trim().is_empty()));
    let url = format!("http://127.0.0.1:{}", fs::read_to_string(&port).unwrap().trim());
    let there = test(dir.path(), &["--url", &url], &["--out", "there"]).ok().json();
    assert_eq!(there["endpoint"], url);
    for key in ["model", "version", "images", "clean_accuracy", "mean_accuracy", "per_image", "dataset_version"] {
        assert_eq!(here[key], there[key], "{key}");
    }
    server.signal("TERM");
    assert!(server.wait().success());
    let gone = test(dir.path(), &["--url", &url], &["--out", "gone"]);
    gone.fails(1, &["/v1/model does not answer"]);
}

#[test]
fn thresholds_make_it_a_gate_and_a_baseline_gives_corruption_errors() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle").display().to_string();
    let model = ["--bundle", bundle.as_str()];
    test(dir.path(), &model, &["--out", "one", "--max-drop", "1"]).ok();
    let against = ["--out", "two", "--baseline", "one/robustness.json"];
    let same: Value = test(dir.path(), &model, &against).ok().json();
    // A model is as bad as itself, where it makes errors at all.
    assert!(same["mce"].as_f64().is_none_or(|mce| (mce - 1.0).abs() < 1e-9), "{}", same["mce"]);
    assert_eq!(same["baseline"]["same_images"], true);
    let refused = test(dir.path(), &model, &["--out", "three", "--min-cell-accuracy", "1", "--limit", "6"]);
    let refused = refused.code(3);
    assert!(refused.err.contains("refused: min_cell_accuracy: lowest accuracy 0.0000, at least 1"), "{}", refused.err);
    let kept: Value = serde_json::from_slice(&fs::read(dir.path().join("three/robustness.json")).unwrap()).unwrap();
    assert_eq!((&kept["images"], &kept["gate"]["passed"]), (&6.into(), &false.into()));
    // The report shows what was found.
    let run_dir = TRAINED.display().to_string();
    run(dir.path(), &["report", &run_dir, "--with", "three", "--out", "report", "--pictures", "0"]).ok();
    let page = fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    assert!(page.contains("Robustness") && page.contains("gaussian noise"), "the report leaves it out");
}

#[test]
fn what_cannot_be_tested_is_refused_before_any_work() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle").display().to_string();
    let model = ["--bundle", bundle.as_str()];
    run(dir.path(), &["robustness", "data.root=photos"]).fails(2, &["--bundle", "--url"]);
    run(dir.path(), &["robustness", "--bundle", &bundle]).fails(2, &["data.root=DIR"]);
    test(dir.path(), &model, &["--corruptions", "rain"]).fails(2, &["'rain' is no corruption", "gaussian_noise"]);
    test(dir.path(), &model, &["--severities", "6"]).fails(2, &["6 is no severity"]);
    test(dir.path(), &model, &["--max-drop", "25"]).fails(2, &["max_drop", "25 is not a share"]);
    test(dir.path(), &model, &["--max-mce", "1"]).fails(2, &["max_mce", "needs a baseline"]);
    test(dir.path(), &["--url", "ftp://host"], &[]).fails(2, &["ftp://host", "http://HOST:PORT"]);
    assert!(!dir.path().join("logs").exists(), "nothing was begun");
}
