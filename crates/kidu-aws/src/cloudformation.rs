//! CloudFormation: stacks by change sets.
//!
//! Calls are synchronous, and no type of the SDK is public. Passing faults and throttling are tried again by the SDK; what
//! remains is a [`CloudFormationError`] that says which permission, credential or name is missing.

mod values;

use std::{
    error::Error as StdError,
    hash::{BuildHasher, RandomState},
};

use aws_sdk_cloudformation::{
    Client,
    types::{Capability, Change as SdkChange, ChangeSetType, Parameter, TemplateStage},
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub use self::values::{Change, ChangeSetDescription, ChangeSetRequest, Event, StackDescription};
use crate::{
    Aws, AwsSettings,
    fault::{self, Facts, Kind, next_page, no_credentials, of_caller},
};

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action}: {reason}")]
pub struct CloudFormationError {
    /// What was attempted, as a verb with its object.
    pub action: String,
    /// Why, and what to do.
    pub reason: String,
}

/// A result whose error is [`CloudFormationError`].
pub type Result<T, E = CloudFormationError> = std::result::Result<T, E>;

/// CloudFormation in a region of an account. Nothing is asked of AWS before the first call.
#[derive(Clone, Debug)]
pub struct CloudFormation {
    client: Client,
    region: String,
}

impl CloudFormation {
    /// With the region and the credentials of the environment.
    ///
    /// # Errors
    /// [`CloudFormationError`] without a region.
    pub fn open() -> Result<Self> {
        let aws = Aws::load_blocking(&AwsSettings::from_environment());
        Self::open_with(&aws.map_err(|e| failed("reach CloudFormation", e))?)
    }

    /// With settings that were loaded before.
    ///
    /// # Errors
    /// [`CloudFormationError`] without a region.
    pub fn open_with(aws: &Aws) -> Result<Self> {
        let Some(region) = aws.region() else {
            let reason = "no AWS region; set AWS_REGION, or `region` of the profile in ~/.aws/config";
            return Err(failed("reach CloudFormation", reason));
        };
        Ok(Self { client: Client::new(aws.sdk()), region: region.to_owned() })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A stack, if there is one that has not been deleted.
    ///
    /// # Errors
    /// [`CloudFormationError`], as of all calls.
    pub fn stack(&self, name: &str) -> Result<Option<StackDescription>> {
        let action = format!("look at stack {name}");
        let request = self.client.describe_stacks().stack_name(name).send();
        let answer = match attempt(&action, request)? {
            Ok(answer) => answer,
            Err(facts) if is_missing(&facts) => return Ok(None),
            Err(facts) => return Err(classify(action, &facts, "cloudformation:DescribeStacks")),
        };
        let Some(stack) = answer.stacks().first() else { return Ok(None) };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Ok(Some(StackDescription {
            status: text(stack.stack_status().map(|s| s.as_str())),
            reason: stack.stack_status_reason().map(str::to_owned),
            parameters: stack
                .parameters()
                .iter()
                .map(|p| (text(p.parameter_key()), text(p.parameter_value())))
                .collect(),
            outputs: stack.outputs().iter().map(|o| (text(o.output_key()), text(o.output_value()))).collect(),
            protected: stack.enable_termination_protection().unwrap_or(false),
        }))
    }

    /// A stack's template as it was given, if the stack is there.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn template(&self, stack: &str) -> Result<Option<String>> {
        let action = format!("read the template of stack {stack}");
        let request = self.client.get_template().stack_name(stack).template_stage(TemplateStage::Original).send();
        match attempt(&action, request)? {
            Ok(answer) => Ok(answer.template_body().map(str::to_owned)),
            Err(facts) if is_missing(&facts) => Ok(None),
            Err(facts) => Err(classify(action, &facts, "cloudformation:GetTemplate")),
        }
    }

