//! Recordings, read back by MLflow's own client from its own server.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use kidu_testing::MlflowServer;
use kidu_track::{
    Error,
    mlflow::{Credentials, Recorder, RunIdentity, RunStatus, SPOOL, Server, send},
};
use serde_json::json;

fn identity(key: &str) -> RunIdentity {
    RunIdentity {
        key: key.into(),
        experiment: "scenes".into(),
        run_name: "first".into(),
        start_time: 1_700_000_000_000,
    }
}

fn open(dir: &Path, key: &str, uri: &str) -> Recorder {
    let server = Server::new(uri, Credentials::default()).unwrap();
    let mut opened = None;
    // The thread of an earlier recording may be in its last attempt.
    until("the spool is free", || {
        opened = match Recorder::open(dir, identity(key), server.clone(), 8 << 20) {
            Ok(recorder) => Some(recorder),
            Err(Error::Busy { .. }) => None,
            Err(other) => panic!("{other}"),
        };
        opened.is_some()
    });
    opened.unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn everything_arrives_although_the_server_is_down_at_first_and_again_in_between() {
    let Some(python) = kidu_testing::peer_python("mlflow", &["mlflow"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let mut server = MlflowServer::new(&python, dir.path());

    // Down at the start: no call waits.
    let begun = Instant::now();
    let mut recorder = open(&run, "run-1", &server.uri());
    recorder.params((0..130).map(|i| (format!("model.p{i}"), "x".repeat(if i == 0 { 7000 } else { i })))).unwrap();
    recorder.tags([("kidu.tags".to_string(), "dev".to_string())]).unwrap();
    for step in 1..=1500u64 {
        recorder.step(step, [("step/loss", 1.0 / step as f64), ("step/lr", 1e-3)]).unwrap();
    }
    recorder.epoch(1500, [("val/acc", 0.5), ("val/loss", f64::NAN)]).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "recording waited for the server");
    let mut notes = Vec::new();
    until("the trouble is told", || {
        notes.extend(recorder.notes());
        !notes.is_empty()
    });
    assert!(notes[0].contains("tried again"), "{notes:?}");

    server.start();
    until("the server's return is told", || {
        notes.extend(recorder.notes());
        notes.iter().any(|n| n.contains("answers again"))
    });
    // And down again, with the process of the recording ended in between.
    server.stop();
    recorder.epoch(1600, [("val/acc", 0.625)]).unwrap();
    let (report, _) = recorder.finish(RunStatus::Killed, Duration::from_millis(300));
    assert!(report.undelivered > 0 && report.spool == run.join(SPOOL), "{report}");

    // Resumed: what is recorded already is not recorded again.
    let mut recorder = open(&run, "run-1", &server.uri());
    assert!(recorder.is_resumed());
    recorder.step(1500, [("step/loss", 9.0)]).unwrap();
    recorder.epoch(1600, [("val/acc", 9.0)]).unwrap();
    recorder.step(1501, [("step/loss", 0.125)]).unwrap();
    std::fs::write(run.join("card.md"), "# größe").unwrap();
    std::fs::write(run.join("large.bin"), vec![7; 3 << 20]).unwrap();
    recorder.artifact(Path::new("card.md"), "model card/card.md").unwrap();
    recorder.artifact(Path::new("large.bin"), "bundle/large.bin").unwrap();
    recorder.artifact(Path::new("gone.txt"), "gone.txt").unwrap();
    // MLflow refuses another value of a parameter; the others of the request must not suffer.
    recorder.params([("model.p1".into(), "another".into()), ("late".into(), "1".into())]).unwrap();
    recorder.params([("later".into(), "2".into())]).unwrap();
    server.start();
    let (report, notes) = recorder.finish(RunStatus::Finished, Duration::from_secs(60));
    assert_eq!((report.undelivered, report.dropped), (0, 0), "{report} {notes:?}");
    assert!(notes.iter().any(|n| n.contains("gone.txt")), "{notes:?}");
    assert_eq!(report.rejected, 2, "{notes:?}");

    let read = super::script(&python, "mlflow_read.py", &[&server.uri(), "scenes", "run-1"]);
    assert_eq!(read["runs"], 1);
    assert_eq!((&read["status"], &read["name"]), (&json!("FINISHED"), &json!("first")));
    let params = read["params"].as_object().unwrap();
    assert_eq!(params["model.p0"].as_str().unwrap().len(), 5000);
    assert_eq!((params["model.p1"].as_str(), params["later"].as_str()), (Some("x"), Some("2")));
    assert!(params.len() >= 131);
    let loss = read["metrics"]["step/loss"].as_array().unwrap();
    let expected: Vec<_> = (1..=1500u64).map(|s| json!([s, 1.0 / s as f64])).chain([json!([1501, 0.125])]).collect();
    assert_eq!(*loss, expected);
    assert_eq!(read["metrics"]["val/acc"], json!([[1500, 0.5], [1600, 0.625]]));
    assert!(read["metrics"].get("val/loss").is_none());
    assert_eq!(read["tags"]["kidu.tags"], "dev");
    assert_eq!(read["artifacts"], json!({"bundle/large.bin": 3 << 20, "model card/card.md": "# größe".len()}));
    assert_eq!(read["card"], "# größe");
}

#[test]
fn what_was_not_delivered_is_sent_later() {
    let Some(python) = kidu_testing::peer_python("mlflow later", &["mlflow"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut server = MlflowServer::new(&python, dir.path());
    let mut recorder = open(dir.path(), "run-2", &server.uri());
    recorder.epoch(10, [("val/acc", 0.5)]).unwrap();
    let (report, _) = recorder.finish(RunStatus::Finished, Duration::ZERO);
    assert_eq!(report.undelivered, 3, "{report}");
    assert!(report.to_string().contains(SPOOL), "{report}");
    server.start();
    // The thread of the first recording may be in its last attempt.
    let mut sent = None;
    until("the spool is free", || {
        match send(dir.path(), |uri| Server::new(uri, Credentials::default()), Duration::from_secs(60)) {
            Ok(report) => sent = Some(report),
            Err(Error::Busy { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        sent.is_some()
    });
    let (report, notes) = sent.unwrap();
    assert_eq!((report.undelivered, report.rejected), (0, 0), "{notes:?}");
    let read = super::script(&python, "mlflow_read.py", &[&server.uri(), "scenes", "run-2"]);
    assert_eq!((&read["status"], &read["metrics"]["val/acc"]), (&json!("FINISHED"), &json!([[10, 0.5]])));
    assert!(report.page.unwrap().starts_with(&server.uri()));
}
