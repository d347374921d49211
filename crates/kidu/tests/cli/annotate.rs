//! The loop with a real Label Studio: a project in one command, predictions of the real backend, corrections, webhook,
//! annotations into a version of the data, a new model, its predictions.

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use kidu_annotate::client::{Task, Upload};
use serde_json::{Value, json};

use self::world::{TITLE, World, wait_for};
use crate::fixture::SCENES;

/// A test image of a class, by its number.
fn photo(class: &str, number: usize) -> PathBuf {
    let mut files: Vec<PathBuf> =
        fs::read_dir(SCENES.join("test").join(class)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.swap_remove(number)
}

fn chosen(class: &str) -> Value {
    json!({"result": [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [class]}}],
           "lead_time": 1.5})
}

/// (created, exists, changed) parts by name.
fn done(set_up: &Value) -> BTreeMap<String, String> {
    let parts = set_up["parts"].as_array().unwrap();
    parts.iter().map(|p| (p["part"].as_str().unwrap().into(), p["done"].as_str().unwrap().into())).collect()
}

/// How many images each class has gained by an import.
fn gained(import: &Value) -> BTreeMap<String, u64> {
    let rows = import["classes"].as_array().unwrap().iter();
    rows.map(|r| (r["class"].as_str().unwrap().into(), r["new"].as_u64().unwrap())).filter(|(_, n)| *n > 0).collect()
}

#[test]
fn from_a_project_in_one_command_to_a_new_models_predictions() {
    let Some(world) = World::start("from_a_project_in_one_command_to_a_new_models_predictions") else { return };
    ["raw", "labels"].iter().for_each(|b| world.moto.create_bucket(b));
    let put = |class: &str| {
        let bytes = fs::read(photo(class, 0)).unwrap();
        let (status, body) = world.moto.request("PUT", &format!("/raw/in/{class}/{class}.jpg"), &[], &bytes);
        assert_eq!(status, 200, "{body}");
    };
    ["sea", "forest"].iter().for_each(|class| put(class));

    // One command; the second time there is nothing to do.
    let first = world.set_up();
    let project = first["project"].as_u64().unwrap();
    let parts = done(&first);
    assert_eq!(parts.len(), 6, "{first}");
    // Label Studio registered the webhook itself; it lacked the secret.
    assert_eq!(parts["webhook"], "changed");
    assert!(parts.iter().all(|(part, done)| part == "webhook" || done == "created"), "{first}");
    let second = world.set_up();
    assert_eq!(second["project"], first["project"]);
    assert!(done(&second).values().all(|d| d == "exists"), "{second}");

    // An image that came later is a task when its storage is synchronised, once.
    put("glacier");
    let again = || world.kidu(&["annotate", "project", "--title", TITLE, "--sync", "--json"]).ok().json();
    for (new, tasks) in [(1, 3), (0, 3)] {
        let report = again();
        assert_eq!(done(&report)["source"], "synchronised", "{report}");
        assert!(report.to_string().contains(&format!("s3://raw/in, {new} new tasks")), "{report}");
        assert_eq!(world.tasks(project).len(), tasks);
    }

    // From S3 there are three tasks; two more by upload and as a data URI.
    let file = |class: &str| fs::read(photo(class, 1)).unwrap();
    let upload = Upload { name: "street.jpg".into(), media_type: "image/jpeg".into(), bytes: file("street") };
    let uploaded = world.client.upload(project, &[upload]).unwrap().task_ids;
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(file("mountain")));
    let embedded = world.client.import_tasks(project, &[json!({"data": {"image": uri}})]).unwrap().task_ids;
    let tasks = world.tasks(project);
    assert_eq!(tasks.len(), 5);
    let stored: Vec<u64> =
        tasks.iter().map(|t| t.id).filter(|id| !uploaded.contains(id) && !embedded.contains(id)).collect();

    // Every task gets one prediction of one version, and no more the next time.
    for _ in 0..2 {
        world.client.retrieve_predictions(project, None).unwrap();
        let predicted = world.predicted(project);
        let log = || fs::read_to_string(&world.backend.log).unwrap();
        assert!(predicted.iter().all(|v| v.len() == 1 && *v == predicted[0]), "{predicted:?} {}", log());
        assert!(world.tasks(project).iter().all(|t| t.predictions.len() == 1));
    }
    let old = world.predicted(project)[0].clone();

    // Three are annotated one by one, one is skipped, one is accepted as predicted, in bulk.
    world.client.annotate(stored[0], &chosen("sea")).unwrap();
    world.client.annotate(uploaded[0], &chosen("street")).unwrap();
    world.client.annotate(embedded[0], &chosen("mountain")).unwrap();
    world.client.annotate(stored[1], &json!({"result": [], "was_cancelled": true})).unwrap();
    world.client.action(project, "predictions_to_annotations", Some(&[stored[2]])).unwrap();
    let annotated = |events: &[String]| {
        events.iter().filter(|e| *e == "ANNOTATION_CREATED").count() == 4
            && events.iter().any(|e| e == "ANNOTATIONS_CREATED")
    };
    wait_for("the events in the backend's journal", || annotated(&world.events()));
    // "Start training" has no header; it is let in by the secret as the backend's password.
    world.client.train(world.client.backends(project).unwrap()[0].id).unwrap();
    wait_for("what asks for training", || world.events().iter().any(|e| e == "START_TRAINING"));

    // Into a new dataset, and nothing more the next time.
    let sync = |from: &str, into: &str| {
        let places = ["--from", from, "--into", into, "--new-classes", "allow"];
        let arguments = [&["annotate", "sync", "--title", TITLE, "--json"], &places[..]].concat();
        world.kidu(&arguments).ok().json()
    };
    let report = sync("api", "photos");
    let new = gained(&report["import"]);
    assert_eq!(new.values().sum::<u64>(), 4, "{report}");
    assert!(["street", "mountain"].iter().all(|c| new.contains_key(*c)), "{new:?}");
    assert_eq!(report["import"]["annotations"]["skipped"], 1, "{report}");
    assert_eq!(report["storages"][0]["status"], "completed", "{report}");
    assert_eq!(report["snapshot"]["unchanged"], false);
    let again = sync("api", "photos");
    assert!(gained(&again["import"]).is_empty(), "{again}");
    assert_eq!(again["snapshot"]["version"], report["snapshot"]["version"]);
    assert_eq!(again["snapshot"]["unchanged"], true);
    // The bulk one is in the target storage too, since it was synchronised.
    assert_eq!(gained(&sync("target", "from-target")["import"]), new);
    // A correction moves its image.
    let corrected = world.client.annotate(stored[0], &chosen("glacier")).unwrap();
    assert!(corrected["id"].is_u64());
    let third = sync("api", "photos");
    assert!(third["import"]["moved"][0]["to"].as_str().unwrap().contains("glacier"), "{third}");
    assert_ne!(third["snapshot"]["version"], report["snapshot"]["version"]);

    exports_are_read(&world, project);
    ranked(&world, project);

    // The build that the annotations started gives a model; when the endpoint serves it, predictions are its.
    let built = || {
        let versions = world.versions();
        let builds = versions["builds"].as_array().cloned().unwrap_or_default();
        let bad = |b: &Value| b["end"] == "failed" || b["end"] == "misconfigured";
        assert!(!builds.iter().any(bad), "{versions} {}", world.build_logs());
        builds.iter().any(|b| b["end"] == "succeeded")
    };
    wait_for("a model is built", built);
    // What was made in bulk was written before that build read the target storage.
    let log = fs::read_to_string(&world.backend.log).unwrap();
    assert!(log.contains("Label Studio wrote its annotations"), "{log}");
    let bundle = world.dir.path().join("registry/kidu/versions/1/bundle");
    assert!(bundle.is_dir());
    let link = world.dir.path().join("next");
    symlink(&bundle, &link).unwrap();
    fs::rename(&link, world.dir.path().join("current")).unwrap();
    let taken_over = || {
        world.client.retrieve_predictions(project, None).unwrap();
        world.predicted(project).iter().all(|versions| versions.iter().any(|v| !old.contains(v)))
    };
    wait_for("predictions of the new model", taken_over);
}

