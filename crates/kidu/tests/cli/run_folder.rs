//! A run's folder: what was written before is not lost.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    command::{Ended, run},
    fixture::{SCENES, TRAINED, copy, scratch, set, short, snapshot, words},
};

/// The shared run, copied to `run`.
fn finished() -> (TempDir, PathBuf) {
    let dir = scratch();
    let out = dir.path().join("run");
    copy(&TRAINED, &out);
    (dir, out)
}

fn record(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_new_run_is_not_written_over_an_earlier_one() {
    let (dir, out) = finished();
    let before = snapshot(&out);
    let short = short();
    let train = |more: &[&str]| run(dir.path(), &[&["train"], more, &words(&short)].concat());
    let expected = ["run holds a run of `kidu train`", "`kidu train --resume run`", "another folder"];
    train(&["--out", "run"]).fails(2, &expected);
    train(&["paths.output_dir=run"]).fails(2, &expected);
    // Even one whose record is gone.
    fs::remove_file(out.join("run.json")).unwrap();
    train(&["--out", "run"]).fails(2, &expected);
    fs::copy(TRAINED.join("run.json"), out.join("run.json")).unwrap();

    let (bundle, root) = (TRAINED.join("bundle").display().to_string(), set("data.root", &SCENES));
    let expected = ["run holds a run of `kidu train`", "give another folder"];
    let judge = |out: &str| run(dir.path(), &["evaluate", "--bundle", &bundle, &root, "--out", out]);
    judge("run").fails(2, &expected);
    run(dir.path(), &["data", "split", &root, "--out", "run"]).fails(2, &expected);
    assert_eq!(snapshot(&out), before);

    // What can be made again at any time may be.
    judge("judged").ok();
    judge("judged").ok();
    train(&["--out", "judged"]).fails(2, &["judged holds a run of `kidu evaluate`"]);
}

#[test]
fn a_resumed_start_is_added_to_the_first() {
    let (dir, out) = finished();
    let resume = |more: &[&str]| -> Ended { run(dir.path(), &[&["train", "--resume", "run"], more].concat()) };
    let first = record(&out);
    resume(&["trainer.max_epochs=3"]).ok();
    resume(&["model.optimizer.name=adam"]).fails(1, &["was written with the optimizer"]);
    resume(&[]).ok();

    for name in ["config.yaml", "overrides.txt"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(TRAINED.join(name)).unwrap(), "{name}");
    }
    let mut now = record(&out);
    let resumed = now.as_object_mut().unwrap().remove("resumed").unwrap();
    assert_eq!(now, first, "the first start stays");
    let resumed = resumed.as_array().unwrap();
    let overrides: Vec<_> = resumed.iter().map(|r| r["overrides"].clone()).collect();
    assert_eq!(overrides, [json!(["trainer.max_epochs=3"]), json!(["model.optimizer.name=adam"]), json!([])]);
    for entry in resumed {
        assert!(entry["time"].is_string() && entry["command"].to_string().contains("--resume"), "{entry}");
        assert!(entry.get("git_commit").is_some(), "{entry}");
    }
    assert!(resumed[1]["failed"].as_str().unwrap().contains("optimizer"), "{resumed:?}");
    // The third epoch stays wanted, the other optimizer does not.
    assert_eq!(resumed[2]["config_hash"], resumed[0]["config_hash"]);
    assert_ne!(resumed[0]["config_hash"], first["config_hash"]);
    assert_eq!(fs::read_to_string(out.join("metrics.csv")).unwrap().lines().count(), 4, "a header and three epochs");
}

#[test]
fn what_an_interrupted_write_left_is_removed_on_resuming_but_not_under_a_live_writer() {
    let (dir, out) = finished();
    let left = ["checkpoints/.tmp-aB3dE9", "bundle/.tmp-000000", ".tmp-zzzzzz"];
    let kept = ["checkpoints/.tmp-notes.txt", "checkpoints/mine.ckpt"];
    for name in left.iter().chain(&kept) {
        fs::write(out.join(name), "half").unwrap();
    }
    let resume = || run(dir.path(), &["train", "--resume", "run"]);
    let exist = |names: &[&str]| names.iter().filter(|n| out.join(n).exists()).count();
    let live = File::create(out.join(".lock")).unwrap();
    live.lock().unwrap();
    resume().fails(1, &["run is in use by another process"]);
    assert_eq!(exist(&left), 3);

    drop(live);
    let ended = resume().ok();
    assert!(ended.err.contains("removed run/checkpoints/.tmp-aB3dE9, left by an interrupted write"), "{ended:#?}");
    assert_eq!((exist(&left), exist(&kept)), (0, 2));
}
