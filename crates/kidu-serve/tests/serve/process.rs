//! The binary: signals, logs, port 0, exit codes.

use std::{
    io::{BufRead, ErrorKind},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{self, Process, jpeg};

fn version(process: &Process) -> String {
    let info: Value = serde_json::from_slice(&process.client().get("/v1/model").unwrap().body).unwrap();
    info["version"].as_str().unwrap().to_owned()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_in_the_middle_loses_no_request() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(&dir.path().join("bundle"));
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(&dir.path().join("bundle"), dir.path(), &[]);
        // By client; who stood still for a second, on a busy machine, may cross with the end.
        let counts = Mutex::new([(0, false); 8]);
        let crossed = AtomicBool::new(false);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for i in 0..8 {
                let (process, counts, ended, crossed) = (&process, &counts, &ended, &crossed);
                scope.spawn(move || {
                    let (mut client, image) = (process.client(), jpeg(i as u32));
                    loop {
                        match client.post("/", "image/jpeg", &image) {
                            Ok(answer) => {
                                assert_eq!(answer.status, 200, "{}", answer.text());
                                let count = &mut counts.lock().unwrap()[i];
                                count.0 += 1;
                                count.1 |= answer.header("connection") == Some("close");
                            }
                            // Nobody listens any more: nothing was taken.
                            Err(e) if e.kind() == ErrorKind::ConnectionRefused && ended.load(Ordering::SeqCst) => {
                                return;
                            }
                            Err(_) if ended.load(Ordering::SeqCst) && client.stood_still() => {
                                crossed.store(true, Ordering::SeqCst);
                                return;
                            }
                            Err(e) => panic!("a request was lost: {e}"),
                        }
                    }
                });
            }
            wait_for("an answer for each", || counts.lock().unwrap().iter().all(|(answered, _)| *answered > 0));
            ended.store(true, Ordering::SeqCst);
            process.signal(signal);
        });
        let status = process.child.wait().unwrap();
        assert!(status.success(), "{status} {}", process.logged());
        let counts = counts.into_inner().unwrap();
        let crossed = crossed.into_inner();
        assert!(crossed || counts.iter().all(|(_, told)| *told), "not everybody was told of the end: {counts:?}");
        let answered: usize = counts.iter().map(|(answered, _)| answered).sum();
        let logged = process.logged();
        let lines = logged.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        let successes = lines.filter(|l| l["message"] == "answered" && l["status"] == 200).count();
        assert!(successes == answered || crossed, "every answer that was sent has arrived: {successes}, {answered}");
    }
}

#[test]
fn a_server_that_is_bound_to_its_input_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(&dir.path().join("bundle"));
    let mut process = Process::start(&dir.path().join("bundle"), dir.path(), &["--end-with-stdin"]);
    assert_eq!(process.client().post("/", "image/jpeg", &jpeg(1)).unwrap().status, 200);
    drop(process.child.stdin.take().unwrap());
    assert!(process.child.wait().unwrap().success(), "{}", process.logged());
    assert!(process.logged().contains("the end of standard input"), "{}", process.logged());
}

#[test]
fn readiness_ends_before_the_server_does() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(&dir.path().join("bundle"));
    let process = Process::start(&dir.path().join("bundle"), dir.path(), &["--shutdown-delay", "30"]);
    process.signal("TERM");
    wait_for("not ready", || process.client().get("/ready").unwrap().status == 503);
    assert_eq!(process.client().get("/health").unwrap().status, 200);
    assert_eq!(process.client().post("/", "image/jpeg", &jpeg(1)).unwrap().status, 200);
}

#[test]
fn a_moved_link_a_hangup_and_the_administrator_bring_the_new_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let one = support::bundle(&dir.path().join("one"));
    let two = kidu_testing::bundle(&dir.path().join("two"), "mobilenetv2_100", support::SIZE, &["x", "y", "z"]);
    let (one, two) = (one.manifest().version().to_owned(), two.manifest().version().to_owned());
    let current = dir.path().join("current");
    let point = |to: &str| {
        let next = dir.path().join("next");
        symlink(Path::new(to), &next).unwrap();
        std::fs::rename(&next, &current).unwrap();
    };
    point("one");
    let token = "a-token-for-the-test-alone";
    let process = Process::start(&current, dir.path(), &["--watch-seconds", "0.05", "--admin-token", token]);
    assert_eq!(version(&process), one);
    point("two");
    wait_for("the watched link", || version(&process) == two);
    drop(process);

    let process = Process::start(&current, dir.path(), &["--admin-token", token]);
    assert_eq!(version(&process), two);
    point("one");
    process.signal("HUP");
    wait_for("SIGHUP", || version(&process) == one);
    point("two");
    let reload = |token: &str| {
        let bearer = format!("Bearer {token}");
        process.client().send("POST", "/admin/reload", &[("authorization", &bearer)], b"").unwrap()
    };
    assert_eq!(reload("a-token-for-the-test-alona").status, 401);
    assert_eq!(version(&process), one);
    let answer = reload(token);
    assert_eq!((answer.status, version(&process)), (200, two.clone()), "{}", answer.text());

    // A bundle that cannot be used leaves the old one in service.
    point("nowhere");
    assert_eq!(reload(token).status, 500);
    assert_eq!(version(&process), two);
    assert_eq!(process.client().post("/", "image/jpeg", &jpeg(1)).unwrap().status, 200);
    assert!(process.logged().contains("the bundle was not taken into service"));
    assert!(!process.logged().contains(token));
}