/// What this server exports is what `kidu data import` reads.
fn exports_are_read(world: &World, project: u64) {
    let mut images: Vec<BTreeMap<String, u64>> = Vec::new();
    for (format, name) in [("JSON", "export.json"), ("JSON_MIN", "min.json"), ("CSV", "export.csv")] {
        fs::write(world.dir.path().join(name), world.client.export_as(project, format).unwrap()).unwrap();
        let into = format!("import-{format}");
        let imported = world.kidu(&["data", "import", name, "--into", &into, "--json"]).ok().json();
        assert_eq!(imported["problems"], json!([]), "{format}: {imported}");
        assert_eq!(imported["unavailable"], json!([]), "{format}: {imported}");
        images.push(gained(&imported));
    }
    assert!(images.iter().all(|i| *i == images[0] && i.values().sum::<u64>() == 4), "{images:?}");
}

/// What is not annotated is put in an order that the data manager shows.
fn ranked(world: &World, project: u64) {
    let files: Vec<Value> = (0..3)
        .map(|i| {
            let bytes = fs::read(photo("buildings", i)).unwrap();
            json!({"data": {"image": format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes))}})
        })
        .collect();
    let open = world.client.import_tasks(project, &files).unwrap().task_ids;
    let rank = || {
        let arguments =
            ["annotate", "rank", "--bundle", "current", "--title", TITLE, "--apply", "--batch", "2", "--json"];
        world.kidu(&arguments).ok().json()
    };
    let first = rank();
    let order: Vec<u64> = first["ranked"].as_array().unwrap().iter().map(|r| r["task"].as_u64().unwrap()).collect();
    assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), open.into_iter().collect(), "{first}");
    assert_eq!((first["applied"]["places"].as_u64(), first["applied"]["predictions"].as_u64()), (Some(3), Some(3)));
    // Label Studio's own tab has this order.
    let views = world.client.views(project).unwrap();
    let tab = views.iter().find(|v| v["data"]["title"] == "Label next (Kidu)").unwrap();
    let shown = world.client.tasks_of_view(tab["id"].as_u64().unwrap()).unwrap();
    assert_eq!(shown.iter().map(|t| t.id).collect::<Vec<_>>(), order);
    // A second time nothing is written, and the backend finds its own version's predictions.
    let second = rank();
    assert_eq!(second["applied"], json!({"project": project, "places": 0, "predictions": 0, "tab_created": false}));
    world.client.retrieve_predictions(project, None).unwrap();
    let of_order = |t: &&Task| order.contains(&t.id);
    assert!(world.tasks(project).iter().filter(of_order).all(|t| t.predictions.len() == 1));
    // The file is one that Label Studio imports.
    let file: Vec<Value> =
        serde_json::from_str(&fs::read_to_string(world.dir.path().join("label-next.json")).unwrap()).unwrap();
    assert_eq!(file.len(), 3);
    assert_eq!(file[0]["data"]["kidu_rank"], 1);
    let imported = world.client.import_tasks(project, &file).unwrap();
    assert_eq!((imported.task_count, imported.prediction_count), (3, 3));
}
