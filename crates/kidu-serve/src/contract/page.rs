//! The web page and the OpenAPI document.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use kidu_core::Sha256Hex;

use super::Response;

const PAGE: &str = include_str!("../../web/index.html");
const OPENAPI: &str = include_str!("openapi.json");

/// Nothing runs and nothing is loaded but what the page itself holds; it talks to its own server only.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let script = between("<script>", "</script>").map(source).unwrap_or_default();
    let style = between("<style>", "</style>").map(source).unwrap_or_default();
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src 'self' blob: data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

fn between(start: &str, end: &str) -> Option<&'static str> {
    PAGE.split_once(start).and_then(|(_, rest)| rest.split_once(end)).map(|(inside, _)| inside)
}

/// `'sha256-...'` of a text.
fn source(text: &str) -> String {
    let digest = Sha256Hex::of_bytes(text.as_bytes());
    let digits = digest.as_str().as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = digits.filter_map(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok()).collect();
    format!("'sha256-{}'", STANDARD.encode(bytes))
}

/// The web page, one file that needs nothing else.
pub fn page() -> Response {
    Response::new(StatusCode::OK, "text/html; charset=utf-8", PAGE)
        .with_header("content-security-policy", &POLICY)
        .with_header("referrer-policy", "no-referrer")
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> Response {
    Response::new(StatusCode::OK, "application/json", OPENAPI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Code, ROUTES};

    #[test]
    fn the_policy_holds_the_hashes_of_script_and_style() {
        // SHA-256 of the empty text, as in the specification of Content Security Policy.
        assert_eq!(source(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
        let policy = page().headers["content-security-policy"].to_str().unwrap().to_owned();
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://"), "the page needs no network");
        assert!(!PAGE.contains(" style=\"") && !PAGE.contains(" onclick="), "the policy would refuse it");
    }

    #[test]
    fn the_document_names_every_route_and_every_code() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        for (_, method, path) in ROUTES {
            assert!(document["paths"][path][method.to_lowercase()].is_object(), "{method} {path}");
        }
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.len());
        let codes =
            document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"].clone();
        let codes: Vec<String> = serde_json::from_value(codes).unwrap();
        assert_eq!(codes, Code::ALL.map(Code::name));
    }
}
