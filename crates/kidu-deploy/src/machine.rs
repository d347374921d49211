//! The way of a release as a state machine: state and event give the next state. What has to be done for a state is a
//! function of it too ([`Machine::goal`]), so that it can be done again after any interruption.

use kidu_pipeline::{Pipeline, StepKind, Transition};

use crate::{
    canary::Verdict,
    error::{DeployError, Result},
    state::{Ended, Ending, Environment, Kind, Outgoing, Phase, Release, Request, State},
};

/// Who acts when nobody asked.
pub const AUTOMATIC: &str = "kidu deploy";
/// Releases that are remembered beside the ledger, and versions to go back to.
const REMEMBERED: usize = 20;

/// A step of the deploy pipeline, as far as it decides what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Planned {
    name: String,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Work { test: bool },
    Place(Environment),
    Decision,
}

/// The rules of the way, from the pipeline's value and the canary's shares.
#[derive(Clone, Debug)]
pub struct Machine {
    plan: Vec<Planned>,
    shares: Vec<f64>,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody wants a version in production.
    Requested(Request),
    /// A person approves what waits.
    Approved {
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// A person takes the release under way back.
    Rejected {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// The registry took a version's approval back.
    Withdrawn {
        /// The version.
        version: u32,
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// The work of a step ended.
    StepEnded {
        /// The release.
        release: u64,
        /// The step.
        step: String,
        /// How.
        outcome: Outcome,
    },
    /// A server answers.
    ServerReady {
        /// Where.
        environment: Environment,
        /// Its version.
        version: u32,
    },
    /// A server ended by itself, or did not become ready.
    ServerDied {
        /// Where.
        environment: Environment,
        /// Its version.
        version: u32,
        /// Why.
        reason: String,
    },
    /// A canary was judged.
    Judged {
        /// The release.
        release: u64,
        /// Which of the shares it had.
        share: usize,
        /// The judgement.
        verdict: Verdict,
    },
}

/// How a step's work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// A test said no.
    Refused(String),
    /// It could not be done.
    Failed(String),
}

/// What has to be so in a state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Goal {
    /// Versions and their weights in staging.
    pub staging: Vec<(u32, u32)>,
    /// Versions and their weights in production; weight 0 is a version that stands by.
    pub production: Vec<(u32, u32)>,
    /// The work to be done: release, step, version.
    pub work: Option<(u64, String, u32)>,
}

impl Machine {
    /// The rules for a pipeline, and for shares of traffic of which the last is 1.
    ///
    /// # Errors
    /// [`DeployError::State`] for a pipeline that is not a way to production, and what
    /// [`Pipeline::validate`] finds.
    pub fn new(pipeline: &Pipeline, shares: &[f64]) -> Result<Self> {
        let planned = |step: &kidu_pipeline::Step| {
            let what = match &step.kind {
                StepKind::Deploy { environment, .. } => {
                    let known = Environment::ALL.into_iter().find(|e| e.name() == environment);
                    What::Place(known.ok_or_else(|| {
                        DeployError::State(format!("step '{}': there is no environment '{environment}'", step.name))
                    })?)
                }
                StepKind::Approval => What::Decision,
                kind => What::Work { test: matches!(kind, StepKind::Test { .. }) },
            };
            Ok(Planned { name: step.name.clone(), what })
        };
        let plan: Vec<Planned> = pipeline.validate()?.into_iter().map(planned).collect::<Result<_>>()?;
        let places = plan.iter().filter(|p| p.what == What::Place(Environment::Production)).count();
        if places != 1 || plan.last().is_none_or(|p| p.what != What::Place(Environment::Production)) {
            return Err(DeployError::State(format!("pipeline '{}' does not end in production", pipeline.name)));
        }
        Ok(Self { plan, shares: shares.to_vec() })
    }

