//! An environment: the servers of its versions, and the front before them.

mod process;
mod server;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle};

pub use process::reap;

use self::server::Server;
use crate::{
    canary::{Sample, Window},
    front::{Front, Metrics},
    settings::{DeploySettings, seconds},
    state::Environment,
    store::release_dir,
};

/// What a server's keeper tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub environment: Environment,
    /// The version.
    pub version: u32,
    /// Which of its servers, counted through.
    pub server: u64,
    /// Nothing when it is ready, or why it ended.
    pub died: Option<String>,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It loads.
    Starting,
    /// It answers.
    Ready,
    /// It ended and will be started again.
    Down,
}

/// Everything that starting a server takes.
#[derive(Clone, Debug)]
struct Spec {
    environment: Environment,
    version: u32,
    server: u64,
    dir: PathBuf,
    bundle: PathBuf,
    command: Vec<String>,
    arguments: Vec<String>,
    ready_timeout: Duration,
    drain_timeout: Duration,
    health_interval: Duration,
    restart_delay: Duration,
    max_restart_delay: Duration,
}

/// Keeps the servers of an environment.
#[derive(Debug)]
pub struct Keeper {
    environment: Environment,
    dir: PathBuf,
    settings: DeploySettings,
    command: Vec<String>,
    front: Arc<Front>,
    metrics: Arc<Metrics>,
    notes: UnboundedSender<Note>,
    servers: BTreeMap<u32, Server>,
    started: u64,
    leaving: Vec<JoinHandle<()>>,
}

impl Keeper {
    /// A keeper of nothing yet. `command` is the server's program with its first arguments.
    pub fn new(
        front: Arc<Front>,
        environment: Environment,
        dir: PathBuf,
        settings: DeploySettings,
        command: Vec<String>,
        metrics: Arc<Metrics>,
        notes: UnboundedSender<Note>,
    ) -> Self {
        let (servers, leaving) = (BTreeMap::new(), Vec::new());
        Self { environment, dir, settings, command, front, metrics, notes, servers, started: 0, leaving }
    }

    /// Starts what is missing, gives everybody its weight, and ends what is not wanted any more, after its last answer.
    pub fn pursue(&mut self, goal: &[(u32, u32)]) {
        for (version, _) in goal {
            if !self.servers.contains_key(version) {
                let window = Arc::new(Mutex::new(Window::new(self.settings.canary.window)));
                self.started += 1;
                let server = Server::start(self.spec(*version), window, Arc::clone(&self.metrics), self.notes.clone());
                self.servers.insert(*version, server);
            }
        }
        let backends = goal.iter().filter_map(|(v, w)| Some((self.servers.get(v)?.backend()?, *w)));
        self.front.route(backends.collect());
        let unwanted: Vec<u32> = self.servers.keys().filter(|v| !goal.iter().any(|(g, _)| g == *v)).copied().collect();
        self.leaving.extend(unwanted.iter().filter_map(|v| self.servers.remove(v)).map(Server::stop));
        self.leaving.retain(|task| !task.is_finished());
    }

    /// Ends everything, after the last answers.
    pub async fn end(&mut self) {
        self.pursue(&[]);
        for task in self.leaving.drain(..) {
            let _ = task.await;
        }
    }

    /// Whether a version answers.
    pub fn is_ready(&self, version: u32) -> bool {
        self.servers.get(&version).is_some_and(|s| s.backend().is_some())
    }

    /// Whether that is the version's server now.
    pub fn has(&self, version: u32, server: u64) -> bool {
        self.servers.get(&version).is_some_and(|s| s.number() == server)
    }

    /// How a version's server is.
    pub fn condition(&self, version: u32) -> Option<Condition> {
        self.servers.get(&version).map(Server::condition)
    }

    /// What the requests to a version say. Who has waited longer than the limit counts as answered by now.
    pub fn sample(&self, version: u32, limit: Option<Duration>) -> Sample {
        self.servers.get(&version).map(|s| s.sample(limit)).unwrap_or_default()
    }

    /// Forgets what requests said so far: a new share begins.
    pub fn clear_windows(&self) {
        self.servers.values().for_each(Server::clear_window);
    }

    fn spec(&self, version: u32) -> Spec {
        let s = &self.settings.server;
        Spec {
            environment: self.environment,
            version,
            server: self.started,
            dir: self.dir.clone(),
            bundle: release_dir(&self.dir, version).join("bundle"),
            command: self.command.clone(),
            arguments: s.arguments.clone(),
            ready_timeout: seconds(s.ready_timeout),
            drain_timeout: seconds(s.drain_timeout),
            health_interval: seconds(s.health_seconds),
            restart_delay: seconds(s.restart_delay),
            max_restart_delay: seconds(s.max_restart_delay),
        }
    }
}
