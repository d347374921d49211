//! Who calls.

use std::time::Duration;

use aws_sdk_sts::config::{Builder, timeout::TimeoutConfig};
use kidu_core::store::{Result, StoreError};

use crate::{
    Aws,
    context::no_threads,
    fault::{self, Action},
};

/// The longest that each attempt takes. STS answers at once or not at all, and who asks wants to know which.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The user or role.
    pub arn: String,
}

impl Aws {
    /// The account and the user or role that calls, which any credentials may ask for.
    ///
    /// # Errors
    /// [`StoreError::Setup`] without region or credentials, [`StoreError::Denied`] for wrong ones, [`StoreError::Transient`]
    /// where AWS does not answer.
    pub fn identity(&self) -> Result<Identity> {
        const WHO: &str = "AWS who calls";
        let action = Action { verb: "ask", permission: "sts:GetCallerIdentity" };
        if self.region().is_none() {
            let reason = "no AWS region; set AWS_REGION, or `region` of the profile in ~/.aws/config".into();
            return Err(StoreError::Setup { action: action.verb, uri: WHO.into(), reason });
        }
        let mut limits = TimeoutConfig::builder().connect_timeout(ATTEMPT).operation_attempt_timeout(ATTEMPT);
        limits.set_operation_timeout(self.sdk().timeout_config().and_then(TimeoutConfig::operation_timeout));
        let client = aws_sdk_sts::Client::from_conf(Builder::from(self.sdk()).timeout_config(limits.build()).build());
        let answer = fault::ask(client.get_caller_identity().send()).map_err(no_threads)?;
        let answer = answer.map_err(|facts| fault::classify(action, "", WHO, &facts))?;
        let arn = answer.arn().unwrap_or_default().to_owned();
        let partition = arn.split(':').nth(1).filter(|p| !p.is_empty()).unwrap_or("aws").to_owned();
        Ok(Identity { account: answer.account().unwrap_or_default().to_owned(), partition, arn })
    }
}
