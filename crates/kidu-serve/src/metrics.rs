//! Counters and histograms, for Prometheus (in the OpenMetrics text format).

use kidu_telemetry::metrics as telemetry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets, linear_buckets},
    },
    registry::{Registry, Unit},
};

use crate::contract::{Report, Route};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Served {
    name: String,
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// What one server has done since it started.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    refused: Family<Refused, Counter>,
    reloads: Family<Outcome, Counter>,
    served: Family<Served, Gauge>,
    duration: Histogram,
    /// The mean probability of the most probable class, of a request.
    confidence: Histogram,
    /// Seconds between acceptance and the worker.
    pub(crate) queued: Histogram,
    /// Seconds of decoding, resizing and normalising, of a batch.
    pub(crate) decoded: Histogram,
    /// Seconds of the network, of a batch.
    pub(crate) predicted: Histogram,
    /// Images of a batch.
    pub(crate) batch: Histogram,
    /// Images predicted.
    pub(crate) images: Counter,
    /// Requests that nobody waited for any more when their turn came.
    pub(crate) abandoned: Counter,
    /// Requests in the queue.
    pub(crate) waiting: Gauge,
    memory: Gauge,
    ready: Gauge,
    /// Open connections.
    pub connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.25 ms to 8 s.
        let seconds = || telemetry::seconds(0.000_25, 16);
        let mut metrics = Self {
            registry: telemetry::registry("kidu"),
            answered: Family::default(),
            refused: Family::default(),
            reloads: Family::default(),
            served: Family::default(),
            duration: seconds(),
            confidence: Histogram::new(linear_buckets(0.1, 0.1, 10)),
            queued: seconds(),
            decoded: seconds(),
            predicted: seconds(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 7)),
            images: Counter::default(),
            abandoned: Counter::default(),
            waiting: Gauge::default(),
            memory: Gauge::default(),
            ready: Gauge::default(),
            connections: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests answered, by route and status", self.answered.clone());
        r.register("refusals", "Requests answered with an error, by its code", self.refused.clone());
        r.register("bundle_loads", "Bundles taken into service, or refused", self.reloads.clone());
        r.register("model", "1 for the model in service", self.served.clone());
        r.register("images", "Images predicted", self.images.clone());
        r.register("abandoned", "Requests whose client had gone when their turn came", self.abandoned.clone());
        r.register("queue_length", "Requests that wait for the network", self.waiting.clone());
        r.register("connections", "Open connections", self.connections.clone());
        r.register("ready", "1 when predictions are answered", self.ready.clone());
        let s = || Unit::Seconds;
        r.register_with_unit("request_duration", "From the whole request to its answer", s(), self.duration.clone());
        r.register_with_unit("queue_wait", "From acceptance to the worker", s(), self.queued.clone());
        r.register_with_unit("decode_duration", "Decode, resize and normalise a batch", s(), self.decoded.clone());
        r.register_with_unit("predict_duration", "The network on a batch", s(), self.predicted.clone());
        r.register("confidence", "Probability of the most probable class", self.confidence.clone());
        r.register("batch_images", "Images predicted together", self.batch.clone());
        r.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, self.memory.clone());
    }

    /// Counts an answer. Only predictions count for the durations.
    pub(crate) fn answer(&self, route: Option<Route>, status: u16, report: &Report) {
        let label = Answered { route: route.map_or("none", Route::path), status };
        self.answered.get_or_create(&label).inc();
        if let Some(code) = report.code {
            self.refused.get_or_create(&Refused { code: code.name() }).inc();
        } else if route.is_some_and(Route::has_body) {
            self.duration.observe(report.total.as_secs_f64());
        }
        if let Some(confidence) = report.confidence {
            self.confidence.observe(confidence);
        }
    }

    /// Counts a bundle taken into service.
    pub(crate) fn loaded(&self, name: &str, version: &str) {
        self.reloads.get_or_create(&Outcome { result: "ok" }).inc();
        self.served.clear();
        self.served.get_or_create(&Served { name: name.into(), version: version.into() }).set(1);
    }

    /// Counts a bundle that was refused.
    pub(crate) fn load_failed(&self) {
        self.reloads.get_or_create(&Outcome { result: "failed" }).inc();
    }

    /// All of it as text.
    pub fn text(&self, ready: bool) -> String {
        self.ready.set(i64::from(ready));
        self.memory.set(resident_bytes().and_then(|b| i64::try_from(b).ok()).unwrap_or(0));
        telemetry::openmetrics(&self.registry)
    }
}

/// Resident memory of this process; `None` where the system does not tell (it is read from `/proc`).
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}