    /// What has to be so in a state.
    pub fn goal(&self, state: &State) -> Goal {
        let mut goal = Goal { staging: state.staging.map(|v| (v, 1)).into_iter().collect(), ..Goal::default() };
        let release = state.release.as_ref();
        let share = match release.map(|r| (r, r.phase)) {
            Some((r, Phase::Canary { share })) => Some((r.request.version, self.share(share))),
            Some((r, Phase::Starting)) if self.place(&r.step) == Some(Environment::Production) => {
                Some((r.request.version, 0.0))
            }
            _ => None,
        };
        let (live, new) = weights(share.map_or(0.0, |(_, share)| share));
        goal.production.extend(state.live.map(|v| (v, live)));
        goal.production.extend(share.map(|(version, _)| (version, new)));
        goal.work =
            release.filter(|r| r.phase == Phase::Working).map(|r| (r.number, r.step.clone(), r.request.version));
        goal
    }

    /// The next state. The time is RFC 3339. An event that came too late (of a release that is over) changes nothing.
    ///
    /// # Errors
    /// [`DeployError::State`] for what people ask for and this state does not allow, saying why.
    pub fn apply(&self, state: &State, event: &Event, now: &str) -> Result<State> {
        let mut next = Next { machine: self, state: state.clone(), now };
        match event {
            Event::Requested(request) => next.requested(request.clone())?,
            Event::Approved { actor, reason } => next.approved(actor, reason.as_deref())?,
            Event::Rejected { actor, reason } => next.rejected(actor, reason)?,
            Event::Withdrawn { version, actor, reason } => next.withdrawn(*version, actor, reason.as_deref()),
            Event::StepEnded { release, step, outcome } => next.step_ended(*release, step, outcome),
            Event::ServerReady { environment, version } => next.server_ready(*environment, *version),
            Event::ServerDied { environment, version, reason } => next.server_died(*environment, *version, reason),
            Event::Judged { release, share, verdict } => next.judged(*release, *share, verdict),
        }
        Ok(next.state)
    }

    /// The state for these rules of one that others may have left: a release in a step that there is no more is over.
    pub fn adopt(&self, state: &State, now: &str) -> State {
        let mut next = Next { machine: self, state: state.clone(), now };
        let gone = |r: &&Release| self.steps(r.request.kind).all(|p| p.name != r.step);
        if let Some(release) = state.release.as_ref().filter(gone) {
            next.end(Ending::Failed, (AUTOMATIC, Some(&left_out(&release.step))));
        }
        next.state
    }

    /// A share of the traffic, 0 to 1.
    pub fn share(&self, index: usize) -> f64 {
        self.shares.get(index).copied().unwrap_or(1.0)
    }

    /// The environment that a step takes a version into.
    pub fn place(&self, step: &str) -> Option<Environment> {
        self.plan.iter().find(|p| p.name == step).and_then(|p| match p.what {
            What::Place(environment) => Some(environment),
            _ => None,
        })
    }

    /// Whether a step puts questions to staging.
    pub fn tests(&self, step: &str) -> bool {
        self.plan.iter().any(|p| p.name == step && matches!(p.what, What::Work { test: true }))
    }

    /// The steps that a release takes. A version that comes back has been tested and approved before.
    fn steps(&self, kind: Kind) -> impl Iterator<Item = &Planned> {
        let all = kind == Kind::Deploy;
        let needed = |what| matches!(what, What::Work { test: false } | What::Place(Environment::Production));
        self.plan.iter().filter(move |p| all || needed(p.what))
    }
}

/// Why a release is over whose step the settings have taken out.
fn left_out(step: &str) -> String {
    format!("the step '{step}' is no part of the pipeline any more (deploy.*); request the version again")
}

/// Integer weights of the live version and of one with a share, in lowest terms.
fn weights(share: f64) -> (u32, u32) {
    let new = (share.clamp(0.0, 1.0) * 1000.0).round() as u32;
    let (mut a, mut b) = (1000 - new, new);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    ((1000 - new) / a, new / a)
}

/// A state in the making.
struct Next<'a> {
    machine: &'a Machine,
    state: State,
    now: &'a str,
}

