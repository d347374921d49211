//! New versions that are not good.

use std::time::Duration;

use kidu_deploy::{state::Ending, status::Status};
use serde_json::json;

use crate::support::{Load, Supervisor, World, wait_until, world};

/// Version 1 is live, version 2 is approved and does in production what the fault says.
fn with_fault(
    fault: &str,
    change: impl FnOnce(World) -> World,
    check: impl FnOnce(&Status, &Supervisor<'_>, usize, Load),
) {
    // A bake time that never ends by itself: what ends it is the fault.
    let world = change(world(2).with("/canary/bake_seconds", json!(600.0)).with("/manual_approval", json!(false)));
    world.approve(1);
    world.fault(2, fault);
    let supervisor = world.up();
    supervisor.wait_for_live(1);
    let load = Load::start(supervisor.production(), 6);
    supervisor.run(2).unwrap_err();
    let before = load.look(|s| s.all());
    world.approve(2);
    let status = supervisor.wait_for("rolled back", |s| s.ended.last().is_some_and(|e| e.version == 2));
    assert_eq!((status.live, status.ended.last().unwrap().ending), (Some(1), Ending::RolledBack), "{status:?}");
    // From here on the old version answers everything.
    let from = load.look(|s| (s.by("1"), s.by("2")));
    wait_until("more answers", || load.look(|s| s.by("1")) > from.0 + 50);
    assert!(load.look(|s| s.by("2")) <= from.1 + 6, "what was under way ends, and nothing new begins");
    check(&status, &supervisor, before, load);
}

fn reason(status: &Status) -> String {
    status.ended.last().unwrap().reason.clone().unwrap()
}

#[test]
fn a_version_that_fails_is_taken_back() {
    with_fault(
        "error",
        |w| w,
        |status, _, before, load| {
            assert!(reason(status).contains("requests failed"), "{status:?}");
            let seen = load.end();
            assert_eq!(seen.lost, [] as [String; 0]);
            // It got a tenth of the requests, and not many more than a conclusion takes on a busy machine.
            let (failed, share) = (seen.with(500), (seen.all() - before) / 10);
            assert!((20..1000).contains(&failed) && failed <= share + 6, "{share}: {seen:?}");
            assert_eq!(seen.with(200) + seen.with(500), seen.all(), "{seen:?}");
        },
    );
}

#[test]
fn a_slow_version_is_taken_back_without_a_lost_request() {
    let limit = |w: World| w.with("/canary/max_p95_ms", json!(400.0)).with("/canary/min_requests", json!(10));
    with_fault("slow 600", limit, |status, _, _, load| {
        assert!(reason(status).contains("more than 400 ms"), "{status:?}");
        let seen = load.end();
        assert_eq!((seen.lost.as_slice(), seen.with(200)), (&[][..], seen.all()), "{seen:?}");
    });
}

#[test]
fn a_version_that_dies_is_taken_back_at_once() {
    with_fault(
        "die",
        |w| w,
        |status, supervisor, _, load| {
            assert!(reason(status).contains("the server in production ended by itself"), "{status:?}");
            let seen = load.end();
            assert!(
                seen.lost.is_empty() && seen.with(502) >= 1 && seen.with(502) <= 6,
                "only what it had taken: {seen:?}"
            );
            let gone = || supervisor.servers().keys().all(|name| name != "production-2");
            wait_until("it is gone", gone);
            std::thread::sleep(Duration::from_secs(1));
            assert!(gone(), "and it is not started again");
        },
    );
}

#[test]
fn a_version_that_hangs_is_noticed_while_its_requests_wait() {
    let limit = |w: World| w.with("/canary/max_p95_ms", json!(500.0)).with("/canary/min_requests", json!(3));
    let limit = |w: World| limit(w).with("/canary/steps", json!([0.5, 1.0])).with("/front/answer_timeout", json!(5.0));
    with_fault("hang", limit, |status, _, _, load| {
        assert!(reason(status).contains("more than 500 ms"), "{status:?}");
        let seen = load.end();
        assert!(seen.lost.is_empty(), "{seen:?}");
    });
}
