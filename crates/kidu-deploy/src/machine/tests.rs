use kidu_pipeline::deploy_pipeline;
use proptest::prelude::*;

use super::*;

fn machine() -> Machine {
    Machine::new(&deploy_pipeline(), &[0.1, 1.0]).unwrap()
}

fn request(version: u32, kind: Kind) -> Event {
    Event::Requested(Request { version, kind, actor: "ana".into(), reason: None })
}

fn apply(state: &mut State, event: &Event) -> Result<()> {
    *state = machine().apply(state, event, "2026-11-26T06:00:00Z")?;
    Ok(())
}

/// What the release under way waits for, coming out well.
fn success(state: &State) -> Option<Event> {
    let r = state.release.as_ref()?;
    let version = r.request.version;
    Some(match r.phase {
        Phase::Working => Event::StepEnded { release: r.number, step: r.step.clone(), outcome: Outcome::Done },
        Phase::Starting => Event::ServerReady { environment: machine().place(&r.step)?, version },
        Phase::Waiting => Event::Approved { actor: "bob".into(), reason: Some("fine".into()) },
        Phase::Canary { share } => Event::Judged { release: r.number, share, verdict: Verdict::Advance },
    })
}

/// Takes a version to production; what the ledger got, without the version that left.
fn deploy(state: &mut State, version: u32) -> Vec<String> {
    let seen = state.outbox.len();
    apply(state, &request(version, Kind::Deploy)).unwrap();
    while let Some(event) = success(state) {
        apply(state, &event).unwrap();
    }
    let new = &state.outbox[seen..];
    new.iter().filter(|e| e.version == version).map(|e| format!("{} {}", e.actor, e.what)).collect()
}

fn last(state: &State) -> (u32, Ending) {
    let ended = state.ended.last().unwrap();
    (ended.version, ended.ending)
}

#[test]
fn the_whole_way_is_in_the_ledger() {
    let mut state = State::new("k".into());
    let first = deploy(&mut state, 1);
    assert_eq!(
        first,
        [
            "ana release 1: package",
            "kidu deploy release 1: package -> staging",
            "kidu deploy release 1: staging -> smoke",
            "kidu deploy release 1: smoke -> robustness",
            "kidu deploy release 1: robustness -> approval",
            "bob release 1: approval -> production, 0 % of the traffic",
            "kidu deploy release 1: production -> live, 100 % of the traffic",
        ],
        "the first version has nobody to be compared with"
    );
    let second = deploy(&mut state, 2);
    let (canary, tail) = (&second[6..8], second.last().unwrap());
    assert_eq!(canary, [10, 100].map(|n| format!("kidu deploy release 2: production, {n} % of the traffic")));
    assert_eq!(tail, "kidu deploy release 2: production -> live, 100 % of the traffic");
    assert_eq!((state.live, state.earlier.clone()), (Some(2), vec![1]));
    assert!(state.outbox.iter().any(|e| e.version == 1 && e.what.to == "retired"));
    assert!(state.outbox.iter().enumerate().all(|(i, e)| e.what.sequence == i as u64 + 1));
}

#[test]
fn goals_move_the_weights() {
    let mut state = State::new("k".into());
    deploy(&mut state, 1);
    apply(&mut state, &request(2, Kind::Deploy)).unwrap();
    assert_eq!(machine().goal(&state).work, Some((2, "package".into(), 2)));
    let mut seen = Vec::new();
    while let Some(event) = success(&state) {
        let goal = machine().goal(&state);
        if seen.last() != Some(&goal.production) {
            seen.push(goal.production);
        }
        apply(&mut state, &event).unwrap();
    }
    assert_eq!(seen, [vec![(1, 1)], vec![(1, 1), (2, 0)], vec![(1, 9), (2, 1)], vec![(1, 0), (2, 1)]]);
    assert_eq!(machine().goal(&state), Goal { staging: vec![(2, 1)], production: vec![(2, 1)], work: None });
    assert_eq!((weights(0.25), weights(0.001)), ((3, 1), (999, 1)));
}