impl Next<'_> {
    /// Adds an entry for the ledger.
    fn note(
        &mut self,
        release: &Release,
        by: (&str, Option<&str>),
        from: Option<&str>,
        to: &str,
        traffic: Option<f64>,
    ) {
        self.state.sequence += 1;
        self.state.outbox.push(Outgoing {
            version: release.request.version,
            time: self.now.into(),
            actor: by.0.into(),
            reason: by.1.map(Into::into),
            what: Transition {
                keeper: self.state.keeper.clone(),
                sequence: self.state.sequence,
                release: release.number,
                from: from.map(Into::into),
                to: to.into(),
                traffic,
            },
        });
    }

    fn requested(&mut self, request: Request) -> Result<()> {
        let version = request.version;
        let refuse = |why: String| Err(DeployError::State(format!("version {version} {why}")));
        let waits = self.state.release.as_ref().is_none_or(|r| r.phase == Phase::Waiting);
        if self.state.live == Some(version) && waits && (request.kind == Kind::Deploy || self.state.release.is_none()) {
            return refuse("is in production already".into());
        }
        if request.kind == Kind::Rollback && self.state.live != Some(version) && !self.state.earlier.contains(&version)
        {
            return refuse("was not in production before; deploy it with `kidu deploy run`".into());
        }
        if self.state.next.as_ref().is_some_and(|r| r.version == version && r.kind == request.kind) {
            return refuse("waits for its turn already".into());
        }
        let Some(current) = self.state.release.clone() else {
            self.begin(request);
            return Ok(());
        };
        if current.request.version == version && current.request.kind == request.kind {
            return refuse(format!(
                "is on its way already: release {} is in the step {}",
                current.number, current.step
            ));
        }
        let by = (request.actor.clone(), format!("version {version} was requested"));
        // What waits for a person gives way, and everything gives way to a rollback.
        if request.kind == Kind::Rollback || current.phase == Phase::Waiting {
            self.state.next = None;
            let in_production = self.machine.place(&current.step) == Some(Environment::Production);
            self.end(if in_production { Ending::RolledBack } else { Ending::Superseded }, (&by.0, Some(&by.1)));
            if self.state.live != Some(version) {
                self.begin(request);
            }
        } else if current.request.kind == Kind::Rollback && self.state.live == Some(version) {
            return refuse("is being replaced by a rollback; wait until it is done".into());
        } else {
            self.state.next = Some(request);
        }
        Ok(())
    }

    fn begin(&mut self, request: Request) {
        let Some(first) = self.machine.steps(request.kind).next().cloned() else { return };
        // Its package is made anew: what runs of it in staging may not need the old one any more.
        if request.kind == Kind::Deploy {
            self.state.staging.take_if(|staging| *staging == request.version);
        }
        self.state.releases += 1;
        let (started, since) = (self.now.to_string(), self.now.to_string());
        let number = self.state.releases;
        let release = Release { number, request, step: first.name.clone(), phase: Phase::Working, started, since };
        let (actor, reason) = (release.request.actor.clone(), release.request.reason.clone());
        self.state.release = Some(release);
        self.enter(&first, (&actor, reason.as_deref()), None);
    }

    /// Brings the release into a step.
    fn enter(&mut self, step: &Planned, by: (&str, Option<&str>), from: Option<&str>) {
        let Some(mut release) = self.state.release.clone() else { return };
        release.step = step.name.clone();
        release.since = self.now.into();
        release.phase = match step.what {
            What::Work { .. } => Phase::Working,
            What::Decision => Phase::Waiting,
            What::Place(_) => Phase::Starting,
        };
        if step.what == What::Place(Environment::Staging) {
            self.state.staging = Some(release.request.version);
        }
        let traffic = (step.what == What::Place(Environment::Production)).then_some(0.0);
        self.note(&release, by, from, &step.name, traffic);
        self.state.release = Some(release);
        // What waits for a person gives way, also to what came before it waited.
        if step.what == What::Decision
            && let Some(next) = &self.state.next
        {
            let why = format!("version {} was requested", next.version);
            self.end(Ending::Superseded, (AUTOMATIC, Some(&why)));
        }
    }

    /// The step is done.
    fn advance(&mut self, by: (&str, Option<&str>)) {
        let Some(release) = self.state.release.clone() else { return };
        let mut steps = self.machine.steps(release.request.kind);
        if steps.by_ref().all(|p| p.name != release.step) {
            return self.end(Ending::Failed, (AUTOMATIC, Some(&left_out(&release.step))));
        }
        match steps.next().cloned() {
            Some(step) => self.enter(&step, by, Some(&release.step)),
            None => self.promote(by),
        }
    }

    /// All of production's requests go to the release's version from here on.
    fn promote(&mut self, by: (&str, Option<&str>)) {
        let Some(release) = self.state.release.clone() else { return };
        let version = release.request.version;
        let before = self.state.live.replace(version).filter(|v| *v != version);
        if release.request.kind == Kind::Rollback {
            let at = self.state.earlier.iter().rposition(|v| *v == version).unwrap_or(self.state.earlier.len());
            self.state.earlier.truncate(at);
        } else {
            self.state.earlier.retain(|v| *v != version);
            self.state.earlier.extend(before);
            let surplus = self.state.earlier.len().saturating_sub(REMEMBERED);
            self.state.earlier.drain(..surplus);
        }
        if let Some(before) = before {
            let mut gone = release.clone();
            gone.request.version = before;
            let to = if release.request.kind == Kind::Rollback { Ending::RolledBack.name() } else { "retired" };
            let why = match by.1 {
                Some(reason) => format!("version {version} took its place: {reason}"),
                None => format!("version {version} took its place"),
            };
            self.note(&gone, (by.0, Some(&why)), Some(Ending::Live.name()), to, Some(0.0));
        }
        self.end(Ending::Live, by);
    }

    /// The release is over; the next one begins.
    fn end(&mut self, ending: Ending, by: (&str, Option<&str>)) {
        let Some(release) = self.state.release.take() else { return };
        let traffic = match ending {
            Ending::Live => Some(1.0),
            Ending::RolledBack => Some(0.0),
            _ => None,
        };
        self.note(&release, by, Some(&release.step), ending.name(), traffic);
        let Release { number, request, step, .. } = release;
        let (version, reason, time) = (request.version, by.1.map(Into::into), self.now.into());
        self.state.ended.push(Ended { number, version, ending, step, reason, time });
        let surplus = self.state.ended.len().saturating_sub(REMEMBERED);
        self.state.ended.drain(..surplus);
        if let Some(next) = self.state.next.take().filter(|next| Some(next.version) != self.state.live) {
            self.begin(next);
        }
    }

    fn approved(&mut self, actor: &str, reason: Option<&str>) -> Result<()> {
        match &self.state.release {
            Some(release) if release.phase == Phase::Waiting => self.advance((actor, reason)),
            Some(r) => {
                return Err(DeployError::State(format!(
                    "release {} (version {}) is in the step {} and does not wait for approval yet",
                    r.number, r.request.version, r.step
                )));
            }
            None => return Err(nothing_under_way()),
        }
        Ok(())
    }

    fn rejected(&mut self, actor: &str, reason: &str) -> Result<()> {
        let Some(release) = &self.state.release else { return Err(nothing_under_way()) };
        let in_production = self.machine.place(&release.step) == Some(Environment::Production);
        self.end(if in_production { Ending::RolledBack } else { Ending::Rejected }, (actor, Some(reason)));
        Ok(())
    }

    fn withdrawn(&mut self, version: u32, actor: &str, reason: Option<&str>) {
        self.state.next.take_if(|next| next.version == version);
        let why = format!("rejected in the registry: {}", reason.unwrap_or("no reason given"));
        if self.state.release.as_ref().is_some_and(|r| r.request.version == version) {
            // A release is under way, so this cannot fail.
            let _ = self.rejected(actor, &why);
        }
        self.state.staging.take_if(|staging| *staging == version);
    }

    fn step_ended(&mut self, release: u64, step: &str, outcome: &Outcome) {
        let current = self.state.release.as_ref();
        if current.is_none_or(|r| r.number != release || r.step != step || r.phase != Phase::Working) {
            return;
        }
        match outcome {
            Outcome::Done => self.advance((AUTOMATIC, None)),
            Outcome::Refused(why) => self.end(Ending::Refused, (AUTOMATIC, Some(why))),
            Outcome::Failed(why) => self.end(Ending::Failed, (AUTOMATIC, Some(why))),
        }
    }

    /// Whether the release waits for that server.
    fn awaits(&self, environment: Environment, version: u32) -> bool {
        self.state.release.as_ref().is_some_and(|r| {
            r.request.version == version
                && r.phase == Phase::Starting
                && self.machine.place(&r.step) == Some(environment)
        })
    }

    fn server_ready(&mut self, environment: Environment, version: u32) {
        if !self.awaits(environment, version) {
            return;
        }
        let Some(kind) = self.state.release.as_ref().map(|r| r.request.kind) else { return };
        // Nobody to compare with, or nothing to find out.
        let at_once = kind == Kind::Rollback || self.state.live.is_none();
        match environment {
            Environment::Production if at_once => self.promote((AUTOMATIC, None)),
            Environment::Production => self.shift(0),
            Environment::Staging => self.advance((AUTOMATIC, None)),
        }
    }

    /// The canary gets its next share.
    fn shift(&mut self, share: usize) {
        let Some(mut release) = self.state.release.clone() else { return };
        release.phase = Phase::Canary { share };
        release.since = self.now.into();
        let step = release.step.clone();
        let traffic = Some(self.machine.share(share));
        self.note(&release, (AUTOMATIC, None), Some(&step), &step, traffic);
        self.state.release = Some(release);
    }

    fn server_died(&mut self, environment: Environment, version: u32, reason: &str) {
        let Some(release) = self.state.release.as_ref().filter(|r| r.request.version == version) else { return };
        let place = self.machine.place(&release.step);
        let canary = matches!(release.phase, Phase::Canary { .. });
        let why = format!("the server in {environment} {reason}");
        match environment {
            Environment::Production if canary => self.end(Ending::RolledBack, (AUTOMATIC, Some(&why))),
            Environment::Production if place == Some(environment) => self.end(Ending::Failed, (AUTOMATIC, Some(&why))),
            // Under test; once it is approved, staging does not matter any more, and to one that comes back it never does.
            Environment::Staging
                if self.state.staging == Some(version)
                    && place != Some(Environment::Production)
                    && release.request.kind == Kind::Deploy =>
            {
                let starting = place == Some(environment);
                self.end(Ending::Failed, (AUTOMATIC, Some(&why)));
                if starting && self.state.release.is_none() {
                    self.state.staging = None;
                }
            }
            _ => {}
        }
    }

    fn judged(&mut self, release: u64, share: usize, verdict: &Verdict) {
        let current = self.state.release.as_ref();
        if current.is_none_or(|r| r.number != release || r.phase != (Phase::Canary { share })) {
            return;
        }
        match verdict {
            Verdict::Wait => {}
            Verdict::RollBack(why) => self.end(Ending::RolledBack, (AUTOMATIC, Some(why))),
            Verdict::Advance if share + 1 < self.machine.shares.len() => self.shift(share + 1),
            Verdict::Advance => self.promote((AUTOMATIC, None)),
        }
    }
}

fn nothing_under_way() -> DeployError {
    DeployError::State("no release is under way; start one with `kidu deploy run VERSION`".into())
}

#[cfg(test)]
mod tests;
