//! What the journal's entries amount to, and what is to be done about it. Pure: no clock, no file.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Build, BuildEnd, Entry, Reason, pairs};
use crate::{endpoint::ModelName, event::Event};

/// Builds that are kept for `/versions` and `/status`.
const KEPT_BUILDS: usize = 50;
/// Models that are kept for `/versions`.
const KEPT_MODELS: usize = 50;
/// A build that was interrupted so often, without an end of its own, is given up.
const MAX_ATTEMPTS: u32 = 10;

/// An annotation of a project.
type AnnotationKey = (u64, String);

/// What the entries amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last known state of each annotation, by which a repeated event is known.
    #[serde(with = "pairs")]
    seen: HashMap<AnnotationKey, String>,
    pending: HashSet<AnnotationKey>,
    /// What the current build has taken over.
    taken: HashSet<AnnotationKey>,
    /// Projects with pending annotations that Label Studio has not written into its target storages.
    #[serde(default)]
    unwritten: BTreeSet<u64>,
    /// The same of the current build.
    #[serde(default)]
    taken_unwritten: BTreeSet<u64>,
    asked: bool,
    /// The first and the last change that is pending.
    first: Option<u64>,
    last: u64,
    /// Failed builds in a row, and when the last one ended.
    failures: u32,
    failed_at: u64,
    misconfigured: bool,
    current: Option<Build>,
    builds: VecDeque<Build>,
    models: VecDeque<(ModelName, u64)>,
    events: u64,
}

/// When a build starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// New or changed annotations that start one; 0: only when asked.
    pub annotations: usize,
    /// Quiet time before it starts.
    pub debounce: Duration,
    /// It starts after this long even if annotations keep coming.
    pub longest: Duration,
    /// Wait after a failed build; twice as long after each further one.
    pub after_failure: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, until something happens.
    Idle,
    /// Look again after this time.
    Wait(Duration),
    /// Plan a build.
    Plan(Reason),
    /// Go on with the build that was planned.
    Resume,
    /// Give up the build that was interrupted too often.
    GiveUp,
}

impl State {
    /// What the entries amount to.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut state = Self::default();
        entries.into_iter().for_each(|entry| state.apply(entry));
        state
    }

    /// Takes an entry into account.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Event { at, event } => self.happened(*at, event),
            Entry::Planned { at, build, reason } => self.plan(*at, build, *reason),
            Entry::Attempt { build, .. } => {
                if let Some(current) = self.current.as_mut().filter(|c| c.id == *build) {
                    current.attempts += 1;
                }
            }
            Entry::Ended { at, build, end, detail } => self.end(*at, build, *end, detail),
            Entry::Compacted { state, .. } => self.clone_from(state),
            Entry::Model { at, model } => {
                self.models.retain(|(m, _)| m != model);
                self.models.push_front((model.clone(), *at));
                self.models.truncate(KEPT_MODELS);
            }
        }
    }

    fn happened(&mut self, at: u64, event: &Event) {
        self.events += 1;
        let project = event.project.unwrap_or(0);
        let mut news = false;
        for change in &event.changes {
            let key = (project, change.annotation.clone());
            // A repeated event, or one that comes late: what it tells is known.
            if self.seen.get(&key).is_some_and(|known| *known >= change.state) {
                continue;
            }
            self.seen.insert(key.clone(), change.state.clone());
            self.pending.insert(key);
            news = true;
        }
        if let (true, true, Some(project)) = (news, event.is_unwritten(), event.project) {
            self.unwritten.insert(project);
        }
        // Who asks again for what is being built gets that build.
        let covered = self.current.is_some() && self.pending.is_empty();
        if event.train && !covered {
            self.asked = true;
            news = true;
        }
        if news {
            self.first.get_or_insert(at);
            self.last = self.last.max(at);
        }
    }

    fn plan(&mut self, at: u64, build: &str, reason: Reason) {
        self.taken = std::mem::take(&mut self.pending);
        self.taken_unwritten = std::mem::take(&mut self.unwritten);
        (self.asked, self.first, self.misconfigured) = (false, None, false);
        self.current = Some(Build {
            id: build.into(),
            reason,
            annotations: self.taken.len(),
            planned: at,
            attempts: 0,
            ended: None,
            end: None,
            detail: String::new(),
        });
    }

    fn end(&mut self, at: u64, build: &str, end: BuildEnd, detail: &str) {
        let Some(mut done) = self.current.take_if(|c| c.id == build) else { return };
        let taken = std::mem::take(&mut self.taken);
        let unwritten = std::mem::take(&mut self.taken_unwritten);
        match end {
            BuildEnd::Succeeded | BuildEnd::Refused => self.failures = 0,
            BuildEnd::Failed | BuildEnd::Misconfigured => {
                self.failures = self.failures.saturating_add(1);
                self.failed_at = at;
                self.misconfigured = end == BuildEnd::Misconfigured;
                self.unwritten.extend(unwritten);
                if !taken.is_empty() {
                    self.pending.extend(taken);
                    self.first.get_or_insert(at);
                }
            }
        }
        (done.ended, done.end) = (Some(at), Some(end));
        done.detail = detail.into();
        self.builds.push_front(done);
        self.builds.truncate(KEPT_BUILDS);
    }

    /// Options are read at a start: what could not be run with those of an earlier one may be tried with these.
    pub fn forget_misconfiguration(&mut self) {
        if std::mem::take(&mut self.misconfigured) {
            self.failures = 0;
        }
    }

    /// Annotations that no build has taken over.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether training was asked for since the last build.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Projects of the current build with annotations that Label Studio has not written into its target storages.
    pub fn unwritten(&self) -> Vec<u64> {
        self.taken_unwritten.iter().copied().collect()
    }

    /// The build that was planned and has not ended.
    pub fn current(&self) -> Option<&Build> {
        self.current.as_ref()
    }

    /// The builds that have ended, newest first.
    pub fn builds(&self) -> impl Iterator<Item = &Build> {
        self.builds.iter()
    }

    /// The models that were in service and since when, newest first.
    pub fn models(&self) -> impl Iterator<Item = (&ModelName, u64)> {
        self.models.iter().map(|(m, at)| (m, *at))
    }
}

