//! Annotations that are no more.

use kidu_annotations::{Outcome, provenance};

use crate::support::{Answer, Desk, Tasks, answer, export, files, map, put, task, tasks, tree};

fn desk() -> Desk {
    Desk::with_images(&["a.jpg", "b.jpg", "c.jpg"])
}

fn full() -> Tasks {
    tasks(&[
        ("a.jpg", &[answer(1, 1, "sea", 1)]),
        ("b.jpg", &[answer(2, 1, "sea", 1), answer(3, 2, "ice", 2)]),
        ("c.jpg", &[answer(4, 1, "ice", 1)]),
    ])
}

#[test]
fn what_was_deleted_is_reported_and_taken_out_on_demand() {
    let mut desk = desk();
    desk.import(&desk.write("x.json", &export(&full())));
    let less = tasks(&[("a.jpg", &[]), ("b.jpg", &[answer(2, 1, "sea", 1)]), ("c.jpg", &[answer(4, 1, "ice", 1)])]);
    let source = desk.write("y.json", &export(&less));
    let before = tree(&desk.data());
    let report = desk.import(&source);
    assert_eq!(tree(&desk.data()), before, "reported, and nothing else");
    let said: Vec<_> =
        report.withdrawn.iter().map(|w| (w.annotation.as_deref().unwrap(), w.reason, w.outcome.clone())).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|s| s.1 == "deleted" && s.2 == Outcome::Kept), "{said:?}");

    desk.options.prune = true;
    let report = desk.import(&source);
    assert_eq!(desk.labels(), map(&[("b.jpg", "train/sea"), ("c.jpg", "train/ice")]));
    let outcome =
        |id: &str| report.withdrawn.iter().find(|w| w.annotation.as_deref() == Some(id)).unwrap().outcome.clone();
    assert_eq!(outcome("1"), Outcome::Quarantined(".quarantine/train/sea/a.png".into()));
    assert_eq!(outcome("3"), Outcome::Settled);
    let found = files(&desk.data());
    assert!(found.contains(&".quarantine/train/sea/a.png".to_string()), "{found:?}");
    let log = std::fs::read_to_string(desk.data().join(".quarantine/log.jsonl")).unwrap();
    assert!(log.contains("\"from\":\"train/sea/a.png\"") && log.lines().count() == 1, "{log}");
    assert_eq!(provenance::load(&desk.data()).unwrap().len(), 2);
    let before = tree(&desk.data());
    assert!(desk.import(&source).withdrawn.is_empty());
    assert_eq!(tree(&desk.data()), before);
}

#[test]
fn what_was_skipped_later_counts_no_more_where_others_answered() {
    let desk = desk();
    desk.import(&desk.write("x.json", &export(&full())));
    assert_eq!(desk.labels()["b.jpg"], "train/ice", "a tie: the newest");
    let skipped = |id, who| Answer { skipped: true, ..answer(id, who, "", 9) };
    let later = tasks(&[
        ("a.jpg", &[skipped(1, 1)]),
        ("b.jpg", &[answer(2, 1, "sea", 1), skipped(3, 2)]),
        ("c.jpg", &[answer(4, 1, "ice", 1)]),
    ]);
    let source = desk.write("x.json", &export(&later));
    let report = desk.import(&source);
    let labels = map(&[("a.jpg", "train/sea"), ("b.jpg", "train/sea"), ("c.jpg", "train/ice")]);
    assert_eq!(desk.labels(), labels, "the image that nobody answers for stays until it is pruned");
    assert_eq!(report.withdrawn.iter().filter(|w| w.reason == "skipped").count(), 2, "{report:?}");
    let before = tree(&desk.data());
    desk.import(&source);
    assert_eq!(tree(&desk.data()), before);
}

#[test]
fn one_task_of_many_withdraws_nothing_and_another_project_neither() {
    let desk = desk();
    desk.import(&desk.write("x.json", &export(&full())));
    let one = task(&full()[2]).to_string();
    assert!(desk.import(&desk.write("3.json", &one)).withdrawn.is_empty(), "a task alone is not the whole");
    let other = export(&tasks(&[("c.jpg", &[answer(40, 9, "ice", 1)])])).replace("\"project\":1", "\"project\":2");
    assert!(desk.import(&desk.write("other.json", &other)).withdrawn.is_empty());
}

#[test]
fn an_image_that_was_there_before_gets_its_class_back() {
    let mut desk = desk();
    let bytes = std::fs::read(desk.path("images/a.jpg")).unwrap();
    put(&desk.data(), "test/ice/old.png", bytes);
    put(&desk.data(), "train/sea/other.png", crate::support::png(500));
    put(&desk.path("images"), "other.png", crate::support::png(500));
    desk.import(&desk.write("x.json", &export(&full())));
    assert_eq!(desk.labels()["a.jpg"], "test/sea");
    desk.options.prune = true;
    let report = desk.import(&desk.write("y.json", &export(&full()[1..].to_vec())));
    assert_eq!(desk.labels()["a.jpg"], "test/ice");
    assert!(report.withdrawn.iter().any(|w| w.outcome == Outcome::Restored("ice".into())), "{report:?}");
}

#[test]
fn nothing_is_pruned_by_a_source_that_cannot_be_read_whole() {
    let mut desk = desk();
    desk.import(&desk.write("x.json", &export(&full())));
    desk.options.prune = true;
    let text = export(&full());
    let message = desk.refused(&desk.write("cut.json", &format!("{}\n{{\"cut", text)));
    assert!(message.contains("--prune needs a whole source"), "{message}");
}

/// Everything of [`full`] but the one answer about `a.jpg` and one of two about `b.jpg`.
fn less() -> String {
    export(&tasks(&[("a.jpg", &[]), ("b.jpg", &[answer(2, 1, "sea", 1)]), ("c.jpg", &[answer(4, 1, "ice", 1)])]))
}

#[test]
fn an_image_may_come_and_go_more_than_once() {
    let mut desk = desk();
    let (whole, part) = (desk.write("x.json", &export(&full())), desk.write("y.json", &less()));
    for turn in 1..4 {
        desk.options.prune = false;
        desk.import(&whole);
        assert_eq!(desk.labels()["a.jpg"], "train/sea");
        desk.options.prune = true;
        desk.import(&part);
        assert!(!desk.labels().contains_key("a.jpg"));
        let kept = files(&desk.data()).into_iter().filter(|f| f.starts_with(".quarantine/train/sea/a")).count();
        assert_eq!(kept, turn, "what was taken out before stays where it is");
    }
}

#[test]
fn what_an_interrupted_import_brought_can_be_taken_out_again() {
    let mut desk = desk();
    let (whole, part) = (desk.write("x.json", &export(&full())), desk.write("y.json", &less()));
    // A folder in the place of the last image stops the import after the others.
    let in_the_way = desk.data().join("train/ice/c.png");
    std::fs::create_dir_all(&in_the_way).unwrap();
    std::fs::create_dir_all(desk.data().join("train/sea")).unwrap();
    let error = desk.try_import(&whole).unwrap_err().to_string();
    assert!(error.contains("c.png") && desk.data().join("train/sea/a.png").is_file(), "{error}");
    std::fs::remove_dir(&in_the_way).unwrap();
    desk.import(&whole);
    assert_eq!(provenance::load(&desk.data()).unwrap().len(), 3);
    desk.options.prune = true;
    desk.import(&part);
    assert_eq!(desk.labels(), map(&[("b.jpg", "train/sea"), ("c.jpg", "train/ice")]));
}
