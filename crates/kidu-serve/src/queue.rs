//! The bounded queue before the network: one worker takes what waits and predicts it together.
//!
//! The worker is a thread of a Rayon pool, so that the images of a batch, or the rows of one image, spread over the
//! pool. A job whose client has gone is dropped; one whose deadline has passed is refused.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use kidu_core::Prediction;
use kidu_image::Limits;
use rayon::prelude::*;
use tokio::sync::oneshot;

use crate::{
    contract::{Code, Problem},
    error::{Result, ServeError},
    explain::{self, ExplainError, Explanation},
    metrics::Metrics,
    model::Model,
};

/// How requests wait and go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Most requests that wait.
    pub capacity: usize,
    /// Most images that are predicted together, unless one request has more.
    pub max_batch: usize,
    /// How long a batch that is not full waits for more. 0 takes what is there: no request is slower for it.
    pub batch_wait: Duration,
    /// Threads of decoding and of the network.
    pub threads: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { capacity: 64, max_batch: 8, batch_wait: Duration::ZERO, threads }
    }
}

/// The model in service, exchanged as a whole: a batch is predicted by the one that it began with.
#[derive(Debug, Default)]
pub(crate) struct Slot(RwLock<Option<Arc<Model>>>);

impl Slot {
    pub(crate) fn get(&self) -> Option<Arc<Model>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn put(&self, model: Arc<Model>) {
        let old = self.0.write().unwrap_or_else(PoisonError::into_inner).replace(model);
        // Outside the lock: to free a network's weights takes a while.
        drop(old);
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Work {
    Predict(Vec<Bytes>),
    Explain(Bytes),
}

impl Work {
    pub(crate) fn images(&self) -> usize {
        match self {
            Self::Predict(images) => images.len(),
            Self::Explain(_) => 1,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Product {
    Predictions(Vec<Prediction>),
    Explanation(Explanation),
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Between acceptance and the worker.
    pub queue: Duration,
    /// Decode, resize and normalise, of the whole batch.
    pub decode: Duration,
    /// The network, on the whole batch.
    pub predict: Duration,
    /// Images of the batch.
    pub batch: usize,
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) model: Arc<Model>,
    pub(crate) product: Product,
    pub(crate) timing: Timing,
}

pub(crate) type Outcome = Result<Done, Problem>;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) accepted: Instant,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Outcome>,
    /// The request's body: the share of memory that it was admitted with is given back when the job is done.
    pub(crate) _body: Bytes,
}

/// The way in. Dropping it lets the worker finish what it took.
#[derive(Debug)]
pub(crate) struct Queue {
    jobs: Option<Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

impl Queue {
    pub(crate) fn start(
        settings: &QueueSettings,
        limits: Limits,
        slot: Arc<Slot>,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let (jobs, receiver) = crossbeam_channel::bounded(settings.capacity.max(1));
        let name = |i| format!("kidu-predict-{i}");
        let system = |e: String| ServeError::System { what: "threads", source: std::io::Error::other(e) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads.max(1)).thread_name(name);
        let pool = pool.build().map_err(|e| system(e.to_string()))?;
        let worker = Worker {
            jobs: receiver,
            slot,
            limits,
            metrics,
            max_batch: settings.max_batch.max(1),
            batch_wait: settings.batch_wait,
        };
        let thread = std::thread::Builder::new().name("kidu-queue".into());
        let worker = thread.spawn(move || pool.install(|| worker.run())).map_err(|e| system(e.to_string()))?;
        Ok(Self { jobs: Some(jobs), worker: Some(worker) })
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.jobs.as_ref().map_or(0, Sender::len)
    }

    /// Takes a job, or refuses it at once.
    pub(crate) fn push(&self, job: Job) -> Result<(), Problem> {
        let Some(jobs) = &self.jobs else {
            return Err(Problem::new(Code::NotReady, "the server is ending; try another one"));
        };
        jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => Problem::new(Code::Overloaded, "too many requests wait already; try again later"),
            TrySendError::Disconnected(_) => Problem::new(Code::Internal, "the worker has ended"),
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the worker was counted by those who waited for it.
            let _ = worker.join();
        }
    }
}

struct Worker {
    jobs: Receiver<Job>,
    slot: Arc<Slot>,
    limits: Limits,
    metrics: Arc<Metrics>,
    max_batch: usize,
    batch_wait: Duration,
}

impl Worker {
    fn run(&self) {
        let mut left = None;
        while let Some((batch, next)) = self.collect(left) {
            left = next;
            // Those who wait for a reply that was dropped are told of a fault of ours.
            let _ = catch_unwind(AssertUnwindSafe(|| self.answer(batch)));
        }
    }

    /// Jobs that go together, and one that was taken but does not fit. `None` when there will be no more.
    fn collect(&self, left: Option<Job>) -> Option<(Vec<Job>, Option<Job>)> {
        let first = match left {
            Some(job) => job,
            None => self.jobs.recv().ok()?,
        };
        let until = Instant::now() + self.batch_wait;
        let mut images = first.work.images();
        let alone = matches!(first.work, Work::Explain(_));
        let mut batch = vec![first];
        while !alone && images < self.max_batch {
            let next = match self.jobs.try_recv() {
                Err(TryRecvError::Empty) if !self.batch_wait.is_zero() => self.jobs.recv_deadline(until).ok(),
                other => other.ok(),
            };
            let Some(next) = next else { break };
            let fits = matches!(next.work, Work::Predict(_)) && images + next.work.images() <= self.max_batch;
            if !fits {
                return Some((batch, Some(next)));
            }
            images += next.work.images();
            batch.push(next);
        }
        Some((batch, None))
    }

    fn answer(&self, batch: Vec<Job>) {
        let now = Instant::now();
        let mut live = Vec::with_capacity(batch.len());
        for job in batch {
            if job.reply.is_closed() {
                self.metrics.abandoned.inc();
            } else if job.deadline <= now {
                let problem =
                    Problem::new(Code::DeadlineExceeded, "the request's turn did not come in time; try again");
                let _ = job.reply.send(Err(problem));
            } else {
                self.metrics.queued.observe((now - job.accepted).as_secs_f64());
                live.push(job);
            }
        }
        let Some(model) = self.slot.get() else {
            for job in live {
                let _ = job.reply.send(Err(not_ready()));
            }
            return;
        };
        match live.as_slice() {
            [Job { work: Work::Explain(_), .. }] => live.into_iter().for_each(|job| self.explain(&model, job, now)),
            [] => {}
            _ => self.predict(&model, live, now),
        }
    }

    fn explain(&self, model: &Arc<Model>, job: Job, began: Instant) {
        let Work::Explain(image) = &job.work else { return };
        let product = explain::occlude(model, image, &self.limits).map_err(|e| match e {
            ExplainError::Image(e) => Problem::of_image(&e, 0, 1),
            ExplainError::Classifier(reason) => fault(&reason),
        });
        let timing = Timing { queue: began - job.accepted, predict: began.elapsed(), batch: 1, ..Timing::default() };
        let done = product.map(|e| Done { model: Arc::clone(model), product: Product::Explanation(e), timing });
        let _ = job.reply.send(done);
    }

    fn predict(&self, model: &Arc<Model>, jobs: Vec<Job>, began: Instant) {
        // By job, its images or the first that cannot be read.
        let images: Vec<&Bytes> = jobs.iter().flat_map(|job| images_of(&job.work)).collect();
        let read = |image: &&Bytes| model.preprocessor().preprocess(image, &self.limits);
        let mut inputs: Vec<_> = match images.as_slice() {
            [one] => vec![read(one)],
            many => many.par_iter().map(read).collect(),
        };
        let decode = began.elapsed();
        let mut at = 0;
        let mut refused = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let own = &inputs[at..at + job.work.images()];
            let first =
                own.iter().enumerate().find_map(|(i, r)| r.as_ref().err().map(|e| Problem::of_image(e, i, own.len())));
            refused.push(first);
            at += own.len();
        }
        // A job is predicted whole or not at all.
        let mut good = Vec::with_capacity(inputs.len());
        let mut rest = inputs.drain(..);
        for (job, refused) in jobs.iter().zip(&refused) {
            let own = rest.by_ref().take(job.work.images()).filter_map(Result::ok);
            if refused.is_none() { good.extend(own) } else { own.for_each(drop) }
        }
        drop(rest);
        let batch = good.len();
        let predictions = match batch {
            0 => Ok(Vec::new()),
            _ => model.predict(&together(good)),
        };
        let predict = began.elapsed() - decode;
        self.count(batch, decode, predict);
        let timing = |job: &Job| Timing { queue: began - job.accepted, decode, predict, batch };
        let mut predictions = predictions.map(Vec::into_iter);
        for (job, refused) in jobs.into_iter().zip(refused) {
            let outcome = match (&mut predictions, refused) {
                (_, Some(problem)) => Err(problem),
                (Err(reason), None) => Err(fault(reason)),
                (Ok(predictions), None) => {
                    let own: Vec<_> = predictions.by_ref().take(job.work.images()).collect();
                    if own.len() == job.work.images() {
                        let product = Product::Predictions(own);
                        Ok(Done { model: Arc::clone(model), product, timing: timing(&job) })
                    } else {
                        Err(fault("it gave fewer predictions than there were images"))
                    }
                }
            };
            let _ = job.reply.send(outcome);
        }
    }

    fn count(&self, batch: usize, decode: Duration, predict: Duration) {
        self.metrics.decoded.observe(decode.as_secs_f64());
        if batch > 0 {
            self.metrics.predicted.observe(predict.as_secs_f64());
            self.metrics.batch.observe(batch as f64);
            self.metrics.images.inc_by(batch as u64);
        }
    }
}

/// Inputs one after another.
fn together(mut inputs: Vec<Vec<f32>>) -> Vec<f32> {
    if inputs.len() == 1 { inputs.swap_remove(0) } else { inputs.concat() }
}

fn images_of(work: &Work) -> &[Bytes] {
    match work {
        Work::Predict(images) => images,
        Work::Explain(image) => std::slice::from_ref(image),
    }
}

pub(crate) fn not_ready() -> Problem {
    Problem::new(Code::NotReady, "the model is still being loaded; try again in a moment")
}

/// A fault of ours: the reason is for the log, not for the client.
pub(crate) fn fault(reason: &str) -> Problem {
    tracing::error!(reason, "a batch was not predicted");
    Problem::new(Code::Internal, "the prediction failed; the server's log says why")
}
