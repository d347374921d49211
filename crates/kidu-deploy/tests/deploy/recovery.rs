//! Ends that nobody planned, and those that somebody did.

use std::{process::Command as Process, thread, time::Duration};

use kidu_deploy::{control::Command, state::Ending};
use kidu_testing::HttpClient;
use serde_json::json;

use crate::support::{Load, is_alive, png, version_of, wait_until, world};

fn answered_by(address: std::net::SocketAddr) -> String {
    // After a restart its server loads again.
    wait_until("an answer", || HttpClient::new(address).get("/ready").unwrap().status == 200);
    let answer = HttpClient::new(address).post("/v1/predict", "image/png", &png()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    version_of(&answer)
}

#[test]
fn a_killed_supervisor_comes_back_to_the_same_versions() {
    let world = world(2).with("/canary/bake_seconds", json!(3.0));
    world.approve(1);
    let mut supervisor = world.up();
    // At each place: while it waits, in production, as a canary.
    supervisor.wait_for_approval(1);
    supervisor.signal("KILL");
    drop(supervisor);
    supervisor = world.up();
    supervisor.deploy(1);
    let before: Vec<u64> = supervisor.servers().into_values().collect();
    assert_eq!(before.len(), 2, "one in each environment");
    supervisor.signal("KILL");
    drop(supervisor);
    wait_until("the servers end with their keeper", || !before.iter().any(|pid| is_alive(*pid)));
    // Meanwhile somebody approves.
    world.approve(2);
    supervisor = world.up();
    supervisor.wait_for_approval(2);
    assert_eq!(answered_by(supervisor.production()), "1");
    supervisor.approve(2);
    supervisor.wait_for_canary(2);
    supervisor.signal("KILL");
    drop(supervisor);
    supervisor = world.up();
    supervisor.wait_for_canary(2);
    supervisor.wait_for_live(2);
    assert_eq!(answered_by(supervisor.production()), "2");
    // Nothing stands in the ledger twice, and nothing is missing.
    let entries = world.registry().history().unwrap();
    let sequences: Vec<u64> = entries.iter().filter_map(|e| Some(e.deployment.as_ref()?.sequence)).collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_killed_supervisor_loses_no_step_wherever_it_is_killed() {
    let world = world(1).with("/manual_approval", json!(false));
    world.approve(1);
    let mut live = false;
    // Later and later, until it was not killed too early; a busy machine takes its time.
    let delays = std::iter::successors(Some(50), |ms| Some(ms + (ms / 5).max(60)));
    for ms in delays.take_while(|ms| *ms < 60_000) {
        let supervisor = world.up();
        thread::sleep(Duration::from_millis(ms));
        live = supervisor.status().live.is_some();
        supervisor.signal("KILL");
        drop(supervisor);
        if live {
            break;
        }
    }
    assert!(live, "it gets there in the end");
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    answered_by(supervisor.production());
    let entries = world.registry().history().unwrap();
    let told: Vec<_> = entries.iter().filter_map(|e| Some(e.deployment.as_ref()?.to.clone())).collect();
    assert_eq!(told, ["package", "staging", "smoke", "robustness", "production", "live"]);
}

#[test]
fn a_canary_that_comes_back_slowly_takes_over_nothing_before_it_answers() {
    let world = world(2).with("/manual_approval", json!(false)).with("/canary/bake_seconds", json!(600.0));
    world.approve(1);
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    world.approve(2);
    supervisor.wait_for_canary(2);
    supervisor.signal("KILL");
    drop(supervisor);
    world.fault(2, "load 6000");
    let world = world.with("/canary/bake_seconds", json!(1.0));
    let supervisor = world.up();
    assert_eq!(answered_by(supervisor.production()), "1");
    let load = Load::start(supervisor.production(), 2);
    supervisor.wait_for_live(2);
    let seen = load.end();
    assert_eq!((seen.lost.as_slice(), seen.with(200)), (&[][..], seen.all()), "{seen:?}");
    assert!(seen.by("2") > 0, "{seen:?}");
}

#[test]
fn a_version_comes_back_while_its_old_server_still_ends() {
    let world = world(2).with("/manual_approval", json!(false)).with("/canary/bake_seconds", json!(0.2));
    let world = world.with("/front/answer_timeout", json!(200.0)).with("/server/drain_timeout", json!(200.0));
    world.approve(1);
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    let old = supervisor.servers()["production-1"];
    // It is asked something that takes longer than everything that follows.
    world.fault(1, "wait");
    let address = supervisor.production();
    let slow = thread::spawn(move || HttpClient::new(address).post("/", "image/png", &png()));
    let begun = world.dir.path().join("faults/production-1.begun");
    wait_until("the answer is being made", || begun.exists());
    world.fault(1, "");
    world.approve(2);
    supervisor.wait_for_live(2);
    supervisor.call(&Command::Rollback { to: None, actor: "eve".into(), reason: None }).unwrap();
    supervisor.wait_for_live(1);
    assert!(is_alive(old), "the old one has not ended yet");
    let load = Load::start(supervisor.production(), 2);
    std::fs::write(begun.with_extension("go"), "").unwrap();
    let answer = slow.join().unwrap().unwrap();
    assert_eq!((answer.status, version_of(&answer).as_str()), (200, "1"), "{}", answer.text());
    wait_until("the old one has ended", || !is_alive(old));
    thread::sleep(Duration::from_secs(1));
    let seen = load.end();
    assert_eq!((seen.lost.as_slice(), seen.with(200), seen.by("1")), (&[][..], seen.all(), seen.all()), "{seen:?}");
    // The new one is still written down, so that it ends should its keeper be killed.
    assert!(supervisor.servers().get("production-1").is_some_and(|new| *new != old && is_alive(*new)));
}

#[test]
fn a_registry_that_is_gone_for_a_moment_is_no_news() {
    let world = world(2).with("/manual_approval", json!(false)).with("/canary/bake_seconds", json!(0.2));
    let supervisor = world.up();
    for version in [1, 2] {
        world.approve(version);
        supervisor.wait_for_live(version);
    }
    let back = Command::Rollback { to: None, actor: "eve".into(), reason: None };
    supervisor.call(&back).unwrap();
    supervisor.wait_for_live(1);
    let (here, away) = (world.dir.path().join("registry"), world.dir.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    let found = || std::fs::read_to_string(world.dir.path().join("log")).unwrap().contains("ledger is gone");
    wait_until("it is noticed", found);
    std::fs::rename(&away, &here).unwrap();
    thread::sleep(Duration::from_secs(1));
    let status = supervisor.status();
    assert_eq!((status.live, status.release, status.next), (Some(1), None, None), "version 2 is approved as before");
    // Without the bundle in the registry it goes back to what was deployed before, and asking twice ends nothing.
    std::fs::remove_dir_all(here.join("scenes/versions/1/bundle")).unwrap();
    supervisor.run(2).unwrap();
    supervisor.wait_for_live(2);
    world.fault(1, "load 2000");
    supervisor.call(&back).unwrap();
    supervisor.wait_for("the server starts", |s| s.release.as_ref().is_some_and(|r| r.step == "production"));
    let error = supervisor.call(&back).unwrap_err().to_string();
    assert!(error.contains("no earlier version") || error.contains("on its way already"), "{error}");
    supervisor.wait_for_live(1);
    assert_eq!(answered_by(supervisor.production()), "1");
}

#[test]
fn a_crashed_server_is_started_again() {
    let world = world(1).with("/manual_approval", json!(false));
    world.approve(1);
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    for _ in 0..2 {
        let pid = supervisor.servers()["production-1"];
        assert!(Process::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        wait_until("another process", || supervisor.servers().get("production-1").is_some_and(|p| *p != pid));
        let ready = |status: u16| status == 200;
        wait_until("an answer", || {
            HttpClient::new(supervisor.production()).post("/", "image/png", &png()).is_ok_and(|a| ready(a.status))
        });
    }
    assert_eq!(supervisor.status().live, Some(1));
    let metrics = HttpClient::new(supervisor.production()).get("/metrics").unwrap().text();
    assert!(metrics.contains("kidu_front_restarts_total{environment=\"production\",version=\"1\"} 2\n"), "{metrics}");
}

#[test]
fn the_live_version_that_dies_under_a_canary_costs_only_what_it_had_taken() {
    let steps = json!([0.5, 1.0]);
    let world = world(2).with("/manual_approval", json!(false)).with("/canary/steps", steps);
    // It stays away for a while, and failures elsewhere are not the canary's.
    let world = world.with("/server/restart_delay", json!(0.5)).with("/canary/bake_seconds", json!(4.0));
    world.approve(1);
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    let load = Load::start(supervisor.production(), 4);
    world.approve(2);
    supervisor.wait_for_canary(2);
    let pid = supervisor.servers()["production-1"];
    assert!(Process::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    supervisor.wait_for_live(2);
    assert_eq!(supervisor.status().ended.last().unwrap().ending, Ending::Live);
    let seen = load.end();
    assert!(seen.lost.is_empty() && seen.with(502) <= 4, "{seen:?}");
    assert_eq!(seen.with(200) + seen.with(502), seen.all(), "{seen:?}");
}

#[test]
fn sigterm_finishes_what_was_begun() {
    let world = world(1).with("/manual_approval", json!(false));
    world.approve(1);
    let mut supervisor = world.up();
    supervisor.wait_for_live(1);
    let servers: Vec<u64> = supervisor.servers().into_values().collect();
    world.fault(1, "slow 5000");
    let address = supervisor.production();
    let slow = thread::spawn(move || HttpClient::new(address).post("/", "image/png", &png()));
    let begun = world.dir.path().join("faults/production-1.begun");
    wait_until("the answer is being made", || begun.exists());
    supervisor.signal("TERM");
    let answer = slow.join().unwrap().unwrap();
    assert_eq!((answer.status, version_of(&answer).as_str()), (200, "1"), "{}", answer.text());
    assert!(supervisor.child.wait().unwrap().success());
    assert!(!servers.iter().any(|pid| is_alive(*pid)), "no server is left behind");
    assert!(!world.path().join("control.json").exists());
    let error = supervisor.call(&Command::Status).unwrap_err().to_string();
    assert!(error.contains("nobody keeps the deployments"), "{error}");
}

#[test]
fn stop_ends_it_and_two_cannot_keep_one_folder() {
    let world = world(1);
    let mut supervisor = world.up();
    assert!(matches!(kidu_deploy::store::Store::open(&world.path()), Err(kidu_deploy::DeployError::Kept { .. })));
    let address = std::fs::read_to_string(world.path().join("control.json")).unwrap();
    let port = serde_json::from_str::<serde_json::Value>(&address).unwrap()["port"].as_u64().unwrap();
    let mut stranger = HttpClient::new(std::net::SocketAddr::from(([127, 0, 0, 1], port as u16)));
    let stop = br#"{"command": "stop"}"#;
    assert_eq!(stranger.send("POST", "/", &[("authorization", "Bearer guess")], stop).unwrap().status, 401);
    assert!(supervisor.call(&Command::Stop).is_ok());
    assert!(supervisor.child.wait().unwrap().success());
}
