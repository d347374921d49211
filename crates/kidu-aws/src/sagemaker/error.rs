//! What can go wrong with SageMaker, and what to do about it.

use kidu_core::store::StoreError;

use crate::fault::{Facts, Kind, no_credentials, of_caller};

/// What can go wrong with SageMaker. Every message says what, why and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SageMakerError {
    /// Credentials, region or clock are missing or wrong.
    #[error("cannot {action} {what}: {reason}")]
    Setup {
        /// What was attempted, as a verb.
        action: &'static str,
        /// What it was attempted with.
        what: String,
        /// What is missing and how to give it.
        reason: String,
    },
    /// AWS knows who asks, and refuses.
    #[error("not allowed to {action} {what}: {reason}")]
    Denied {
        /// What was attempted, as a verb.
        action: &'static str,
        /// What it was attempted with.
        what: String,
        /// AWS's reason and the permission that is missing.
        reason: String,
    },
    /// There is nothing of that name.
    #[error("there is no {what}: {reason}")]
    Missing {
        /// What was asked for.
        what: String,
        /// AWS's reason and the remedy.
        reason: String,
    },
    /// The account may not have so much of it.
    #[error("cannot {action} {what}: {reason}")]
    Quota {
        /// What was attempted, as a verb.
        action: &'static str,
        /// What it was attempted with.
        what: String,
        /// The limit and the remedy.
        reason: String,
    },
    /// Connection, time-out, throttling, an outage. It was tried more than once.
    #[error("cannot {action} {what} at present: {reason}; it was tried several times, try again later")]
    Transient {
        /// What was attempted, as a verb.
        action: &'static str,
        /// What it was attempted with.
        what: String,
        /// The last fault.
        reason: String,
    },
    /// The request is wrong, or what it names is not as it must be (a role, a bucket, an image).
    #[error("cannot {action} {what}: {reason}")]
    Refused {
        /// What was attempted, as a verb.
        action: &'static str,
        /// What it was attempted with.
        what: String,
        /// AWS's reason and the remedy.
        reason: String,
    },
    /// An object could not be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rule of the registry, or a bundle that cannot be used.
    #[error(transparent)]
    Registry(#[from] kidu_pipeline::Error),
}

impl From<kidu_core::Error> for SageMakerError {
    fn from(error: kidu_core::Error) -> Self {
        Self::Registry(error.into())
    }
}

impl SageMakerError {
    /// Whether the cause is what the user asked for or has set up (exit code 2) rather than what happened.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Setup { .. } | Self::Missing { .. } => true,
            Self::Registry(error) => error.is_usage(),
            Self::Store(error) => matches!(error, StoreError::Uri { .. } | StoreError::Setup { .. }),
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transient { .. } => true,
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// A call: what it does, with what, and which permission it needs.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// As a verb ("start").
    pub(super) action: &'static str,
    /// "pipeline kidu-build".
    pub(super) what: String,
    /// The IAM action it needs ("sagemaker:StartPipelineExecution").
    pub(super) permission: &'static str,
}

impl Call {
    pub(super) fn new(action: &'static str, what: impl Into<String>, permission: &'static str) -> Self {
        Self { action, what: what.into(), permission }
    }
}

/// Whether the service says that there is nothing of that name. It has a code of its own for that, and for several calls
/// uses the one of invalid requests all the same.
pub(super) fn is_missing(facts: &Facts) -> bool {
    let message = facts.message.to_ascii_lowercase();
    let says = ["could not find", "does not exist", "not found", "does not correspond to", "unable to find"];
    facts.kind == Kind::Answered
        && (facts.code.starts_with("ResourceNotFound")
            || (facts.code.starts_with("Validation") && says.iter().any(|s| message.contains(s))))
}

/// Whether something of that name is there already.
pub(super) fn is_taken(facts: &Facts) -> bool {
    let message = facts.message.to_ascii_lowercase();
    let says = ["already exist", "must be unique"];
    facts.kind == Kind::Answered
        && (["ConflictException", "ResourceInUse"].contains(&facts.code.as_str())
            || says.iter().any(|s| message.contains(s)))
}

/// The error of a call.
pub(super) fn classify(call: &Call, facts: &Facts) -> SageMakerError {
    let Call { action, what, permission } = call.clone();
    let told = facts.told();
    match facts.kind {
        Kind::Credentials => return SageMakerError::Setup { action, what, reason: no_credentials(&facts.message) },
        Kind::Request => return SageMakerError::Refused { action, what, reason: told },
        Kind::Connection => return SageMakerError::Transient { action, what, reason: told },
        Kind::Answered => {}
    }
    if let Some(remedy) = of_caller(facts) {
        return SageMakerError::Setup { action, what, reason: format!("{told}; {remedy}") };
    }
    match (facts.code.as_str(), facts.status) {
        ("AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired", _) => {
            let reason = format!("{told}; {}", missing_permission(&facts.message, permission));
            SageMakerError::Denied { action, what, reason }
        }
        ("ResourceLimitExceeded" | "ServiceQuotaExceededException" | "LimitExceededException", _) => {
            let remedy = "ask for more in the console under Service Quotas, Amazon SageMaker (which takes hours to days), \
                          wait until other jobs have ended, or choose another type of machine";
            SageMakerError::Quota { action, what, reason: format!("{told}; {remedy}") }
        }
        ("ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded", _)
        | (_, 429 | 500 | 502..=504) => SageMakerError::Transient { action, what, reason: told },
        _ if is_taken(facts) => {
            SageMakerError::Refused { action, what, reason: format!("{told}; choose another name") }
        }
        _ if is_missing(facts) => {
            SageMakerError::Missing { what, reason: format!("{told}; check its name, the region and the account") }
        }
        (_, 403) => {
            let reason = format!("{told}; {}", missing_permission(&facts.message, permission));
            SageMakerError::Denied { action, what, reason }
        }
        _ => SageMakerError::Refused { action, what, reason: format!("{told}{}", remedy(&facts.message)) },
    }
}

