//! A batch of tasks: fetched, predicted and answered in order, each task's failure its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kidu_core::{Prediction, Sha256Hex};
use kidu_fetch::Fetcher;
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    cache::{Key, PredictionCache},
    endpoint::{Endpoint, ModelName},
    form::Form,
    metrics::Metrics,
    result::{TaskResult, answer},
    task::Task,
    training::now_ms,
    watch::ModelWatch,
};

/// Tasks of which so many failed are named one by one in the log; the rest are counted.
const LOGGED: usize = 20;

/// Why a task has no prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// A stable name for metrics and logs.
    pub code: &'static str,
    /// What happened.
    pub message: String,
}

impl TaskFailure {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The failures of a batch that had some: what Label Studio shows nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Tasks of the batch.
    pub tasks: usize,
    /// By code: how many, and what was said of the first.
    pub reasons: BTreeMap<&'static str, (usize, String)>,
}

/// Predicts batches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batcher(Arc<Inner>);

struct Inner {
    fetcher: Fetcher,
    endpoint: Endpoint,
    cache: PredictionCache,
    watch: ModelWatch,
    metrics: Arc<Metrics>,
    /// Requests at the endpoint, of all batches.
    at_endpoint: Semaphore,
    /// Tasks that hold an image, of all batches: what bounds memory.
    holding: Semaphore,
    /// Of the last batch that had some.
    failures: Mutex<Option<Failures>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

type Outcome = Result<(ModelName, Prediction), TaskFailure>;

impl Batcher {
    pub(crate) fn new(
        fetcher: Fetcher,
        endpoint: Endpoint,
        cache: PredictionCache,
        watch: ModelWatch,
        metrics: Arc<Metrics>,
        concurrency: usize,
    ) -> Self {
        let holding = concurrency + fetcher.options().concurrency;
        let (at_endpoint, holding) = (Semaphore::new(concurrency), Semaphore::new(holding));
        Self(Arc::new(Inner {
            fetcher,
            endpoint,
            cache,
            watch,
            metrics,
            at_endpoint,
            holding,
            failures: Mutex::default(),
        }))
    }

