//! The build pipeline: what reruns, what is refused, what survives.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{Ended, run},
    fixture::{scratch, short, words},
};

const STEPS: [&str; 5] = ["preprocess", "train", "evaluate", "gate", "register"];

/// `kidu pipeline run` on the scenes with a gate that lets anything through, and further arguments.
fn arguments(more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["pipeline".to_string(), "run".into(), "--json".into(), "gate.min_accuracy=0.0".into()];
    arguments.extend(short());
    arguments.extend(more.iter().map(ToString::to_string));
    arguments
}

fn build(dir: &Path, more: &[&str]) -> Ended {
    run(dir, &words(&arguments(more)))
}

/// The state of each step, in order.
#[track_caller]
fn states(record: &Value) -> [String; 5] {
    let steps = record["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(), STEPS);
    std::array::from_fn(|i| steps[i]["status"].as_str().unwrap().to_string())
}

#[test]
fn only_what_changed_runs_again_and_the_gate_can_refuse() {
    let dir = scratch();
    let first = build(dir.path(), &[]).ok().json();
    assert_eq!(states(&first), ["succeeded"; 5]);
    assert_eq!(first["status"], "succeeded");

    assert_eq!(states(&build(dir.path(), &[]).ok().json()), ["cached"; 5]);

    fs::write(dir.path().join("README.md"), "# Photographs\n").unwrap();
    assert_eq!(states(&build(dir.path(), &[]).ok().json()), ["cached"; 5], "a README reruns nothing");

    let flipped = build(dir.path(), &["data.augmentation.horizontal_flip=0.25"]).ok();
    let expected = ["cached", "succeeded", "succeeded", "succeeded", "succeeded"];
    assert_eq!(states(&flipped.json()), expected, "one augmentation value reruns training and what follows");
    assert!(flipped.err.contains("data.augmentation.horizontal_flip changed from 0.5 to 0.25"), "{flipped:#?}");

    let refused = build(dir.path(), &["gate.min_accuracy=1.0"]).code(3);
    assert_eq!(states(&refused.json()), ["cached", "cached", "cached", "refused", "skipped"]);
    assert!(refused.err.lines().last().unwrap().starts_with("refused: min_accuracy:"), "{refused:#?}");

    let versions = run(dir.path(), &["model", "list", "--json"]).ok().json();
    let statuses: Vec<_> = versions.as_array().unwrap().iter().map(|v| v["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["PendingManualApproval"; 2], "a refused model is not registered");
    status_tells_the_same(&dir, &first);
}

fn status_tells_the_same(dir: &TempDir, first: &Value) {
    let runs = run(dir.path(), &["pipeline", "status", "--json"]).ok().json();
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 5);
    assert_eq!(runs.iter().filter(|r| r["status"] == "refused").count(), 1);
    let id = first["id"].as_str().unwrap();
    assert_eq!(run(dir.path(), &["pipeline", "status", id, "--json"]).ok().json(), *first);
    let text = run(dir.path(), &["pipeline", "status"]).ok().out;
    assert!(text.contains(id) && text.contains("refused") && text.contains("min_accuracy"), "{text}");
    run(dir.path(), &["pipeline", "status", "nothing"]).fails(2, &["nothing"]);
}

#[test]
fn the_graph_is_shown_in_every_format() {
    let dir = scratch();
    for format in ["text", "dot", "mermaid", "svg", "json"] {
        let shown = run(dir.path(), &["pipeline", "show", "--format", format]).ok().out;
        assert!(STEPS.iter().all(|step| shown.contains(step)), "{format}: {shown}");
        let all = run(dir.path(), &["pipeline", "show", "--all", "--format", format]).ok().out;
        assert!(STEPS.iter().chain(&["staging", "production"]).all(|step| all.contains(step)), "{format}: {all}");
    }
}

#[test]
fn the_readme_shows_the_pipelines_as_they_are() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let drawn = readme.split("```mermaid\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = scratch();
    let shown = run(dir.path(), &["pipeline", "show", "--all", "--format", "mermaid"]).ok().out;
    assert_eq!(
        drawn.trim(),
        shown.trim(),
        "put the output of `kidu pipeline show --all --format mermaid` into README.md"
    );
}

#[test]
fn an_unknown_parameter_or_step_is_a_usage_error() {
    let dir = scratch();
    build(dir.path(), &["--parameter", "Modell=resnet18"]).fails(2, &["'Modell'", "did you mean 'Model'"]);
    build(dir.path(), &["--force", "trian"]).fails(2, &["trian", "train"]);
    run(dir.path(), &["pipeline", "run"]).fails(2, &["data.root is not set"]);
}

#[test]
fn a_step_that_fails_is_named_and_nothing_is_registered() {
    let dir = scratch();
    fs::create_dir_all(dir.path().join("photos/sea")).unwrap();
    fs::write(dir.path().join("photos/sea/notes.jpg"), "buy milk\n").unwrap();
    let ended = run(dir.path(), &["pipeline", "run", "data.root=photos"]).fails(1, &["'preprocess'", "one class"]);
    assert!(!dir.path().join("registry/kidu/versions/1").exists(), "{ended:#?}");
}

#[cfg(unix)]
mod killed {
    use std::{os::unix::process::CommandExt, path::PathBuf, process::Command};

    use super::*;
    use crate::command::{Running, kidu};

    /// The checkpoint of a training step under way.
    fn checkpoint_in(cache: &Path) -> Option<PathBuf> {
        let folders = fs::read_dir(cache).ok()?.flatten().map(|e| e.path());
        folders.map(|f| f.join("out/checkpoints/last.ckpt")).find(|p| p.is_file())
    }

    #[test]
    fn in_the_middle_of_training_the_same_command_finishes() {
        let dir = scratch();
        let more = ["trainer.max_epochs=10", "trainer.checkpoint_every_n_steps=1"];
        let mut command = kidu(dir.path(), &words(&arguments(&more)));
        // The steps are processes of the same group: all end at once, as when the machine goes down.
        command.process_group(0);
        let mut running = Running::start(command, &dir.path().join("err.txt"));
        let cache = dir.path().join("runs/pipeline/cache");
        running.until("a checkpoint", |_| checkpoint_in(&cache).is_some());
        let group = format!("-{}", running.id());
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        running.wait();
        let runs = run(dir.path(), &["pipeline", "status", "--json"]).ok().json();
        assert_eq!(runs[0]["status"], "interrupted", "{runs}");

        let ended = build(dir.path(), &more).ok();
        assert_eq!(states(&ended.json()), ["cached", "succeeded", "succeeded", "succeeded", "succeeded"]);
        assert!(ended.err.contains("goes on from where it stopped"), "{ended:#?}");
        assert!(ended.err.contains("resumed from"), "{ended:#?}");
        assert_eq!(states(&build(dir.path(), &more).ok().json()), ["cached"; 5]);
    }

    #[test]
    fn ctrl_c_reaches_run_and_step_and_the_step_saves() {
        let dir = scratch();
        let mut command = kidu(dir.path(), &words(&arguments(&["trainer.max_epochs=200"])));
        command.process_group(0);
        let mut running = Running::start(command, &dir.path().join("err.txt"));
        running.until("the second epoch", |err| err.contains("epoch 1/200"));
        let group = format!("-{}", running.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
        assert_eq!(running.wait().code(), Some(130), "{}", running.err());
        assert!(running.err().contains("interrupted: at epoch"), "{}", running.err());
        assert!(checkpoint_in(&dir.path().join("runs/pipeline/cache")).is_some());
    }

    /// The run alone is killed; nobody tells the process of its step.
    #[cfg(target_os = "linux")]
    mod alone {
        use std::{
            thread,
            time::{Duration, Instant},
        };

        use super::*;

        /// The third and following fields of `/proc/ID/stat`: state, parent.
        fn stat(id: u32) -> Option<(String, u32)> {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let mut fields = stat.rsplit(')').next()?.split_whitespace();
            Some((fields.next()?.to_string(), fields.next()?.parse().ok()?))
        }

        fn child_of(parent: u32) -> Option<u32> {
            let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
            ids.into_iter().find(|id| stat(*id).is_some_and(|(_, of)| of == parent))
        }

        /// A process that nobody waits for may stay as a zombie.
        fn lives(id: u32) -> bool {
            stat(id).is_some_and(|(state, _)| state != "Z" && state != "X")
        }

        /// The process of a step; killed when the test is over, should it still be there.
        struct Step(u32);

        impl Step {
            fn lives(&self) -> bool {
                lives(self.0)
            }

            fn signal(&self, name: &str) {
                let sent = Command::new("kill").args([format!("-{name}"), self.0.to_string()]).status().unwrap();
                assert!(sent.success(), "kill -{name} {}", self.0);
            }
        }

        impl Drop for Step {
            fn drop(&mut self) {
                if self.lives() {
                    let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
                }
            }
        }

        /// A run in the middle of training, and the process that trains.
        fn training(dir: &Path, more: &[&str]) -> (Running, Step) {
            let command = kidu(dir, &words(&arguments(more)));
            let mut running = Running::start(command, &dir.join("err.txt"));
            let cache = dir.join("runs/pipeline/cache");
            running.until("a checkpoint", |_| checkpoint_in(&cache).is_some());
            let step = child_of(running.id()).expect("a step is under way");
            (running, Step(step))
        }

        #[test]
        fn the_step_ends_with_its_run() {
            let dir = scratch();
            let (mut running, step) = training(dir.path(), &["trainer.max_epochs=2000"]);
            running.signal("KILL");
            running.wait();
            let start = Instant::now();
            while step.lives() {
                assert!(start.elapsed() < Duration::from_secs(60), "the step goes on without its run");
                thread::sleep(Duration::from_millis(20));
            }
            let checkpoint = checkpoint_in(&dir.path().join("runs/pipeline/cache")).unwrap();
            let log = fs::read_to_string(checkpoint.parent().unwrap().join("../kidu.log")).unwrap();
            assert!(log.contains("interrupted: at epoch"), "it saves before it ends: {log}");
        }

        #[test]
        fn the_next_run_waits_for_a_step_that_is_still_at_work() {
            let dir = scratch();
            let more = ["trainer.max_epochs=20", "trainer.checkpoint_every_n_steps=1"];
            let (mut running, step) = training(dir.path(), &more);
            step.signal("STOP");
            running.signal("KILL");
            running.wait();

            let again = kidu(dir.path(), &words(&arguments(&more)));
            let mut again = Running::start(again, &dir.path().join("again.txt"));
            again.until("it waits", |err| err.contains("train: another run makes it; waiting"));
            assert!(step.lives());
            step.signal("CONT");
            assert!(again.wait().success(), "{}", again.err());
            assert!(again.err().contains("resumed from"), "{}", again.err());
            assert!(!step.lives());
        }
    }
}
