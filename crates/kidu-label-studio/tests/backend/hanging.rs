//! The binary: builds that do not end.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use kidu_testing::HttpClient;
use serde_json::json;

use crate::{
    process::{Process, Scene, annotation, notes, program},
    support::wait_for,
};

/// A build that never ends, whose child would outlive it.
const HANGING: &str = "sleep 600 &\necho halfway\nwait";

/// The only build has failed for the time that it took, and nothing of it is left.
fn timed_out(process: &Process, scratch: &Path) {
    wait_for("the build's end", || process.versions()["builds"].as_array().is_some_and(|b| b.len() == 1));
    let build = process.versions()["builds"][0].clone();
    assert_eq!(build["end"], "failed", "{build}");
    let detail = build["detail"].as_str().unwrap();
    assert!(detail.contains("--build-timeout") && detail.ends_with("halfway"), "{detail}");
    assert_eq!(process.versions()["pending_annotations"], 1, "nothing was learned from it");
    let page = HttpClient::new(process.address).get("/status").unwrap().text();
    assert!(page.contains("--build-timeout"), "{page}");
    let log = scratch.join("state/builds").join(build["id"].as_str().unwrap()).join("log");
    // Its shell has ended; what it started has the signal, too, and is as good as gone.
    wait_for("no process of the build has its log", || fs::File::open(&log).unwrap().try_lock().is_ok());
}

#[test]
fn a_build_that_hangs_is_stopped_with_its_children_and_has_failed() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let kidu = program(scratch, HANGING);
    let process = scene.start(&[
        "--train-after",
        "1",
        "--debounce",
        "0",
        "--build-timeout",
        "5",
        "--build-program",
        &kidu,
        "--build-arg",
        "x=1",
    ]);
    process.event(&annotation(1, 0));
    timed_out(&process, scratch);
}

#[test]
fn a_hanging_build_that_outlives_its_backend_is_stopped_by_the_next() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let kidu = program(scratch, HANGING);
    let start = |timeout: &str| {
        let more = ["--train-after", "1", "--debounce", "0", "--build-timeout", timeout];
        scene.start(&[&more[..], &["--build-program", &kidu, "--build-arg", "x=1"]].concat())
    };
    let process = start("600");
    process.event(&annotation(1, 0));
    let begun = || fs::read_dir(scratch.join("state/builds")).is_ok_and(|mut d| d.any(|b| halfway(&b.unwrap().path())));
    wait_for("the build runs", begun);
    process.kill();
    timed_out(&start("1"), scratch);
}

/// Killed after the build has started and before its number is written down: the next life finds it all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_hanging_build_whose_number_is_not_written_down_is_stopped_by_the_next() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let start = |timeout: &str, kidu: &str| {
        let more = ["--train-after", "1", "--debounce", "0", "--build-timeout", timeout];
        scene.start(&[&more[..], &["--build-program", kidu, "--build-arg", "x=1"]].concat())
    };
    // The backend is killed by the build as the first thing that it does: at that point, or a moment after.
    let mut process = start("600", &program(scratch, &format!("kill -9 $PPID\n{HANGING}")));
    process.event(&annotation(1, 0));
    process.wait();
    let dir = fs::read_dir(scratch.join("state/builds")).unwrap().next().unwrap().unwrap().path();
    wait_for("the build goes on", || fs::read_to_string(dir.join("log")).is_ok_and(|l| l.contains("halfway")));
    assert!(fs::File::open(dir.join("log")).unwrap().try_lock().is_err(), "it has its log");
    // As it is at that point, whichever moment it was.
    println!("the kill came with this written down: {:?}", fs::read_to_string(dir.join("group")).unwrap());
    fs::write(dir.join("group"), "").unwrap();
    // A person who reads the log is none of the build.
    let mut reader = Command::new("tail").arg("-f").arg(dir.join("log")).stdout(Stdio::null()).spawn().unwrap();
    let start_of_next = std::time::Instant::now();
    let next = start("1", &program(scratch, HANGING));
    timed_out(&next, scratch);
    assert!(start_of_next.elapsed() < Duration::from_secs(20), "{:?}", start_of_next.elapsed());
    assert!(reader.try_wait().unwrap().is_none(), "the reader was ended too");
    reader.kill().unwrap();
    reader.wait().unwrap();
    drop(next);
    // Its annotation is there once, and the next build has it.
    fs::remove_dir(scratch.join("busy")).unwrap();
    let next = start("600", &program(scratch, ""));
    next.event(&json!({"action": "START_TRAINING", "project": {"id": 1}}));
    wait_for("another build", || next.versions()["builds"].as_array().is_some_and(|b| b.len() == 2));
    let build = next.versions()["builds"][0].clone();
    assert_eq!((build["end"].as_str(), build["annotations"].as_u64()), (Some("succeeded"), Some(1)), "{build}");
    assert_eq!(next.versions()["pending_annotations"], 0);
    assert!(!notes(scratch).iter().any(|n| n == "overlap"), "{:?}", notes(scratch));
}

/// Whether a build has written its line, and its group is known.
fn halfway(dir: &Path) -> bool {
    fs::read_to_string(dir.join("log")).is_ok_and(|l| l.contains("halfway"))
        && fs::read_to_string(dir.join("group")).is_ok_and(|number| !number.is_empty())
}
