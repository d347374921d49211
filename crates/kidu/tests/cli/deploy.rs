//! From an approved version to production, with the command alone. How it behaves when things go wrong is tested where
//! it is done, in kidu-deploy.

use std::{fs, net::TcpListener, path::Path};

use kidu_testing::HttpClient;
use serde_json::{Value, json};

use crate::{
    command::{Running, kidu, run},
    fixture::{SCENES, TRAINED, scratch, set},
};

#[test]
fn settings_are_checked_before_anything_runs() {
    let dir = scratch();
    let up = |more: &[&str]| run(dir.path(), &[&["deploy", "up"], more].concat());
    up(&[]).fails(2, &["deploy.robustness.data_root", "is not set", "deploy.robustness.enabled=false"]);
    up(&["deploy.canary.step=1"]).fails(2, &["deploy.canary.step", "did you mean 'deploy.canary.steps'"]);
    up(&["deploy.canary.steps=[0.1,0.5]"]).fails(2, &["override 'deploy.canary.steps", "growing shares up to 1"]);
    up(&["deploy.canary.without_traffic=hope"]).fails(2, &["deploy.canary.without_traffic", "hope"]);
    up(&["deploy.server.ready_timeout=0"]).fails(2, &["override 'deploy.server.ready_timeout=0'", "out of range"]);
    run(dir.path(), &["deploy", "status"]).fails(1, &["nobody keeps the deployments", "kidu deploy up"]);
    run(dir.path(), &["deploy", "approve"]).fails(1, &["nobody keeps the deployments"]);
    run(dir.path(), &["deploy", "reject"]).fails(2, &["a rejection needs a reason"]);
    assert!(!dir.path().join("deploy").exists(), "nothing was begun");
    let shown = run(dir.path(), &["deploy", "show", "--format", "mermaid"]).ok().out;
    assert!(shown.contains("robustness -.-> approval"), "{shown}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn deploy(dir: &Path, arguments: &[&str]) -> crate::command::Ended {
    run(dir, &[&["deploy"], arguments].concat())
}

#[test]
fn a_version_goes_to_production_and_the_registry_tells_how() {
    let scratch = scratch();
    let dir = scratch.path();
    let (bundle, root) = (TRAINED.join("bundle").display().to_string(), set("data.root", &SCENES));
    run(dir, &["evaluate", "--bundle", &bundle, &root, "--out", "judged"]).ok();
    run(dir, &["model", "register", "--bundle", &bundle, "--evaluation", "judged/evaluation.json"]).ok();

    let (production, staging) = (free_port(), free_port());
    let ports = [format!("deploy.front.production_port={production}"), format!("deploy.front.staging_port={staging}")];
    let robustness = [set("deploy.robustness.data_root", &SCENES), "deploy.robustness.max_drop=1".into()];
    let up = ["deploy", "up", &ports[0], &ports[1], &robustness[0], &robustness[1]];
    let mut supervisor = Running::start(kidu(dir, &up), &dir.join("log"));
    supervisor.until("supervising", |log| log.contains("supervising"));

    let refused = deploy(dir, &["run", "1"]).code(3);
    assert!(
        refused.err.contains("refused: version 1 of 'kidu' is PendingManualApproval and is not deployed"),
        "{refused:#?}"
    );
    run(dir, &["model", "approve", "1", "--actor", "ana"]).ok();
    supervisor.until("a person is needed", |_| {
        let status = deploy(dir, &["status", "--json"]).ok().json();
        status["release"]["phase"]["is"] == "waiting"
    });
    let text = deploy(dir, &["status"]).ok().out;
    assert!(text.contains("waits for approval") && text.contains(&format!("http://127.0.0.1:{staging}")), "{text}");
    let promoted =
        run(dir, &["model", "promote", "1", "--actor", "bob", "--reason", "looks right", "--wait", "--json"]);
    assert_eq!(promoted.ok().json()["live"], 1);

    let image = fs::read(SCENES.join("test/sea/00001.jpg")).unwrap();
    let mut client = HttpClient::new(([127, 0, 0, 1], production).into());
    let answer = client.post("/v1/predict", "image/jpeg", &image).unwrap();
    assert_eq!((answer.status, answer.header("x-kidu-version")), (200, Some("1")), "{}", answer.text());
    let url = format!("http://127.0.0.1:{production}");
    deploy(dir, &["smoke", "--url", &url, "--bundle", &bundle]).ok();
    let report =
        deploy(dir, &["smoke", "--url", &url, "--bundle", &bundle, "--expected-label", "zebra", "--json"]).code(3);
    assert_eq!(report.json()["passed"], false);
    deploy(dir, &["package", "1", "--out", "packed"]).ok();
    run(dir, &["predict", "--bundle", "packed/bundle", SCENES.join("test/sea/00001.jpg").to_str().unwrap()]).ok();

    let history = run(dir, &["model", "show", "1", "--json"]).ok().json()["history"].clone();
    let told: Vec<Value> = history.as_array().unwrap().iter().map(|e| e["deployment"]["to"].clone()).collect();
    let steps = [Value::Null, Value::Null, json!("package"), json!("staging"), json!("smoke"), json!("robustness")];
    assert_eq!(told, [&steps[..], &[json!("approval"), json!("production"), json!("live")]].concat());
    assert!(run(dir, &["model", "show", "1"]).ok().out.contains("release 1: approval -> production"));
    let told = fs::read_to_string(dir.join("deploy/releases/1/robustness.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["images"], &told["gate"]["passed"]), (&json!(18), &json!(true)));
    assert_eq!(told["endpoint"], format!("http://127.0.0.1:{staging}"));

    deploy(dir, &["rollback", "--reason", "test"]).fails(1, &["no earlier version"]);
    deploy(dir, &["stop"]).ok();
    assert!(supervisor.wait().success());
    let offline = deploy(dir, &["status", "--json"]).ok().json();
    assert_eq!((&offline["running"], &offline["live"]), (&json!(false), &json!(1)));
}
