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
            (None, Some(credentials)) => credentials_reason(credentials),
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
    if let Some(remedy) = of_caller(facts) {
        return setup(format!("{told}; {remedy}"));
    }
    match (facts.code.as_str(), facts.status) {
        ("NoSuchBucket", _) => StoreError::NoStore {
            location: format!("bucket {bucket}"),
            reason: "check its name and account, or make it with `aws s3 mb`".into(),
        },
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

/// What to do where AWS does not know who asks: the credentials are wrong or have expired, or the clock is wrong. Services have
/// names of their own for the same things.
pub(crate) fn of_caller(facts: &Facts) -> Option<&'static str> {
    const CLOCK: &str = "the clock of this machine is wrong: set it (`timedatectl set-ntp true`, or `w32tm /resync` on Windows); a \
                         virtual machine that slept may need a restart";
    match facts.code.as_str() {
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Some(CLOCK),
        // A signature holds for some minutes: all but S3 tell a wrong clock as a wrong signature.
        "SignatureDoesNotMatch" | "InvalidSignatureException"
            if ["Signature expired", "Signature not yet current"].iter().any(|s| facts.message.contains(s)) =>
        {
            Some(CLOCK)
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            Some("the credentials have expired: sign in again (`aws sso login`) or renew them")
        }
        "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => {
            Some("the credentials are wrong: check them with `aws sts get-caller-identity`")
        }
        _ => None,
    }
}

/// What asks for the next page, if there is one. One that a server gives again and again would be followed for ever: it makes
/// an error of the reason.
pub(crate) fn next_page<E>(
    before: Option<&str>,
    next: Option<&str>,
    refuse: impl FnOnce(&'static str) -> E,
) -> Result<Option<String>, E> {
    match next.filter(|next| !next.is_empty()) {
        Some(next) if Some(next) == before => Err(refuse("the server gives the same page again and again")),
        next => Ok(next.map(str::to_owned)),
    }
}

/// Why there are no credentials. Where nothing was set up, the SDK lists every place that it looked at.
fn credentials_reason(error: &CredentialsError) -> String {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "none in the environment, the profile, the container or the machine".into()
        }
        other => causes(other),
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
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let signature =
            |code: &str, message: &str| of_caller(&Facts { message: message.into(), ..answer(code, 403) }).unwrap();
        let late =
            "Signature expired: 20261126T080000Z is now earlier than 20261126T085000Z (20261126T090500Z - 15 min.)";
        let early = "Signature not yet current: 20261126T100000Z is still later than 20261126T092000Z";
        for code in ["SignatureDoesNotMatch", "InvalidSignatureException"] {
            for message in [late, early] {
                assert!(signature(code, message).contains("clock"), "{code}: {message}");
            }
            let wrong = "The request signature we calculated does not match the signature you provided.";
            assert!(signature(code, wrong).contains("credentials are wrong"), "{code}");
        }
        assert_eq!(of_caller(&answer("AccessDenied", 403)), None);
    }

    #[test]
    fn a_page_that_comes_again_is_refused() {
        let next = |before, next| next_page(before, next, str::to_owned);
        assert_eq!(next(None, Some("a")), Ok(Some("a".into())));
        assert_eq!(next(Some("a"), Some("b")), Ok(Some("b".into())));
        assert_eq!((next(Some("a"), None), next(Some("a"), Some(""))), (Ok(None), Ok(None)));
        assert!(next(Some("a"), Some("a")).unwrap_err().contains("again and again"));
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