/// AWS names the action that was refused, which is not always that of the call: handing on a role is one of its own.
fn missing_permission(message: &str, permission: &str) -> String {
    let named = message.split_once("perform: ").and_then(|(_, rest)| rest.split([' ', ',']).next());
    match named.unwrap_or(permission) {
        "iam:PassRole" => "allow iam:PassRole on that role, with the condition iam:PassedToService \
                           sagemaker.amazonaws.com, in the policy of the user or role"
            .into(),
        action => format!("allow {action} in the policy of the user or role"),
    }
}

/// What to do about the things that a request names and that are not as they must be.
fn remedy(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().all(|w| message.contains(w));
    if has(&["assume", "role"]) || has(&["role", "trust"]) {
        "; the role must exist and trust sagemaker.amazonaws.com (the stack `foundation` makes such roles)"
    } else if has(&["s3", "no objects"]) || has(&["no s3 objects"]) || has(&["s3 prefix"]) {
        "; nothing lies at that place: check it with `aws s3 ls`"
    } else if has(&["bucket"]) {
        "; the bucket must exist, in this region, and the job's role must be allowed to use it"
    } else if has(&["ecr"]) || has(&["image"]) {
        "; the image must have been pushed under that tag, and the job's role must be allowed to pull it"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str, message: &str) -> Facts {
        Facts { code: code.into(), message: message.into(), status: 400, ..Facts::default() }
    }

    fn error(facts: &Facts) -> SageMakerError {
        classify(&Call::new("start", "training job t1", "sagemaker:CreateTrainingJob"), facts)
    }

    #[test]
    fn every_fault_says_what_is_missing_and_what_to_do() {
        let denied = "User: arn:aws:iam::1:user/u is not authorized to perform: sagemaker:CreateTrainingJob on \
                      resource: arn:aws:sagemaker:eu-west-1:1:training-job/t1";
        let pass = "User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on resource: \
                    arn:aws:iam::1:role/kidu-training because no identity-based policy allows the iam:PassRole action";
        let quota = "The account-level service limit 'ml.c5.4xlarge for spot training job usage' is 0 Instances";
        let cases = [
            (answer("AccessDeniedException", denied), "allow sagemaker:CreateTrainingJob"),
            (answer("AccessDeniedException", pass), "iam:PassedToService sagemaker.amazonaws.com"),
            (answer("AccessDeniedException", "no"), "allow sagemaker:CreateTrainingJob"),
            (answer("ResourceLimitExceeded", quota), "Service Quotas"),
            (answer("ValidationException", "Could not assume role arn:x"), "trust sagemaker.amazonaws.com"),
            (answer("ValidationException", "No S3 objects found under S3 URL \"s3://b/x\""), "aws s3 ls"),
            (answer("ValidationException", "S3 bucket b is in another region"), "the bucket must exist"),
            (answer("ValidationException", "Requested image x:1 has no manifest"), "pushed under that tag"),
            (answer("ResourceNotFound", "Pipeline x"), "there is no training job t1"),
            (answer("ValidationException", "Could not find training job 'x'"), "check its name, the region"),
            (answer("ResourceInUse", "Training job names must be unique"), "choose another name"),
            (answer("ThrottlingException", "Rate exceeded"), "try again later"),
            (answer("UnrecognizedClientException", "invalid token"), "get-caller-identity"),
            (answer("ExpiredTokenException", "expired"), "sign in again"),
            (Facts { kind: Kind::Credentials, ..Facts::default() }, "AWS_PROFILE"),
            (Facts { kind: Kind::Connection, message: "refused".into(), ..Facts::default() }, "refused"),
        ];
        for (facts, expected) in cases {
            let message = error(&facts).to_string();
            assert!(message.contains(expected), "{facts:?}: {message}");
            assert!(message.contains("training job t1"), "names what it is about: {message}");
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_transient() {
        assert!(error(&answer("ThrottlingException", "")).is_transient());
        assert!(error(&Facts { status: 503, ..Facts::default() }).is_transient());
        for code in ["AccessDeniedException", "ResourceLimitExceeded", "ValidationException", "ResourceNotFound"] {
            assert!(!error(&answer(code, "x")).is_transient(), "{code}");
        }
        assert!(error(&answer("ResourceNotFound", "x")).is_usage());
        assert!(!error(&answer("ResourceLimitExceeded", "x")).is_usage());
    }
}
