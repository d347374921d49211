//! `kidu data check`.

use std::fs;

use crate::{
    command::run,
    fixture::{SCENES, assert_kept, copy, scratch, set, snapshot},
};

#[test]
fn generated_scenes_are_sound_and_the_result_is_where_it_is_said_to_be() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    let ended = run(dir.path(), &["data", "check", "--out", "out", "--json", &root]).ok().json();
    assert_eq!(ended["images"], 66);
    let errors = ended["findings"].as_array().unwrap().iter().filter(|f| f["severity"] == "error").count();
    assert_eq!(errors, 0, "{ended}");
    let page = fs::read_to_string(dir.path().join("out/check.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && !page.contains("http"));
    assert!(dir.path().join("out/check.json").is_file());
}

#[test]
fn errors_exit_with_3_and_are_moved_away_and_back() {
    let dir = scratch();
    let data = dir.path().join("scenes");
    copy(&SCENES, &data);
    fs::copy(data.join("train/sea/00001.jpg"), data.join("test/sea/leak.jpg")).unwrap();
    fs::write(data.join("train/sea/text.jpg"), b"no image").unwrap();
    let before = snapshot(&data);
    let root = set("data.root", &data);
    let refused = run(dir.path(), &["data", "check", "--out", "out", &root]);
    assert_eq!(refused.code, Some(3), "{refused:#?}");
    assert!(refused.out.contains("duplicate-across-splits") && refused.err.contains("--fix"), "{refused:#?}");
    run(dir.path(), &["data", "check", "--out", "out", "--fail-on", "never", &root]).ok();

    let dry = run(dir.path(), &["data", "check", "--out", "out", "--fix", "--dry-run", &root]);
    assert!(dry.err.contains("would move train/sea/text.jpg (unreadable-type)"), "{dry:#?}");
    assert_kept(&before);
    let fixed = run(dir.path(), &["data", "check", "--out", "out", "--json", "--fix", &root]).ok().json();
    let moved: Vec<&str> =
        fixed["fix"]["moved"].as_array().unwrap().iter().map(|m| m["path"].as_str().unwrap()).collect();
    assert_eq!(moved, ["train/sea/00001.jpg", "train/sea/text.jpg"]);
    assert!(!data.join("train/sea/00001.jpg").exists() && data.join("test/sea/leak.jpg").exists());
    let journal = fixed["fix"]["journal"].as_str().unwrap().to_string();
    run(dir.path(), &["data", "check", "--undo", &journal]).ok();
    assert_kept(&before);
    assert_eq!(snapshot(&data).len(), before.len());
}

#[test]
fn wrong_options_are_usage_errors() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    for (arguments, words) in [
        (vec!["data", "check", "--fix", "blury", &root], "did you mean 'blurry'?"),
        (vec!["data", "check"], "data.root is not set"),
        (vec!["data", "check", "data.check.dark=2", &root], "data.check.dark"),
        (vec!["data", "check", "--undo", "j", "--fix"], "cannot be used with"),
    ] {
        let ended = run(dir.path(), &arguments);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.err.contains(words), "{ended:#?}");
    }
}
