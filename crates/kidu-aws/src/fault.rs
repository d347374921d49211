//! From what the SDK reports to an error that says what to do.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::SdkError},
    http::Headers,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use kidu_core::store::StoreError;

/// What was attempted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action {
    /// As a verb ("read").
    pub(crate) verb: &'static str,
    /// The IAM action it needs ("s3:GetObject").
    pub(crate) permission: &'static str,
}

/// What the classification looks at.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The service's error code; empty without an answer that has one.
    pub(crate) code: String,
    /// The service's sentence, or the innermost cause.
    pub(crate) message: String,
    /// HTTP status; 0 without an answer.
    pub(crate) status: u16,
    /// Where a bucket is, if the service tells.
    pub(crate) region: Option<String>,
    /// For the support of AWS.
    pub(crate) request_id: Option<String>,
    /// Without an answer: why.
    pub(crate) kind: Kind,
}

/// Why a request had no usable answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It had one.
    #[default]
    Answered,
    /// No credentials were found, or they could not be fetched.
    Credentials,
    /// Time-out, connection refused or lost, answer cut off.
    Connection,
    /// It was never sent: something in it is wrong.
    Request,
}

impl Facts {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let headers = error.raw_response().map(HttpResponse::headers);
        let header = |name: &str| headers.and_then(|headers: &Headers| headers.get(name)).map(str::to_owned);
        let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
        let credentials = find::<CredentialsError>(error);
        let kind = match error {
            _ if credentials.is_some() => Kind::Credentials,
            SdkError::ServiceError(_) => Kind::Answered,
            SdkError::ConstructionFailure(_) => Kind::Request,
            SdkError::DispatchFailure(failure) if failure.is_user() => Kind::Request,
            _ => Kind::Connection,
        };
        let message = match (metadata.and_then(|m| m.message()), credentials) {
            (Some(message), _) => message.to_owned(),
            (None, Some(credentials)) => causes(credentials),
            (None, None) => causes(error),
        };
        Self {
            code: metadata.and_then(|m| m.code()).unwrap_or_default().to_owned(),
            message,
            status: error.raw_response().map_or(0, |response| response.status().as_u16()),
            region: header("x-amz-bucket-region"),
            request_id: header("x-amz-request-id").or_else(|| header("x-amzn-requestid")),
            kind,
        }
    }

    /// Whether the service says that there is nothing of that name.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == 404 && !self.is_missing_bucket()
    }

    fn is_missing_bucket(&self) -> bool {
        self.code == "NoSuchBucket"
    }

    /// Whether a condition of the request (`If-Match`, `If-None-Match`) did not hold.
    pub(crate) fn is_condition_failed(&self) -> bool {
        self.status == 412 || self.code == "PreconditionFailed"
    }

    /// Whether another conditional write was under way.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code == "ConditionalRequestConflict"
    }

    /// Whether the caller asked for a range of an object without bytes.
    pub(crate) fn is_empty_range(&self) -> bool {
        self.status == 416
    }

    /// The service's sentence with its code and the request's id.
    pub(crate) fn told(&self) -> String {
        let mut text = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("status {}", self.status),
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        if let Some(id) = &self.request_id {
            text = format!("{text} (request {id})");
        }
        text
    }
}

/// Runs a request to its end; of one that failed, the facts.
///
/// # Errors
/// The system's reason for not giving threads.
#[cfg(any(feature = "s3", feature = "cloudformation"))]
pub(crate) fn ask<T, E>(
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
) -> std::io::Result<Result<T, Facts>>
where
    T: Send,
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    crate::runtime::block_on(async { request.await.map_err(|e| Facts::of(&e)) })
}

/// The error of a call. `bucket` is for faults of the whole store, `uri` for those of an object.
pub(crate) fn classify(action: Action, bucket: &str, uri: &str, facts: &Facts) -> StoreError {
    let Action { verb: action, permission } = action;
    let told = facts.told();
    let uri = uri.to_owned();
    let setup = |reason| StoreError::Setup { action, uri: uri.clone(), reason };
    match facts.kind {
        Kind::Credentials => return setup(no_credentials(&facts.message)),
        Kind::Request => return StoreError::Refused { action, uri, reason: told },
        Kind::Connection => return StoreError::Transient { action, uri, reason: told },
        Kind::Answered => {}
    }
    match (facts.code.as_str(), facts.status) {
        ("NoSuchBucket", _) => StoreError::NoStore {
            location: format!("bucket {bucket}"),
            reason: "check its name and account, or make it with `aws s3 mb`".into(),
        },
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "UnrecognizedClientException", _) => {
            setup(format!("{told}; the credentials are wrong: check them with `aws sts get-caller-identity`"))
        }
        ("ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException", _) => {
            setup(format!("{told}; the credentials have expired: sign in again (`aws sso login`) or renew them"))
        }
        ("RequestTimeTooSkewed" | "RequestExpired", _) => {
            setup(format!("{told}; the clock of this machine is wrong: set it"))
        }
        (
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, 301 | 307) => setup(match &facts.region {
            Some(region) => format!("bucket {bucket} is in the region {region}: set AWS_REGION={region}"),
            None => format!("{told}; bucket {bucket} is in another region: set AWS_REGION to it"),
        }),
        ("InvalidObjectState", _) => StoreError::Refused {
            action,
            uri,
            reason: format!("{told}; the object is archived: restore it first with `aws s3api restore-object`"),
        },
        ("BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch", _) => {
            StoreError::Checksum { uri, expected: "what was sent".into(), found: told }
        }
        (_, 401 | 403) => StoreError::Denied { action, uri, reason: denied(&told, permission, facts) },
        ("SlowDown" | "RequestTimeout" | "ThrottlingException" | "TooManyRequestsException", _)
        | (_, 408 | 429 | 500 | 502..=504) => StoreError::Transient { action, uri, reason: told },
        (_, 404) => StoreError::NotFound { uri },
        _ => StoreError::Refused { action, uri, reason: told },
    }
}

