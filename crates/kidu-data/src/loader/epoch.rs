//! One epoch: threads that make batches ahead of the consumer, who gets them in order.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{
    Batch, Loader,
    images::{Failure, Images},
};
use crate::{
    error::{DataError, Result},
    settings::OnBadImage,
};

/// Batches that may wait for the consumer, beyond those the workers are making.
const PREFETCH: usize = 2;

/// The images of one batch.
struct Job {
    number: usize,
    indices: Vec<usize>,
}

/// What became of a job.
struct Made {
    batch: Batch,
    skipped: Vec<(PathBuf, String)>,
}

/// The batches of one epoch in order; see [`Loader::epoch`]. A batch of which every image was skipped is passed over.
/// After an error there are no more. Dropping it stops the threads.
///
/// The work ahead is bounded by credit: a job is handed out only when a batch is taken, so that no more than
/// `workers + 2` batches are in memory whatever the speeds are.
pub struct EpochIter {
    jobs: Option<Sender<Job>>,
    results: Receiver<(usize, Result<Made>)>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// Batches that are ready before their turn.
    early: BTreeMap<usize, Result<Made>>,
    waiting: std::vec::IntoIter<Job>,
    next: usize,
    end: usize,
    skipped: Vec<(PathBuf, String)>,
    failed: Option<DataError>,
}

impl EpochIter {
    pub(super) fn start(loader: &Loader, epoch: u64, skip_batches: usize) -> Self {
        let order = loader.plan.order(epoch);
        let end = loader.plan.num_batches();
        let first = skip_batches.min(end);
        let jobs: Vec<Job> = order
            .chunks(loader.plan.batch_size)
            .enumerate()
            .skip(first)
            .map(|(number, indices)| Job { number, indices: indices.to_vec() })
            .collect();
        let workers = loader.workers.min(jobs.len());
        // Both channels are bounded by the credit; a worker never waits to hand in a result.
        let (job_sender, job_receiver) = unbounded();
        let (result_sender, results) = unbounded();
        let mut iter = Self {
            jobs: Some(job_sender),
            results,
            threads: Vec::with_capacity(workers),
            stop: Arc::new(AtomicBool::new(false)),
            early: BTreeMap::new(),
            waiting: jobs.into_iter(),
            next: first,
            end,
            skipped: Vec::new(),
            failed: None,
        };
        for i in 0..workers {
            let worker = Worker {
                images: Arc::clone(&loader.images),
                epoch,
                on_bad_image: loader.on_bad_image,
                stop: Arc::clone(&iter.stop),
            };
            let (jobs, results) = (job_receiver.clone(), result_sender.clone());
            match thread::Builder::new().name(format!("kidu-load-{i}")).spawn(move || worker.run(&jobs, &results)) {
                Ok(thread) => iter.threads.push(thread),
                // One thread is enough to go on.
                Err(e) if iter.threads.is_empty() => iter.failed = Some(DataError::Workers(e.to_string())),
                Err(_) => break,
            }
        }
        for _ in 0..workers + PREFETCH {
            iter.hand_out();
        }
        iter
    }

    /// The bad images that were left out of the batches so far: path and reason.
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        &self.skipped
    }

    fn hand_out(&mut self) {
        if let (Some(jobs), Some(job)) = (&self.jobs, self.waiting.next()) {
            // Fails only when every worker is gone; the receiving side reports that.
            let _ = jobs.send(job);
        }
    }

    /// Waits for the batch whose turn it is.
    fn take(&mut self) -> Result<Made> {
        loop {
            if let Some(result) = self.early.remove(&self.next) {
                return result;
            }
            let (number, result) =
                self.results.recv().map_err(|_| DataError::Workers("all of them ended before the epoch did".into()))?;
            self.early.insert(number, result);
        }
    }

    fn shut_down(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        self.next = self.end;
        for thread in self.threads.drain(..) {
            // A worker catches panics itself; nothing is left to report.
            let _ = thread.join();
        }
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        while self.next < self.end {
            let result = match self.failed.take() {
                Some(error) => Err(error),
                None => self.take(),
            };
            match result {
                Ok(made) => {
                    self.next += 1;
                    self.hand_out();
                    self.skipped.extend(made.skipped);
                    if made.batch.len > 0 {
                        return Some(Ok(made.batch));
                    }
                }
                Err(error) => {
                    self.shut_down();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end - self.next))
    }
}

impl Drop for EpochIter {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// One loading thread.
struct Worker {
    images: Arc<Images>,
    epoch: u64,
    on_bad_image: OnBadImage,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, jobs: &Receiver<Job>, results: &Sender<(usize, Result<Made>)>) {
        for job in jobs {
            let number = job.number;
            // A panic in a decoder must become an error of this batch, or the consumer would wait for it for ever.
            let made = catch_unwind(AssertUnwindSafe(|| self.make(&job)))
                .unwrap_or_else(|_| Some(Err(DataError::Workers(format!("a panic while batch {number} was made")))));
            let Some(made) = made else { return };
            if results.send((number, made)).is_err() {
                return;
            }
        }
    }

    /// Makes one batch; `None` when the epoch was broken off.
    fn make(&self, job: &Job) -> Option<Result<Made>> {
        let values = self.images.values();
        let mut images = vec![0.0; values * job.indices.len()];
        let (mut labels, mut indices, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for index in &job.indices {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let at = values * indices.len();
            match self.images.write(*index, self.epoch, &mut images[at..at + values]) {
                Ok(()) => {
                    labels.push(self.images.label(*index));
                    indices.push(*index);
                }
                Err(Failure::Changed(error)) => return Some(Err(error)),
                Err(Failure::Bad(reason)) => {
                    let path = self.images.path(*index).clone();
                    if self.on_bad_image == OnBadImage::Error {
                        return Some(Err(DataError::BadImage { path, reason }));
                    }
                    skipped.push((path, reason));
                }
            }
        }
        let len = indices.len();
        images.truncate(values * len);
        Some(Ok(Made { batch: Batch { number: job.number, images, labels, indices, len }, skipped }))
    }
}
