//! Five hundred tasks of real photographs, one in twenty of them broken.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use kidu_testing::HttpClient;
use serde_json::json;

use crate::support::{CLASSES, Endpoint, Shelf, Studio, bundle, check_prediction, json_of, predict_body};

const TASKS: usize = 500;

fn photographs(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "jpg") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// Broken in a way of its own: cut short, no image, empty, not there, or somebody's text.
fn broken(i: usize, whole: &[u8]) -> Option<Vec<u8>> {
    match i / 20 % 5 {
        0 => Some(whole[..whole.len() / 3].to_vec()),
        1 => Some(b"<html>sign in</html>".to_vec()),
        2 => Some(Vec::new()),
        3 => None,
        _ => Some(vec![0xff; 4000]),
    }
}

#[test]
fn five_hundred_photographs_with_broken_ones_among_them() {
    let test = "five_hundred_photographs_with_broken_ones_among_them";
    let Some(shared) = kidu_testing::shared(test) else { return };
    let files = photographs(&shared.join("data/intel-scene"));
    assert!(files.len() >= 100, "{} photographs", files.len());
    let is_broken = |i: usize| i % 20 == 7;
    let mut images = HashMap::new();
    for i in 0..TASKS {
        let whole = fs::read(&files[i % files.len()]).unwrap();
        // A comment after the image makes each a content of its own, so that none is answered from the cache.
        let own = [whole.as_slice(), format!("copy {i}").as_bytes()].concat();
        if let Some(bytes) = if is_broken(i) { broken(i, &whole) } else { Some(own) } {
            images.insert(format!("/{i}.jpg"), bytes);
        }
    }
    let whole: Vec<Vec<u8>> =
        (0..TASKS).filter(|i| !is_broken(*i)).map(|i| images[&format!("/{i}.jpg")].clone()).collect();
    let dir = tempfile::tempdir().unwrap();
    bundle(&dir.path().join("bundle"), &CLASSES);
    let endpoint = Endpoint::of_bundle(&dir.path().join("bundle"));
    let shelf = Shelf::start(images);
    let more = ["--allow-private", &shelf.host(), "--retries", "1"];
    let studio = Studio::start(&dir.path().join("state"), endpoint.transport(), &more);
    let setup = json_of(&studio.post("/setup", &json!({"project": "1.1", "schema": crate::support::FORM})));
    let version = setup["model_version"].as_str().unwrap();
    let addresses: Vec<String> = (0..TASKS).map(|i| shelf.url(&format!("/{i}.jpg"))).collect();

    // What the endpoint does alone, asked by as many at a time as the backend asks.
    let direct = Instant::now();
    std::thread::scope(|scope| {
        for part in whole.chunks(whole.len().div_ceil(8)) {
            let address = endpoint.address;
            scope.spawn(move || {
                let mut client = HttpClient::new(address);
                for image in part {
                    let answer = client.post("/v1/predict", "application/octet-stream", image).unwrap();
                    assert_eq!(answer.status, 200);
                }
            });
        }
    });
    let direct = direct.elapsed().as_secs_f64() / whole.len() as f64 * TASKS as f64;

    let start = Instant::now();
    let answer = studio.post("/predict", &predict_body(&addresses));
    let took = start.elapsed().as_secs_f64();
    assert_eq!(answer.status, 200, "one retrieval: {}", answer.text());
    // Eight are asked at a time: so much of that time somebody was waiting for the endpoint.
    let waited = studio.metric("kidu_label_studio_endpoint_duration_seconds_sum") / 8.0;
    let failed = studio.metric("kidu_label_studio_tasks_total{result=\"failed\"}");
    assert_eq!(failed, (TASKS / 20) as f64, "broken images cost only themselves");
    let results = json_of(&answer)["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), TASKS);
    for (i, result) in results.iter().enumerate() {
        match is_broken(i) {
            true => assert_eq!(*result, json!({}), "task {i}"),
            false => check_prediction(result, version),
        }
    }
    // In order: each is what the endpoint says of that very image.
    for i in [0, 1, 250, 499] {
        let image = &fs::read(&files[i % files.len()]).unwrap();
        let alone = HttpClient::new(endpoint.address).post("/v1/predict", "image/jpeg", image).unwrap();
        let alone = json_of(&alone);
        assert_eq!(results[i]["result"][0]["value"]["choices"][0], alone["predictions"][0]["label"], "task {i}");
        let (ours, theirs) =
            (results[i]["score"].as_f64().unwrap(), alone["predictions"][0]["score"].as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-6, "task {i}: {ours} {theirs}");
    }
    let again = Instant::now();
    let second = json_of(&studio.post("/predict", &predict_body(&addresses)));
    let again = again.elapsed().as_secs_f64();
    assert_eq!(second["results"].as_array().unwrap(), &results, "from the cache");
    println!(
        "{TASKS} tasks, {failed} of them broken, in one retrieval: {took:.2} s, {:.0} a second, {:.0} % of it at the endpoint; \
         the endpoint alone {direct:.2} s ({:.0} %); from the cache {again:.2} s, {:.0} a second",
        TASKS as f64 / took,
        100.0 * waited / took,
        100.0 * direct / took,
        TASKS as f64 / again
    );
}
