//! What is asked and answered, as pure functions: no socket, no clock, no model.
//!
//! [`read`] turns method, path, headers and body into a [`Call`] or a [`Problem`]; [`answer`] turns what came of it into
//! a [`Response`]. The server and the Lambda put them around the same [`Service`](crate::Service).

mod answer;
mod body;
mod page;
mod problem;
mod route;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kidu_image::Limits;

use crate::queue::Timing;

pub use answer::{answer, explanation, json, model_info, state};
#[cfg(feature = "server")]
pub(crate) use body::too_long;
pub use page::{openapi, page};
pub use problem::{Code, Problem};
pub use route::{ROUTES, Route};

/// The header that names a request; taken over from the client or the gateway, and returned.
pub const REQUEST_ID: &str = "x-request-id";
/// The header that names the model that answered, `name@version`.
pub const MODEL: &str = "x-kidu-model";

/// A request, wherever it came from.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Whether it came over the loopback interface of this machine.
    pub local: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What there is to log and to count.
    pub report: Report,
}

/// What came of a request, for logs and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// What was asked.
    pub route: Option<Route>,
    /// Why it was refused.
    pub code: Option<Code>,
    /// Where the time went, of predictions.
    pub timing: Option<Timing>,
    /// The calibrated probability of the most probable class, of predictions; of several images the mean.
    pub confidence: Option<f64>,
    /// From the whole request to its answer.
    pub total: Duration,
}

impl Response {
    /// An answer of a media type. It may neither be guessed to be something else nor be kept.
    pub fn new(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { status, headers, body: body.into(), report: Report::default() }
    }

    /// Adds a header; a value that cannot stand in one is left out.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// How large a request may be. Checked before anything is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Limits on each image: encoded bytes, pixels, side.
    pub image: Limits,
    /// Most images of a request.
    pub max_images: usize,
    /// Most bytes of a body.
    pub max_body: usize,
}

impl Default for RequestLimits {
    /// Those of [`Limits`], 16 images, 32 MiB (an image of the most bytes in base64, and some).
    fn default() -> Self {
        Self { image: Limits::default(), max_images: 16, max_body: 32 << 20 }
    }
}

/// The form of a prediction's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `[{"forest": 0.98, ...}]`: for each image the classes, most probable first.
    List,
    /// `{"predictions": [{"label", "score", "probabilities"}], "model": {"name", "version"}}`.
    Full,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Call {
    /// The web page.
    Page,
    /// Whether the process runs.
    Health,
    /// Whether predictions are answered.
    Ready,
    /// The model in service.
    Model,
    /// Metrics for Prometheus.
    Metrics,
    /// The OpenAPI document.
    OpenApi,
    /// Which other origins may ask for what: a preflight request of a browser.
    Preflight,
    /// Predictions of encoded images.
    Predict {
        /// The form of the answer.
        form: Form,
        /// The encoded images, at least one.
        images: Vec<Bytes>,
    },
    /// An explanation of one encoded image.
    Explain {
        /// The encoded image.
        image: Bytes,
    },
    /// Another look at the bundle.
    Reload,
}

/// What a request asks for.
///
/// # Errors
/// A [`Problem`] that the client can do something about.
pub fn read(request: &Request, limits: &RequestLimits) -> Result<(Route, Call), Problem> {
    let route = Route::find(&request.method, &request.path)?;
    let images = || body::images(&request.body, request.headers.get(header::CONTENT_TYPE), limits);
    let call = match route {
        Route::Page => Call::Page,
        Route::Health => Call::Health,
        Route::Ready | Route::Ping => Call::Ready,
        Route::Model => Call::Model,
        Route::Metrics => Call::Metrics,
        Route::OpenApi => Call::OpenApi,
        Route::Preflight => Call::Preflight,
        Route::Legacy => Call::Predict { form: Form::List, images: images()? },
        Route::Predict | Route::Invocations => Call::Predict { form: Form::Full, images: images()? },
        Route::Explain => {
            let mut images = images()?;
            match (images.pop(), images.is_empty()) {
                (Some(image), true) => Call::Explain { image },
                _ => return Err(Problem::new(Code::Malformed, "an explanation is of one image; send one at a time")),
            }
        }
        Route::Reload => Call::Reload,
    };
    Ok((route, call))
}
