//! What the fronts have done, for Prometheus (in the OpenMetrics text format).

use std::time::Duration;

use kidu_telemetry::metrics as telemetry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::state::Environment;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Served {
    environment: &'static str,
    version: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    environment: &'static str,
    version: u32,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    environment: &'static str,
}

/// Counters of both fronts since the supervisor started.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    duration: Family<Served, Histogram>,
    weight: Family<Served, Gauge>,
    retried: Family<Of, Counter>,
    refused: Family<Of, Counter>,
    connections: Family<Of, Gauge>,
    restarts: Family<Served, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: telemetry::registry("kidu_front"),
            answered: Family::default(),
            // 0.5 ms to 16 s.
            duration: Family::new_with_constructor(|| telemetry::seconds(0.000_5, 16)),
            weight: Family::default(),
            retried: Family::default(),
            refused: Family::default(),
            connections: Family::default(),
            restarts: Family::default(),
        };
        let r = &mut metrics.registry;
        r.register("requests", "Requests passed to a version, by the status of its answer", metrics.answered.clone());
        let seconds = "From the whole request to the head of its answer";
        r.register_with_unit("duration", seconds, Unit::Seconds, metrics.duration.clone());
        r.register("weight", "Weight of a version; 0 stands by", metrics.weight.clone());
        r.register(
            "retried",
            "Requests that another version took because the first could not be reached",
            metrics.retried.clone(),
        );
        r.register("refused", "Requests that the front answered itself", metrics.refused.clone());
        r.register("connections", "Open connections of clients", metrics.connections.clone());
        r.register("restarts", "Servers that were started again", metrics.restarts.clone());
        metrics
    }
}

impl Metrics {
    pub(super) fn answered(&self, environment: Environment, version: u32, status: u16, took: Duration) {
        let environment = environment.name();
        self.answered.get_or_create(&Answered { environment, version, status }).inc();
        self.duration.get_or_create(&Served { environment, version }).observe(took.as_secs_f64());
    }

    /// The weights from here on, also of versions that have left.
    pub(super) fn weights(&self, environment: Environment, weights: impl IntoIterator<Item = (u32, u32)>) {
        for (version, weight) in weights {
            let label = Served { environment: environment.name(), version };
            self.weight.get_or_create(&label).set(i64::from(weight));
        }
    }

    pub(super) fn retried(&self, environment: Environment) {
        self.retried.get_or_create(&Of { environment: environment.name() }).inc();
    }

    pub(super) fn refused(&self, environment: Environment) {
        self.refused.get_or_create(&Of { environment: environment.name() }).inc();
    }

    pub(super) fn connection(&self, environment: Environment, change: i64) {
        self.connections.get_or_create(&Of { environment: environment.name() }).inc_by(change);
    }

    /// Counts a server that was started again.
    pub(crate) fn restarted(&self, environment: Environment, version: u32) {
        self.restarts.get_or_create(&Served { environment: environment.name(), version }).inc();
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        telemetry::openmetrics(&self.registry)
    }
}