    /// Begins to make a change set.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn create_change_set(&self, wanted: &ChangeSetRequest<'_>) -> Result<()> {
        let action = format!("make a change set of stack {}", wanted.stack);
        let parameter = |(name, value): &(String, Option<String>)| {
            let parameter = Parameter::builder().parameter_key(name);
            match value {
                Some(value) => parameter.parameter_value(value).build(),
                None => parameter.use_previous_value(true).build(),
            }
        };
        let request = self
            .client
            .create_change_set()
            .stack_name(wanted.stack)
            .change_set_name(wanted.name)
            .client_token(retry_token(wanted.name))
            .change_set_type(if wanted.create { ChangeSetType::Create } else { ChangeSetType::Update })
            .set_template_body(wanted.template.ok().map(str::to_owned))
            .set_template_url(wanted.template.err().map(str::to_owned))
            .set_parameters(Some(wanted.parameters.iter().map(parameter).collect()))
            .set_role_arn(wanted.role.map(str::to_owned))
            .set_capabilities(Some(wanted.capabilities.iter().map(|c| Capability::from(*c)).collect()))
            .send();
        wait(action, "cloudformation:CreateChangeSet", request).map(drop)
    }

    /// A change set with all its changes, if there is one.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetDescription>> {
        let action = format!("look at change set {name} of stack {stack}");
        let mut set = ChangeSetDescription::default();
        let mut page: Option<String> = None;
        loop {
            let request = self.client.describe_change_set().stack_name(stack).change_set_name(name);
            let answer = match attempt(&action, request.set_next_token(page.clone()).send())? {
                Ok(answer) => answer,
                Err(facts) if is_missing(&facts) => return Ok(None),
                Err(facts) => return Err(classify(action, &facts, "cloudformation:DescribeChangeSet")),
            };
            set.status = answer.status().map(|s| s.as_str().to_owned()).unwrap_or_default();
            set.reason = answer.status_reason().map(str::to_owned);
            set.executable = answer.execution_status().is_some_and(|s| s.as_str() == "AVAILABLE");
            set.changes.extend(answer.changes().iter().filter_map(change));
            page = next_page(page.as_deref(), answer.next_token(), |reason| failed(&action, reason))?;
            if page.is_none() {
                return Ok(Some(set));
            }
        }
    }

    /// Removes a change set.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn delete_change_set(&self, stack: &str, name: &str) -> Result<()> {
        let request = self.client.delete_change_set().stack_name(stack).change_set_name(name).send();
        let action = format!("remove change set {name} of stack {stack}");
        wait(action, "cloudformation:DeleteChangeSet", request).map(drop)
    }

    /// Begins to execute a change set. The same token again begins nothing new. What a first creation makes and then fails
    /// does not stay, whatever its deletion policy, so that it can be tried again.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn execute_change_set(&self, stack: &str, name: &str, token: &str) -> Result<()> {
        let request = self.client.execute_change_set().stack_name(stack).change_set_name(name);
        let action = format!("execute change set {name} of stack {stack}");
        let request = request.client_request_token(token).retain_except_on_create(true).send();
        wait(action, "cloudformation:ExecuteChangeSet", request).map(drop)
    }

    /// Events of a stack since the event `after` (without one, all), oldest first.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn events(&self, stack: &str, after: Option<&str>) -> Result<Vec<Event>> {
        let action = format!("read the events of stack {stack}");
        let mut events = Vec::new();
        let mut page: Option<String> = None;
        'pages: loop {
            let request = self.client.describe_stack_events().stack_name(stack).set_next_token(page.clone());
            let answer = match attempt(&action, request.send())? {
                Ok(answer) => answer,
                Err(facts) if is_missing(&facts) => return Ok(Vec::new()),
                Err(facts) => return Err(classify(action, &facts, "cloudformation:DescribeStackEvents")),
            };
            // Newest first.
            for event in answer.stack_events() {
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                let id = text(event.event_id());
                if after == Some(id.as_str()) {
                    break 'pages;
                }
                events.push(Event {
                    id,
                    logical_id: text(event.logical_resource_id()),
                    kind: text(event.resource_type()),
                    status: text(event.resource_status().map(|s| s.as_str())),
                    reason: event.resource_status_reason().map(str::to_owned),
                });
            }
            page = next_page(page.as_deref(), answer.next_token(), |reason| failed(&action, reason))?;
            if page.is_none() {
                break;
            }
        }
        events.reverse();
        Ok(events)
    }

    /// The newest event of a stack, by one request however long its history is.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn newest_event(&self, stack: &str) -> Result<Option<String>> {
        let action = format!("read the events of stack {stack}");
        match attempt(&action, self.client.describe_stack_events().stack_name(stack).send())? {
            Ok(answer) => Ok(answer.stack_events().first().and_then(|e| e.event_id()).map(str::to_owned)),
            Err(facts) if is_missing(&facts) => Ok(None),
            Err(facts) => Err(classify(action, &facts, "cloudformation:DescribeStackEvents")),
        }
    }

    /// Begins to delete a stack, by a role or by that which made it.
    ///
    /// # Errors
    /// [`CloudFormationError`].
    pub fn delete_stack(&self, name: &str, token: &str, role: Option<&str>) -> Result<()> {
        let request = self.client.delete_stack().stack_name(name).client_request_token(token);
        let request = request.set_role_arn(role.map(str::to_owned)).send();
        wait(format!("delete stack {name}"), "cloudformation:DeleteStack", request).map(drop)
    }
}

