//! What predicts: anything that answers Kidu's HTTP contract, reached over HTTP or by invoking a Lambda function.

mod answer;
mod http;
#[cfg(feature = "aws")]
mod lambda;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use kidu_core::Prediction;
use kidu_fetch::Retry;
use rand::Rng;

pub use self::http::HttpTransport;
#[cfg(feature = "aws")]
pub use self::lambda::LambdaTransport;
use crate::metrics::Metrics;

/// What comes of an exchange, later.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Reply, EndpointError>> + Send + 'a>>;

/// A way to an endpoint: one request of the contract there, its answer back. No retries.
pub trait Transport: Send + Sync + 'static {
    /// Its address or name, without secrets.
    fn describe(&self) -> String;

    /// The most bytes of an image that gets through.
    fn max_image_bytes(&self) -> usize;

    /// Whether each exchange costs money, so that the model is asked for less often.
    fn is_metered(&self) -> bool;

    /// Sends an image to `/v1/predict`, or asks for `/v1/model`.
    fn exchange(&self, ask: Ask) -> Exchange<'_>;
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// `GET /v1/model`.
    Model,
    /// `POST /v1/predict` with one encoded image.
    Predict(Bytes),
}

impl Ask {
    /// Method, path and media type of its body.
    pub(crate) fn parts(&self) -> (::http::Method, &'static str, Option<&'static str>) {
        match self {
            Self::Model => (::http::Method::GET, "/v1/model", None),
            Self::Predict(_) => (::http::Method::POST, "/v1/predict", Some("application/octet-stream")),
        }
    }

    pub(crate) fn body(&self) -> Bytes {
        match self {
            Self::Model => Bytes::new(),
            Self::Predict(image) => image.clone(),
        }
    }
}

/// An answer of the endpoint, as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// How long it asked to wait.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// The most bytes of an answer: a thousand classes take 40 kB.
pub(crate) const MAX_REPLY: usize = 4 << 20;

/// Why there is no prediction.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct EndpointError {
    /// A stable name for metrics.
    pub code: &'static str,
    /// What happened, without the image.
    pub message: String,
    /// Whether another try may succeed.
    pub transient: bool,
    /// How long the endpoint asked to wait.
    pub retry_after: Option<Duration>,
}

impl EndpointError {
    pub(crate) fn passing(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), transient: true, retry_after: None }
    }

    pub(crate) fn lasting(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), transient: false, retry_after: None }
    }
}

/// Which model answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ModelName {
    /// Of the network.
    pub name: String,
    /// Of the bundle.
    pub version: String,
}

/// `name@version`: what Label Studio knows a model by.
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// What `/v1/model` tells.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ModelInfo {
    /// The model.
    #[serde(flatten)]
    pub model: ModelName,
    /// Its classes, in order.
    pub classes: Vec<String>,
}

/// An endpoint: a transport, with retries. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    transport: Arc<dyn Transport>,
    retry: Retry,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Endpoint {
    /// An endpoint behind a transport. Each try may take `timeout`.
    pub(crate) fn new(transport: Arc<dyn Transport>, retry: Retry, timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self { transport, retry, timeout, metrics }
    }

    /// The way to it.
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The model in service. One try.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn model(&self) -> Result<ModelInfo, EndpointError> {
        answer::model(&self.once(Ask::Model).await?)
    }

    /// The prediction of an encoded image, with retries. The caller bounds the whole time.
    ///
    /// # Errors
    /// [`EndpointError`] of the last try.
    pub async fn predict(&self, image: Bytes) -> Result<(ModelName, Prediction), EndpointError> {
        let most = self.transport.max_image_bytes();
        if image.len() > most {
            let message = format!("the image has {} bytes; {} takes {most}", image.len(), self.transport.describe());
            return Err(EndpointError::lasting("too_large", message));
        }
        let mut tried = 0;
        loop {
            let error = match self.once(Ask::Predict(image.clone())).await.and_then(|r| answer::prediction(&r)) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let wait = self.retry.wait(tried, error.retry_after, chance());
            match wait.filter(|_| error.transient) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            self.metrics.retries.inc();
            tried += 1;
        }
    }

    async fn once(&self, ask: Ask) -> Result<Reply, EndpointError> {
        let timed = matches!(ask, Ask::Predict(_)).then(std::time::Instant::now);
        let reply = tokio::time::timeout(self.timeout, self.transport.exchange(ask)).await;
        if let Some(start) = timed {
            self.metrics.endpoint.observe(start.elapsed().as_secs_f64());
        }
        reply.unwrap_or_else(|_| {
            let (who, seconds) = (self.transport.describe(), self.timeout.as_secs_f64());
            Err(EndpointError::passing("timeout", format!("{who} did not answer within {seconds:.1} s")))
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("transport", &self.transport.describe()).finish_non_exhaustive()
    }
}

/// A number in [0, 1).
fn chance() -> f64 {
    f64::from(rand::rng().next_u32()) / (f64::from(u32::MAX) + 1.0)
}
