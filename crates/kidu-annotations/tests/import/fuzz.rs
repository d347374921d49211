//! Any bytes give a reading, never a panic.

use kidu_annotations::read::{ReadOptions, read};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{answer, export, tasks};

/// Values with the keys that readers look for, holding anything.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("choices")),
        Just(json!("a.jpg")),
        Just(json!("{\"choices\"")),
        Just(json!("2026-11-23T04:25:50Z")),
    ];
    let keys = prop::sample::select(vec![
        "id",
        "data",
        "image",
        "annotations",
        "completions",
        "result",
        "task",
        "value",
        "choices",
        "type",
        "from_name",
        "was_cancelled",
        "ground_truth",
        "completed_by",
        "created_at",
        "updated_at",
        "images",
        "categories",
        "image_id",
        "category_id",
        "file_name",
        "name",
        "annotation_id",
        "annotator",
        "choice",
        "project",
        "x",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..7).prop_map(|pairs| Value::from(
                pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect::<Map<_, _>>()
            )),
        ]
    })
}

fn all_options() -> Vec<ReadOptions> {
    let formats = ["label-studio-annotation", "label-studio-tasks", "json-min", "label-studio-csv", "coco", "list"];
    let mut all: Vec<ReadOptions> =
        formats.iter().map(|f| ReadOptions { format: Some(f.parse().unwrap()), ..ReadOptions::default() }).collect();
    all.push(ReadOptions { image_key: Some("x".into()), from_name: Some("choice".into()), ..ReadOptions::default() });
    all.push(ReadOptions::default());
    all
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    for options in all_options() {
        let reading = read("file", bytes, &options);
        prop_assert!(reading.problems.iter().all(|p| p.file == "file" && !p.reason.is_empty()));
        prop_assert!(reading.annotations.iter().all(|a| !a.address.is_empty()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn json_of_any_shape(value in value()) {
        check(value.to_string().as_bytes())?;
        check(json!([value]).to_string().as_bytes())?;
        check(json!({"images": [value.clone()], "annotations": [value.clone()], "categories": [value]}).to_string().as_bytes())?;
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), start in "[\\[{\"]?") {
        check(&[start.as_bytes(), &bytes].concat())?;
    }

    #[test]
    fn any_table(rows in prop::collection::vec("[\\PC,;\t\"]{0,40}", 0..6), header in prop::sample::select(vec![
        "path,label", "path\tlabel\tsplit", "annotation_id,image,choice", "image;class;annotator;updated_at", "x,y",
    ])) {
        check(format!("{header}\n{}", rows.join("\n")).as_bytes())?;
    }

    #[test]
    fn a_cut_export_gives_a_problem(at in 1usize..400) {
        let text = export(&tasks(&[("a.jpg", &[answer(1, 1, "sea", 1)]), ("b.jpg", &[answer(2, 1, "ice", 1)])]));
        let at = at.min(text.len() - 1);
        let reading = read("file", &text.as_bytes()[..at], &ReadOptions::default());
        prop_assert!(!reading.problems.is_empty());
        prop_assert!(reading.problems[0].reason.contains("cut short"), "{:?}", reading.problems);
    }
}
