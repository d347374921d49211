//! The connection that all calls share.

use std::error::Error as StdError;

use aws_sdk_sagemaker::{Client, primitives::DateTime};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::{date_time::Format, error::metadata::ProvideErrorMetadata};

use super::{
    Result, SageMakerError,
    error::{Call, classify},
};
use crate::{
    Aws, AwsSettings, Identity,
    fault::{self, Facts},
};

/// SageMaker in a region of an account. Cheap to clone; nothing is asked of AWS before the first call.
#[derive(Clone, Debug)]
pub struct SageMaker {
    pub(super) client: Client,
    pub(super) aws: Aws,
    region: String,
}

impl SageMaker {
    /// With the region and the credentials of the environment.
    ///
    /// # Errors
    /// [`SageMakerError::Setup`] without a region.
    pub fn open() -> Result<Self> {
        Self::open_with(&Aws::load_blocking(&AwsSettings::from_environment())?)
    }

    /// With settings that were loaded before.
    ///
    /// # Errors
    /// [`SageMakerError::Setup`] without a region.
    pub fn open_with(aws: &Aws) -> Result<Self> {
        let Some(region) = aws.region() else {
            return Err(SageMakerError::Setup {
                action: "reach",
                what: "SageMaker".into(),
                reason: "no AWS region; set AWS_REGION, or `region` of the profile in ~/.aws/config".into(),
            });
        };
        Ok(Self { client: Client::new(aws.sdk()), aws: aws.clone(), region: region.to_owned() })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account and the user or role that calls, which any credentials may ask for.
    ///
    /// # Errors
    /// [`SageMakerError`].
    pub fn identity(&self) -> Result<Identity> {
        Ok(self.aws.identity()?)
    }

    /// Runs a request to its end.
    pub(super) fn wait<T, E>(
        &self,
        call: &Call,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T>
    where
        T: Send,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.attempt(call, request)?.map_err(|facts| classify(call, &facts))
    }

    /// As [`SageMaker::wait`], with the service's answer to a failed request as facts.
    pub(super) fn attempt<T, E>(
        &self,
        call: &Call,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<Result<T, Facts>>
    where
        T: Send,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        fault::ask(request).map_err(|e| SageMakerError::Setup {
            action: call.action,
            what: call.what.clone(),
            reason: format!("the system gives no threads ({e})"),
        })
    }
}

/// RFC 3339, to the second.
pub(super) fn time(at: Option<&DateTime>) -> Option<String> {
    DateTime::from_secs(at?.secs()).fmt(Format::DateTime).ok()
}

/// What asks for the next page, if there is one.
pub(super) fn next_page(call: &Call, before: Option<&str>, next: Option<&str>) -> Result<Option<String>> {
    fault::next_page(before, next, |reason| SageMakerError::Refused {
        action: call.action,
        what: call.what.clone(),
        reason: reason.into(),
    })
}