/// Brings a release of version 2, over a live version 1, into a step.
fn until(step: &str, phase: impl Fn(Phase) -> bool) -> State {
    let mut state = State::new("k".into());
    deploy(&mut state, 1);
    apply(&mut state, &request(2, Kind::Deploy)).unwrap();
    while state.release.as_ref().is_some_and(|r| r.step != step || !phase(r.phase)) {
        let event = success(&state).unwrap();
        apply(&mut state, &event).unwrap();
    }
    state
}

#[test]
fn what_goes_wrong_ends_the_release_and_leaves_the_live_version() {
    let died = |environment| Event::ServerDied { environment, version: 2, reason: "ended with 1".into() };
    let ended = |step: &str, outcome| Event::StepEnded { release: 2, step: step.into(), outcome };
    let any = |_| true;
    let canary = |p| matches!(p, Phase::Canary { .. });
    let verdict = Event::Judged { release: 2, share: 0, verdict: Verdict::RollBack("slow".into()) };
    let reject = Event::Rejected { actor: "eve".into(), reason: "no".into() };
    let withdrawn = Event::Withdrawn { version: 2, actor: "eve".into(), reason: None };
    for (mut state, event, ending) in [
        (until("package", any), ended("package", Outcome::Failed("disk".into())), Ending::Failed),
        (until("staging", any), died(Environment::Staging), Ending::Failed),
        (until("smoke", any), ended("smoke", Outcome::Refused("5xx".into())), Ending::Refused),
        (until("robustness", any), died(Environment::Staging), Ending::Failed),
        (until("robustness", any), ended("robustness", Outcome::Refused("fog".into())), Ending::Refused),
        (until("approval", any), reject.clone(), Ending::Rejected),
        (until("smoke", any), withdrawn.clone(), Ending::Rejected),
        (until("production", any), died(Environment::Production), Ending::Failed),
        (until("production", canary), died(Environment::Production), Ending::RolledBack),
        (until("production", canary), verdict, Ending::RolledBack),
        (until("production", canary), reject, Ending::RolledBack),
        (until("production", canary), withdrawn, Ending::RolledBack),
    ] {
        apply(&mut state, &event).unwrap();
        assert_eq!((last(&state), state.live), ((2, ending), Some(1)), "{event:?}");
        assert_eq!(machine().goal(&state).production, [(1, 1)]);
        let entry = state.outbox.last().unwrap();
        assert_eq!((entry.version, entry.what.to.as_str()), (2, ending.name()));
        assert!(entry.reason.is_some(), "{entry:?}");
    }
}

#[test]
fn events_that_come_too_late_change_nothing() {
    let state = until("production", |p| matches!(p, Phase::Canary { .. }));
    for event in [
        Event::StepEnded { release: 2, step: "smoke".into(), outcome: Outcome::Failed("late".into()) },
        Event::StepEnded { release: 1, step: "package".into(), outcome: Outcome::Done },
        Event::ServerReady { environment: Environment::Staging, version: 2 },
        Event::ServerDied { environment: Environment::Staging, version: 2, reason: "late".into() },
        Event::ServerDied { environment: Environment::Production, version: 1, reason: "restarts".into() },
        Event::Judged { release: 2, share: 1, verdict: Verdict::Advance },
        Event::Judged { release: 1, share: 0, verdict: Verdict::RollBack("late".into()) },
        Event::Withdrawn { version: 7, actor: "eve".into(), reason: None },
    ] {
        let mut after = state.clone();
        apply(&mut after, &event).unwrap();
        assert_eq!(after, state, "{event:?}");
    }
}

