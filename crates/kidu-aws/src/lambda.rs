//! Invoking Lambda functions.

use std::time::Duration;

use aws_sdk_lambda::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    error::SdkError,
    operation::invoke::{InvokeError as SdkInvokeError, InvokeOutput},
    primitives::Blob,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::Value;

use crate::{
    Aws,
    fault::{Facts, Kind},
};

/// The most bytes of a synchronous invocation's event, and of its answer.
pub const MAX_PAYLOAD: usize = 6_291_456;

/// Why a function did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// Too many invocations at a time.
    #[error("Lambda function {function} is throttled: {reason}; raise its concurrency, or ask less at a time")]
    Throttled {
        /// The function.
        function: String,
        /// What AWS told.
        reason: String,
    },
    /// It may succeed another time: the network, or a fault of AWS.
    #[error("Lambda function {function} did not answer: {reason}")]
    Transient {
        /// The function.
        function: String,
        /// What happened.
        reason: String,
    },
    /// The function itself failed: an exception, no memory, no time left.
    #[error("Lambda function {function} failed: {reason}; its log group has more")]
    Function {
        /// The function.
        function: String,
        /// Type and message of its error.
        reason: String,
    },
    /// The event is larger than AWS takes.
    #[error("the event for Lambda function {function} has {bytes} bytes; AWS takes {MAX_PAYLOAD}")]
    TooLarge {
        /// The function.
        function: String,
        /// Bytes of the event.
        bytes: usize,
    },
    /// There is no such function, it may not be invoked, or credentials or region are missing.
    #[error("Lambda function {function} cannot be invoked: {reason}")]
    Setup {
        /// The function.
        function: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// A function, by name, ARN, or `name:alias`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LambdaFunction {
    client: Client,
    name: String,
}

impl LambdaFunction {
    /// A function. Nothing is asked of AWS yet. An invocation is never repeated here: the caller decides. `timeout`
    /// bounds one, cold start included.
    ///
    /// # Errors
    /// [`InvokeError::Setup`] without a region.
    pub fn new(aws: &Aws, name: impl Into<String>, timeout: Duration) -> Result<Self, InvokeError> {
        let name = name.into();
        // An ARN names its region itself, but the request goes to the configured one all the same.
        if aws.region().is_none() {
            let reason = "no AWS region; set AWS_REGION, or `region` of the profile in ~/.aws/config".into();
            return Err(InvokeError::Setup { function: name, reason });
        }
        let config = Builder::from(aws.sdk())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .read_timeout(timeout)
                    .operation_timeout(timeout)
                    .build(),
            )
            .build();
        Ok(Self { client: Client::from_conf(config), name })
    }

    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Invokes the function with an event, which must be JSON, and waits for its answer.
    ///
    /// # Errors
    /// [`InvokeError`].
    pub async fn invoke(&self, event: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        if event.len() > MAX_PAYLOAD {
            return Err(InvokeError::TooLarge { function: self.name.clone(), bytes: event.len() });
        }
        let sent = self.client.invoke().function_name(&self.name).payload(Blob::new(event)).send().await;
        let output = sent.map_err(|e| self.classify(&e))?;
        self.answer(output)
    }

    fn answer(&self, output: InvokeOutput) -> Result<Vec<u8>, InvokeError> {
        let failed = output.function_error().map(str::to_owned);
        let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
        match failed {
            None => Ok(payload),
            Some(kind) => Err(InvokeError::Function { function: self.name.clone(), reason: told(&kind, &payload) }),
        }
    }

    fn classify(&self, error: &SdkError<SdkInvokeError, HttpResponse>) -> InvokeError {
        classify(&self.name, &Facts::of(error))
    }
}

/// `{"errorType", "errorMessage"}` of a failed function, without its stack.
fn told(kind: &str, payload: &[u8]) -> String {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let part = |key: &str| value.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    let text = match (part("errorType"), part("errorMessage")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (None, Some(message)) => message.to_owned(),
        _ => kind.to_owned(),
    };
    text.chars().take(300).collect()
}

fn classify(name: &str, facts: &Facts) -> InvokeError {
    let function = name.to_owned();
    let reason = facts.told();
    let setup = |reason: String| InvokeError::Setup { function: function.clone(), reason };
    match facts.kind {
        Kind::Credentials => {
            return setup(format!(
                "no AWS credentials ({}); `aws sts get-caller-identity` shows who you are",
                facts.message
            ));
        }
        Kind::Request => return setup(reason),
        Kind::Connection => return InvokeError::Transient { function, reason },
        Kind::Answered => {}
    }
    match (facts.code.as_str(), facts.status) {
        (_, 429) | ("TooManyRequestsException" | "ThrottlingException" | "EC2ThrottledException", _) => {
            InvokeError::Throttled { function, reason }
        }
        ("RequestTooLargeException", _) | (_, 413) => setup(format!("{reason}; send less")),
        ("ResourceNotFoundException", _) | (_, 404) => setup(format!(
            "{reason}; check name, alias and region with `aws lambda get-function --function-name {name}`"
        )),
        (_, 401 | 403) => {
            setup(format!("{reason}; allow lambda:InvokeFunction on it in the policy of the user or role"))
        }
        // A function that is being changed, or whose machine is not up yet.
        ("ResourceConflictException" | "ResourceNotReadyException" | "SnapStartNotReadyException", _)
        | (_, 500..=599) => InvokeError::Transient { function, reason },
        _ => setup(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str, status: u16) -> InvokeError {
        classify("kidu:live", &Facts { code: code.into(), message: "so".into(), status, ..Facts::default() })
    }

    #[test]
    fn faults_are_told_apart() {
        for (code, status) in [("TooManyRequestsException", 429), ("", 429)] {
            assert!(matches!(answer(code, status), InvokeError::Throttled { .. }));
        }
        for (code, status) in [("ServiceException", 500), ("", 503), ("ResourceConflictException", 409)] {
            assert!(matches!(answer(code, status), InvokeError::Transient { .. }), "{code}");
        }
        assert!(answer("ResourceNotFoundException", 404).to_string().contains("get-function"));
        assert!(answer("AccessDeniedException", 403).to_string().contains("lambda:InvokeFunction"));
        let lost = Facts { kind: Kind::Connection, ..Facts::default() };
        assert!(matches!(classify("f", &lost), InvokeError::Transient { .. }));
        let nobody = Facts { kind: Kind::Credentials, ..Facts::default() };
        assert!(classify("f", &nobody).to_string().contains("get-caller-identity"));
    }

    #[test]
    fn a_failed_function_says_why_without_its_stack() {
        let payload = br#"{"errorType":"Runtime.OutOfMemory","errorMessage":"no memory","stackTrace":["a"]}"#;
        assert_eq!(told("Unhandled", payload), "Runtime.OutOfMemory: no memory");
        assert_eq!(told("Unhandled", b"?"), "Unhandled");
    }
}
