//! Requests at a given rate, whether or not the answers come: what a crowd does, and a fixed number of clients cannot.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kidu_testing::HttpClient;

/// Enough that one is always free: the server holds fewer requests than that, and refuses the others at once.
const SENDERS: usize = 300;

/// What is sent.
pub(crate) struct Plan<'a> {
    pub(crate) address: SocketAddr,
    /// JSON bodies, in turn.
    pub(crate) bodies: &'a [Vec<u8>],
    pub(crate) requests: usize,
    /// Requests a second.
    pub(crate) rate: f64,
}

/// What became of all requests.
#[derive(Default)]
pub(crate) struct Outcome {
    /// How often each status came.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// Milliseconds from when a request was due to its answer, of 200.
    pub(crate) answered: Vec<f64>,
    /// The same of 429 and 503.
    pub(crate) refused: Vec<f64>,
    /// Nobody listened: the server has ended.
    pub(crate) not_connected: usize,
    /// The server closed a connection that was idle, while a request was on its way to it; nothing was answered.
    pub(crate) crossed: usize,
    /// Lost: other connections that broke.
    pub(crate) broken: Vec<String>,
    /// Milliseconds by which the latest request was sent late: more than a few, and the rate was not kept.
    pub(crate) late: f64,
    /// Seconds from the first request to the last answer.
    pub(crate) took: f64,
}

/// Sends everything; `at` is called before each request with its number.
pub(crate) fn drive(plan: &Plan<'_>, at: impl Fn(usize) + Sync) -> Outcome {
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    // Time for all senders to be there.
    let start = Instant::now() + Duration::from_millis(300);
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let mut client = HttpClient::new(plan.address);
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= plan.requests {
                        return;
                    }
                    let due = start + Duration::from_secs_f64(i as f64 / plan.rate);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    at(i);
                    let late = due.elapsed().as_secs_f64() * 1e3;
                    let kept = client.is_kept();
                    let answer = client.post("/v1/predict", "application/json", &plan.bodies[i % plan.bodies.len()]);
                    let took = due.elapsed().as_secs_f64() * 1e3;
                    let mut outcome = outcome.lock().unwrap();
                    outcome.late = outcome.late.max(late);
                    match answer {
                        Ok(answer) => {
                            *outcome.statuses.entry(answer.status).or_default() += 1;
                            match answer.status {
                                200 => outcome.answered.push(took),
                                _ => outcome.refused.push(took),
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => outcome.not_connected += 1,
                        Err(_) if kept => outcome.crossed += 1,
                        Err(error) => outcome.broken.push(error.to_string()),
                    }
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap();
    outcome.took = start.elapsed().as_secs_f64();
    outcome
}
