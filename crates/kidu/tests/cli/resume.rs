//! Interruptions: whatever ends a run, going on gives the result of the run that nothing ended.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use tempfile::TempDir;

use crate::{
    command::{Running, end_of, kidu, run},
    fixture::{TRAINED, assert_same_result, scratch, training, words},
};

/// A training that a signal has ended.
pub(crate) struct Interrupted {
    pub(crate) dir: TempDir,
    pub(crate) out: PathBuf,
    err: String,
    status: ExitStatus,
}

/// How often a training is started anew that came to its end before the signal came to it.
pub(crate) const TRIES: usize = 5;

impl Interrupted {
    /// The shared training in a folder of its own, with a signal as soon as something holds of its folder and its messages.
    #[track_caller]
    pub(crate) fn by(signal: &str, what: &str, holds: impl Fn(&Path, &str) -> bool) -> Self {
        let once = |_| {
            let dir = scratch();
            let out = dir.path().join("run");
            let mut running = Running::start(kidu(dir.path(), &words(&training(&out))), &dir.path().join("err.txt"));
            let status = running.interrupt(signal, what, |err| holds(&out, err))?;
            Some(Self { dir, out, err: running.err(), status })
        };
        (0..TRIES).find_map(once).expect("a training that the signal ends")
    }

    fn resume(&self) {
        resume(self.dir.path(), &self.out);
    }
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
    let interrupted = Interrupted::by("KILL", "a second checkpoint", |out, _| {
        let checkpoints = out.join("checkpoints");
        checkpoints.join("last.ckpt").is_file() && is_writing(&checkpoints)
    });
    assert_eq!(interrupted.status.signal(), Some(9));
    assert!(!interrupted.out.join("bundle").exists());
    interrupted.resume();
}

#[test]
fn killed_in_the_second_epoch() {
    let interrupted = Interrupted::by("KILL", "the second epoch", |_, err| err.contains("epoch 1/2: train loss"));
    assert_eq!(interrupted.status.signal(), Some(9));
    assert!(!interrupted.out.join("bundle").exists());
    interrupted.resume();
}

/// SIGINT and SIGTERM end the run in order, with what to do next.
fn stopped_by(signal: &str) {
    let interrupted = Interrupted::by(signal, "a checkpoint", |out, _| out.join("checkpoints/last.ckpt").is_file());
    let said = &interrupted.err;
    assert_eq!(interrupted.status.code(), Some(130), "{said}");
    assert!(said.contains(&format!("kidu train --resume {}", interrupted.out.display())), "{said}");
    assert!(said.contains("interrupted: at epoch"), "{said}");
    assert!(!said.contains("error"), "{said}");
    interrupted.resume();
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
