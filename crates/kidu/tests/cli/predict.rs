//! Predicting and judging: the same answers by every way.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
};

use serde_json::Value;
use zip::write::SimpleFileOptions;

use crate::{
    command::run,
    fixture::{SCENES, TRAINED, scratch, set, snapshot},
};

fn bundle() -> String {
    TRAINED.join("bundle").display().to_string()
}

#[test]
fn predict_answers_with_path_label_score_and_probabilities() {
    let dir = scratch();
    let (one, folder) = (SCENES.join("test/street/00002.jpg"), SCENES.join("test/sea"));
    let (one, folder) = (one.display().to_string(), folder.display().to_string());
    let answers = run(dir.path(), &["predict", "--bundle", &bundle(), &one, &folder, "--json"]).ok().json();
    let answers = answers.as_array().unwrap();
    let paths: Vec<&str> = answers.iter().map(|a| a["path"].as_str().unwrap()).collect();
    let inside = |n: u32| format!("{folder}/{n:05}.jpg");
    assert_eq!(paths, [one.clone(), inside(1), inside(2), inside(3)], "as given; folders by name");
    for answer in answers {
        let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["path", "label", "score", "probabilities"]);
        let probabilities = answer["probabilities"].as_object().unwrap();
        let mut classes: Vec<&str> = probabilities.keys().map(String::as_str).collect();
        let (best, most) = probabilities.iter().next().unwrap();
        assert_eq!((best.as_str(), most), (answer["label"].as_str().unwrap(), &answer["score"]), "the best is first");
        classes.sort_unstable();
        assert_eq!(classes, ["buildings", "forest", "glacier", "mountain", "sea", "street"]);
        let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{answer}");
    }

    let plain = run(dir.path(), &["predict", "--bundle", &bundle(), &one, "--top-k", "2"]).ok();
    assert_eq!(plain.out.matches('%').count(), 2, "{plain:#?}");
    assert!(plain.out.contains(answers[0]["label"].as_str().unwrap()), "{plain:#?}");
}

#[test]
fn predict_names_the_image_that_cannot_be_read() {
    let dir = scratch();
    let good = SCENES.join("test/sea/00001.jpg").display().to_string();
    fs::write(dir.path().join("notes.jpg"), "buy milk\n").unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let predict = |image: &str| run(dir.path(), &["predict", "--bundle", &bundle(), &good, image, "--json"]);
    predict("notes.jpg").fails(1, &["notes.jpg", "is text"]);
    let whole = fs::read(SCENES.join("test/sea/00002.jpg")).unwrap();
    fs::write(dir.path().join("half.jpg"), &whole[..whole.len() / 2]).unwrap();
    predict("half.jpg").fails(1, &["half.jpg", "is a damaged JPEG"]);
    predict("nothing.jpg").fails(1, &["nothing.jpg", "No such file"]);
    predict("empty").fails(1, &["empty", "holds no"]);
}

/// The rows of predictions.csv: path, label, predicted, score and probabilities by class.
fn rows(file: &Path) -> Vec<(String, String, String, BTreeMap<String, f64>)> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name: &str| header.iter().position(|h| *h == name).unwrap_or_else(|| panic!("{name} in {header:?}"));
    let (path, label, predicted) = (column("path"), column("label"), column("predicted"));
    let row = |cells: Vec<&str>| {
        let probabilities = header
            .iter()
            .zip(&cells)
            .filter_map(|(h, c)| Some((h.strip_prefix("prob_")?.to_string(), c.parse::<f64>().unwrap())));
        (cells[path].to_string(), cells[label].to_string(), cells[predicted].to_string(), probabilities.collect())
    };
    lines.map(row).collect()
}

