//! One project in every format.

use std::{collections::BTreeMap, fs, process::Command};

use kidu_annotations::{NewClasses, provenance};
use serde_json::{Value, json};

use crate::support::{Answer, Desk, Tasks, answer, export, map, task, tasks, tree};

const NAMES: [&str; 6] = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"];

/// Agreement, a majority, a tie, a revision, a skipped one, and a name with a comma and quotes in its class.
fn project() -> Tasks {
    tasks(&[
        ("a.jpg", &[answer(1, 1, "sea", 10), answer(2, 2, "sea", 11)]),
        ("b.jpg", &[answer(3, 1, "sea", 30), answer(4, 2, "ice", 21), answer(5, 3, "ice", 22)]),
        ("c.jpg", &[answer(6, 1, "sea", 31), answer(7, 2, "ice", 35)]),
        ("d.jpg", &[answer(8, 1, "sea", 40), answer(9, 1, "rock, \"grey\"", 41)]),
        ("e.jpg", &[answer(10, 1, "", 50)]),
        ("f.jpg", &[answer(11, 2, "rock, \"grey\"", 60)]),
    ])
}

fn expected() -> BTreeMap<String, String> {
    map(&[
        ("a.jpg", "train/sea"),
        ("b.jpg", "train/ice"),
        ("c.jpg", "train/ice"),
        ("d.jpg", "train/rock, \"grey\""),
        ("f.jpg", "train/rock, \"grey\""),
    ])
}

/// The rows of the flat exports: one for each annotation that was not skipped.
fn rows(project: &Tasks) -> Vec<(u64, &str, &Answer)> {
    project
        .iter()
        .flat_map(|(id, image, answers)| answers.iter().map(|a| (*id, image.as_str(), a)))
        .filter(|r| !r.2.skipped)
        .collect()
}

fn table(project: &Tasks, delimiter: char) -> String {
    let header = ["annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time", "updated_at"];
    let quoted = |cells: &[String]| {
        cells.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect::<Vec<_>>().join(&delimiter.to_string())
    };
    let mut text = quoted(&header.map(String::from)) + "\n";
    for (id, image, a) in rows(project) {
        let cells = [
            a.id.to_string(),
            a.who.to_string(),
            a.what.clone(),
            a.time(),
            id.to_string(),
            image.into(),
            String::new(),
            a.time(),
        ];
        text += &(quoted(&cells) + "\n");
    }
    text
}

fn json_min(project: &Tasks) -> String {
    let rows = rows(project).into_iter().map(|(id, image, a)| {
        json!({"image": image, "id": id, "choice": a.what, "annotator": a.who, "annotation_id": a.id,
            "created_at": a.time(), "updated_at": a.time(), "lead_time": null})
    });
    json!(rows.collect::<Vec<_>>()).to_string()
}

/// What annotators settled on, as one label for each image.
fn coco() -> String {
    let classes = ["sea", "ice", "rock, \"grey\""];
    let labels: Vec<(usize, usize)> = vec![(0, 0), (1, 1), (2, 1), (3, 2), (5, 2)];
    json!({
        "images": NAMES.iter().enumerate().map(|(i, n)| json!({"id": i, "file_name": n, "width": 24, "height": 16})).collect::<Vec<_>>(),
        "categories": classes.iter().enumerate().map(|(i, n)| json!({"id": i, "name": n})).collect::<Vec<_>>(),
        "annotations": labels.iter().enumerate().map(|(i, (image, c))| json!({"id": i, "image_id": image, "category_id": c})).collect::<Vec<_>>(),
    })
    .to_string()
}

const LIST: &str =
    "path,label\na.jpg,sea\nb.jpg,ice\nc.jpg,ice\nd.jpg,\"rock, \"\"grey\"\"\"\nf.jpg,\"rock, \"\"grey\"\"\"\n";

