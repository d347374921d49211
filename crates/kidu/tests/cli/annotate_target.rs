//! `kidu annotate sync --from target`: what Label Studio says that it wrote is there, or nothing is imported.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use kidu_testing::MotoServer;
use serde_json::{Value, json};

use crate::{
    command::{Ended, end_of, kidu},
    fixture::{SCENES, scratch},
};

/// A Label Studio with one project and one target storage, whose state is told in turn; the last one stays.
fn label_studio(states: Vec<(u16, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let states = Arc::new(Mutex::new(states));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let path = read_request(&stream);
            let (status, body) = match path.split('?').next().unwrap() {
                "/api/current-user/whoami" => (200, json!({"id": 1, "email": "a@example.com"})),
                "/api/projects/3/" => (200, json!({"id": 3, "title": "scenes"})),
                "/api/storages/export/s3" => (200, json!([storage("completed", 0)])),
                "/api/storages/export/s3/4" | "/api/storages/export/s3/4/sync" => {
                    let mut states = states.lock().unwrap();
                    if states.len() > 1 { states.remove(0) } else { states[0].clone() }
                }
                "/api/projects/3/export" => (200, json!([exported(1)])),
                other => panic!("{other}"),
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = (&stream).write_all((head + &body).as_bytes());
        }
    });
    url
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    first.split(' ').nth(1).unwrap().to_owned()
}

fn storage(status: &str, count: u64) -> Value {
    json!({"id": 4, "bucket": "labels", "prefix": "annotations", "status": status, "last_sync_count": count})
}

fn image() -> String {
    let mut files: Vec<PathBuf> =
        fs::read_dir(SCENES.join("test/sea")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    format!("data:image/jpeg;base64,{}", STANDARD.encode(fs::read(&files[0]).unwrap()))
}

fn annotation(id: u64) -> Value {
    json!({"id": id, "completed_by": 1, "was_cancelled": false, "ground_truth": false, "created_at": "2026-11-27T00:00:00Z",
           "updated_at": "2026-11-27T00:00:00Z", "project": 3,
           "result": [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["sea"]}}]})
}

/// As the target storage has it.
fn written(id: u64) -> String {
    let mut value = annotation(id);
    value["task"] = json!({"id": 9, "data": {"image": image()}});
    value.to_string()
}

/// As the API tells it.
fn exported(id: u64) -> Value {
    json!({"id": 9, "data": {"image": image()}, "annotations": [annotation(id)], "project": 3})
}

#[test]
fn what_label_studio_could_not_write_is_missed_and_its_workers_are_waited_for() {
    let test = "what_label_studio_could_not_write_is_missed_and_its_workers_are_waited_for";
    let Some(moto) = MotoServer::start(test) else { return };
    moto.create_bucket("labels");
    let dir = scratch();
    let sync = |states: Vec<(u16, Value)>, from: &str| -> Ended {
        let words =
            ["annotate", "sync", "--project", "3", "--into", "photos", "--from", from, "--new-classes", "allow"];
        let mut command = kidu(dir.path(), &[&words[..], &["--no-snapshot"]].concat());
        command.env("KIDU_LABEL_STUDIO", label_studio(states)).env("KIDU_LABEL_STUDIO_TOKEN", "token");
        command.envs(moto.environment());
        end_of(command)
    };
    // It says so although its key may not write.
    let said = vec![(200, storage("completed", 2))];
    sync(said.clone(), "target").fails(1, &["no object", "says that it wrote 2 annotations", "--from api"]);
    assert_eq!(moto.request("PUT", "/labels/annotations/1", &[], written(1).as_bytes()).0, 200);
    sync(said, "target").fails(1, &["holds 1 annotations of 2", "--from api"]);
    assert!(!dir.path().join("photos/train").exists(), "nothing is imported");
    let slow = vec![(201, storage("queued", 0)), (200, storage("in_progress", 0)), (200, storage("completed", 1))];
    let done = sync(slow, "target").ok();
    assert!(done.err.contains("waiting for Label Studio"), "{}", done.err);
    assert!(done.out.contains("1 annotations read, 1 usable"), "{}", done.out);
    // The API needs no storage: one that is broken is told and does not matter.
    let broken = vec![(500, json!({"detail": "Debugging info is not available"}))];
    let done = sync(broken.clone(), "api").ok();
    assert!(done.err.contains("could not be synchronised"), "{}", done.err);
    sync(broken, "target").fails(1, &["cannot open the bucket"]);
}
