//! Events: API Gateway's HTTP API (payload version 2.0) and REST API (1.0), function URLs (as 2.0), and a direct
//! `Invoke` with the plain JSON of the contract.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use kidu_serve::contract::{Code, Problem, ROUTES, Request, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

/// Who sent an event, and so what the answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// An HTTP API or a function URL: status, headers and body, with the lists that such answers have.
    HttpApi,
    /// A REST API: status, headers and body.
    RestApi,
    /// A direct `Invoke`: the JSON of the answer alone.
    Direct,
}

/// Both versions; what one of them has not is left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gateway<'a> {
    #[serde(borrow)]
    raw_path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    http_method: Option<Cow<'a, str>>,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(borrow, default)]
    body: Option<Text<'a>>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
    request_context: Context,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    http: Option<Http>,
    stage: Option<String>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

/// Whether it is a gateway's, told without reading a body that may be large.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
}

/// The request in an event. What is neither a gateway's event nor the contract's JSON becomes a request that the contract
/// refuses.
///
/// # Errors
/// A [`Problem`] for a gateway's event that is broken.
pub fn request(event: &RawValue) -> (Sender, Result<Request, Problem>) {
    let text = event.get();
    // A derived structure would also be read from an array.
    let object = text.trim_ascii_start().starts_with('{');
    let gateway = object && serde_json::from_str::<Shape<'_>>(text).is_ok_and(|shape| shape.request_context.is_some());
    if !gateway {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = text.to_owned().into();
        return (Sender::Direct, Ok(Request { method: Method::POST, path: "/".into(), headers, body, local: false }));
    }
    let wrong = |what: String| Problem::new(Code::Malformed, format!("the event is no gateway's: {what}"));
    // The reason of serde_json may quote what stands in the wrong place; a body never stands where none is expected.
    let parsed = serde_json::from_str::<Gateway<'_>>(text)
        .map_err(|e| wrong(format!("line {} column {}", e.line(), e.column())));
    // `httpMethod` alone tells nothing: emulators of HTTP APIs write it, too.
    let rest = parsed.as_ref().is_ok_and(|event| event.request_context.http.is_none() && event.http_method.is_some());
    let sender = if rest { Sender::RestApi } else { Sender::HttpApi };
    (sender, parsed.and_then(|event| from_gateway(event).map_err(wrong)))
}

fn from_gateway(event: Gateway<'_>) -> Result<Request, String> {
    let method = match (&event.request_context.http, &event.http_method) {
        (Some(http), _) => http.method.as_str(),
        (None, Some(method)) => method,
        (None, None) => return Err("it names no method".into()),
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "its method is none".to_owned())?;
    let path = event.raw_path.or(event.path).ok_or("it names no path")?;
    let path = route(&path, event.request_context.stage.as_deref()).to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in event.headers.unwrap_or_default() {
        // What is no header of HTTP cannot have come from a client.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Some(Ok(value))) = (name, value.as_str().map(HeaderValue::from_str)) {
            headers.append(name, value);
        }
    }
    let text = event.body.map(|t| t.0).unwrap_or_default();
    let body = match event.is_base64_encoded {
        Some(true) => STANDARD.decode(text.as_bytes()).map_err(|e| format!("its body is not base64 ({e})"))?,
        _ => text.into_owned().into_bytes(),
    };
    Ok(Request { method, path, headers, body: body.into(), local: false })
}

/// An HTTP API with a named stage has it at the beginning of the path, a REST API has not: a stage may be named like the
/// beginning of a path (`v1`), so what is a path of the contract is taken as it is.
fn route<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let Some(stage) = stage.filter(|s| *s != "$default") else { return path };
    if ROUTES.iter().any(|(_, _, known)| *known == path) {
        return path;
    }
    match path.strip_prefix('/').and_then(|p| p.strip_prefix(stage)) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The answer as the sender takes it. A direct `Invoke` gets errors as `{"error": {...}, "status": 4xx}`: an answer, not
