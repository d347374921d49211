//! Conflicts, classes, splits, names, bad images.

use std::fs;

use kidu_annotations::{Names, NewClasses, OnConflict, Rule, provenance};

use crate::support::{Answer, Desk, answer, export, files, map, png, put, tasks, tree};

fn disagreement() -> (Desk, String) {
    let desk = Desk::with_images(&["a.jpg", "b.jpg", "c.jpg"]);
    let source = desk.write(
        "x.json",
        &export(&tasks(&[
            ("a.jpg", &[answer(1, 1, "sea", 9), answer(2, 2, "ice", 1), answer(3, 3, "ice", 2)]),
            ("b.jpg", &[answer(4, 1, "sea", 1), answer(5, 2, "ice", 2)]),
            ("c.jpg", &[answer(6, 1, "sea", 1), answer(7, 2, "sea", 2)]),
        ])),
    );
    (desk, source)
}

#[test]
fn annotators_who_disagree_are_settled_by_the_rule_and_reported() {
    for (rule, a, b) in [
        (OnConflict::Majority, Some(("train/ice", Rule::Majority)), Some(("train/ice", Rule::MajorityTieNewest))),
        (OnConflict::Newest, Some(("train/sea", Rule::Newest)), Some(("train/ice", Rule::Newest))),
        (OnConflict::Drop, None, None),
    ] {
        let (mut desk, source) = disagreement();
        desk.options.on_conflict = rule;
        let report = desk.import(&source);
        let labels = desk.labels();
        assert_eq!(labels.get("a.jpg").map(String::as_str), a.map(|x| x.0), "{rule:?}");
        assert_eq!(labels.get("b.jpg").map(String::as_str), b.map(|x| x.0), "{rule:?}");
        assert_eq!(labels["c.jpg"], "train/sea");
        assert_eq!(report.conflicts.len(), 2);
        assert_eq!(report.conflicts[0].answers.len(), 3);
        let ignored: usize = report.classes.iter().map(|c| c.ignored).sum();
        assert_eq!(ignored, if rule == OnConflict::Drop { 2 } else { 0 });
        for (conflict, expected) in report.conflicts.iter().zip([a, b]) {
            assert_eq!(conflict.rule, expected.map_or(Rule::Dropped, |x| x.1), "{conflict:?}");
        }
        assert_eq!((report.agreement.images, report.agreement.pairs.len()), (3, 3));
    }
    let (mut desk, source) = disagreement();
    desk.options.on_conflict = OnConflict::Error;
    let message = desk.refused(&source);
    assert!(message.contains("about 2 images") && message.contains("sea (1) or ice (2)"), "{message}");
}

#[test]
fn fewer_annotations_than_there_should_be_are_refused() {
    let (mut desk, source) = disagreement();
    desk.options.at_least = 8;
    let message = desk.refused(&source);
    assert!(message.contains("holds 7 annotations of 8") && message.contains("--from api"), "{message}");
    desk.options.at_least = 7;
    assert_eq!(desk.import(&source).annotations.read, 7);
}

#[test]
fn a_ground_truth_decides_even_where_conflicts_are_errors() {
    let mut desk = Desk::with_images(&["a.jpg"]);
    desk.options.on_conflict = OnConflict::Error;
    let truth = Answer { truth: true, ..answer(1, 1, "sea", 1) };
    let report = desk.import(&desk.write("x.json", &export(&tasks(&[("a.jpg", &[truth, answer(2, 2, "ice", 9)])]))));
    assert_eq!(desk.labels(), map(&[("a.jpg", "train/sea")]));
    assert_eq!((report.conflicts.len(), report.conflicts[0].rule), (1, Rule::GroundTruth));
}

/// A dataset with a test split, whose images are those of the desk.
fn with_splits(names: &[(&str, &str)]) -> Desk {
    let desk = Desk::with_images(&names.iter().map(|n| n.0).collect::<Vec<_>>());
    for (name, folder) in names.iter().filter(|n| !n.1.is_empty()) {
        let bytes = fs::read(desk.path("images").join(name)).unwrap();
        put(&desk.data(), &format!("{folder}/{}.png", name.trim_end_matches(".jpg")), bytes);
    }
    desk
}

