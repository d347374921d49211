//! `kidu doctor --aws` where nobody answers: it says so for each place, and soon.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use kidu_testing::RecordedAws;
use serde_json::Value;

use crate::{
    command::{Ended, end_of, kidu},
    fixture::scratch,
};

/// What is still soon on a machine that does other things: before there were limits, it took a minute and a half a place.
const SOON: Duration = Duration::from_secs(60);

/// A server that takes connections and never answers: its address.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut held = Vec::new();
        for connection in listener.incoming() {
            held.push(connection);
        }
    });
    url
}

fn doctor(aws: &RecordedAws, endpoint: (&str, String)) -> (Ended, Duration) {
    let dir = scratch();
    let mut command =
        kidu(dir.path(), &["doctor", "--aws", "--json", "--place", "s3://kidu-a/x", "--place", "s3://kidu-b"]);
    command.envs(aws.environment()).env(endpoint.0, endpoint.1);
    let start = Instant::now();
    (end_of(command).code(1), start.elapsed())
}

#[track_caller]
fn detail(checks: &Value, name: &str) -> String {
    let check = checks.as_array().unwrap().iter().find(|c| c["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check '{name}': {checks}"));
    assert_eq!(check["ok"], false, "{check}");
    check["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_silent_store_is_told_for_each_place() {
    let aws = RecordedAws::start(&[]);
    let (ended, took) = doctor(&aws, ("AWS_ENDPOINT_URL_S3", silent()));
    let checks = ended.json();
    for place in ["list s3://kidu-a/x", "list s3://kidu-b"] {
        let told = detail(&checks, place);
        assert!(told.contains("no answer (") && told.contains("AWS_ENDPOINT_URL_S3"), "{told}");
    }
    let names: Vec<&str> = checks.as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert!(!names.iter().any(|n| n.starts_with("write ")), "asked on: {names:?}");
    assert!(names.contains(&"aws quotas") && took < SOON, "{took:?}: {names:?}");
}

#[test]
fn where_nobody_says_who_calls_nothing_else_is_asked() {
    let aws = RecordedAws::start(&[]);
    let (ended, took) = doctor(&aws, ("AWS_ENDPOINT_URL", silent()));
    let checks = ended.json();
    let told = detail(&checks, "aws credentials");
    assert!(told.contains("no answer (") && took < SOON, "{took:?}: {told}");
    assert!(!checks.to_string().contains("s3://"), "{checks}");
}