#[test]
fn a_rollback_goes_back_at_once_and_again() {
    let mut state = State::new("k".into());
    (1..=3).for_each(|v| drop(deploy(&mut state, v)));
    for (to, earlier) in [(2, vec![1]), (1, vec![])] {
        apply(&mut state, &request(to, Kind::Rollback)).unwrap();
        let mut steps = Vec::new();
        while let Some(event) = success(&state) {
            steps.push(state.release.as_ref().unwrap().step.clone());
            apply(&mut state, &event).unwrap();
        }
        assert_eq!(steps, ["package", "production"]);
        assert_eq!((state.live, &state.earlier), (Some(to), &earlier));
    }
    assert!(state.outbox.iter().any(|e| e.version == 3 && e.what.to == "rolled back"));
    let error = apply(&mut state, &request(1, Kind::Deploy)).unwrap_err().to_string();
    assert!(error.contains("in production already"), "{error}");
}

#[test]
fn newer_requests_wait_or_take_over() {
    let mut state = until("smoke", |_| true);
    apply(&mut state, &request(3, Kind::Deploy)).unwrap();
    assert!(apply(&mut state, &request(3, Kind::Deploy)).is_err());
    assert!(apply(&mut state, &request(2, Kind::Deploy)).unwrap_err().to_string().contains("on its way already"));
    apply(&mut state, &request(4, Kind::Deploy)).unwrap();
    assert_eq!(state.next.as_ref().unwrap().version, 4, "the newest wins");
    apply(&mut state, &Event::Rejected { actor: "eve".into(), reason: "no".into() }).unwrap();
    assert_eq!(state.release.as_ref().unwrap().request.version, 4, "it begins when the other is over");

    // One that comes to wait for a person while another waits for its turn gives way, too.
    let mut state = until("robustness", |_| true);
    apply(&mut state, &request(3, Kind::Deploy)).unwrap();
    let done = success(&state).unwrap();
    apply(&mut state, &done).unwrap();
    assert_eq!(last(&state), (2, Ending::Superseded));
    assert_eq!(state.release.as_ref().map(|r| (r.request.version, r.step.as_str())), Some((3, "package")));

    let mut state = until("approval", |_| true);
    apply(&mut state, &request(3, Kind::Deploy)).unwrap();
    assert_eq!(last(&state), (2, Ending::Superseded));
    assert_eq!(state.release.as_ref().unwrap().request.version, 3);

    // A rollback during a canary takes the canary back.
    let mut state = until("production", |p| matches!(p, Phase::Canary { .. }));
    apply(&mut state, &request(1, Kind::Rollback)).unwrap();
    assert_eq!((last(&state), state.live, state.release.is_none()), ((2, Ending::RolledBack), Some(1), true));
}

#[test]
fn a_step_that_the_settings_took_out_ends_its_release_and_leaves_production_alone() {
    let mut state = State::new("k".into());
    deploy(&mut state, 1);
    apply(&mut state, &request(2, Kind::Deploy)).unwrap();
    while state.release.as_ref().is_some_and(|r| r.phase != Phase::Waiting) {
        let event = success(&state).unwrap();
        apply(&mut state, &event).unwrap();
    }
    assert_eq!(machine().adopt(&state, "later"), state, "with the same settings it goes on");
    let mut pipeline = deploy_pipeline();
    crate::settings::remove(&mut pipeline, |step| step.kind == StepKind::Approval);
    let machine = Machine::new(&pipeline, &[1.0]).unwrap();
    let next = machine.adopt(&state, "later");
    assert_eq!((next.live, next.release.clone(), last(&next)), (Some(1), None, (2, Ending::Failed)));
    assert!(next.ended.last().unwrap().reason.as_ref().unwrap().contains("'approval'"), "{next:?}");
    // Nobody gets past it by approving, either.
    let approved = machine.apply(&state, &Event::Approved { actor: "a".into(), reason: None }, "now").unwrap();
    assert_eq!((approved.live, last(&approved)), (Some(1), (2, Ending::Failed)));
}