/// A token of one call: when an answer is lost, the SDK's second attempt is known to be the same request, while a change
/// set of that name that was removed can be made again.
fn retry_token(name: &str) -> String {
    format!("{name}-{:016x}", RandomState::new().hash_one(name))
}

fn change(change: &SdkChange) -> Option<Change> {
    let change = change.resource_change()?;
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Some(Change {
        action: text(change.action().map(|a| a.as_str())),
        logical_id: text(change.logical_resource_id()),
        kind: text(change.resource_type()),
        replacement: change.replacement().map(|r| r.as_str().to_owned()),
        policy: change.policy_action().map(|p| p.as_str().to_owned()),
    })
}

fn failed(action: impl Into<String>, reason: impl ToString) -> CloudFormationError {
    CloudFormationError { action: action.into(), reason: reason.to_string() }
}

fn wait<T, E>(
    action: String,
    permission: &str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
) -> Result<T>
where
    T: Send,
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    attempt(&action, request)?.map_err(|facts| classify(action, &facts, permission))
}

fn attempt<T, E>(
    action: &str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
) -> Result<Result<T, Facts>>
where
    T: Send,
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    fault::ask(request).map_err(|e| failed(action, format!("the system gives no threads ({e})")))
}

/// CloudFormation has a code of its own for change sets only.
fn is_missing(facts: &Facts) -> bool {
    let missing = facts.message.contains("does not exist") || facts.message.contains("not found");
    facts.kind == Kind::Answered && (facts.code == "ChangeSetNotFound" || (facts.code == "ValidationError" && missing))
}

fn classify(action: String, facts: &Facts, permission: &str) -> CloudFormationError {
    let told = facts.told();
    if let Some(remedy) = of_caller(facts) {
        return failed(action, format!("{told}; {remedy}"));
    }
    let reason = match (facts.kind, facts.code.as_str()) {
        (Kind::Credentials, _) => no_credentials(&facts.message),
        (Kind::Connection, _) => format!("{told}; it was tried several times, try again later"),
        (_, "AccessDenied" | "AccessDeniedException") => {
            format!("{told}; allow {permission} in the policy of the user or role")
        }
        (_, "InsufficientCapabilitiesException") => format!("{told}; this is a fault of kidu-infra"),
        (_, "Throttling" | "ThrottlingException") => format!("{told}; try again later"),
        (_, "LimitExceededException") => format!("{told}; ask for more in the console under Service Quotas"),
        _ => told,
    };
    CloudFormationError { action, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_a_token_of_its_own_that_aws_takes() {
        let [one, two] = [(); 2].map(|()| retry_token("kidu-0123456789abcdef"));
        assert_ne!(one, two);
        // CloudFormation's pattern: a letter or digit first, then also `-`, 128 at most.
        assert!(one.len() <= 128 && one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{one}");
    }

    #[test]
    fn faults_say_what_to_do() {
        let fault = |code: &str, message: &str| Facts {
            code: code.into(),
            message: message.into(),
            status: 400,
            ..Facts::default()
        };
        let told = |facts: &Facts| classify("delete stack x".into(), facts, "cloudformation:DeleteStack").to_string();
        assert!(told(&fault("AccessDenied", "no")).contains("allow cloudformation:DeleteStack"));
        assert!(told(&fault("ExpiredToken", "")).contains("sign in again"));
        assert!(told(&Facts { kind: Kind::Credentials, ..Facts::default() }).contains("AWS_PROFILE"));
        assert!(is_missing(&fault("ValidationError", "Stack with id x does not exist")));
        assert!(is_missing(&fault("ChangeSetNotFound", "ChangeSet [x] does not exist")));
        assert!(!is_missing(&fault("ValidationError", "Template format error")));
    }
}
