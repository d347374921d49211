//! Interruptions: whatever ends a run, going on gives the result of the run that nothing ended.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    command::{Running, end_of, kidu, run},
    fixture::{TRAINED, assert_same_result, scratch, training, words},
};

/// Starts the shared training in a folder of its own.
pub(crate) fn start() -> (TempDir, PathBuf, Running) {
    let dir = scratch();
    let out = dir.path().join("run");
    let running = Running::start(kidu(dir.path(), &words(&training(&out))), &dir.path().join("err.txt"));
    (dir, out, running)
}

/// Resumes and compares with the uninterrupted run.
#[track_caller]
pub(crate) fn resume(dir: &Path, out: &Path) {
    let ended = run(dir, &["train", "--resume", &out.display().to_string()]).ok();
    assert!(ended.err.contains("resumed from"), "{ended:#?}");
    assert_same_result(&TRAINED, out);
}

/// Whether a checkpoint is being written: those of runs that are at rest have other names.
fn is_writing(checkpoints: &Path) -> bool {
    let Ok(entries) = fs::read_dir(checkpoints) else { return false };
    entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with(".tmp-"))
}

#[test]
fn killed_while_a_checkpoint_is_written() {
    let (dir, out, mut running) = start();
    let checkpoints = out.join("checkpoints");
    running.until("a second checkpoint", |_| checkpoints.join("last.ckpt").is_file() && is_writing(&checkpoints));
    running.signal("KILL");
    assert_eq!(running.wait().signal(), Some(9));
    assert!(!out.join("bundle").exists());
    resume(dir.path(), &out);
}

#[test]
fn killed_in_the_second_epoch() {
    let (dir, out, mut running) = start();
    running.until("the second epoch", |err| err.contains("epoch 1/2: train loss"));
    running.signal("KILL");
    assert_eq!(running.wait().signal(), Some(9));
    assert!(!out.join("bundle").exists());
    resume(dir.path(), &out);
}

/// SIGINT and SIGTERM end the run in order, with what to do next.
fn stopped_by(signal: &str) {
    let (dir, out, mut running) = start();
    running.until("a checkpoint", |_| out.join("checkpoints/last.ckpt").is_file());
    running.signal(signal);
    assert_eq!(running.wait().code(), Some(130), "{}", running.err());
    let said = running.err();
    assert!(said.contains(&format!("kidu train --resume {}", out.display())), "{said}");
    assert!(said.contains("interrupted: at epoch"), "{said}");
    assert!(!said.contains("error"), "{said}");
    resume(dir.path(), &out);
}

#[test]
fn stopped_by_sigterm() {
    stopped_by("TERM");
}

#[test]
fn stopped_by_sigint() {
    stopped_by("INT");
}

#[test]
fn a_run_that_ended_before_its_first_checkpoint_starts_anew() {
    let dir = scratch();
    let out = dir.path().join("run");
    fs::create_dir(&out).unwrap();
    fs::copy(TRAINED.join("config.yaml"), out.join("config.yaml")).unwrap();
    let ended = run(dir.path(), &["train", "--resume", &out.display().to_string()]).ok();
    assert!(ended.err.contains("no checkpoint yet: the run starts anew"), "{ended:#?}");
    assert_same_result(&TRAINED, &out);
}

#[test]
fn the_same_seed_gives_the_same_weights_on_any_number_of_threads() {
    let dir = scratch();
    let out = dir.path().join("run");
    let mut arguments = training(&out);
    arguments.push("data.num_workers=1".into());
    let mut command: Command = kidu(dir.path(), &words(&arguments));
    command.env("RAYON_NUM_THREADS", "1");
    end_of(command).ok();
    for name in ["bundle/weights.safetensors", "metrics.csv", "metrics.jsonl"] {
        assert!(fs::read(TRAINED.join(name)).unwrap() == fs::read(out.join(name)).unwrap(), "{name}");
    }
}