#[test]
fn staging_has_no_say_in_what_does_not_need_it_and_no_withdrawn_version() {
    let died = |version| Event::ServerDied { environment: Environment::Staging, version, reason: "x".into() };
    let mut state = State::new("k".into());
    deploy(&mut state, 1);
    deploy(&mut state, 2);
    assert_eq!(state.staging, Some(2));
    // The same version once more: its old server in staging ends, and with it nothing of the new release.
    apply(&mut state, &request(1, Kind::Rollback)).unwrap();
    while let Some(event) = success(&state) {
        apply(&mut state, &event).unwrap();
    }
    apply(&mut state, &request(2, Kind::Deploy)).unwrap();
    assert_eq!(state.staging, None, "its package is made anew");
    apply(&mut state, &died(2)).unwrap();
    assert_eq!(state.release.as_ref().map(|r| r.request.version), Some(2));
    while state.staging.is_none() {
        let event = success(&state).unwrap();
        apply(&mut state, &event).unwrap();
    }
    apply(&mut state, &Event::Withdrawn { version: 2, actor: "a".into(), reason: None }).unwrap();
    assert_eq!((state.staging, state.live, last(&state)), (None, Some(1), (2, Ending::Rejected)));
}

#[test]
fn approval_needs_something_that_waits() {
    let approve = Event::Approved { actor: "bob".into(), reason: None };
    assert!(apply(&mut State::new("k".into()), &approve).unwrap_err().to_string().contains("no release is under way"));
    let mut state = until("smoke", |_| true);
    assert!(apply(&mut state, &approve).unwrap_err().to_string().contains("does not wait for approval"));
}

fn any_event() -> impl Strategy<Value = Option<Event>> {
    let environment = prop_oneof![Just(Environment::Staging), Just(Environment::Production)];
    let kind = prop_oneof![4 => Just(Kind::Deploy), 1 => Just(Kind::Rollback)];
    prop_oneof![
        8 => Just(None),
        2 => (1..5u32, kind).prop_map(|(v, k)| Some(request(v, k))),
        1 => (1..5u32, environment.clone())
            .prop_map(|(version, environment)| Some(Event::ServerDied { environment, version, reason: "died".into() })),
        1 => (1..5u32, environment).prop_map(|(version, environment)| Some(Event::ServerReady { environment, version })),
        1 => Just(Some(Event::Rejected { actor: "eve".into(), reason: "no".into() })),
        1 => Just(Some(Event::Approved { actor: "bob".into(), reason: None })),
        1 => (1..5u32).prop_map(|version| Some(Event::Withdrawn { version, actor: "eve".into(), reason: None })),
        1 => (1..8u64, 0..2usize).prop_map(|(release, share)| {
            Some(Event::Judged { release, share, verdict: Verdict::RollBack("bad".into()) })
        }),
    ]
}

proptest! {
    /// Whatever happens, in whatever order: `None` stands for what the release waits for.
    #[test]
    fn production_is_never_lost_and_nothing_skips_a_step(events in prop::collection::vec(any_event(), 0..60)) {
        let mut state = State::new("k".into());
        for event in events {
            let Some(event) = event.or_else(|| success(&state)) else { continue };
            let before = state.clone();
            if apply(&mut state, &event).is_err() {
                prop_assert_eq!(&state, &before);
                continue;
            }
            prop_assert!(before.live.is_none() || state.live.is_some());
            prop_assert!(state.next.is_none() || state.release.is_some());
            let goal = machine().goal(&state);
            prop_assert!(goal.production.len() <= 2);
            prop_assert_eq!(goal.production.iter().map(|(_, w)| w).sum::<u32>() > 0, state.live.is_some());
            let mut versions: Vec<_> = goal.production.iter().map(|(v, _)| *v).collect();
            versions.dedup();
            prop_assert_eq!(versions.len(), goal.production.len());
            prop_assert!(state.outbox.iter().enumerate().all(|(i, e)| e.what.sequence == i as u64 + 1));
        }
        // Who came into production was approved by a person in the same release, or had been in production before.
        for (i, entry) in state.outbox.iter().enumerate().filter(|(_, e)| e.what.to == "live") {
            let before = || state.outbox[..i].iter();
            let approved = before().any(|e| {
                e.what.release == entry.what.release && e.what.from.as_deref() == Some("approval") && e.actor == "bob"
            });
            prop_assert!(approved || before().any(|e| e.version == entry.version && e.what.to == "live"));
        }
    }
}
