//! What a real Label Studio 1.23.2 wrote.

use std::{fs, path::PathBuf};

use kidu_annotations::read::{Format, ReadOptions, read};

use crate::support::{Desk, files, map, tree};

fn contract(test: &str) -> Option<PathBuf> {
    kidu_testing::shared(test).map(|shared| shared.join("contracts/label-studio"))
}

/// The images that the recorded annotations are about, under the names that Label Studio knew them by.
fn desk() -> Desk {
    Desk::with_images(&["buildings_0.jpg", "forest_0.jpg", "glacier_0.jpg", "mountain_0.jpg", "sea_7.jpg", "sea_0.jpg"])
}

#[test]
fn every_recorded_file_is_read_or_refused_with_its_place() {
    let Some(folder) = contract("every_recorded_file_is_read_or_refused_with_its_place") else { return };
    let mut seen = 0;
    for file in files(&folder) {
        let reading = read(&file, &fs::read(folder.join(&file)).unwrap(), &ReadOptions::default());
        let found = (reading.annotations.len(), reading.unannotated, reading.problems.len());
        let expected = match file.as_str() {
            f if f.starts_with("s3-export/annotations__") => (vec![Format::LabelStudioAnnotation], (1, 0, 0)),
            "s3-export/task-format-1.json" => (vec![Format::LabelStudioTasks], (1, 0, 0)),
            "exports/export.JSON" => (vec![Format::LabelStudioTasks], (7, 0, 0)),
            "exports/export_all_tasks.JSON" => (vec![Format::LabelStudioTasks], (7, 3, 0)),
            "exports/export.JSON_MIN" => (vec![Format::JsonMin], (6, 0, 0)),
            "exports/export.CSV" | "exports/export.TSV" => (vec![Format::LabelStudioCsv], (6, 0, 0)),
            // Requests, the matrix of errors and the page itself are no annotations, and that is said.
            _ => {
                assert!(!reading.problems.is_empty() || reading.annotations.is_empty(), "{file}: {reading:?}");
                assert!(reading.problems.iter().all(|p| p.file == file && !p.reason.is_empty()), "{file}");
                continue;
            }
        };
        assert_eq!((reading.formats, found), expected, "{file}: {:?}", reading.problems);
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn the_target_storage_becomes_a_dataset_and_again_nothing_changes() {
    let Some(folder) = contract("the_target_storage_becomes_a_dataset_and_again_nothing_changes") else { return };
    let desk = desk();
    let source = folder.join("s3-export").display().to_string();
    let report = desk.import(&source);
    let expected = map(&[
        ("buildings_0.jpg", "train/buildings"),
        ("glacier_0.jpg", "train/glacier"),
        ("mountain_0.jpg", "train/mountain"),
        ("sea_7.jpg", "train/sea"),
        ("sea_0.jpg", "train/sea"),
    ]);
    assert_eq!(desk.labels(), expected);
    let counts = &report.annotations;
    assert_eq!((counts.read, counts.usable, counts.skipped, counts.empty, counts.bad), (9, 7, 2, 0, 0));
    let before = tree(&desk.data());
    let again = desk.import(&source);
    assert_eq!(tree(&desk.data()), before);
    assert!(again.is_unchanged() && again.withdrawn.is_empty(), "{again:?}");
}

#[test]
fn the_exports_give_the_same_but_for_what_they_do_not_say() {
    let Some(folder) = contract("the_exports_give_the_same_but_for_what_they_do_not_say") else { return };
    for (file, glacier) in [
        ("export.JSON", "glacier"),
        ("export_all_tasks.JSON", "glacier"),
        // These do not say which annotation is a ground truth, so the newest of the annotator counts.
        ("export.JSON_MIN", "sea"),
        ("export.CSV", "sea"),
        ("export.TSV", "sea"),
    ] {
        let desk = desk();
        let report = desk.import(&folder.join("exports").join(file).display().to_string());
        let expected = map(&[
            ("buildings_0.jpg", "train/buildings"),
            ("glacier_0.jpg", &format!("train/{glacier}")),
            ("mountain_0.jpg", "train/mountain"),
            ("sea_7.jpg", "train/sea"),
        ]);
        assert_eq!(desk.labels(), expected, "{file}");
        let said = report.notes.iter().any(|n| n.contains("does not say which annotations are ground truths"));
        assert_eq!(said, glacier == "sea", "{file}");
    }
    // Given together, the JSON export says it for all.
    let desk = desk();
    let report = desk.import(&folder.join("exports").display().to_string());
    assert_eq!(desk.labels()["glacier_0.jpg"], "train/glacier");
    assert_eq!(report.annotations.bad, 0);
}
