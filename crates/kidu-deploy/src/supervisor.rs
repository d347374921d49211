//! The process that keeps the environments: it hears what happens, lets the [`Machine`] decide, writes the state down
//! and does what the state wants. What it cannot finish because it is killed, the next one does again.

mod commands;
mod watch;

use std::{
    collections::HashMap,
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use kidu_core::run::timestamp;
use kidu_pipeline::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch as signal},
    task::AbortHandle,
};

use crate::{
    canary::{Sample, Verdict, judge},
    control::{self, Answer, Command, Control},
    environment::{Keeper, Note, reap},
    error::{DeployError, Result},
    front::{Front, Metrics},
    machine::{AUTOMATIC, Event, Machine, Outcome},
    settings::{DeploySettings, seconds},
    state::{Environment, Phase, State},
    status::{Board, Place, Served, Status},
    steps::{Job, Workshop},
    store::Store,
};

/// How long nothing is begun after the state could not be written.
const STALL: Duration = Duration::from_secs(2);
/// Entries of the ledger that the status shows.
const SHOWN: usize = 50;

/// What is to be supervised.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// The configuration.
    pub settings: DeploySettings,
    /// The registry's folder.
    pub registry: PathBuf,
    /// Its group.
    pub group: String,
    /// The `kidu` command.
    pub executable: PathBuf,
    /// Variables for the steps that are processes of it.
    pub environment: Vec<(OsString, OsString)>,
}

/// Where the environments answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Production.
    pub production: SocketAddr,
    /// Staging.
    pub staging: SocketAddr,
}

