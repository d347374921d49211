//! What a served model tells about itself: the names that its metrics have, and that alarms and dashboards are built on.

/// One of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, by CloudWatch's names.
    pub unit: &'static str,
}

const fn metric(name: &'static str, unit: &'static str) -> Metric {
    Metric { name, unit }
}

/// The namespace of the metrics.
pub const NAMESPACE: &str = "Kidu";
/// The dimension of the metrics: `name@version` of the model.
pub const MODEL: &str = "Model";

/// From the whole request to its answer.
pub const LATENCY: Metric = metric("Latency", "Milliseconds");
/// Decoding, resizing and normalising.
pub const DECODE: Metric = metric("Decode", "Milliseconds");
/// The network.
pub const PREDICT: Metric = metric("Predict", "Milliseconds");
/// Images that went through the network together.
pub const IMAGES: Metric = metric("Images", "Count");
/// The calibrated probability of the most probable class, in [0, 1]; of several images in one request their mean.
pub const CONFIDENCE: Metric = metric("Confidence", "None");
/// 1 when the request was refused for what was sent: no image, another type, too large, or it will not decode.
pub const REJECTED_INPUTS: Metric = metric("RejectedInputs", "Count");
/// 1 when the answer is a 4xx.
pub const CLIENT_ERRORS: Metric = metric("ClientErrors", "Count");
/// 1 when the answer is a 5xx.
pub const SERVER_ERRORS: Metric = metric("ServerErrors", "Count");
/// From the start of the process until it was ready, with its first answer.
pub const COLD_START: Metric = metric("ColdStart", "Milliseconds");
