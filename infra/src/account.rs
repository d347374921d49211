//! The account behind the environment's credentials.

use std::{thread, time::Duration};

use kidu_aws::{
    Aws, AwsSettings, S3Store,
    cloudformation::{ChangeSetRequest, CloudFormation, CloudFormationError},
};
use kidu_core::store::{ObjectStore, ObjectUri, PutOptions};
use kidu_infra::deploy::{
    Account, CallError, ChangeSet, DeployedStack, NewChangeSet, ResourceChange, StackEvent, TemplateSource,
};

/// Between two looks at an operation.
const PAUSE: Duration = Duration::from_secs(3);

/// CloudFormation and S3 of an account.
pub(crate) struct AwsAccount {
    aws: Aws,
    formation: CloudFormation,
    pause: Duration,
}

impl AwsAccount {
    /// With the region (or another) and the credentials of the environment.
    pub(crate) fn open(region: Option<&str>) -> anyhow::Result<Self> {
        let mut settings = AwsSettings::from_environment();
        if let Some(region) = region {
            settings = settings.with_region(region);
        }
        let aws = Aws::load_blocking(&settings)?;
        // An emulator answers at once.
        let pause = if std::env::var_os("AWS_ENDPOINT_URL").is_some() { Duration::from_millis(50) } else { PAUSE };
        Ok(Self { formation: CloudFormation::open_with(&aws)?, aws, pause })
    }

    /// The region.
    pub(crate) fn region(&self) -> &str {
        self.formation.region()
    }
}

type Called<T> = Result<T, CallError>;

fn told(error: CloudFormationError) -> CallError {
    CallError(error.to_string())
}

impl Account for AwsAccount {
    fn stack(&self, name: &str) -> Called<Option<DeployedStack>> {
        let stack = self.formation.stack(name).map_err(told)?;
        Ok(stack.map(|s| DeployedStack {
            status: s.status,
            reason: s.reason,
            parameters: s.parameters,
            outputs: s.outputs,
            protected: s.protected,
        }))
    }

    fn template(&self, stack: &str) -> Called<Option<String>> {
        self.formation.template(stack).map_err(told)
    }

    fn create_change_set(&self, wanted: &NewChangeSet<'_>) -> Called<()> {
        let request = ChangeSetRequest {
            stack: wanted.stack,
            name: wanted.name,
            create: wanted.create,
            template: match wanted.template {
                TemplateSource::Body(text) => Ok(text),
                TemplateSource::Url(url) => Err(url),
            },
            parameters: wanted.parameters,
            capabilities: wanted.capabilities,
            role: wanted.role,
        };
        self.formation.create_change_set(&request).map_err(told)
    }

    fn change_set(&self, stack: &str, name: &str) -> Called<Option<ChangeSet>> {
        let set = self.formation.change_set(stack, name).map_err(told)?;
        let change = |c: kidu_aws::cloudformation::Change| ResourceChange {
            action: c.action,
            logical_id: c.logical_id,
            kind: c.kind,
            replacement: c.replacement,
            policy: c.policy,
        };
        Ok(set.map(|s| ChangeSet {
            status: s.status,
            reason: s.reason,
            executable: s.executable,
            changes: s.changes.into_iter().map(change).collect(),
        }))
    }

    fn delete_change_set(&self, stack: &str, name: &str) -> Called<()> {
        self.formation.delete_change_set(stack, name).map_err(told)
    }

    fn execute(&self, stack: &str, name: &str, token: &str) -> Called<()> {
        self.formation.execute_change_set(stack, name, token).map_err(told)
    }

    fn events(&self, stack: &str, after: Option<&str>) -> Called<Vec<StackEvent>> {
        let events = self.formation.events(stack, after).map_err(told)?;
        let event = |e: kidu_aws::cloudformation::Event| StackEvent {
            id: e.id,
            logical_id: e.logical_id,
            kind: e.kind,
            status: e.status,
            reason: e.reason,
        };
        Ok(events.into_iter().map(event).collect())
    }

    fn newest_event(&self, stack: &str) -> Called<Option<String>> {
        self.formation.newest_event(stack).map_err(told)
    }

    fn delete_stack(&self, name: &str, token: &str, role: Option<&str>) -> Called<()> {
        self.formation.delete_stack(name, token, role).map_err(told)
    }

    fn upload(&self, bucket: &str, key: &str, text: &str) -> Called<String> {
        let wrong = |e: &dyn std::fmt::Display| CallError(format!("cannot write the template to bucket {bucket}: {e}"));
        let place: ObjectUri = format!("s3://{bucket}").parse().map_err(|e: kidu_core::store::StoreError| wrong(&e))?;
        let store = S3Store::open_with(&self.aws, &place).map_err(|e| wrong(&e))?;
        store.put_bytes(key, text.as_bytes(), &PutOptions::default()).map_err(|e| wrong(&e))?;
        let suffix = if self.region().starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(format!("https://{bucket}.s3.{}.{suffix}/{key}", self.region()))
    }

    fn pause(&self) {
        thread::sleep(self.pause);
    }
}
