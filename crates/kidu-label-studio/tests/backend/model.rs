//! Which model is in service, and what is kept of its predictions.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kidu_label_studio::endpoint::Ask;
use kidu_serve::Model;
use serde_json::{Value, json};

use crate::support::{
    CLASSES, Endpoint, FORM, Scripted, Shelf, Studio, bundle, check_prediction, jpeg, json_of, model, predicted, reply,
    wait_for,
};

fn setup(studio: &Studio) -> String {
    let answer = studio.post("/setup", &json!({"project": "1.1", "schema": FORM}));
    json_of(&answer)["model_version"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_new_version_is_used_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    bundle(&first, &CLASSES);
    bundle(&second, &CLASSES[1..]);
    let turn = Arc::new(AtomicUsize::new(0));
    let which = Arc::clone(&turn);
    let endpoint = Endpoint::start(Box::new(move || {
        Model::open(if which.load(Ordering::SeqCst) == 0 { &first } else { &second }, 2)
    }));
    let shelf = Shelf::start([("/a.jpg".to_owned(), jpeg(1))].into());
    let more = ["--allow-private", &shelf.host(), "--model-seconds", "0.1"];
    let studio = Studio::start(&dir.path().join("state"), endpoint.transport(), &more);
    let before = setup(&studio);
    check_prediction(&studio.predict(&[shelf.url("/a.jpg")])[0], &before);
    turn.store(1, Ordering::SeqCst);
    endpoint.service.reload().unwrap();
    wait_for("the new version", || setup(&studio) != before);
    let after = setup(&studio);
    check_prediction(&studio.predict(&[shelf.url("/a.jpg")])[0], &after);
    wait_for("both versions", || json_of(&studio.get("/versions"))["versions"] == json!([after, before]));
    // The second model lacks a class of the form.
    let answer = studio.post("/setup", &json!({"project": "2.1", "schema": FORM}));
    assert_eq!(json_of(&answer)["form"]["choices_without_class"], json!(["buildings"]));
    let page = studio.get("/status").text();
    assert!(page.contains("the model cannot predict: buildings") && page.contains(&after), "{page}");
    // The endpoint is gone: what is known is told, and then that it is gone.
    drop(endpoint);
    wait_for("the endpoint counts as down", || {
        studio.post("/setup", &json!({"project": "1.1", "schema": FORM})).status == 503
    });
    let state = studio.state.clone();
    studio.end();
    // The next life knows the model before the endpoint answers.
    let nobody = Scripted::new(Duration::ZERO, |_, _| {
        std::thread::sleep(Duration::from_millis(500));
        reply(500, "{}")
    });
    let studio = Studio::start(&state, nobody, &[]);
    assert_eq!(json_of(&studio.get("/health"))["model_version"], *after);
}

#[test]
fn a_change_in_the_middle_of_a_batch_leaves_one_version() {
    let shelf = Shelf::start((0..12).map(|i| (format!("/{i}.jpg"), jpeg(i))).collect());
    let addresses: Vec<String> = (0..12).map(|i| shelf.url(&format!("/{i}.jpg"))).collect();
    let dir = tempfile::tempdir().unwrap();
    let changed = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&changed);
    let endpoint = Scripted::new(Duration::from_millis(5), move |ask, n| {
        if n >= 5 {
            seen.store(1, Ordering::SeqCst);
        }
        let version = if seen.load(Ordering::SeqCst) == 0 { "1" } else { "2" };
        match ask {
            Ask::Model => reply(200, model(version)),
            Ask::Predict(_) => reply(200, predicted(version, "sea")),
        }
    });
    let more = ["--allow-private", &shelf.host(), "--concurrency", "2", "--model-seconds", "60"];
    let studio = Studio::start(dir.path(), endpoint, &more);
    assert_eq!(setup(&studio), "rec@1");
    let results = studio.predict(&addresses);
    results.iter().for_each(|r| check_prediction(r, "rec@2"));
    assert_eq!(setup(&studio), "rec@2");
}

#[test]
fn a_canary_does_not_change_the_version() {
    let shelf = Shelf::start((0..20).map(|i| (format!("/{i}.jpg"), jpeg(i))).collect());
    let addresses: Vec<String> = (0..20).map(|i| shelf.url(&format!("/{i}.jpg"))).collect();
    let dir = tempfile::tempdir().unwrap();
    let asked = AtomicUsize::new(0);
    let endpoint = Scripted::new(Duration::ZERO, move |ask, n| match ask {
        // Every fifth answer is the new model's.
        Ask::Model => reply(200, model(if asked.fetch_add(1, Ordering::SeqCst) % 5 == 4 { "2" } else { "1" })),
        Ask::Predict(_) => reply(200, predicted(if n % 5 == 4 { "2" } else { "1" }, "sea")),
    });
    let more = ["--allow-private", &shelf.host(), "--model-seconds", "0.1"];
    let studio = Studio::start(dir.path(), endpoint, &more);
    assert_eq!(setup(&studio), "rec@1");
    let results = studio.predict(&addresses);
    let (done, missing): (Vec<&Value>, Vec<&Value>) = results.iter().partition(|r| **r != json!({}));
    done.iter().for_each(|r| check_prediction(r, "rec@1"));
    assert!(missing.len() <= 4, "{}", missing.len());
    assert_eq!(setup(&studio), "rec@1");
}

#[test]
fn predictions_are_kept_by_content_and_version_and_survive_a_restart() {
    let same = jpeg(1);
    let images = [("/a.jpg", same.clone()), ("/b.jpg", same), ("/c.jpg", jpeg(2))];
    let shelf = Shelf::start(images.map(|(p, b)| (p.to_owned(), b)).into());
    let addresses: Vec<String> = ["/a.jpg", "/b.jpg", "/c.jpg"].map(|p| shelf.url(p)).into();
    let dir = tempfile::tempdir().unwrap();
    let versioned = |version: &'static str| {
        Scripted::new(Duration::ZERO, move |ask, _| match ask {
            Ask::Model => reply(200, model(version)),
            Ask::Predict(_) => reply(200, predicted(version, "sea")),
        })
    };
    let more = ["--allow-private", &shelf.host(), "--concurrency", "1", "--fetch-concurrency", "1"];
    let endpoint = versioned("1");
    let studio = Studio::start(dir.path(), endpoint.clone(), &more);
    let first = studio.predict(&addresses);
    assert!(endpoint.asked() <= 3 && endpoint.asked() >= 2);
    let asked = endpoint.asked();
    assert_eq!(studio.predict(&addresses), first);
    assert_eq!(endpoint.asked(), asked, "all of it was known");
    studio.end();
    let again = versioned("1");
    let studio = Studio::start(dir.path(), again.clone(), &more);
    assert_eq!((studio.predict(&addresses), again.asked()), (first, 0));
    assert!(studio.metric("kidu_label_studio_cached_total") == 3.0);
    studio.end();
    let newer = versioned("2");
    let studio = Studio::start(dir.path(), newer.clone(), &more);
    wait_for("the new version", || setup(&studio) == "rec@2");
    studio.predict(&addresses).iter().for_each(|r| check_prediction(r, "rec@2"));
    assert!(newer.asked() >= 2, "another model's predictions are not these");
    assert!(fs::metadata(dir.path().join("predictions/young.jsonl")).unwrap().len() > 0);
}