#[test]
fn a_bundle_that_is_still_being_copied_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (here, new) = (dir.path().join("here"), dir.path().join("new"));
    support::bundle(&here);
    let new_bundle = kidu_testing::bundle(&new, "mobilenetv2_100", support::SIZE, &["x", "y", "z"]);
    let wanted = new_bundle.manifest().version().to_owned();
    let process = Process::start(&here, dir.path(), &["--watch-seconds", "0.05"]);
    let old = version(&process);
    // The manifest comes first, as `cp` and `rsync` have it.
    let copy = |name: &str| {
        std::fs::copy(new.join(name), dir.path().join("part")).unwrap();
        std::fs::rename(dir.path().join("part"), here.join(name)).unwrap();
    };
    copy("bundle.json");
    wait_for("the refusal", || process.logged().contains("the bundle was not taken into service"));
    assert_eq!(version(&process), old);
    copy("weights.safetensors");
    wait_for("the whole bundle", || version(&process) == wanted);
}

#[test]
fn a_log_line_tells_the_request_and_nothing_of_the_image() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(&dir.path().join("bundle"));
    let process = Process::start(&dir.path().join("bundle"), dir.path(), &["--log-level", "debug"]);
    let secret = "c2VjcmV0c2VjcmV0";
    let body = format!("{{\"images\": [\"{secret}\", {{\"{secret}\": 1}}]}}");
    let headers = [("x-request-id", "the-id"), ("content-type", "application/json")];
    let path = "/v1/predict?key=hidden";
    assert_eq!(process.client().send("POST", path, &headers, body.as_bytes()).unwrap().status, 400);
    wait_for("the line", || process.logged().contains("the-id"));
    let logged = process.logged();
    let line = logged.lines().find(|l| l.contains("the-id")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for (key, value) in [("route", "/v1/predict"), ("method", "POST"), ("code", "malformed"), ("level", "INFO")] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(400), Some(body.len() as u64)));
    assert!(!logged.contains(secret) && !logged.contains("hidden"), "{logged}");
}

#[test]
fn metrics_for_cloudwatch_go_to_standard_output_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(&dir.path().join("bundle"));
    let mut process = Process::start(&dir.path().join("bundle"), dir.path(), &["--emf"]);
    let mut client = process.client();
    assert_eq!(client.get("/health").unwrap().status, 200);
    assert_eq!(client.post("/v1/predict", "image/jpeg", &jpeg(1)).unwrap().status, 200);
    assert_eq!(client.post("/v1/predict", "image/jpeg", b"no image").unwrap().status, 415);
    // One a prediction: looking at the state is no business of these metrics.
    for (confident, rejected) in [(true, 0), (false, 1)] {
        let mut line = String::new();
        process.output.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Kidu", "{line}");
        assert!(line["Model"].as_str().unwrap().ends_with(&bundle.manifest().version()), "{line}");
        assert_eq!(line["RejectedInputs"], rejected, "{line}");
        let sure = line.get("Confidence").map(|c| c.as_f64().unwrap());
        assert!(sure.is_some() == confident && sure.is_none_or(|c| c > 0.0 && c <= 1.0), "{line}");
    }
    let metrics = process.client().get("/metrics").unwrap().text();
    assert!(metrics.lines().any(|l| l == "kidu_confidence_count 1"), "{metrics}");
}

#[test]
fn what_cannot_be_served_ends_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    support::bundle(&bundle);
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kidu-serve")).env_clear().args(more).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let bundle = bundle.to_str().unwrap();
    let nowhere = dir.path().join("nowhere");
    let (code, text) = run(&["--bundle", nowhere.to_str().unwrap(), "--port", "0"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot open bundle"), "{text}");
    let (code, text) = run(&["--bundle", bundle, "--queue", "0"]);
    assert_eq!((code, text.contains("--queue is 0")), (Some(2), true), "{text}");
    let (code, text) = run(&[]);
    assert_eq!((code, text.contains("--bundle")), (Some(2), true), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, text) = run(&["--bundle", bundle, "--port", &port]);
    assert_eq!((code, text.contains("cannot listen on")), (Some(1), true), "{text}");
}