#[test]
fn a_new_label_moves_an_image_to_its_class_but_never_to_another_split() {
    let desk = with_splits(&[
        ("a.jpg", "test/sea"),
        ("b.jpg", "train/ice"),
        ("c.jpg", "train/sea"),
        ("d.jpg", ""),
        ("e.jpg", "test/ice"),
    ]);
    let list = "path,label,split\na.jpg,ice,train\nb.jpg,ice,test\nc.jpg,ice,train\nd.jpg,sea,val\n";
    let source = desk.write("list.csv", list);
    let report = desk.import(&source);
    let expected = map(&[
        ("a.jpg", "test/ice"),
        ("b.jpg", "train/ice"),
        ("c.jpg", "train/ice"),
        ("d.jpg", "val/sea"),
        ("e.jpg", "test/ice"),
    ]);
    assert_eq!(desk.labels(), expected);
    let moved: Vec<(&str, &str)> = report.moved.iter().map(|m| (m.from.as_str(), m.to.as_str())).collect();
    assert_eq!(moved, [("test/sea/a.png", "test/ice/a.png"), ("train/sea/c.png", "train/ice/c.png")]);
    assert!(report.notes.iter().any(|n| n.contains("stays in test")), "{:?}", report.notes);
    assert!(report.notes.iter().any(|n| n.contains("train/sea has no image left")), "{:?}", report.notes);
    let entries = provenance::load(&desk.data()).unwrap();
    assert_eq!(entries.iter().filter(|e| e.before.as_deref() == Some("sea")).count(), 2);
    assert!(desk.import(&source).is_unchanged());
}

#[test]
fn a_changed_annotation_is_followed_and_a_later_import_updates_the_line() {
    let desk = Desk::with_images(&["a.jpg", "b.jpg"]);
    let at = |what: &str, second| {
        export(&tasks(&[("a.jpg", &[answer(1, 1, what, second)]), ("b.jpg", &[answer(2, 1, "ice", 1)])]))
    };
    desk.import(&desk.write("monday.json", &at("sea", 1)));
    let report = desk.import(&desk.write("tuesday.json", &at("ice", 2)));
    assert_eq!(desk.labels(), map(&[("a.jpg", "train/ice"), ("b.jpg", "train/ice")]));
    let row = report.classes.iter().find(|c| c.class == "ice").unwrap();
    assert_eq!((row.new, row.changed, row.unchanged), (0, 1, 1));
    let entries = provenance::load(&desk.data()).unwrap();
    let entry = entries.iter().find(|e| e.addresses[0].ends_with("a.jpg")).unwrap();
    assert!(entry.origin.contains("tuesday.json: [0].annotations[0]"), "{entry:?}");
    assert_eq!((entry.annotation.as_deref(), entry.annotator.as_deref(), entry.votes.len()), (Some("1"), Some("1"), 1));
    // An old export does not turn it back.
    assert!(desk.import(&desk.write("monday.json", &at("sea", 1))).is_unchanged());
    assert_eq!(desk.labels()["a.jpg"], "train/ice");
}

#[test]
fn an_unknown_class_is_an_explicit_choice() {
    let names = [("a.jpg", "train/sea"), ("b.jpg", "train/ice"), ("c.jpg", ""), ("d.jpg", "")];
    let rows = "path,label\nc.jpg,Sea\nd.jpg,ice\n";
    let mut desk = with_splits(&names);
    let source = desk.write("list.csv", rows);
    let message = desk.refused(&source);
    assert!(
        message.contains("'Sea' (1 annotation) (did you mean 'sea'?)") && message.contains("--class-map"),
        "{message}"
    );
    desk.options.new_classes = NewClasses::Ignore;
    assert_eq!(desk.import(&source).annotations.ignored_class, 1);
    assert!(!desk.labels().contains_key("c.jpg") && desk.labels()["d.jpg"] == "train/ice");
    desk.options.new_classes = NewClasses::Allow;
    assert!(desk.refused(&source).contains("differ in case only"));
    desk.options.new_classes = NewClasses::Error;
    desk.options.class_map = map(&[("Sea", "sea")]);
    desk.import(&source);
    assert_eq!(desk.labels()["c.jpg"], "train/sea");
    let mut bad = with_splits(&names);
    bad.options.new_classes = NewClasses::Allow;
    assert!(bad.refused(&bad.write("bad.csv", "path,label\nc.jpg,../x\n")).contains("cannot name a folder"));
}

