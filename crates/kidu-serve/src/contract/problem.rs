//! What is wrong with a request, by stable codes.

use http::{HeaderValue, StatusCode, header};
use kidu_image::DecodeError;
use serde_json::json;

use super::Response;

/// The stable codes of errors, each with one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// 400: not what the contract says.
    Malformed,
    /// 401: the administrator's token is missing or wrong.
    Unauthorized,
    /// 404: no such path.
    NotFound,
    /// 405: the path knows other methods.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 413: too many bytes, pixels or images.
    TooLarge,
    /// 415: not an image type that is read.
    UnsupportedMediaType,
    /// 422: the image will not decode.
    Undecodable,
    /// 429: more requests than can be answered; try again later.
    Overloaded,
    /// 500: a fault of ours.
    Internal,
    /// 503: no model yet, or the server is going.
    NotReady,
    /// 503: accepted, but its turn did not come in time.
    DeadlineExceeded,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Undecodable,
        Self::Overloaded,
        Self::Internal,
        Self::NotReady,
        Self::DeadlineExceeded,
    ];

    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Undecodable => "undecodable",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::NotReady => "not_ready",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Undecodable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady | Self::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether a request is refused for what was sent, and not for where, by whom or when.
    pub fn is_about_the_input(self) -> bool {
        matches!(self, Self::Malformed | Self::TooLarge | Self::UnsupportedMediaType | Self::Undecodable)
    }

    /// Seconds after which the same request may well be answered, where waiting helps.
    fn retry_after(self) -> Option<&'static str> {
        matches!(self, Self::Overloaded | Self::NotReady | Self::DeadlineExceeded).then_some("1")
    }
}

/// Longest message in characters: what a client sent is quoted in it.
const LONGEST: usize = 400;

/// A request that is refused. As JSON `{"error": {"code", "message"}}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// What is wrong and what to do, as a sentence. Never holds an image.
    pub message: String,
    /// The methods that the path knows, for 405.
    pub allow: Option<String>,
}

impl Problem {
    /// A problem with its message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push_str("...");
        }
        Self { code, message, allow: None }
    }

    /// Why an image was refused; of several the `index`-th, from 0.
    pub fn of_image(error: &DecodeError, index: usize, of: usize) -> Self {
        let code = match error {
            DecodeError::TooManyBytes { .. } | DecodeError::TooManyPixels { .. } => Code::TooLarge,
            DecodeError::UnsupportedFormat { .. } => Code::UnsupportedMediaType,
            _ => Code::Undecodable,
        };
        Self::new(code, format!("{} {error}", name_of(index, of)))
    }

    /// The answer that tells it.
    pub fn response(&self) -> Response {
        let body = json!({"error": {"code": self.code.name(), "message": self.message}});
        let mut response = Response::new(self.code.status(), "application/json", body.to_string());
        if let Some(seconds) = self.code.retry_after() {
            response.headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if let Some(allow) = &self.allow {
            response = response.with_header("allow", allow);
        }
        if self.code == Code::Unauthorized {
            response = response.with_header("www-authenticate", "Bearer");
        }
        response
    }
}

/// "the image", or "image 3 (from 0)" of several.
pub(super) fn name_of(index: usize, of: usize) -> String {
    if of == 1 { "the image".into() } else { format!("image {index} (from 0)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name_and_only_ours_are_5xx() {
        let names: std::collections::BTreeSet<_> = Code::ALL.map(Code::name).into();
        assert_eq!(names.len(), Code::ALL.len());
        let server: Vec<_> = Code::ALL.iter().filter(|c| c.status().is_server_error()).map(|c| c.name()).collect();
        assert_eq!(server, ["internal", "not_ready", "deadline_exceeded"]);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let problem = Problem::new(Code::Malformed, "ä".repeat(1000));
        assert_eq!(problem.message.chars().count(), LONGEST + 3);
    }
}
