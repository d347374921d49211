//! An endpoint that is a Lambda function, invoked with the event that an HTTP API would send.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use kidu_aws::lambda::{InvokeError, LambdaFunction};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Ask, EndpointError, Exchange, Reply, Transport};

/// A synchronous invocation carries 6 MB, in which base64 takes four bytes for three.
const MAX_IMAGE: usize = (6_291_456 - 4096) / 4 * 3;

/// `bootstrap` of `kidu-lambda` behind its name, with the usual AWS credentials.
#[derive(Debug)]
pub struct LambdaTransport {
    function: LambdaFunction,
}

impl LambdaTransport {
    /// An endpoint that is this function.
    pub fn new(function: LambdaFunction) -> Self {
        Self { function }
    }

    async fn invoke(&self, ask: Ask) -> Result<Reply, EndpointError> {
        let answer = self.function.invoke(event(&ask).to_string().into_bytes()).await.map_err(translate)?;
        read(&answer)
    }
}

impl Transport for LambdaTransport {
    fn describe(&self) -> String {
        format!("Lambda function {}", self.function.name())
    }

    fn max_image_bytes(&self) -> usize {
        MAX_IMAGE
    }

    fn is_metered(&self) -> bool {
        true
    }

    fn exchange(&self, ask: Ask) -> Exchange<'_> {
        Box::pin(self.invoke(ask))
    }
}

/// An HTTP API's event, payload version 2.0.
fn event(ask: &Ask) -> Value {
    let (method, path, media_type) = ask.parts();
    let headers: Map<String, Value> = media_type.map(|t| ("content-type".to_owned(), json!(t))).into_iter().collect();
    let context = json!({"http": {"method": method.as_str(), "path": path}, "stage": "$default"});
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": headers, "requestContext": context,
        "body": STANDARD.encode(ask.body()), "isBase64Encoded": true,
    })
}

fn read(answer: &[u8]) -> Result<Reply, EndpointError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        status_code: u16,
        #[serde(default)]
        headers: Map<String, Value>,
        #[serde(default)]
        body: String,
        #[serde(default)]
        is_base64_encoded: bool,
    }
    let bad = |reason: String| {
        EndpointError::lasting("bad_answer", format!("the function's answer cannot be used: {reason}"))
    };
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|e| bad(format!("it is not what an HTTP API takes (line {} column {})", e.line(), e.column())))?;
    let wait = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    let wait = wait.and_then(|(_, v)| v.as_str()?.trim().parse().ok()).map(Duration::from_secs);
    let body = match answer.is_base64_encoded {
        true => STANDARD.decode(&answer.body).map_err(|e| bad(format!("its body is not base64: {e}")))?,
        false => answer.body.into_bytes(),
    };
    Ok(Reply { status: answer.status_code, retry_after: wait, body: Bytes::from(body) })
}

fn translate(error: InvokeError) -> EndpointError {
    let message = error.to_string();
    match error {
        InvokeError::Throttled { .. } => EndpointError::passing("overloaded", message),
        InvokeError::Transient { .. } => EndpointError::passing("no_connection", message),
        // A function that ran out of memory or time may do better on another try; one that throws will not be told
        // apart from here.
        InvokeError::Function { .. } => EndpointError::passing("endpoint_failed", message),
        InvokeError::TooLarge { .. } => EndpointError::lasting("too_large", message),
        _ => EndpointError::lasting("setup", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_an_http_apis_and_fits() {
        let event = event(&Ask::Predict(Bytes::from_static(&[0, 1, 2])));
        assert_eq!((event["rawPath"].as_str(), event["body"].as_str()), (Some("/v1/predict"), Some("AAEC")));
        assert_eq!(event["requestContext"]["http"]["method"], "POST");
        let largest = super::event(&Ask::Predict(Bytes::from(vec![7; MAX_IMAGE])));
        assert!(largest.to_string().len() <= 6_291_456);
    }

    #[test]
    fn the_answer_is_what_an_http_api_takes() {
        let reply =
            read(br#"{"statusCode":429,"headers":{"Retry-After":"3"},"body":"{}","isBase64Encoded":false}"#).unwrap();
        assert_eq!((reply.status, reply.retry_after, &reply.body[..]), (429, Some(Duration::from_secs(3)), &b"{}"[..]));
        let reply = read(br#"{"statusCode":200,"body":"e30=","isBase64Encoded":true}"#).unwrap();
        assert_eq!(&reply.body[..], b"{}");
        for bad in
            [&b"[]"[..], b"", br#"{"errorMessage":"x"}"#, br#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#]
        {
            assert_eq!(read(bad).unwrap_err().code, "bad_answer");
        }
    }
}
