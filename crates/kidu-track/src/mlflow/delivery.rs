//! The thread that brings a spool to its server.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    client::{Refusal, Server},
    recorder,
    spool::Spool,
};

/// The first pause after a failure; doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long the thread's end is waited for beyond what the caller allows.
const PARTING: Duration = Duration::from_millis(500);

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries that are not delivered; they wait in `spool`.
    pub undelivered: usize,
    /// Why not, as far as known.
    pub reason: Option<String>,
    /// Entries that the server refused for good.
    pub rejected: u64,
    /// Metric values that were not recorded because too many waited.
    pub dropped: u64,
    /// The file in which undelivered entries wait.
    pub spool: PathBuf,
    /// The run's page, once the server knows the run.
    pub page: Option<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.undelivered, &self.page) {
            (0, Some(page)) => write!(f, "everything is at {page}")?,
            (0, None) => write!(f, "nothing was recorded")?,
            (n, _) => {
                let reason = self.reason.as_deref().unwrap_or("there was no time left");
                write!(f, "{n} entries are not delivered ({reason}); they wait in {}", self.spool.display())?;
            }
        }
        if self.rejected > 0 {
            write!(f, "; {} entries were refused by the server", self.rejected)?;
        }
        if self.dropped > 0 {
            write!(f, "; {} values of single steps were not kept because too many waited", self.dropped)?;
        }
        Ok(())
    }
}

/// What the thread and its owner share.
pub(super) struct Shared {
    pub(super) inner: Mutex<Inner>,
    /// Something is to do, or the end has come.
    pub(super) wake: Condvar,
    /// Nothing waits any more.
    idle: Condvar,
}

pub(super) struct Inner {
    pub(super) spool: Spool,
    pub(super) notes: Vec<String>,
    closing: bool,
    stop: bool,
    /// Why the last attempt failed.
    trouble: Option<String>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running delivery.
pub(super) struct Delivery {
    pub(super) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    server: Server,
}

impl Delivery {
    /// Starts the thread. Where no thread can be started, everything waits in the spool.
    pub(super) fn start(mut spool: Spool, server: Server, run_dir: PathBuf) -> Self {
        spool.state.tracking_uri = server.uri().to_string();
        // Known on the disk from the start: what is never delivered is sent there later.
        let notes = spool.save().err().map(|e| e.to_string()).into_iter().collect();
        let inner = Inner { spool, notes, closing: false, stop: false, trouble: None };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), wake: Condvar::new(), idle: Condvar::new() });
        let (of_thread, to) = (Arc::clone(&shared), server.clone());
        let named = std::thread::Builder::new().name("kidu-mlflow".into());
        let thread = match named.spawn(move || deliver(&of_thread, &to, &run_dir)) {
            Ok(thread) => Some(thread),
            Err(e) => {
                shared.lock().notes.push(format!("no thread can be started ({e}): everything waits in the spool"));
                None
            }
        };
        Self { shared, thread, server }
    }

    /// Waits until everything is delivered, at most so long, and ends the thread.
    pub(super) fn finish(self, wait: Duration) -> Report {
        let deadline = Instant::now() + wait;
        let mut inner = self.shared.lock();
        inner.closing = true;
        self.shared.wake.notify_all();
        while inner.spool.waiting() > 0 && self.thread.is_some() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            inner = self.shared.idle.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.stop = true;
        self.shared.wake.notify_all();
        let state = &inner.spool.state;
        let report = Report {
            undelivered: inner.spool.count().unwrap_or(1),
            reason: inner.trouble.clone(),
            rejected: state.rejected,
            dropped: state.dropped,
            spool: inner.spool.path().to_path_buf(),
            page: state.remote.as_ref().map(|run| self.server.page(run)),
        };
        drop(inner);
        // A thread in the middle of a slow request ends by itself, and holds the spool until then.
        let patience = Instant::now() + PARTING;
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        report
    }
}

/// Delivers until told to stop.
fn deliver(shared: &Shared, server: &Server, run_dir: &std::path::Path) {
    let mut pause = FIRST_PAUSE;
    // After a refusal the lines of the refused request go one by one.
    let mut single = 0;
    loop {
        let mut inner = shared.lock();
        while !inner.stop && inner.spool.waiting() == 0 {
            shared.idle.notify_all();
            inner = shared.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.stop {
            return;
        }
        let identity = inner.spool.state.identity.clone();
        let remote = inner.spool.state.remote.clone();
        let batch = inner.spool.peek(if single > 0 { 1 } else { usize::MAX });
        drop(inner);
        let result = match (batch, remote) {
            (Err(e), _) => Err(Refusal::Later(e.to_string())),
            (Ok(None), _) => Err(Refusal::Later("the spool was changed by somebody else".into())),
            (Ok(Some(_)), None) => server.open_run(&identity).map(|run| (None, Some(run))),
            (Ok(Some(batch)), Some(run)) => match server.send(&run, run_dir, &batch.entry) {
                Err(Refusal::Never(_)) if batch.lines > 1 => {
                    single = batch.lines;
                    continue;
                }
                Err(Refusal::Never(why)) => Ok((Some((batch, Some(why))), None)),
                Err(later) => Err(later),
                Ok(()) => Ok((Some((batch, None)), None)),
            },
        };
        let mut inner = shared.lock();
        match result {
            Ok((sent, opened)) => {
                pause = FIRST_PAUSE;
                if inner.trouble.take().is_some() {
                    inner.notes.push(format!("{} answers again; what waited is being delivered", server.uri()));
                }
                if let Some(run) = opened {
                    inner.spool.state.remote = Some(run);
                }
                let mut cursor = inner.spool.state.cursor;
                if let Some((batch, refused)) = sent {
                    single = usize::saturating_sub(single, batch.lines);
                    cursor = batch.end;
                    recorder::note_seen(&batch.entry, &mut inner.spool.state.seen);
                    if let Some(why) = refused {
                        inner.spool.state.rejected += batch.lines as u64;
                        inner.notes.push(format!("{} not taken: {why}", batch.entry.what()));
                    }
                }
                if let Err(e) = inner.spool.advance(cursor) {
                    inner.notes.push(e.to_string());
                }
            }
            Err(Refusal::Later(why) | Refusal::Never(why)) => {
                if inner.trouble.replace(why.clone()).is_none() {
                    inner.notes.push(format!("not delivered for now, it is tried again while training goes on: {why}"));
                }
                let wait = if inner.closing { FIRST_PAUSE } else { pause };
                let until = Instant::now() + wait;
                pause = (pause * 2).min(LONGEST_PAUSE);
                while !inner.stop
                    && let Some(left) = until.checked_duration_since(Instant::now())
                {
                    let closing = inner.closing;
                    inner = shared.wake.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
                    // The end of the run does not wait for a long pause.
                    if inner.closing && !closing {
                        break;
                    }
                }
            }
        }
    }
}
