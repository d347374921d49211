//! What the routes share, and what runs beside them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
};

use super::{
    auth::Auth,
    body::Bodies,
    connection::{self, Bounds},
    routes,
};
use crate::{
    batch::Batcher,
    endpoint::Endpoint,
    metrics::Metrics,
    training::{Entry, LoopJournal, Supervisor, Trigger, now_ms},
    watch::ModelWatch,
};

/// What the routes share.
pub(super) struct App {
    pub(super) auth: Auth,
    pub(super) prefix: String,
    pub(super) label_studio: Option<String>,
    pub(super) from_name: Option<String>,
    pub(super) projects: Vec<u64>,
    pub(super) bodies: Bodies,
    pub(super) deadline: Duration,
    pub(super) trigger: Trigger,
    /// What is built, in words; `None` where nothing is.
    pub(super) build: Option<String>,
    pub(super) endpoint: Endpoint,
    pub(super) watch: ModelWatch,
    pub(super) batcher: Batcher,
    pub(super) journal: LoopJournal,
    pub(super) metrics: Arc<Metrics>,
    /// What was said of each project's form, so that it is said once.
    pub(super) remarks: Mutex<HashMap<String, String>>,
    pub(super) started: Instant,
}

/// A backend, ready to serve.
pub struct Backend {
    pub(super) app: Arc<App>,
    pub(super) supervisor: Option<Supervisor>,
    /// How often the endpoint's model is looked at: usually, and at most.
    pub(super) look: (Duration, Duration),
    pub(super) max_connections: usize,
    pub(super) drain: Duration,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("endpoint", &self.app.endpoint).finish_non_exhaustive()
    }
}

impl Backend {
    /// Whether not everybody is let in.
    pub fn is_guarded(&self) -> bool {
        self.app.auth.is_on() || !self.app.prefix.is_empty()
    }

    /// Serves until `end`. Then answers what was asked and lets go of a build that runs.
    pub async fn serve(self, listener: TcpListener, end: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let looking = tokio::spawn(self.app.watch.clone().run(self.look.0, self.look.1));
        let (serving, served) = oneshot::channel();
        let noting = tokio::spawn(note_models(Arc::clone(&self.app), served));
        let supervising = self.supervisor.map(|supervisor| tokio::spawn(supervisor.run(stopped)));
        let router = routes::router(Arc::clone(&self.app));
        let end = async {
            end.await;
            // Builds begin to save while requests are still answered.
            let _ = stop.send(true);
        };
        let patience = self.app.bodies.patience();
        let bounds = Bounds { max_connections: self.max_connections, patience, drain: self.drain };
        connection::serve(listener, router, bounds, end).await;
        let _ = stop.send(true);
        looking.abort();
        let _ = looking.await;
        drop(serving);
        // With the last of them the state folder is let go of: none is stopped while it writes.
        let patience = self.drain + Duration::from_secs(5);
        for task in [Some(noting), supervising].into_iter().flatten() {
            if tokio::time::timeout(patience, task).await.is_err() {
                tracing::warn!("the loop did not end in time");
            }
        }
    }
}

/// Writes new models into the journal, for `/versions`, until the other end of `served` is gone.
async fn note_models(app: Arc<App>, mut served: oneshot::Receiver<()>) {
    let mut seen = app.watch.subscribe();
    let mut ends = false;
    loop {
        for model in app.watch.take_adopted() {
            let known = app.journal.with_state(|s| s.models().next().is_some_and(|(m, _)| *m == model));
            if !known && let Err(error) = app.journal.record(Entry::Model { at: now_ms(), model }).await {
                tracing::warn!(%error, "the list of versions lacks one");
            }
        }
        if ends {
            return;
        }
        tokio::select! {
            changed = seen.changed() => ends = changed.is_err(),
            _ = &mut served => ends = true,
        }
    }
}