    /// The failures of the last batch that had some.
    pub fn last_failures(&self) -> Option<Failures> {
        self.0.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers every task at its place, within `deadline`. Every prediction bears the version that `/setup` tells when it
    /// is done.
    pub async fn predict(&self, form: &Form, tasks: &[Value], deadline: Duration) -> Vec<TaskResult> {
        let start = Instant::now();
        let end = start + deadline;
        let metrics = &self.0.metrics;
        metrics.batch.observe(tasks.len() as f64);
        let read: Vec<Result<Task, TaskFailure>> = tasks
            .iter()
            .map(|t| Task::read(t, &form.image_key).map_err(|message| TaskFailure::new("bad_task", message)))
            .collect();
        // Without a known model the first answers say which it is.
        let known = self.0.watch.model(deadline.min(Duration::from_secs(5))).await.map(|info| info.model.clone());
        let all: Vec<usize> = (0..tasks.len()).collect();
        let mut outcomes: Vec<Outcome> = tasks.iter().map(|_| Err(unfinished(deadline))).collect();
        self.round(&read, &all, known.as_ref(), end, &mut outcomes).await;
        let version = self.one_version(&read, known, end, &mut outcomes).await;
        let results = outcomes.iter().enumerate().map(|(i, outcome)| {
            let told = settle(outcome, form, version.as_ref());
            (told, tasks[i].get("id").and_then(Value::as_u64))
        });
        let results = self.report(results.collect(), start);
        metrics.predict.observe(start.elapsed().as_secs_f64());
        results
    }

    /// Sees to it that all predictions are of one model, the one that is in service when the batch is done.
    async fn one_version(
        &self,
        tasks: &[Result<Task, TaskFailure>],
        known: Option<ModelName>,
        end: Instant,
        outcomes: &mut [Outcome],
    ) -> Option<ModelName> {
        let differs = |outcomes: &[Outcome], than: Option<&ModelName>| -> Vec<usize> {
            let other = |o: &Outcome| o.as_ref().is_ok_and(|(model, _)| Some(model) != than);
            outcomes.iter().enumerate().filter(|(_, o)| other(o)).map(|(i, _)| i).collect()
        };
        if differs(outcomes, known.as_ref()).is_empty() {
            return known;
        }
        let left = end.saturating_duration_since(Instant::now());
        let now = self.0.watch.settle(left.min(Duration::from_secs(10))).await.map(|info| info.model.clone());
        // Another version: once more. What is answered by yet another one then is left to the next retrieval.
        let again = differs(outcomes, now.as_ref());
        if !again.is_empty() {
            tracing::info!(
                tasks = again.len(),
                model = now.as_ref().map(ToString::to_string),
                "another model answered: predicted again"
            );
            self.round(tasks, &again, now.as_ref(), end, outcomes).await;
        }
        now
    }

    /// Predicts the tasks at these places.
    async fn round(
        &self,
        tasks: &[Result<Task, TaskFailure>],
        places: &[usize],
        model: Option<&ModelName>,
        end: Instant,
        outcomes: &mut [Outcome],
    ) {
        let mut running = JoinSet::new();
        for place in places {
            match &tasks[*place] {
                Err(failure) => outcomes[*place] = Err(failure.clone()),
                Ok(task) => {
                    let (batcher, task, model, place) = (self.clone(), task.clone(), model.cloned(), *place);
                    running.spawn(async move { (place, batcher.one(&task, model.as_ref()).await) });
                }
            }
        }
        let collect = async {
            while let Some(done) = running.join_next().await {
                match done {
                    Ok((place, outcome)) => outcomes[place] = outcome,
                    Err(error) => tracing::error!(%error, "a task's work ended by a fault of the backend"),
                }
            }
        };
        // What is not done by then stays as it was: unfinished. Dropping the set ends the work.
        let _ = tokio::time::timeout_at(end.into(), collect).await;
    }

    async fn one(&self, task: &Task, model: Option<&ModelName>) -> Outcome {
        let inner = &*self.0;
        let closed = |_| TaskFailure::new("ended", "the backend is ending");
        let _holding = inner.holding.acquire().await.map_err(closed)?;
        let _counted = Counted::new(&inner.metrics);
        let start = Instant::now();
        let fetched = inner.fetcher.fetch(&task.address, task.id).await;
        inner.metrics.fetch.observe(start.elapsed().as_secs_f64());
        let bytes = fetched.map_err(|e| TaskFailure::new(e.code(), e.to_string()))?;
        if bytes.is_empty() {
            return Err(TaskFailure::new("empty", format!("{}: is empty", task.address)));
        }
        let image = Sha256Hex::of_bytes(&bytes);
        if let Some(model) = model {
            let key = Key { image: image.clone(), model: model.to_string() };
            if let Some(prediction) = inner.cache.get(&key) {
                inner.metrics.cached.inc();
                return Ok((model.clone(), prediction));
            }
        }
        let _turn = inner.at_endpoint.acquire().await.map_err(closed)?;
        let told = inner.endpoint.predict(bytes.into()).await;
        let (model, prediction) = told.map_err(|e| TaskFailure::new(e.code, format!("{}: {e}", task.address)))?;
        inner.cache.put(Key { image, model: model.to_string() }, prediction.clone());
        Ok((model, prediction))
    }

    /// Counts and logs, and leaves the answers.
    fn report(&self, outcomes: Vec<(Result<TaskResult, TaskFailure>, Option<u64>)>, start: Instant) -> Vec<TaskResult> {
        let tasks = outcomes.len();
        let mut failed = 0;
        let mut reasons: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
        let results = outcomes.into_iter().map(|(outcome, id)| {
            if outcome.is_ok() {
                self.0.metrics.task("predicted");
            }
            outcome.unwrap_or_else(|TaskFailure { code, message }| {
                failed += 1;
                self.0.metrics.failure(code);
                reasons.entry(code).or_insert_with(|| (0, message.clone())).0 += 1;
                if failed <= LOGGED {
                    tracing::warn!(task = id, code, reason = message, "a task has no prediction");
                }
                TaskResult::Missing
            })
        });
        let results = results.collect();
        if failed > 0 {
            let failures = Failures { at: now_ms(), tasks, reasons };
            *self.0.failures.lock().unwrap_or_else(PoisonError::into_inner) = Some(failures);
        }
        let seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        if failed > LOGGED {
            tracing::warn!(more = failed - LOGGED, "further tasks have no prediction");
        }
        tracing::info!(tasks, failed, seconds, "predicted");
        results
    }
}

fn unfinished(deadline: Duration) -> TaskFailure {
    TaskFailure::new(
        "deadline",
        format!("not done within {:.0} s; select fewer tasks at a time", deadline.as_secs_f64()),
    )
}

/// A task's answer to the form, if its prediction is of the version that all have.
fn settle(outcome: &Outcome, form: &Form, version: Option<&ModelName>) -> Result<TaskResult, TaskFailure> {
    let (model, prediction) = outcome.as_ref().map_err(Clone::clone)?;
    if Some(model) != version {
        return Err(TaskFailure::new(
            "other_model",
            format!("the endpoint answered as {model}, which is not in service"),
        ));
    }
    let answer = answer(prediction, form, &model.to_string());
    let lacking = || TaskFailure::new("no_choice", "no class of the model is a choice of the form");
    answer.map(|a| TaskResult::Predicted(Box::new(a))).ok_or_else(lacking)
}

/// Counts a task as being worked on, as long as it lives.
struct Counted<'a>(&'a Metrics);

impl<'a> Counted<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