/// Keeps the environments until SIGTERM, SIGINT or `kidu deploy stop`. `announce` is called once, when the addresses
/// are bound.
///
/// # Errors
/// [`DeployError`] when the settings, the folder, the registry or the addresses cannot be used.
pub fn run(supervision: &Supervision, announce: impl FnOnce(Addresses)) -> Result<()> {
    let problem = supervision.settings.validate().into_iter().chain(supervision.settings.validate_robustness()).next();
    if let Some((key, reason)) = problem {
        return Err(DeployError::Setting { key, reason });
    }
    let store = Store::open(&supervision.settings.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("kidu-deploy")
        .enable_all()
        .build()
        .map_err(|source| DeployError::System { what: "threads", source })?;
    let outcome = runtime.block_on(supervise(supervision, store, announce));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn supervise(supervision: &Supervision, store: Store, announce: impl FnOnce(Addresses)) -> Result<()> {
    let settings = &supervision.settings;
    let registry = Registry::open(&supervision.registry, &supervision.group)?.with_patience(LEDGER);
    let machine = Machine::new(&settings.pipeline(), &settings.canary.steps)?;
    let mut state = store.load()?;
    if let Some(other) = state.group.as_ref().filter(|group| **group != supervision.group) {
        return Err(DeployError::State(format!(
            "{} holds deployments of the group '{other}', not of '{}'; give another deploy.dir",
            store.dir().display(),
            supervision.group
        )));
    }
    state.group = Some(supervision.group.clone());
    let state = machine.adopt(&state, &timestamp());
    reap(store.dir()).await;
    let bind = async |what, port| {
        let address = SocketAddr::new(settings.front.host, port);
        let failed = |source| DeployError::Bind { what, address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok::<_, DeployError>((listener, address))
    };
    let (production, production_address) = bind("production", settings.front.production_port).await?;
    let (staging, staging_address) = bind("staging", settings.front.staging_port).await?;
    let control = Control::open(store.dir()).await?;

    let (notes, mut noted) = mpsc::unbounded_channel();
    let (done, mut finished) = mpsc::unbounded_channel();
    let (asking, mut asked) = mpsc::unbounded_channel();
    let (end, ending) = signal::channel(false);
    let board = Arc::new(Board::default());
    let metrics = Arc::new(Metrics::default());
    let limits = settings.limits();
    let drain = seconds(settings.server.drain_timeout);
    let mut fronts = Vec::new();
    let mut keepers = HashMap::new();
    for (environment, listener) in [(Environment::Production, production), (Environment::Staging, staging)] {
        let front = Front::new(environment, limits, Arc::clone(&metrics), Arc::clone(&board));
        fronts.push(tokio::spawn(Arc::clone(&front).serve(listener, ending.clone(), drain)));
        let command = server_command(supervision);
        let (dir, settings) = (store.dir().to_path_buf(), settings.clone());
        let keeper = Keeper::new(front, environment, dir, settings, command, Arc::clone(&metrics), notes.clone());
        keepers.insert(environment, keeper);
    }
    let (commanded, no_more) = oneshot::channel();
    let commands = tokio::spawn(control.serve(asking, no_more));
    let workshop = Arc::new(Workshop {
        settings: settings.clone(),
        pipeline: settings.pipeline(),
        registry: supervision.registry.clone(),
        group: supervision.group.clone(),
        executable: supervision.executable.clone(),
        environment: supervision.environment.clone(),
        dir: store.dir().to_path_buf(),
        staging: format!("http://{staging_address}"),
    });
    let urls = HashMap::from([
        (Environment::Production, format!("http://{production_address}")),
        (Environment::Staging, format!("http://{staging_address}")),
    ]);
    let mut supervisor = Supervisor {
        store,
        machine,
        state,
        registry,
        settings: settings.clone(),
        keepers,
        workshop,
        done,
        board,
        told: Told::default(),
        urls,
        work: None,
        share: None,
        looked: None,
        stalled: None,
        ledger_len: None,
        unheard: Vec::new(),
    };
    let mut terminate = unix_signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = unix_signal(tokio::signal::unix::SignalKind::interrupt())?;
    // A killed supervisor may have written the state and not the ledger.
    supervisor.flush();
    supervisor.settle();
    supervisor.watch();
    supervisor.show();
    announce(Addresses { production: production_address, staging: staging_address });
    tracing::info!(dir = %supervisor.store.dir().display(), live = supervisor.state.live, "supervising");

    let mut tick = tokio::time::interval(supervisor.tick());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopper = None;
    loop {
        tokio::select! {
            Some(note) = noted.recv() => supervisor.noted(note),
            Some((job, outcome)) = finished.recv() => supervisor.finished(job, outcome),
            Some((command, reply)) = asked.recv() => {
                // Whoever asked has been told that there is no answer.
                if reply.is_closed() {
                    continue;
                }
                if command == Command::Stop {
                    stopper = Some(reply);
                    break;
                }
                let answer = supervisor.command(command);
                supervisor.show();
                drop(reply.send(answer));
                continue;
            }
            _ = tick.tick() => {
                for event in std::mem::take(&mut supervisor.unheard) {
                    supervisor.hear(&event);
                }
                supervisor.judge();
                supervisor.watch();
                supervisor.flush();
                supervisor.settle();
            }
            _ = terminate.recv() => { tracing::info!(signal = "SIGTERM", "asked to end"); break; }
            _ = interrupt.recv() => { tracing::info!(signal = "SIGINT", "asked to end"); break; }
        }
        supervisor.show();
    }
    // First the clients get their answers, then the servers end.
    let _ = end.send(true);
    for front in fronts {
        let _ = front.await;
    }
    supervisor.end().await;
    if let Some(reply) = stopper {
        supervisor.read_ledger();
        let _ = reply.send(Answer::Done(Box::new(supervisor.status())));
    }
    // Who asked meanwhile learns that nobody answers any more.
    drop((asked, commanded));
    let _ = commands.await;
    control::close(supervisor.store.dir());
    tracing::info!("ended");
    Ok(())
}

fn server_command(supervision: &Supervision) -> Vec<String> {
    let own = || vec![supervision.executable.display().to_string(), "serve".into()];
    supervision.settings.server.command.clone().unwrap_or_else(own)
}

fn unix_signal(kind: tokio::signal::unix::SignalKind) -> Result<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(kind).map_err(|source| DeployError::System { what: "signals", source })
}

/// What the ledger said when it was that long.
#[derive(Debug, Default)]
struct Told {
    len: Option<u64>,
    entries: Vec<kidu_pipeline::LedgerEntry>,
    rejected: Vec<u32>,
}

struct Supervisor {
    store: Store,
    machine: Machine,
    state: State,
    registry: Registry,
    settings: DeploySettings,
    keepers: HashMap<Environment, Keeper>,
    workshop: Arc<Workshop>,
    done: mpsc::UnboundedSender<(Job, Outcome)>,
    board: Arc<Board>,
    told: Told,
    urls: HashMap<Environment, String>,
    /// The work under way.
    work: Option<(u64, String, AbortHandle)>,
    /// The canary's share, and since when it has it.
    share: Option<(u64, usize, Instant)>,
    /// When the registry was looked at.
    looked: Option<Instant>,
    /// When the state could not be written; nothing is begun for a while.
    stalled: Option<Instant>,
    /// How long its ledger was then.
    ledger_len: Option<u64>,
    /// What could not be written down.
    unheard: Vec<Event>,
}

/// Whoever has the ledger's lock for longer must not keep production waiting.
const LEDGER: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Often enough for the shortest times that are set.
    fn tick(&self) -> Duration {
        let shortest = self.settings.watch_seconds.min(self.settings.canary.bake_seconds / 10.0);
        seconds(shortest).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// Lets the machine decide, and writes its decision down before anything is done about it.
    fn apply(&mut self, event: &Event) -> Result<()> {
        let next = self.machine.apply(&self.state, event, &timestamp())?;
        if next != self.state {
            if let Err(error) = self.store.save(&next) {
                self.stalled = Some(Instant::now());
                return Err(error);
            }
            self.stalled = None;
            self.state = next;
            tracing::info!(?event, "transition");
            self.flush();
        }
        Ok(())
    }

    /// An event that nobody waits for the outcome of.
    fn hear(&mut self, event: &Event) {
        if let Err(error) = self.apply(event) {
            tracing::error!(%error, ?event, "not taken in");
            // Everything else comes again by itself.
            if matches!((&error, event), (DeployError::Core(_), Event::ServerDied { .. })) {
                self.unheard.push(event.clone());
            }
        }
        self.settle();
    }

    /// How long the registry's ledger is, in bytes; nothing where there is none.
    fn len_of_ledger(&self) -> Option<u64> {
        std::fs::metadata(self.registry.dir().join("ledger.jsonl")).map(|m| m.len()).ok()
    }

    /// Brings to the ledger what it has not got. What fails is tried again with the next tick.
    fn flush(&mut self) {
        let mut left = Vec::new();
        for entry in std::mem::take(&mut self.state.outbox) {
            // In their order.
            if !left.is_empty() {
                left.push(entry);
                continue;
            }
            let reason = entry.reason.as_deref().map(one_line);
            let result =
                self.registry.record(entry.version, &entry.time, &entry.actor, reason.as_deref(), entry.what.clone());
            match result {
                Ok(_) => {}
                // A version that is not there comes back with a ledger that is not there.
                Err(error)
                    if matches!(error, kidu_pipeline::Error::Core(_))
                        || self.len_of_ledger().is_none_or(|n| n == 0) =>
                {
                    tracing::error!(%error, "the ledger cannot be written; it is tried again");
                    left.push(entry);
                }
                Err(error) => tracing::error!(%error, what = %entry.what, "the ledger does not take an entry"),
            }
        }
        self.state.outbox = left;
    }

    /// Does what the state wants, until there is nothing to decide.
    fn settle(&mut self) {
        // A release has a few steps; whatever is wrong, this ends.
        for _ in 0..100 {
            let goal = self.machine.goal(&self.state);
            self.begin_share();
            for (environment, keeper) in &mut self.keepers {
                keeper.pursue(match environment {
                    Environment::Staging => &goal.staging,
                    Environment::Production => &goal.production,
                });
            }
            self.pursue_work(goal.work);
            let Some(event) = self.ready() else { break };
            if let Err(error) = self.apply(&event) {
                tracing::error!(%error, ?event, "not taken in");
                break;
            }
        }
        self.store.prune(&self.state.versions_in_use());
    }

    /// The server that the release waits for answers.
    fn ready(&self) -> Option<Event> {
        let release = self.state.release.as_ref().filter(|r| r.phase == Phase::Starting)?;
        let environment = self.machine.place(&release.step)?;
        let version = release.request.version;
        let ready = self.keepers.get(&environment)?.is_ready(version);
        ready.then_some(Event::ServerReady { environment, version })
    }

    /// A new share starts with empty windows and its whole time.
    fn begin_share(&mut self) {
        let now = self.state.release.as_ref().and_then(|r| match r.phase {
            Phase::Canary { share } => Some((r.number, share)),
            _ => None,
        });
        if now == self.share.map(|(release, share, _)| (release, share)) {
            return;
        }
        self.share = now.map(|(release, share)| (release, share, Instant::now()));
        if let Some(keeper) = self.keepers.get(&Environment::Production) {
            keeper.clear_windows();
        }
    }

    /// Starts the work of the state's step, and ends work that nobody wants any more.
    fn pursue_work(&mut self, wanted: Option<(u64, String, u32)>) {
        let current = self.work.as_ref().map(|(release, step, _)| (*release, step.as_str()));
        if current == wanted.as_ref().map(|(release, step, _)| (*release, step.as_str())) {
            return;
        }
        if let Some((_, _, task)) = self.work.take() {
            task.abort();
        }
        // A supervisor that was killed comes back to a test before staging's server does.
        let answered = |(_, step, version): &(u64, String, u32)| {
            !self.machine.tests(step) || self.keepers.get(&Environment::Staging).is_none_or(|k| k.is_ready(*version))
        };
        let wanted = wanted.filter(answered).filter(|_| self.stalled.is_none_or(|at| at.elapsed() > STALL));
        if let Some((release, step, version)) = wanted {
            let job = Job { release, step: step.clone(), version, folder: self.store.release(version) };
            let (workshop, done) = (Arc::clone(&self.workshop), self.done.clone());
            let task = tokio::spawn(async move {
                let outcome = workshop.execute(&job).await;
                let _ = done.send((job, outcome));
            });
            self.work = Some((release, step, task.abort_handle()));
        }
    }

    fn finished(&mut self, job: Job, outcome: Outcome) {
        if self.work.as_ref().is_some_and(|(release, step, _)| *release == job.release && *step == job.step) {
            self.work = None;
        }
        self.hear(&Event::StepEnded { release: job.release, step: job.step, outcome });
    }

    fn noted(&mut self, note: Note) {
        let Note { environment, version, server, died } = note;
        // Of one that has been replaced meanwhile.
        if !self.keepers.get(&environment).is_some_and(|keeper| keeper.has(version, server)) {
            return;
        }
        match died {
            Some(reason) => self.hear(&Event::ServerDied { environment, version, reason }),
            // Its address is new.
            None => self.settle(),
        }
    }

    /// Judges the canary, if there is one.
    fn judge(&mut self) {
        let Some((release, share, since)) = self.share else { return };
        let Some(keeper) = self.keepers.get(&Environment::Production) else { return };
        let rules = self.settings.rules();
        let version = self.state.release.as_ref().map(|r| r.request.version);
        // After a restart it loads again: its time begins when it answers, and who has not answered takes over nothing.
        if !version.is_some_and(|v| keeper.is_ready(v)) {
            self.share = Some((release, share, Instant::now()));
            return;
        }
        let of = |version: Option<u32>| version.map(|v| keeper.sample(v, rules.max_p95)).unwrap_or_default();
        let verdict = judge(&rules, since.elapsed(), &of(version), &of(self.state.live));
        if verdict != Verdict::Wait {
            self.hear(&Event::Judged { release, share, verdict });
        }
    }

    /// How everything is.
    fn status(&self) -> Status {
        let goal = self.machine.goal(&self.state);
        let limit = self.settings.rules().max_p95;
        let place = |environment: Environment, goal: &[(u32, u32)]| {
            let keeper = self.keepers.get(&environment);
            let look = |v| keeper.map_or((None, Sample::default()), |k| (k.condition(v), k.sample(v, limit)));
            Place { environment, url: self.urls.get(&environment).cloned(), versions: Served::of(goal, look) }
        };
        Status {
            dir: self.store.dir().to_path_buf(),
            group: self.registry.group().into(),
            running: true,
            time: timestamp(),
            live: self.state.live,
            earlier: self.state.earlier.clone(),
            environments: vec![
                place(Environment::Production, &goal.production),
                place(Environment::Staging, &goal.staging),
            ],
            release: self.state.release.clone(),
            next: self.state.next.clone(),
            ended: self.state.ended.clone(),
            history: self.told.entries.clone(),
            warnings: self.warnings(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(version) = self.state.live.filter(|v| self.told.rejected.contains(v)) {
            warnings.push(format!(
                "version {version} is in production and was rejected in the registry; `kidu deploy rollback` takes it back"
            ));
        }
        if !self.state.outbox.is_empty() {
            warnings.push(format!("the ledger could not be written: {} entries wait", self.state.outbox.len()));
        }
        warnings
    }

    /// Reads the ledger again if it has grown.
    fn read_ledger(&mut self) {
        let len = self.len_of_ledger();
        if len == self.told.len {
            return;
        }
        let Ok(versions) = self.registry.list() else { return };
        let rejected = versions.iter().filter(|v| v.status == kidu_pipeline::Status::Rejected).map(|v| v.version);
        self.told = Told { len, entries: deployments(&self.registry, SHOWN), rejected: rejected.collect() };
    }

    fn show(&mut self) {
        self.read_ledger();
        self.board.show(self.status());
    }

    async fn end(&mut self) {
        if let Some((_, _, task)) = self.work.take() {
            task.abort();
        }
        // All of them begin to end before one is waited for.
        for keeper in self.keepers.values_mut() {
            keeper.pursue(&[]);
        }
        for keeper in self.keepers.values_mut() {
            keeper.end().await;
        }
    }
}

/// The last deployments in a registry's ledger, newest last; none where it cannot be read.
pub fn deployments(registry: &Registry, most: usize) -> Vec<kidu_pipeline::LedgerEntry> {
    let mut entries = registry.history().unwrap_or_default();
    entries.retain(|e| e.deployment.is_some());
    let surplus = entries.len().saturating_sub(most);
    entries.split_off(surplus)
}

/// A reason as it may stand in the ledger.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    let line = line.trim();
    if line.is_empty() { "no reason given".into() } else { line.into() }
}
