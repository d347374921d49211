//! What to label next, and what that saves, without a Label Studio.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::{
    command::run,
    fixture::{SCENES, TRAINED, scratch},
};

#[test]
fn a_folder_becomes_an_import_file_in_order() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle").display().to_string();
    let images = SCENES.join("test").display().to_string();
    let rank = |more: &[&str]| {
        let given = ["annotate", "rank", "--bundle", &bundle, &images, "--json"];
        run(dir.path(), &[&given, more].concat()).ok().json()
    };
    let file = || -> Vec<Value> {
        serde_json::from_str(&fs::read_to_string(dir.path().join("label-next.json")).unwrap()).unwrap()
    };
    let ranked = rank(&["--prefix", "s3://raw/scenes/", "--strategy", "margin"]);
    let margins: Vec<f64> =
        ranked["ranked"].as_array().unwrap().iter().map(|r| r["margin"].as_f64().unwrap()).collect();
    assert_eq!(margins.len(), 18);
    assert!(margins.is_sorted(), "{margins:?}");
    let tasks = file();
    let addresses: BTreeSet<&str> = tasks.iter().map(|t| t["data"]["image"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), 18);
    assert!(addresses.iter().all(|a| a.starts_with("s3://raw/scenes/") && a.ends_with(".jpg")), "{addresses:?}");
    assert_eq!(tasks[17]["data"]["kidu_rank"], 18);
    assert_eq!(tasks[0]["predictions"][0]["model_version"], ranked["model_version"]);

    // By difference, each image stands once, also where only a few are put in order by it.
    let labelled = SCENES.join("train").display().to_string();
    let ranked = rank(&["--strategy", "margin-k-center", "--batch", "3", "--count", "7", "--labelled", &labelled]);
    let names: BTreeSet<&str> =
        ranked["ranked"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 18);
    // Without a prefix the file holds the images.
    assert!(file()[0]["data"]["image"].as_str().unwrap().starts_with("data:image/jpeg;base64,"));
}

#[test]
fn a_simulation_writes_figures_and_a_plot_and_repeats() {
    let dir = scratch();
    let (bundle, data) = (TRAINED.join("bundle").display().to_string(), SCENES.display().to_string());
    let simulate = |out: &str| {
        let given = ["annotate", "simulate", "--data", &data, "--bundle", &bundle, "--out", out, "--json"];
        let small = ["--start", "1", "--batch", "6", "--budget", "24", "--seeds", "2"];
        run(dir.path(), &[&given[..], &small].concat()).ok().json()
    };
    let first = simulate("one");
    assert_eq!((first["pool"].as_u64(), first["test"].as_u64()), (Some(48), Some(18)));
    assert_eq!(first["runs"].as_array().unwrap().len(), 8);
    let labels: Vec<&Value> = first["runs"][0]["points"].as_array().unwrap().iter().map(|p| &p[0]).collect();
    assert_eq!(labels, [6, 12, 18, 24]);
    assert!(first["target"].as_f64().unwrap() > 0.0);
    assert_eq!(simulate("two"), first);
    let png = fs::read(dir.path().join("one/simulation.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    assert!(fs::read_to_string(dir.path().join("one/simulation.svg")).unwrap().contains("margin-k-center"));
    let written: Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("one/simulation.json")).unwrap()).unwrap();
    assert_eq!(written["summary"], first["summary"]);
}

#[test]
fn what_cannot_be_asked_for_is_refused_at_once() {
    let dir = scratch();
    let bundle = TRAINED.join("bundle").display().to_string();
    let fails = |arguments: &[&str], words: &[&str]| {
        run(dir.path(), &[&["annotate"], arguments].concat()).fails(2, words);
    };
    fails(&["rank", "--bundle", &bundle], &["--title or --project"]);
    fails(&["rank", "--bundle", &bundle, "--title", "scenes"], &["--label-studio URL"]);
    fails(&["rank", "--bundle", &bundle, "--title", "scenes", "--label-studio", "http://127.0.0.1:1"], &["token"]);
    fails(
        &["project", "--title", "scenes", "--label-studio", "http://127.0.0.1:1", "--source", "photos"],
        &["--source photos", "s3://bucket/prefix"],
    );
    let data = SCENES.display().to_string();
    fails(&["simulate", "--data", &data, "--bundle", &bundle, "--start", "99"], &["lower --start"]);
    fails(&["simulate", "--data", &data, "--bundle", &bundle, "--target", "90"], &["--target 90", "as in 0.9"]);
    assert_eq!(json!(fs::read_dir(dir.path()).unwrap().count()), 0, "nothing was written");
}