pub(crate) fn no_credentials(reason: &str) -> String {
    format!(
        "no AWS credentials ({reason}); set AWS_PROFILE to a profile of ~/.aws/config and sign in, or set \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine or container a role. \
         `aws sts get-caller-identity` shows who you are"
    )
}

fn denied(told: &str, permission: &str, facts: &Facts) -> String {
    let kms = if facts.message.contains("kms:") { ", and the use of the bucket's KMS key" } else { "" };
    // Without the permission to list, S3 does not tell whether an object is there.
    let missing = match permission {
        "s3:GetObject" => "; an object that is not there looks the same unless s3:ListBucket is allowed too",
        _ => "",
    };
    format!("{told}; allow {permission} on it in the policy of the user or role{kms}{missing}")
}

/// The first cause of a type.
pub(crate) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|e| e.downcast_ref::<T>())
}

/// An error and its causes.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> {
        let e = *e;
        e.source()
    })
}

/// An error's causes in one line, each once.
pub(crate) fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = cause.to_string();
        if !text.is_empty() && !told.iter().any(|earlier| earlier.contains(&text)) {
            told.push(text);
        }
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Action = Action { verb: "read", permission: "s3:GetObject" };

    fn answer(code: &str, status: u16) -> Facts {
        Facts { code: code.into(), message: "told so".into(), status, ..Facts::default() }
    }

    fn message(facts: &Facts) -> String {
        classify(READ, "photos", "s3://photos/a.jpg", facts).to_string()
    }

    #[test]
    fn every_fault_says_what_to_do() {
        let cases = [
            (answer("NoSuchKey", 404), "there is no object s3://photos/a.jpg"),
            (answer("NoSuchBucket", 404), "there is no bucket photos"),
            (answer("AccessDenied", 403), "allow s3:GetObject"),
            (answer("", 403), "s3:ListBucket"),
            (answer("InvalidAccessKeyId", 403), "get-caller-identity"),
            (answer("ExpiredToken", 400), "sign in again"),
            (answer("RequestTimeTooSkewed", 403), "clock"),
            (answer("PermanentRedirect", 301), "set AWS_REGION to it"),
            (Facts { region: Some("eu-west-1".into()), ..answer("", 301) }, "AWS_REGION=eu-west-1"),
            (answer("InvalidObjectState", 403), "restore"),
            (answer("SlowDown", 503), "try again later"),
            (answer("InternalError", 500), "try again later"),
            (answer("BadDigest", 400), "checksum"),
            (answer("InvalidRequest", 400), "InvalidRequest: told so"),
            (Facts { kind: Kind::Credentials, ..Facts::default() }, "AWS_PROFILE"),
            (Facts { kind: Kind::Connection, message: "refused".into(), ..Facts::default() }, "refused"),
        ];
        for (facts, expected) in cases {
            let message = message(&facts);
            assert!(message.contains(expected), "{facts:?}: {message}");
            assert!(message.contains("photos"), "names the place: {message}");
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_transient() {
        let transient = |facts: &Facts| classify(READ, "b", "u", facts).is_transient();
        for (code, status) in [("SlowDown", 503), ("", 500), ("", 502), ("", 429), ("RequestTimeout", 400)] {
            assert!(transient(&answer(code, status)), "{code} {status}");
        }
        for (code, status) in [("AccessDenied", 403), ("NoSuchKey", 404), ("InvalidRequest", 400), ("", 501), ("", 412)]
        {
            assert!(!transient(&answer(code, status)), "{code} {status}");
        }
    }

    #[test]
    fn a_kms_key_and_the_request_are_named() {
        let mut facts = answer("AccessDenied", 403);
        facts.message = "User is not authorized to perform: kms:Decrypt".into();
        facts.request_id = Some("R1".into());
        let message = message(&facts);
        assert!(message.contains("KMS key") && message.contains("request R1"), "{message}");
    }
}