#[test]
fn every_format_of_a_project_gives_the_same_labels() {
    let project = project();
    let sources: Vec<(&str, Vec<(String, String)>)> = vec![
        ("the target storage", {
            let object = |t: &(u64, String, Vec<Answer>), a: &Answer| {
                let mut object = a.json();
                let mut inner = task(t);
                inner.as_object_mut().unwrap().remove("annotations");
                object["task"] = inner;
                object["completed_by"] = json!({"id": a.who, "email": "x@example.com"});
                (format!("source/{}", a.id), object.to_string())
            };
            project.iter().flat_map(|t| t.2.iter().map(move |a| object(t, a))).collect()
        }),
        ("tasks", project.iter().map(|t| (format!("source/{}.json", t.0), task(t).to_string())).collect()),
        ("JSON", vec![("source.json".into(), export(&project))]),
        ("JSON_MIN", vec![("source.json".into(), json_min(&project))]),
        ("CSV", vec![("source.csv".into(), table(&project, ','))]),
        ("TSV", vec![("source.tsv".into(), table(&project, '\t'))]),
        ("COCO", vec![("source.json".into(), coco())]),
        ("a list", vec![("source.csv".into(), LIST.into())]),
        (
            "a list with semicolons and a mark",
            vec![("source.csv".into(), format!("\u{feff}{}", LIST.replace("jpg,", "jpg;").replace("path,", "path;")))],
        ),
    ];
    for (name, files) in sources {
        let desk = Desk::with_images(&NAMES);
        let written: Vec<String> = files.iter().map(|(file, content)| desk.write(file, content)).collect();
        let source =
            if files[0].0.contains('/') { desk.path("source").display().to_string() } else { written[0].clone() };
        let report = desk.import(&source);
        assert_eq!(desk.labels(), expected(), "{name}: {report:?}");
        assert!(report.problems.is_empty() && report.unavailable.is_empty(), "{name}: {report:?}");
        let before = tree(&desk.data());
        assert!(desk.import(&source).is_unchanged(), "{name}");
        assert_eq!(tree(&desk.data()), before, "{name}: the same import again changes nothing");
        let entries = provenance::load(&desk.data()).unwrap();
        assert_eq!(entries.len(), 5, "{name}");
        assert!(entries.iter().all(|e| e.origin.contains("source")), "{name}: {entries:?}");
    }
}

#[test]
fn one_format_after_another_changes_no_label() {
    let desk = Desk::with_images(&NAMES);
    let project = project();
    desk.import(&desk.write("a.json", &export(&project)));
    let entries = fs::read_to_string(provenance::path_in(&desk.data())).unwrap();
    for (file, content) in
        [("b.json", json_min(&project)), ("c.csv", table(&project, ',')), ("d.tsv", table(&project, '\t'))]
    {
        let report = desk.import(&desk.write(file, &content));
        assert!(report.is_unchanged() && report.withdrawn.is_empty(), "{file}: {report:?}");
        assert_eq!(fs::read_to_string(provenance::path_in(&desk.data())).unwrap(), entries, "{file} says nothing new");
    }
}

/// The exports as Label Studio's own converter writes them.
#[test]
fn the_converter_of_label_studio_writes_what_is_read() {
    let test = "the_converter_of_label_studio_writes_what_is_read";
    let Some(python) = kidu_testing::peer_python(test, &["label_studio_sdk"]) else { return };
    let project = project();
    let desk = Desk::with_images(&NAMES);
    let tasks = desk.write("export.json", &export(&project));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/label_studio_exports.py");
    let out = Command::new(python).args([script, &tasks]).arg(desk.path("converted")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for file in ["JSON_MIN/result.json", "CSV/result.csv", "TSV/result.csv", "JSON/result.json"] {
        let other = Desk::with_images(&NAMES);
        let content = fs::read_to_string(desk.path("converted").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let report = other.import(&other.write(file, &content));
        assert_eq!(other.labels(), expected(), "{file}: {report:?}\n{content}");
    }
}

#[test]
fn a_choice_of_several_is_reported_and_not_taken() {
    let desk = Desk::with_images(&["a.jpg", "b.jpg"]);
    let two = r#"[{"image":"a.jpg","annotation_id":1,"choice":{"choices":["sea","ice"]}},{"image":"b.jpg","annotation_id":2,"choice":"sea"}]"#;
    let report = desk.import(&desk.write("x.json", two));
    assert_eq!(report.not_single_label.len(), 1);
    assert_eq!(report.not_single_label[0].place, "[0]");
    assert!(report.not_single_label[0].reason.contains("sea, ice"), "{report:?}");
    assert_eq!(desk.labels(), map(&[("b.jpg", "train/sea")]));
}

#[test]
fn of_several_questions_one_is_chosen_by_name() {
    let mut desk = Desk::with_images(&["a.jpg"]);
    let result = |name: &str, what: &str| json!({"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": [what]}});
    let mut one: Value = task(&tasks(&[("a.jpg", &[answer(1, 1, "x", 1)])])[0]);
    one["annotations"][0]["result"] = json!([result("scene", "sea"), result("quality", "good"),
        {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": {"x": 1}}]);
    let source = desk.write("x.json", &json!([one]).to_string());
    let message = desk.refused(&source);
    assert!(message.contains("quality, scene") && message.contains("--from-name"), "{message}");
    desk.options.read.from_name = Some("scena".into());
    assert!(desk.refused(&source).contains("did you mean 'scene'"));
    desk.options.read.from_name = Some("scene".into());
    desk.options.new_classes = NewClasses::Allow;
    desk.import(&source);
    assert_eq!(desk.labels(), map(&[("a.jpg", "train/sea")]));
}