#[test]
fn evaluate_agrees_with_predict_and_speaks_sagemakers_language() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    let arguments = ["evaluate", "--bundle", &bundle(), &root, "--out", "judged", "--json"];
    let evaluation = run(dir.path(), &arguments).ok().json();
    let out = dir.path().join("judged");
    let saved: Value = serde_json::from_str(&fs::read_to_string(out.join("evaluation.json")).unwrap()).unwrap();
    assert_eq!(evaluation, saved);
    assert!(out.join("report.html").is_file());

    let quality = &evaluation["multiclass_classification_metrics"];
    for metric in ["accuracy", "weighted_recall", "weighted_precision", "weighted_f0_5", "weighted_f1", "weighted_f2"] {
        for name in [metric.to_string(), format!("{metric}_best_constant_classifier")] {
            assert!(quality[&name]["value"].is_number(), "{name} in {quality}");
            assert!(!quality[&name]["standard_deviation"].is_null(), "{name} in {quality}");
        }
    }
    let matrix = quality["confusion_matrix"].as_object().unwrap();
    let cells = matrix.values().flat_map(|row| row.as_object().unwrap().values());
    assert_eq!((matrix.len(), cells.map(|c| c.as_u64().unwrap()).sum::<u64>()), (6, 18));

    let rows = rows(&out.join("predictions.csv"));
    assert_eq!(rows.len(), 18);
    let correct = rows.iter().filter(|(_, label, predicted, _)| label == predicted).count();
    assert_eq!(quality["accuracy"]["value"].as_f64().unwrap(), correct as f64 / 18.0);

    let test = SCENES.join("test").display().to_string();
    let answers = run(dir.path(), &["predict", "--bundle", &bundle(), &test, "--json"]).ok().json();
    for answer in answers.as_array().unwrap() {
        let path = answer["path"].as_str().unwrap();
        let (_, _, predicted, probabilities) = rows.iter().find(|r| path.ends_with(&r.0)).expect(path);
        assert_eq!(answer["label"].as_str().unwrap(), predicted, "{path}");
        for (class, expected) in probabilities {
            let found = answer["probabilities"][class].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-5, "{path}: {class} {found} {expected}");
        }
    }
}

#[test]
fn class_folders_alone_are_enough() {
    let dir = scratch();
    let root = set("data.root", &SCENES.join("train"));
    let split = run(dir.path(), &["data", "split", &root, "--out", "split", "--json"]).ok().json();
    let rows = split["report"]["summary"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let counts = ["train", "val", "test"].map(|s| row[s].as_u64().unwrap());
        assert_eq!(counts.iter().sum::<u64>(), 8, "{row}");
        assert!(counts.iter().all(|n| *n > 0), "each class is in each split: {row}");
    }
    let arguments = ["evaluate", "--bundle", &bundle(), &root, "--split", "all", "--out", "judged", "--json"];
    let evaluation = run(dir.path(), &arguments).ok().json();
    assert_eq!(evaluation["kidu"]["images"], 48);

    // A split made once serves later calls.
    let arguments =
        ["evaluate", "--bundle", &bundle(), "--manifest", "split/manifest.json", "--out", "again", "--json"];
    let evaluation = run(dir.path(), &arguments).ok().json();
    assert_eq!(evaluation["kidu"]["dataset_version"], split["version"]);
}

#[test]
fn a_zip_is_the_same_dataset_as_its_folder() {
    let dir = scratch();
    let mut archive = zip::ZipWriter::new(File::create(dir.path().join("scenes.zip")).unwrap());
    for path in snapshot(&SCENES).keys().filter(|p| p.extension().is_some_and(|e| e == "jpg")) {
        let name = path.strip_prefix(&*SCENES).unwrap().display().to_string();
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(&fs::read(path).unwrap()).unwrap();
    }
    archive.finish().unwrap();
    let version = |root: &str, out: &str| {
        let split = run(dir.path(), &["data", "split", root, "--out", out, "--json"]).ok().json();
        split["version"].as_str().unwrap().to_string()
    };
    let folder = version(&set("data.root", &SCENES), "one");
    assert_eq!(version("data.root=scenes.zip", "two"), folder);
    assert_eq!(version("data.root=scenes.zip", "two"), folder, "extracted before");

    let wanted = ["data", "split", "data.root=scenes.zip", "--out", "three", "--data-version"];
    run(dir.path(), &[&wanted[..], &[folder.as_str()]].concat()).ok();
    run(dir.path(), &[&wanted[..], &["000000000000"]].concat()).fails(1, &[folder.as_str(), "not 000000000000"]);
}

#[test]
fn a_materialized_split_is_the_same_images() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    run(dir.path(), &["data", "split", &root, "--out", "split", "--materialize", "copied"]).ok();
    let count = |folder: &str| snapshot(&dir.path().join("copied").join(folder)).len();
    assert_eq!(["train", "val", "test"].map(count), [42, 6, 18]);
}

#[test]
fn the_same_seed_draws_the_same_scenes() {
    let dir = scratch();
    let draw = |out: &str, seed: &str| {
        let counts = ["--train-per-class", "1", "--test-per-class", "1", "--size", "40"];
        run(dir.path(), &[&["data", "synth", "--out", out, "--seed", seed], &counts[..]].concat()).ok();
        let images = snapshot(&dir.path().join(out)).into_iter();
        images.filter(|(p, _)| p.extension().is_some_and(|e| e == "jpg")).map(|(_, hash)| hash).collect::<Vec<_>>()
    };
    let (one, same, other) = (draw("one", "1"), draw("same", "1"), draw("other", "2"));
    assert_eq!(one.len(), 12);
    assert_eq!(one, same);
    assert!(one.iter().all(|hash| !other.contains(hash)));
}
