//! `kidu data import`: options, output, exit codes.

use std::fs;

use serde_json::json;

use crate::{
    command::{kidu, run},
    fixture::{SCENES, scratch, snapshot},
};

/// A list that names every third training scene as it is, and the first as another class.
fn list() -> String {
    let train = SCENES.join("train");
    let images = snapshot(&train).into_keys().map(|p| p.strip_prefix(&train).unwrap().display().to_string());
    let rows = images.step_by(3).enumerate().map(|(i, path)| {
        let class = if i == 0 { "sea" } else { path.split('/').next().unwrap() };
        format!("{path},{class}\n")
    });
    format!("path,label\n{}", rows.collect::<String>())
}

#[test]
fn a_list_becomes_a_dataset_that_can_be_split_and_again_nothing_changes() {
    let dir = scratch();
    fs::write(dir.path().join("list.csv"), list()).unwrap();
    let images = SCENES.join("train");
    let arguments = ["data", "import", "list.csv", "--into", "data", "--images", images.to_str().unwrap()];
    let looked = run(dir.path(), &[&arguments[..], &["--dry-run"]].concat()).ok();
    assert!(looked.out.contains("16 annotations read, 16 usable") && !dir.path().join("data").exists(), "{looked:#?}");
    let report = run(dir.path(), &[&arguments[..], &["--json"]].concat()).ok().json();
    let new: u64 = report["classes"].as_array().unwrap().iter().map(|c| c["new"].as_u64().unwrap()).sum();
    assert_eq!((new, &report["annotations"]["usable"]), (16, &json!(16)));
    let before = snapshot(&dir.path().join("data"));
    let again = run(dir.path(), &arguments).ok();
    assert!(again.out.contains("nothing changed"), "{again:#?}");
    assert_eq!(snapshot(&dir.path().join("data")), before);
    run(dir.path(), &["data", "split", "--out", "split", "data.root=data", "data.train_val_test_split=[0.5,0,0.5]"])
        .ok();
}

#[test]
fn refusals_have_their_exit_codes() {
    let dir = scratch();
    let place = |name: &str| dir.path().join(name);
    fs::write(place("list.csv"), "path,label\nx.jpg,sea\n").unwrap();
    let import = |more: &[&str]| run(dir.path(), &[&["data", "import", "list.csv", "--into", "data"], more].concat());
    import(&[]).fails(1, &["none of the 1 annotated images", "--images"]);
    assert!(!place("data").exists(), "a refused import leaves nothing");
    run(dir.path(), &["data", "import", "none.json", "--into", "data"]).fails(1, &["none.json", "no such file"]);
    import(&["--timeout", "0"]).fails(2, &["--timeout", "from 0.1 to 86400"]);
    import(&["--label-studio", "label.example.com"]).fails(2, &["--label-studio", "http"]);
    import(&["--class-map", "a=b", "--class-map", "b=c"]).fails(2, &["--class-map", "itself mapped"]);
    for bad in
        [["--on-conflict", "first"], ["--allow-private", "10.0.0.0/99"], ["--format", "coca"], ["--split", "all"]]
    {
        let ended = import(&bad).code(2);
        assert!(ended.err.contains(bad[0]) && ended.err.contains(bad[1]), "{ended:#?}");
    }
    fs::create_dir_all(place("data/train/ice")).unwrap();
    fs::copy(snapshot(&SCENES.join("train")).into_keys().next().unwrap(), place("data/train/ice/1.jpg")).unwrap();
    import(&[]).fails(1, &["no class 'sea'", "--new-classes"]);
}

#[test]
fn a_token_from_the_environment_is_never_shown() {
    let dir = scratch();
    let export = json!([{"id": 1, "data": {"image": "/data/upload/1/a.jpg"}, "annotations": [{"id": 1, "result": [
        {"from_name": "c", "to_name": "i", "type": "choices", "value": {"choices": ["sea"]}}]}]}]);
    fs::write(dir.path().join("x.json"), export.to_string()).unwrap();
    let url = "http://127.0.0.1:1";
    let arguments = ["data", "import", "x.json", "--into", "data", "--retries", "0", "--label-studio", url];
    let mut command = kidu(dir.path(), &arguments);
    command.env("LABEL_STUDIO_API_KEY", "verysecret");
    let ended = crate::command::end_of(command).code(1);
    assert!(ended.err.contains("cannot connect") && !ended.err.contains("verysecret"), "{ended:#?}");
}
