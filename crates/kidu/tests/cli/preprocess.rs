//! The first step of the build pipeline: annotations, the doctor and a version before the split; and the verbs that a
//! trained bundle serves.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    command::run,
    fixture::{SCENES, TRAINED, copy, scratch, short, snapshot, words},
};

/// Two new pictures as Label Studio tasks: a sea and a street, and the street is skipped by one of two people.
fn annotate(dir: &Path) {
    let (sea, street) = (dir.join("new/one.jpg"), dir.join("new/two.jpg"));
    fs::create_dir_all(dir.join("new")).unwrap();
    let scenes = ["data", "synth", "--out", "more", "--train-per-class", "2", "--test-per-class", "1"];
    run(dir, &[&scenes[..], &["--size", "40", "--seed", "9"]].concat()).ok();
    let first = |class: &str| snapshot(&dir.join("more/train").join(class)).into_keys().next().unwrap();
    fs::copy(first("sea"), &sea).unwrap();
    fs::copy(first("street"), &street).unwrap();
    let answer = |id: u32, class: &str, skipped: bool| {
        let choice =
            json!({"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [class]}});
        let result = if skipped { json!([]) } else { json!([choice]) };
        json!({"id": id, "result": result, "was_cancelled": skipped, "ground_truth": false, "completed_by": id,
               "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"})
    };
    let task = |id: u32, image: &str, annotations: Vec<Value>| json!({"id": id, "data": {"image": format!("/data/upload/1/{image}")}, "annotations": annotations});
    let tasks = json!([
        task(1, "one.jpg", vec![answer(1, "sea", false)]),
        task(2, "two.jpg", vec![answer(2, "street", false), answer(3, "street", true)]),
    ]);
    fs::write(dir.join("tasks.json"), tasks.to_string()).unwrap();
}

#[test]
fn annotations_come_in_are_looked_over_and_kept_as_a_version() {
    let dir = scratch();
    annotate(dir.path());
    let given = snapshot(&SCENES);
    let root = format!("data.root={}", SCENES.display());
    let step = |out: &str| {
        let arguments = ["data", "split", "--out", out, "--annotations", "tasks.json", "--annotation-images", "new"];
        let rest = ["--check", "error", "--snapshot", "versions", "--materialize", &format!("{out}-dataset"), "--json"];
        run(dir.path(), &[&arguments[..], &rest, &[&root]].concat()).ok().json()
    };
    let (first, second) = (step("one"), step("two"));
    assert_eq!(snapshot(&SCENES), given, "what was given stays as it is");
    assert_eq!(first["version"], second["version"]);
    let version = first["data_snapshot"].as_str().unwrap();
    assert_eq!(second["data_snapshot"], version);
    // 48 training and 18 test scenes, and two annotated ones that are trained on.
    let images = |split: &str| snapshot(&dir.path().join("one-dataset").join(split)).len();
    assert_eq!((images("train") + images("val"), images("test")), (50, 18));
    assert!(dir.path().join("one/check.html").is_file());
    let log = run(dir.path(), &["data", "log", "--store", "versions", "--json"]).ok();
    assert!(log.out.contains(&version[..12]), "{log:#?}");
    let provenance = fs::read_to_string(dir.path().join("one/source/annotations.jsonl")).unwrap();
    assert_eq!(provenance.lines().filter(|l| l.contains("tasks.json")).count(), 2, "{provenance}");
    let split = ["data", "split", "--out", "three", "--annotations", "none", "--snapshot", "none", &root];
    run(dir.path(), &split).ok();
    assert!(!dir.path().join("three/source").exists());
}

#[test]
fn a_finding_stops_the_step_with_3() {
    let dir = scratch();
    copy(&SCENES, &dir.path().join("photos"));
    let one = snapshot(&dir.path().join("photos/train/sea")).into_keys().next().unwrap();
    let bytes = fs::read(&one).unwrap();
    fs::write(&one, &bytes[..bytes.len() / 2]).unwrap();
    let arguments = ["data", "split", "--out", "split", "--check", "error", "data.root=photos"];
    let name = one.file_name().unwrap().to_str().unwrap();
    let ended = run(dir.path(), &arguments).code(3);
    assert!(
        ended.err.contains("findings of level error") && ended.err.contains(name) && ended.err.contains("truncated"),
        "{ended:#?}"
    );
    let skipped = [&arguments[..], &["data.on_bad_image=skip"]].concat();
    run(dir.path(), &skipped).ok();
    assert!(dir.path().join("split/check.json").is_file());
}

#[test]
fn of_a_version_the_doctor_looks_at_the_version() {
    let dir = scratch();
    copy(&SCENES, &dir.path().join("photos"));
    let taken = run(dir.path(), &["data", "snapshot", "photos", "-m", "sound", "--json"]).ok().json();
    fs::write(dir.path().join("photos/train/sea/text.jpg"), "no image").unwrap();
    let split = |out: &str, more: &[&str]| {
        let arguments = ["data", "split", "--out", out, "--check", "error", "data.root=photos"];
        run(dir.path(), &[&arguments[..], more].concat())
    };
    split("now", &[]).code(3);
    let version = format!("data.version='{}'", taken["version"].as_str().unwrap());
    let then = split("then", &[&version]).ok();
    let report: Value = serde_json::from_slice(&fs::read(dir.path().join("then/check.json")).unwrap()).unwrap();
    assert_eq!(report["images"], 66, "{then:#?}");
}

#[test]
fn the_pipeline_takes_annotations_and_reruns_when_they_change() {
    let dir = scratch();
    annotate(dir.path());
    let run_it = || {
        let mut arguments: Vec<String> =
            ["pipeline", "run", "--json", "gate.min_accuracy=0.0"].map(String::from).to_vec();
        for parameter in ["Annotations=tasks.json", "AnnotationImages=new", "DataStore=versions"] {
            arguments.extend(["-p".into(), parameter.into()]);
        }
        arguments.extend(short());
        run(dir.path(), &words(&arguments)).ok().json()
    };
    let cached =
        |record: &Value| record["steps"].as_array().unwrap().iter().filter(|s| s["status"] == "cached").count();
    let first = run_it();
    let again = run_it();
    assert_eq!((cached(&first), cached(&again)), (0, 5), "{again:#}");
    let changed = fs::read_to_string(dir.path().join("tasks.json")).unwrap().replace("\"sea\"", "\"glacier\"");
    fs::write(dir.path().join("tasks.json"), changed).unwrap();
    assert_eq!(cached(&run_it()), 0);
}

#[test]
fn the_larger_augmentation_pipeline_is_a_parameter_that_training_follows() {
    let dir = scratch();
    let build = |parameter: &str| {
        // Without the cache of features, which images that change at random have no use for.
        let arguments = ["pipeline", "run", "--json", "-p", parameter, "gate.min_accuracy=0.0"];
        let short = short();
        run(dir.path(), &[&arguments[..], &["trainer.cache_features=false"], &words(&short)].concat())
    };
    let step = |record: &Value, at: usize, status: &str| {
        let step = &record["steps"][at];
        assert_eq!(step["status"], status, "{record:#}");
        Path::new(step["folder"].as_str().unwrap()).to_path_buf()
    };
    let larger = build("Augmentation_Pipeline=1").ok().json();
    assert_eq!((&larger["status"], &larger["steps"][1]["name"]), (&json!("succeeded"), &json!("train")));
    let trained = step(&larger, 1, "succeeded");
    let config = fs::read_to_string(trained.join("config.yaml")).unwrap();
    assert!(config.lines().any(|line| line.trim() == "pipeline: 1"), "{config}");

    let usual = build("Augmentation_Pipeline=0").ok();
    assert!(usual.err.contains("parameter Augmentation_Pipeline changed from 1 to 0"), "{usual:#?}");
    let usual = usual.json();
    step(&usual, 0, "cached");
    let weights = |folder: &Path| fs::read(folder.join("bundle/weights.safetensors")).unwrap();
    assert_ne!(weights(&trained), weights(&step(&usual, 1, "succeeded")), "training saw the same images");

    assert_eq!(step(&build("Augmentation_Pipeline=1").ok().json(), 1, "cached"), trained);
    build("Augmentation_Pipeline=2").fails(2, &["Augmentation_Pipeline", "none"]);
}

#[test]
fn a_learning_rate_is_found_and_used() {
    let dir = scratch();
    let mut arguments: Vec<String> = ["tune-lr", "--out", "tuned", "--json"].map(String::from).to_vec();
    arguments.extend(short());
    arguments.extend(["tune_lr.num_training=20".into(), "tune_lr.min_lr=1e-5".into()]);
    let found = run(dir.path(), &words(&arguments)).ok().json();
    assert!(found["steps"].as_u64().unwrap() <= 20, "{found}");
    let png = fs::read(dir.path().join("tuned/lr_plot.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    let result: Value = serde_json::from_slice(&fs::read(dir.path().join("tuned/lr_result.json")).unwrap()).unwrap();
    assert_eq!(result["lr"].as_array().unwrap().len(), result["loss"].as_array().unwrap().len());
    let root = format!("data.root={}", SCENES.display());
    let bad = ["tune-lr", "--out", "bad", &root, "tune_lr.max_lr=1e-9"];
    run(dir.path(), &bad).fails(2, &["tune_lr.max_lr", "greater than tune_lr.min_lr"]);
}

#[test]
fn predictions_are_explained_by_pictures() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle");
    let image = snapshot(&SCENES.join("test/glacier")).into_keys().next().unwrap();
    let (bundle, image) = (bundle.to_str().unwrap(), image.to_str().unwrap());
    for method in ["integrated-gradients", "grad-cam", "occlusion"] {
        let arguments = ["explain", "--bundle", bundle, image, "--method", method, "--out", method, "--json"];
        let found = run(dir.path(), &[&arguments[..], &["--max-delta", "100", "--faithfulness-steps", "4"]].concat())
            .ok()
            .json();
        let picture = fs::read(dir.path().join(found[0]["picture"].as_str().unwrap())).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
        assert!(found[0]["deletion"].as_f64().unwrap() <= 1.0);
        assert_eq!(found[0]["convergence_delta"].is_null(), method != "integrated-gradients");
    }
    let arguments = ["explain", "--bundle", bundle, image, "--target", "glacer"];
    run(dir.path(), &arguments).fails(2, &["no such class", "did you mean 'glacier'"]);
    let arguments = ["explain", "--bundle", bundle, image, "--steps", "0"];
    run(dir.path(), &arguments).fails(2, &["steps"]);
}
