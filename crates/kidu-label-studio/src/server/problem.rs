//! Errors as JSON, and in the line that Label Studio shows.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::ext::ReasonPhrase;
use serde_json::json;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }
}

/// The longest reason in a status line.
const LONGEST: usize = 300;

impl IntoResponse for Problem {
    /// Label Studio shows its users the status line of a failed request and nothing of its body, so the reason stands
    /// there too.
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = (self.status, Json(body)).into_response();
        let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        let line: String = self.message.chars().take(LONGEST).map(plain).collect();
        if let Ok(reason) = ReasonPhrase::try_from(line) {
            response.extensions_mut().insert(reason);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let ask = header::HeaderValue::from_static("Basic realm=\"kidu-label-studio\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        response
    }
}
