//! Counters and histograms, for Prometheus (in the OpenMetrics text format).

use kidu_telemetry::metrics as telemetry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::endpoint::ModelName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    pub(crate) route: &'static str,
    pub(crate) status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Served {
    name: String,
    version: String,
}

/// What one backend has done since it started.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    tasks: Family<Outcome, Counter>,
    failures: Family<Code, Counter>,
    events: Family<Action, Counter>,
    builds: Family<Outcome, Counter>,
    served: Family<Served, Gauge>,
    /// Event webhooks that were turned away for want of credentials.
    pub(crate) webhooks_refused: Counter,
    /// Seconds of one try at the endpoint.
    pub(crate) endpoint: Histogram,
    /// Seconds until the bytes of an image were there.
    pub(crate) fetch: Histogram,
    /// Seconds of a `/predict`.
    pub(crate) predict: Histogram,
    /// Tasks of a `/predict`.
    pub(crate) batch: Histogram,
    /// Predictions that were known already.
    pub(crate) cached: Counter,
    /// Tries at the endpoint after the first.
    pub(crate) retries: Counter,
    /// Tasks being worked on.
    pub(crate) in_flight: Gauge,
    /// Annotations that no build has seen.
    pub(crate) pending: Gauge,
    /// 1 while a build runs.
    pub(crate) building: Gauge,
    /// 1 unless the endpoint is known to be down.
    pub(crate) endpoint_up: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        // 1 ms to 65 s.
        let seconds = || telemetry::seconds(0.001, 17);
        let mut metrics = Self {
            registry: telemetry::registry("kidu_label_studio"),
            answered: Family::default(),
            tasks: Family::default(),
            failures: Family::default(),
            events: Family::default(),
            builds: Family::default(),
            served: Family::default(),
            webhooks_refused: Counter::default(),
            endpoint: seconds(),
            fetch: seconds(),
            predict: seconds(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            cached: Counter::default(),
            retries: Counter::default(),
            in_flight: Gauge::default(),
            pending: Gauge::default(),
            building: Gauge::default(),
            endpoint_up: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests answered, by route and status", self.answered.clone());
        r.register("tasks", "Tasks answered: predicted or failed", self.tasks.clone());
        r.register("cached", "Predictions that were known already", self.cached.clone());
        r.register("task_failures", "Tasks without a prediction, by reason", self.failures.clone());
        r.register("events", "Webhook events taken, by action", self.events.clone());
        r.register(
            "webhooks_refused",
            "Webhook events without credentials, turned away",
            self.webhooks_refused.clone(),
        );
        r.register("builds", "Builds ended, by outcome", self.builds.clone());
        r.register("model", "1 for the model in service", self.served.clone());
        r.register("endpoint_retries", "Tries at the endpoint after the first", self.retries.clone());
        r.register("tasks_in_flight", "Tasks being worked on", self.in_flight.clone());
        r.register("annotations_pending", "Annotations that no build has seen", self.pending.clone());
        r.register("building", "1 while a build runs", self.building.clone());
        r.register("endpoint_up", "0 when the endpoint does not tell its model", self.endpoint_up.clone());
        r.register("batch_tasks", "Tasks of a request for predictions", self.batch.clone());
        let s = || Unit::Seconds;
        r.register_with_unit("endpoint_duration", "One try at the endpoint", s(), self.endpoint.clone());
        r.register_with_unit("fetch_duration", "Until an image's bytes were there", s(), self.fetch.clone());
        r.register_with_unit("predict_duration", "A request for predictions", s(), self.predict.clone());
    }

    pub(crate) fn answer(&self, route: &'static str, status: u16) {
        self.answered.get_or_create(&Answered { route, status }).inc();
    }

    pub(crate) fn task(&self, result: &'static str) {
        self.tasks.get_or_create(&Outcome { result }).inc();
    }

    pub(crate) fn failure(&self, code: &'static str) {
        self.task("failed");
        self.failures.get_or_create(&Code { code }).inc();
    }

    pub(crate) fn event(&self, action: &'static str) {
        self.events.get_or_create(&Action { action }).inc();
    }

    pub(crate) fn build(&self, result: &'static str) {
        self.builds.get_or_create(&Outcome { result }).inc();
    }

    pub(crate) fn in_service(&self, model: &ModelName) {
        self.served.clear();
        self.served.get_or_create(&Served { name: model.name.clone(), version: model.version.clone() }).set(1);
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        telemetry::openmetrics(&self.registry)
    }
}
