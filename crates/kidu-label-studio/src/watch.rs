//! Which model is in service: the one source of the version that `/setup` and every prediction tell.
//!
//! Label Studio stores a prediction whose version is not the one of `/setup` again with each retrieval, so the two must
//! never disagree. A new version is taken over when several answers in a row tell it: an endpoint that moves a share of
//! its requests to a new model (a canary) keeps its old version here until the move is done.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kidu_core::files;
use tokio::sync::{Notify, watch};

use crate::{
    endpoint::{Endpoint, EndpointError, ModelInfo, ModelName},
    metrics::Metrics,
};

/// How many answers in a row must tell a new version.
const CONFIRMATIONS: u32 = 3;
/// Between two of them.
const BETWEEN: Duration = Duration::from_millis(30);
/// After so many failed looks in a row the endpoint counts as down.
const DOWN_AFTER: u32 = 3;

/// What is known of the model in service.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The model; `None` before the first answer of an endpoint.
    pub model: Option<Arc<ModelInfo>>,
    /// Looks that failed since the last that did not.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
    /// Looks so far.
    looks: u64,
}

impl Seen {
    /// Why nothing should be asked of the endpoint now, if so.
    pub fn down(&self) -> Option<String> {
        let reason = || self.error.clone().unwrap_or_else(|| "it has not answered yet".into());
        (self.failures >= DOWN_AFTER || (self.model.is_none() && self.looks > 0)).then(reason)
    }
}

/// Watches the endpoint's model. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ModelWatch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    file: PathBuf,
    seen: watch::Sender<Seen>,
    wake: Notify,
    metrics: Arc<Metrics>,
    /// Told of each new version, in order.
    adopted: Mutex<Vec<ModelName>>,
    looking: tokio::sync::Mutex<()>,
}

impl ModelWatch {
    /// Begins with what the last process knew, from the state folder: `/setup` has an answer before the endpoint has.
    pub(crate) fn new(endpoint: Endpoint, state_dir: &Path, metrics: Arc<Metrics>) -> Self {
        let file = state_dir.join("model.json");
        // A cache of the endpoint's own word: what cannot be read is asked for.
        let model: Option<ModelInfo> = files::read_json(&file, "model").ok();
        if let Some(info) = &model {
            metrics.in_service(&info.model);
        }
        let (seen, _) = watch::channel(Seen { model: model.map(Arc::new), ..Seen::default() });
        let (wake, adopted, looking) = (Notify::new(), Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { endpoint, file, seen, wake, metrics, adopted, looking }))
    }

    /// What is known now.
    pub fn seen(&self) -> Seen {
        self.0.seen.borrow().clone()
    }

    /// Asks for a look soon; returns at once.
    pub fn refresh(&self) {
        self.0.wake.notify_one();
    }

    /// Waits for the model, up to `patience`, if none is known.
    pub async fn model(&self, patience: Duration) -> Option<Arc<ModelInfo>> {
        if self.0.seen.borrow().model.is_none() {
            self.refresh();
            let mut seen = self.0.seen.subscribe();
            let _ = tokio::time::timeout(patience, seen.wait_for(|s| s.model.is_some())).await;
        }
        self.seen().model
    }

    /// Looks again, at once, after a prediction told another version; waits for the outcome up to `patience`.
    pub async fn settle(&self, patience: Duration) -> Option<Arc<ModelInfo>> {
        let _ = tokio::time::timeout(patience, self.look()).await;
        self.seen().model
    }

    /// The versions that were taken over since the last call, oldest first.
    pub fn take_adopted(&self) -> Vec<ModelName> {
        std::mem::take(&mut *self.0.adopted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A receiver that is told of every change.
    pub fn subscribe(&self) -> watch::Receiver<Seen> {
        self.0.seen.subscribe()
    }

    /// Looks every `interval`, and when asked for, but not more often than every `least`; for ever.
    pub async fn run(self, interval: Duration, least: Duration) {
        loop {
            self.look().await;
            tokio::time::sleep(least).await;
            let woken = tokio::time::timeout(interval.saturating_sub(least), self.0.wake.notified());
            let _ = woken.await;
        }
    }

    /// One look, with its confirmations; one at a time, so that none takes over what another has found outdated.
    pub async fn look(&self) {
        let _one = self.0.looking.lock().await;
        let outcome = self.confirmed().await;
        let known = self.0.seen.borrow().model.clone();
        match outcome {
            Ok(info) => {
                let new = known.as_deref() != Some(&info);
                if new {
                    self.adopt(known.as_deref(), &info);
                }
                self.0.seen.send_modify(|seen| {
                    let model = if new { Some(Arc::new(info)) } else { seen.model.take() };
                    *seen = Seen { model, failures: 0, error: None, looks: seen.looks + 1 };
                });
            }
            Err(error) => {
                let failures = self.0.seen.borrow().failures + 1;
                if failures == 1 || failures == DOWN_AFTER {
                    let endpoint = self.0.endpoint.transport().describe();
                    tracing::warn!(%error, failures, endpoint, "the endpoint does not tell its model");
                }
                let error = Some(error.message);
                self.0.seen.send_modify(|s| *s = Seen { model: s.model.take(), failures, error, looks: s.looks + 1 });
            }
        }
        self.0.metrics.endpoint_up.set(i64::from(self.0.seen.borrow().down().is_none()));
    }

    /// What the endpoint tells: a version that is not the known one only if it tells so several times in a row.
    async fn confirmed(&self) -> Result<ModelInfo, EndpointError> {
        let known = self.0.seen.borrow().model.clone();
        let first = self.0.endpoint.model().await?;
        let Some(known) = known.filter(|known| known.model != first.model) else { return Ok(first) };
        for _ in 1..CONFIRMATIONS {
            tokio::time::sleep(BETWEEN).await;
            if self.0.endpoint.model().await?.model != first.model {
                tracing::info!(known = %known.model, other = %first.model, "the endpoint answers with several versions; the known one stays");
                return Ok((*known).clone());
            }
        }
        Ok(first)
    }

    fn adopt(&self, before: Option<&ModelInfo>, info: &ModelInfo) {
        let was = before.map(|b| b.model.to_string());
        tracing::info!(model = %info.model, was, classes = info.classes.len(), "the model in service");
        self.0.metrics.in_service(&info.model);
        if let Err(error) = files::write_json(&self.0.file, info) {
            tracing::warn!(%error, "the model's name is not kept for the next start");
        }
        if before.is_none_or(|b| b.model != info.model) {
            self.0.adopted.lock().unwrap_or_else(PoisonError::into_inner).push(info.model.clone());
        }
    }
}