/// a failure of the function, which alarms would count.
pub fn reply(sender: Sender, response: &Response) -> Value {
    let text = String::from_utf8_lossy(&response.body);
    match sender {
        Sender::HttpApi | Sender::RestApi => {
            let headers =
                response.headers.iter().filter_map(|(n, v)| Some((n.as_str().to_owned(), json!(v.to_str().ok()?))));
            let mut value = json!({
                "statusCode": response.status.as_u16(),
                "headers": headers.collect::<Map<_, _>>(),
                "multiValueHeaders": {},
                "body": text,
                "isBase64Encoded": false,
            });
            if sender == Sender::HttpApi {
                value["cookies"] = json!([]);
            }
            value
        }
        Sender::Direct => {
            let mut value = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
            if let (false, Some(object)) = (response.status.is_success(), value.as_object_mut()) {
                object.insert("status".into(), json!(response.status.as_u16()));
            }
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &Value) -> (Sender, Result<Request, Problem>) {
        request(&RawValue::from_string(event.to_string()).unwrap())
    }

    #[test]
    fn stages_are_taken_off_paths_and_nothing_else() {
        assert_eq!(route("/prod/v1/model", Some("prod")), "/v1/model");
        assert_eq!(route("/prod", Some("prod")), "/");
        assert_eq!(route("/production", Some("prod")), "/production");
        assert_eq!(route("/v1/model", Some("$default")), "/v1/model");
        assert_eq!(route("/", None), "/");
    }

    #[test]
    fn both_versions_and_a_direct_call_are_told_apart() {
        let v2 = json!({"version": "2.0", "rawPath": "/live/v1/predict", "headers": {"Content-Type": "image/png", "x": 1},
            "requestContext": {"http": {"method": "POST"}, "stage": "live"}, "body": "AAEC", "isBase64Encoded": true});
        let (sender, found) = read(&v2);
        let found = found.unwrap();
        assert_eq!((sender, found.path.as_str(), &found.body[..]), (Sender::HttpApi, "/v1/predict", &[0, 1, 2][..]));
        assert_eq!(found.headers["content-type"], "image/png");
        let v1 = json!({"httpMethod": "GET", "path": "/health", "headers": null, "body": null, "requestContext": {"stage": "prod"}});
        let (sender, found) = read(&v1);
        assert_eq!(sender, Sender::RestApi);
        let found = found.unwrap();
        assert_eq!((found.method, found.path.as_str(), found.body.len()), (Method::GET, "/health", 0));
        for direct in [json!({"image": "x"}), json!("text"), json!(null), json!([1]), json!({"requestContext": null})] {
            let (sender, found) = read(&direct);
            assert_eq!((sender, found.unwrap().body), (Sender::Direct, direct.to_string().into()));
        }
    }

    /// As `cargo lambda watch` 1.9.2 sends it: an event of version 2.0 with the fields of an authorizer's request, of which
    /// `httpMethod` is one of version 1.0. Its front takes no answer without `cookies`.
    #[test]
    fn an_emulators_mixture_is_an_http_api() {
        let event = json!({
            "type": null, "methodArn": null, "httpMethod": "GET", "identitySource": null, "authorizationToken": null,
            "resource": null, "version": "2.0", "routeKey": "$default", "rawPath": "/health", "rawQueryString": null,
            "headers": {"accept-encoding": "identity", "host": "127.0.0.1:9177"},
            "requestContext": {
                "routeKey": "$default", "accountId": null, "stage": "$default",
                "requestId": "b017642c-802c-452b-90ff-101afdbb0124", "apiId": null, "domainName": "localhost",
                "domainPrefix": "_", "time": "26/Nov/2026:12:19:21 +0000", "timeEpoch": 1_795_695_561,
                "http": {"method": "GET", "path": "/health", "protocol": "http", "sourceIp": "127.0.0.1", "userAgent": "cargo-lambda"},
            },
            "stageVariables": {}, "isBase64Encoded": false,
        });
        let (sender, found) = read(&event);
        assert_eq!((sender, found.unwrap().path.as_str()), (Sender::HttpApi, "/health"));
        assert_eq!(reply(sender, &Response::new(http::StatusCode::OK, "text/plain", "x"))["cookies"], json!([]));
    }

    #[test]
    fn a_stage_that_is_named_like_a_path_is_no_part_of_it() {
        let rest = |path: &str| {
            read(
                &json!({"httpMethod": "GET", "path": path, "requestContext": {"stage": "v1", "path": format!("/v1{path}")}}),
            )
        };
        let http = |path: &str| {
            let context = json!({"stage": "v1", "http": {"method": "GET", "path": path}});
            read(&json!({"version": "2.0", "rawPath": path, "requestContext": context}))
        };
        for path in ["/v1/model", "/health", "/"] {
            let (sender, found) = rest(path);
            assert_eq!((sender, found.unwrap().path.as_str()), (Sender::RestApi, path));
            let (sender, found) = http(&format!("/v1{path}"));
            assert_eq!((sender, found.unwrap().path.as_str()), (Sender::HttpApi, path));
        }
    }

    #[test]
    fn broken_events_are_the_senders_fault_and_are_not_quoted() {
        for broken in [
            json!({"requestContext": {}}),
            json!({"requestContext": 5}),
            json!({"requestContext": {"http": {"method": "A B"}}, "rawPath": "/"}),
            json!({"requestContext": {"http": {"method": "GET"}}}),
            json!({"requestContext": {"http": {"method": "POST"}}, "rawPath": "/", "body": "!", "isBase64Encoded": true}),
            json!({"requestContext": {"http": {"method": "POST"}}, "rawPath": "/", "body": {"image": "c2VjcmV0"}}),
            json!({"requestContext": {"http": {"method": "POST"}}, "rawPath": "/", "isBase64Encoded": "c2VjcmV0"}),
        ] {
            let problem = read(&broken).1.unwrap_err();
            assert_eq!(problem.code, Code::Malformed);
            assert!(!problem.message.contains("c2VjcmV0"), "{}", problem.message);
        }
    }
}