#[test]
fn names_are_kept_without_collisions_or_made_of_the_content() {
    let desk = Desk::with_images(&["x/1.jpg", "y/1.jpg", "z/odd*name?.jpg"]);
    let source = desk.write("list.csv", "path,label\nx/1.jpg,sea\ny/1.jpg,sea\nz/odd*name?.jpg,sea\n");
    desk.import(&source);
    let found: Vec<String> = files(&desk.data()).into_iter().filter(|f| f.ends_with(".png")).collect();
    assert_eq!(found.len(), 3);
    assert!(
        found.contains(&"train/sea/1.png".to_string()) && found.contains(&"train/sea/odd_name_.png".to_string()),
        "{found:?}"
    );
    assert!(
        found.iter().any(|f| f.starts_with("train/sea/1-") && f.len() == "train/sea/1-.png".len() + 12),
        "{found:?}"
    );
    let mut other = Desk::with_images(&["x/1.jpg", "y/1.jpg"]);
    other.options.names = Names::Content;
    other.options.layout = Some(kidu_annotations::LayoutChoice::Class);
    other.import(&other.write("list.csv", "path,label\nx/1.jpg,sea\ny/1.jpg,sea\n"));
    assert!(
        files(&other.data())
            .iter()
            .all(|f| f == provenance::FILE || (f.starts_with("sea/") && f.len() == "sea/.png".len() + 16))
    );
    assert!(other.import(&other.path("list.csv").display().to_string()).is_unchanged());
}

#[test]
fn images_that_cannot_be_used_are_reported_and_cost_no_other() {
    let mut desk = Desk::with_images(&["good.jpg", "p/twice.jpg", "q/twice.jpg"]);
    let whole = png(77);
    put(&desk.path("images"), "cut.jpg", &whole[..whole.len() / 2]);
    put(&desk.path("images"), "text.jpg", "no image");
    let list = "path,label\ngood.jpg,sea\ncut.jpg,sea\ntext.jpg,ice\nnone.jpg,sea\ntwice.jpg,sea\ngs://b/k.jpg,sea\n,sea\na.jpg\n";
    let source = desk.write("list.csv", list);
    let report = desk.import(&source);
    assert_eq!(desk.labels(), map(&[("good.jpg", "train/sea")]));
    let codes: Vec<(&str, &str)> = report.unavailable.iter().map(|u| (u.address.as_str(), u.code.as_str())).collect();
    assert_eq!(
        codes,
        [
            ("cut.jpg", "corrupt"),
            ("gs://b/k.jpg", "unsupported_scheme"),
            ("none.jpg", "not_found"),
            ("text.jpg", "unsupported_format"),
            ("twice.jpg", "ambiguous")
        ]
    );
    let places: Vec<&str> = report.problems.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(places, ["line 8", "line 9"]);
    let row = report.classes.iter().find(|c| c.class == "sea").unwrap();
    assert_eq!((row.new, row.ignored), (1, 4));
    desk.options.strict = true;
    desk.options.new_classes = NewClasses::Allow;
    let message = desk.refused(&source);
    assert!(message.contains("7 records or images") && message.contains("list.csv: line 9"), "{message}");
    let empty = Desk::with_images(&[]);
    assert!(
        empty.refused(&empty.write("list.csv", "path,label\nx.jpg,sea\n")).contains("none of the 1 annotated images")
    );
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let (mut desk, source) = disagreement();
    desk.options.dry_run = true;
    let said = desk.import(&source);
    assert!(!desk.data().exists());
    desk.options.dry_run = false;
    let done = desk.import(&source);
    assert_eq!((said.classes, said.conflicts, said.agreement), (done.classes, done.conflicts, done.agreement));
}

#[test]
fn the_same_content_under_two_addresses_is_one_image() {
    let desk = Desk::with_images(&["a.jpg"]);
    put(&desk.path("images"), "copy.jpg", png(1));
    let source = desk.write(
        "x.json",
        &export(&tasks(&[("a.jpg", &[answer(1, 1, "sea", 1)]), ("copy.jpg", &[answer(2, 2, "ice", 2)])])),
    );
    let report = desk.import(&source);
    assert_eq!(files(&desk.data()).len(), 2, "one image and its line");
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(report.conflicts[0].addresses, ["/data/upload/1/a.jpg", "/data/upload/1/copy.jpg"]);
}

#[test]
fn leftovers_of_a_killed_import_go_and_a_lost_provenance_comes_back() {
    let (desk, source) = disagreement();
    desk.import(&source);
    let whole = tree(&desk.data());
    // Killed after images were written, before their lines were.
    fs::remove_file(provenance::path_in(&desk.data())).unwrap();
    put(&desk.data(), ".kidu-import-abc/0123", "half");
    let report = desk.import(&source);
    assert!(report.is_unchanged());
    let now = tree(&desk.data());
    assert_eq!(now.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    let lock = fs::File::open(desk.data()).unwrap();
    lock.lock().unwrap();
    assert!(desk.refused(&source).contains("another import works"));
}
