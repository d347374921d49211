//! One version's server: started, watched, started again when it crashes, ended after its last answer.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    task::JoinHandle,
    time::sleep,
};

use super::{Condition, Note, Spec, process::Process};
use crate::{
    canary::{Sample, Window},
    client::Call,
    front::{Backend, Metrics},
};

/// How often a starting server is asked.
const POLL: Duration = Duration::from_millis(20);
const ANSWER: Duration = Duration::from_secs(5);
/// Unanswered questions after which a process counts as hung.
const HUNG: u32 = 3;
/// Who has run that long has not crashed at the start.
const SETTLED: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Now {
    Starting,
    Ready(Arc<Backend>),
    Down,
}

/// A version's server.
#[derive(Debug)]
pub(super) struct Server {
    number: u64,
    now: watch::Receiver<Now>,
    stop: watch::Sender<bool>,
    window: Arc<Mutex<Window>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) fn start(
        spec: Spec,
        window: Arc<Mutex<Window>>,
        metrics: Arc<Metrics>,
        notes: UnboundedSender<Note>,
    ) -> Self {
        let (told, now) = watch::channel(Now::Starting);
        let (stop, stopped) = watch::channel(false);
        let number = spec.server;
        let keeper = Keeper { spec, window: Arc::clone(&window), metrics, notes, told, stop: stopped };
        Self { number, now, stop, window, task: tokio::spawn(keeper.keep()) }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn backend(&self) -> Option<Arc<Backend>> {
        match &*self.now.borrow() {
            Now::Ready(backend) => Some(Arc::clone(backend)),
            _ => None,
        }
    }

    pub(super) fn condition(&self) -> Condition {
        match &*self.now.borrow() {
            Now::Starting => Condition::Starting,
            Now::Ready(_) => Condition::Ready,
            Now::Down => Condition::Down,
        }
    }

    pub(super) fn sample(&self, limit: Option<Duration>) -> Sample {
        match self.backend() {
            Some(backend) => backend.sample(limit),
            None => self.window.lock().map(|w| w.sample([])).unwrap_or_default(),
        }
    }

    pub(super) fn clear_window(&self) {
        if let Ok(mut window) = self.window.lock() {
            window.clear();
        }
    }

    /// Ends it when nothing is under way there any more. It must not get anything new.
    pub(super) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(true);
        self.task
    }
}

/// The task behind a server.
struct Keeper {
    spec: Spec,
    window: Arc<Mutex<Window>>,
    metrics: Arc<Metrics>,
    notes: UnboundedSender<Note>,
    told: watch::Sender<Now>,
    stop: watch::Receiver<bool>,
}

/// How waiting ended.
enum End {
    /// It was asked to.
    Stopped,
    /// By itself, and why.
    Died(String),
}

impl Keeper {
    async fn keep(mut self) {
        let mut delay = self.spec.restart_delay;
        loop {
            let began = Instant::now();
            if matches!(self.life().await, End::Stopped) {
                return;
            }
            if began.elapsed() > SETTLED {
                delay = self.spec.restart_delay;
            }
            tokio::select! {
                () = sleep(delay) => {}
                _ = self.stop.wait_for(|stop| *stop) => return,
            }
            delay = (delay * 2).min(self.spec.max_restart_delay);
            self.metrics.restarted(self.spec.environment, self.spec.version);
            let _ = self.told.send(Now::Starting);
        }
    }

    /// One process from start to end.
    async fn life(&mut self) -> End {
        let mut process = match Process::spawn(&self.spec) {
            Ok(process) => process,
            Err(error) => {
                let end = End::Died(format!("cannot be started ({}): {error}", self.spec.command.join(" ")));
                self.tell(&end);
                return end;
            }
        };
        let mut stop = self.stop.clone();
        let started = tokio::select! {
            started = self.started(&mut process) => started,
            _ = stop.wait_for(|stop| *stop) => Err(End::Stopped),
        };
        let backend = match started {
            Ok(backend) => backend,
            Err(end) => {
                self.tell(&end);
                process.end(Duration::from_secs(1)).await;
                return end;
            }
        };
        let (environment, version) = (self.spec.environment, self.spec.version);
        tracing::info!(environment = environment.name(), version, address = %backend.address(), "a server is ready");
        let _ = self.told.send(Now::Ready(Arc::clone(&backend)));
        let _ = self.notes.send(Note { environment, version, server: self.spec.server, died: None });
        let end = tokio::select! {
            status = process.child.wait() => End::Died(ended(status)),
            why = self.hung(&backend) => End::Died(why),
            _ = stop.wait_for(|stop| *stop) => End::Stopped,
        };
        self.tell(&end);
        if matches!(end, End::Stopped) {
            let drained = async {
                while backend.under_way() > 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = tokio::time::timeout(self.spec.drain_timeout, drained).await;
        }
        backend.close_idle();
        // It may have taken requests of others.
        process.end(self.spec.drain_timeout + Duration::from_secs(1)).await;
        end
    }

    /// Says that it has died, before it is ended: until then it would get requests.
    fn tell(&self, end: &End) {
        let End::Died(why) = end else { return };
        let (environment, version, server) = (self.spec.environment, self.spec.version, self.spec.server);
        tracing::warn!(environment = environment.name(), version, why, "a server ended");
        let _ = self.told.send(Now::Down);
        let _ = self.notes.send(Note { environment, version, server, died: Some(why.clone()) });
    }

    /// Waits until it answers.
    async fn started(&self, process: &mut Process) -> Result<Arc<Backend>, End> {
        let began = Instant::now();
        loop {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(End::Died(format!("{} before it was ready; see its log", ended(Ok(status)))));
            }
            if let Some(address) = process.address() {
                let url = format!("http://{address}/ready");
                if Call::get(&url, ANSWER).send().await.is_ok_and(|reply| reply.status == StatusCode::OK) {
                    let window = Arc::clone(&self.window);
                    return Ok(Arc::new(Backend::new(self.spec.environment, self.spec.version, address, window)));
                }
            }
            if began.elapsed() > self.spec.ready_timeout {
                let seconds = self.spec.ready_timeout.as_secs_f64();
                return Err(End::Died(format!("was not ready in {seconds} s; see its log")));
            }
            sleep(POLL).await;
        }
    }

    /// Asks it now and then whether it lives; returns when it does not.
    async fn hung(&self, backend: &Backend) -> String {
        let url = format!("http://{}/health", backend.address());
        let mut silent = 0;
        loop {
            sleep(self.spec.health_interval).await;
            let answer = Call::get(&url, ANSWER).send().await;
            silent = if answer.is_ok_and(|reply| reply.status == StatusCode::OK) { 0 } else { silent + 1 };
            if silent == HUNG {
                return format!("did not answer {HUNG} times in a row");
            }
        }
    }
}

fn ended(status: std::io::Result<std::process::ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended by itself ({status})"),
        Err(error) => format!("is lost ({error})"),
    }
}
