//! The whole way, under load.

use kidu_deploy::{
    control::Command,
    state::{Ending, Environment},
};
use kidu_testing::HttpClient;
use serde_json::{Value, json};

use crate::support::{Load, png, version_of, world};

#[test]
fn two_promotions_and_a_rollback_lose_no_request() {
    let world = world(3).real();
    world.approve(1);
    let supervisor = world.up();
    supervisor.deploy(1);
    let load = Load::start(supervisor.production(), 6);
    // Approving is what starts it.
    for version in [2, 3] {
        world.approve(version);
        supervisor.wait_for_approval(version);
        let before = load.look(|s| (s.by("1"), s.all()));
        assert!(
            before.1 > 0 && load.look(|s| s.by(&version.to_string())) == 0,
            "nothing reaches it before a person said so"
        );
        supervisor.approve(version);
        supervisor.wait_for_live(version);
        let so_far = load.look(|s| s.by(&version.to_string()));
        crate::support::wait_until("the new version answers", || load.look(|s| s.by(&version.to_string())) > so_far);
    }
    let rollback = Command::Rollback { to: None, actor: "eve".into(), reason: Some("confuses fog with snow".into()) };
    supervisor.call(&rollback).unwrap();
    supervisor.wait_for_live(2);
    let mut client = HttpClient::new(supervisor.production());
    for _ in 0..10 {
        assert_eq!(version_of(&client.post("/", "image/png", &png()).unwrap()), "2");
    }
    let seen = load.end();
    assert_eq!((seen.lost.as_slice(), seen.with(200)), (&[][..], seen.all()), "{seen:?}");
    assert!(["1", "2", "3"].iter().all(|v| seen.by(v) > 0), "{seen:?}");
    println!("{} requests, all answered with 200: {:?}", seen.all(), seen.answers);
    the_ledger_tells_it(&world);
}

fn the_ledger_tells_it(world: &crate::support::World) {
    let entries = world.registry().history().unwrap();
    let told: Vec<String> =
        entries.iter().filter_map(|e| Some(format!("{} {} {}", e.version, e.actor, e.deployment.as_ref()?))).collect();
    for line in [
        "2 ana release 2: package",
        "2 kidu deploy release 2: smoke -> robustness",
        "2 bob release 2: approval -> production, 0 % of the traffic",
        "2 kidu deploy release 2: production, 10 % of the traffic",
        "2 kidu deploy release 2: production, 100 % of the traffic",
        "2 kidu deploy release 2: production -> live, 100 % of the traffic",
        "1 kidu deploy release 2: live -> retired, 0 % of the traffic",
        "2 eve release 4: package",
        "3 kidu deploy release 4: live -> rolled back, 0 % of the traffic",
    ] {
        assert!(told.iter().any(|t| t == line), "{line} in {told:#?}");
    }
    let reasons: Vec<_> = entries.iter().filter_map(|e| e.reason.as_deref()).collect();
    assert!(reasons.contains(&"approved in the registry: good") && reasons.contains(&"confuses fog with snow"));
    assert!(world.registry().list().unwrap().iter().all(|v| v.status == kidu_pipeline::Status::Approved));
}

#[test]
fn the_front_passes_on_and_shows_what_is_where() {
    let world = world(1).with("/manual_approval", json!(false));
    world.approve(1);
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    let mut client = HttpClient::new(supervisor.production());
    let answer = client
        .send("POST", "/v1/predict", &[("content-type", "image/png"), ("x-request-id", "the-id")], &png())
        .unwrap();
    assert_eq!(
        (answer.status, version_of(&answer).as_str(), answer.header("x-request-id")),
        (200, "1", Some("the-id"))
    );
    assert!(answer.header("x-kidu-model").is_some(), "the server's own headers stay");
    let log = std::fs::read_to_string(world.dir.path().join("log")).unwrap();
    let line = log.lines().find(|l| l.contains("the-id")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (line["version"].as_u64(), line["status"].as_u64(), line["path"].as_str()),
        (Some(1), Some(200), Some("/v1/predict"))
    );

    for path in ["/admin/reload", "/%61dmin/reload", "//admin/reload"] {
        let answer = client.send("POST", path, &[("authorization", "Bearer x")], b"").unwrap();
        assert_eq!((answer.status, version_of(&answer).as_str()), (404, "front"), "{path}");
    }
    assert_eq!(client.post("/v1/predict", "image/png", b"no image").unwrap().status, 415);
    let answer = client.post("/v1/predict", "image/png", &vec![0; (1 << 20) + 1]).unwrap();
    assert_eq!((answer.status, version_of(&answer).as_str()), (413, "front"));

    let metrics = client.get("/metrics").unwrap().text();
    let counted = "kidu_front_requests_total{environment=\"production\",version=\"1\",status=\"200\"} 1\n";
    assert!(metrics.contains(counted) && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(metrics.contains("kidu_front_weight{environment=\"production\",version=\"1\"} 1\n"), "{metrics}");
    let page = client.get("/status").unwrap();
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(
        page.text().contains("version 1 is in production") && page.text().contains("release 1: production -&gt; live"),
        "{}",
        page.text()
    );
    assert!(client.get("/status.css").unwrap().text().contains("prefers-color-scheme"));
    let status: Value = serde_json::from_slice(&client.get("/status.json").unwrap().body).unwrap();
    assert_eq!(status["live"], 1);
    let places = supervisor.status().environments;
    assert_eq!(
        places.iter().map(|p| p.environment).collect::<Vec<_>>(),
        [Environment::Production, Environment::Staging]
    );
    assert_eq!(supervisor.status().ended.last().unwrap().ending, Ending::Live);
}