/// What is to be done at a time. `running`: whether a runner is at work on the current build.
pub fn decide(state: &State, trigger: &Trigger, now: u64, running: bool) -> Decision {
    if let Some(build) = &state.current {
        return match running {
            true => Decision::Idle,
            false if build.attempts >= MAX_ATTEMPTS => Decision::GiveUp,
            false => Decision::Resume,
        };
    }
    let enough = trigger.annotations > 0 && state.pending.len() >= trigger.annotations && !state.misconfigured;
    let reason = match (state.asked, enough) {
        (true, _) => Reason::Asked,
        (false, true) => Reason::Annotations,
        (false, false) => return Decision::Idle,
    };
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let quiet = state.last.saturating_add(ms(trigger.debounce));
    let latest = state.first.unwrap_or(state.last).saturating_add(ms(trigger.longest));
    let mut due = quiet.min(latest);
    // Who asks does not wait for the pause after a failure.
    if state.failures > 0 && !state.asked {
        let pause = ms(trigger.after_failure).saturating_mul(1 << (state.failures - 1).min(6));
        due = due.max(state.failed_at.saturating_add(pause));
    }
    // A clock that was set back must not delay a build for longer than its longest wait.
    let most = ms(trigger.longest.max(trigger.after_failure.saturating_mul(64)));
    match due.saturating_sub(now).min(most) {
        0 => Decision::Plan(reason),
        wait => Decision::Wait(Duration::from_millis(wait)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Change;

    const TRIGGER: Trigger = Trigger {
        annotations: 2,
        debounce: Duration::from_millis(100),
        longest: Duration::from_millis(500),
        after_failure: Duration::from_millis(1000),
    };

    fn event(at: u64, ids: &[u64], train: bool) -> Entry {
        let changes = ids.iter().map(|id| Change { annotation: id.to_string(), state: format!("{at:06}") }).collect();
        Entry::Event { at, event: Event { action: "x".into(), project: Some(1), changes, train } }
    }

    fn planned(at: u64, id: &str) -> Entry {
        Entry::Planned { at, build: id.into(), reason: Reason::Annotations }
    }

    fn ended(at: u64, id: &str, end: BuildEnd) -> Entry {
        Entry::Ended { at, build: id.into(), end, detail: String::new() }
    }

    fn at(entries: &[Entry], now: u64) -> Decision {
        decide(&State::of(entries), &TRIGGER, now, false)
    }

    const fn wait(ms: u64) -> Decision {
        Decision::Wait(Duration::from_millis(ms))
    }

    #[test]
    fn enough_annotations_start_a_build_after_a_quiet_time() {
        assert_eq!(at(&[event(0, &[1], false)], 10_000), Decision::Idle);
        let two = [event(0, &[1], false), event(50, &[2], false)];
        assert_eq!(at(&two, 60), wait(90));
        assert_eq!(at(&two, 150), Decision::Plan(Reason::Annotations));
        assert_eq!(
            at(&[event(0, &[1], false), event(9, &[1], false)], 900),
            Decision::Idle,
            "one annotation twice is one"
        );
        assert_eq!(at(&[event(0, &[], true)], 100), Decision::Plan(Reason::Asked));
        let steady: Vec<Entry> = (0..6).map(|i| event(i * 99, &[i], false)).collect();
        assert_eq!(at(&steady, 499), wait(1), "who never pauses waits for the longest time");
        assert_eq!(at(&steady, 500), Decision::Plan(Reason::Annotations));
    }

    #[test]
    fn a_repeated_or_late_event_is_known() {
        let state = State::of(&[event(5, &[1], false), planned(6, "a"), event(5, &[1], false), event(3, &[1], false)]);
        assert_eq!(state.pending(), 0);
        let state = State::of(&[event(5, &[1], false), planned(6, "a"), event(7, &[1], false)]);
        assert_eq!(state.pending(), 1, "a change after the plan belongs to the next build");
    }

    #[test]
    fn a_build_takes_what_is_pending_once_and_gives_it_back_if_it_fails() {
        let begun = vec![event(0, &[1, 2, 3], false), planned(100, "a"), event(110, &[4], false)];
        let state = State::of(&begun);
        assert_eq!((state.current().unwrap().annotations, state.pending()), (3, 1));
        assert_eq!(decide(&state, &TRIGGER, 10_000, true), Decision::Idle);
        assert_eq!(decide(&state, &TRIGGER, 10_000, false), Decision::Resume);
        let with = |end| [begun.clone(), vec![ended(200, "a", end)]].concat();
        for end in [BuildEnd::Succeeded, BuildEnd::Refused] {
            let state = State::of(&with(end));
            assert_eq!((state.pending(), state.builds().count()), (1, 1), "{end:?}");
        }
        let failed = with(BuildEnd::Failed);
        assert_eq!(State::of(&failed).pending(), 4);
        assert_eq!(at(&failed, 300), wait(900), "after a pause");
        assert_eq!(at(&failed, 1200), Decision::Plan(Reason::Annotations));
        assert_eq!(at(&[failed.clone(), vec![event(300, &[], true)]].concat(), 400), Decision::Plan(Reason::Asked));
        let twice = [failed, vec![planned(1200, "b"), ended(1300, "b", BuildEnd::Failed)]].concat();
        assert_eq!(at(&twice, 1300), wait(2000), "a longer one");
        let wrong = with(BuildEnd::Misconfigured);
        assert_eq!(at(&wrong, 1_000_000), Decision::Idle);
        let mut restarted = State::of(&wrong);
        restarted.forget_misconfiguration();
        assert_eq!(decide(&restarted, &TRIGGER, 1000, false), Decision::Plan(Reason::Annotations));
        assert_eq!(at(&[wrong, vec![event(300, &[], true)]].concat(), 400), Decision::Plan(Reason::Asked));
    }

    #[test]
    fn what_was_made_in_bulk_is_to_be_written_before_the_build_that_takes_it() {
        let bulk = |at: u64, ids: &[u64]| match event(at, ids, false) {
            Entry::Event { at, event } => {
                Entry::Event { at, event: Event { action: "ANNOTATIONS_CREATED".into(), ..event } }
            }
            other => other,
        };
        let begun = vec![bulk(0, &[1]), planned(1, "a")];
        assert_eq!(State::of(&begun).unwritten(), [1]);
        let next = |end| [begun.clone(), vec![ended(2, "a", end), event(3, &[2], false), planned(4, "b")]].concat();
        assert!(State::of(&next(BuildEnd::Succeeded)).unwritten().is_empty());
        assert_eq!(State::of(&next(BuildEnd::Failed)).unwritten(), [1]);
        assert!(State::of(&[event(0, &[1], false), planned(1, "a")]).unwritten().is_empty(), "written at once");
        let repeated =
            [begun.clone(), vec![ended(2, "a", BuildEnd::Succeeded), bulk(0, &[1]), planned(4, "b")]].concat();
        assert!(State::of(&repeated).unwritten().is_empty(), "a repeated event brings nothing");
    }

    #[test]
    fn asking_during_a_build_starts_another_only_for_something_new() {
        let building = vec![event(0, &[1], true), planned(1, "a")];
        let ask = [building.clone(), vec![event(5, &[], true), ended(9, "a", BuildEnd::Succeeded)]].concat();
        assert_eq!(at(&ask, 10_000), Decision::Idle);
        let news = [building, vec![event(5, &[2], true), ended(9, "a", BuildEnd::Succeeded)]].concat();
        assert_eq!(at(&news, 10_000), Decision::Plan(Reason::Asked));
    }

    #[test]
    fn an_endless_interruption_is_given_up_and_a_clock_set_back_does_no_harm() {
        let mut entries = vec![event(0, &[1], true), planned(1, "a")];
        entries.extend((0..MAX_ATTEMPTS).map(|i| Entry::Attempt { at: u64::from(i), build: "a".into() }));
        assert_eq!(at(&entries, 10), Decision::GiveUp);
        let future = [event(9_000_000, &[1, 2], false)];
        assert!(matches!(at(&future, 5), Decision::Wait(w) if w <= Duration::from_secs(64)));
    }

    #[test]
    fn entries_read_as_they_were_written() {
        let model = Entry::Model { at: 1, model: ModelName { name: "m".into(), version: "1".into() } };
        let state = State::of(&[event(1, &[1, 2], true), planned(2, "a"), event(3, &[3], false), model.clone()]);
        assert_eq!(State::of(&[Entry::Compacted { at: 9, state: Box::new(state.clone()) }]), state);
        let compacted = Entry::Compacted { at: 9, state: Box::new(state) };
        for entry in [event(1, &[1], true), planned(2, "a"), ended(3, "a", BuildEnd::Refused), model, compacted] {
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
        }
    }
}
