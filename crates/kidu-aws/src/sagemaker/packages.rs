//! A model package group as a registry of models.

mod record;
mod register;

use aws_sdk_sagemaker::types::{ModelApprovalStatus, ModelPackageSortBy, ModelPackageStatus, SortOrder};
use kidu_pipeline::{
    ModelRecord, ModelRegistry, Status,
    ledger::{check_status_change, entry_text},
    model_registry::decision_text,
    registry::{Receipt, Registration},
};

use super::{
    Result, SageMaker, SageMakerError,
    client::next_page,
    error::{Call, classify, is_missing},
};
use crate::{S3Store, fault::Facts};

/// The longest text that SageMaker keeps of a decision.
const DECISION_LIMIT: usize = 1024;

/// A group of SageMaker's model registry.
#[derive(Clone, Debug)]
pub struct ModelPackages {
    sagemaker: SageMaker,
    group: String,
    publication: Option<Publication>,
    page_size: i32,
}

/// What a registration needs beside the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// `s3://bucket/prefix` that bundles are uploaded below.
    pub place: String,
    /// The image that serves them.
    pub image: String,
    /// Types of machines that they may be served on, the first recommended.
    pub instances: Vec<String>,
}

/// A version as a list tells of it.
#[derive(Clone, Debug)]
struct Summary {
    version: u32,
    arn: String,
    complete: bool,
}

impl ModelPackages {
    /// The group of that name; nothing is asked of AWS yet.
    ///
    /// # Errors
    /// [`SageMakerError::Registry`] for a name that is no group's.
    pub fn open(sagemaker: &SageMaker, group: &str) -> Result<Self> {
        if !kidu_pipeline::registry::is_group(group) {
            return Err(kidu_pipeline::Error::BadGroup { group: group.into() }.into());
        }
        Ok(Self { sagemaker: sagemaker.clone(), group: group.into(), publication: None, page_size: 100 })
    }

    /// With what a registration needs.
    #[must_use]
    pub fn with_publication(mut self, publication: Publication) -> Self {
        self.publication = Some(publication);
        self
    }

    /// With so many versions on a page of a list, 1 to 100.
    #[must_use]
    pub fn with_page_size(mut self, versions: u8) -> Self {
        self.page_size = i32::from(versions.clamp(1, 100));
        self
    }

    /// The versions, newest first: all, or those of a status, up to the first that `enough` accepts.
    fn summaries(&self, status: Option<Status>, enough: impl Fn(&Summary) -> bool) -> Result<Vec<Summary>> {
        let call = Call::new("list", format!("versions of model group {}", self.group), "sagemaker:ListModelPackages");
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self
                .sagemaker
                .client
                .list_model_packages()
                .model_package_group_name(&self.group)
                .set_model_approval_status(status.map(approval))
                .sort_by(ModelPackageSortBy::CreationTime)
                .sort_order(SortOrder::Descending)
                .max_results(self.page_size)
                .set_next_token(token.clone());
            let answer = match self.sagemaker.attempt(&call, request.send())? {
                Ok(answer) => answer,
                // Before the first registration there is no group.
                Err(facts) if is_missing(&facts) => return Ok(Vec::new()),
                Err(facts) => return Err(classify(&call, &facts)),
            };
            for summary in answer.model_package_summary_list() {
                let Some(version) = summary.model_package_version().and_then(|v| u32::try_from(v).ok()) else {
                    continue;
                };
                let complete = matches!(summary.model_package_status(), None | Some(ModelPackageStatus::Completed));
                let arn = summary.model_package_arn().unwrap_or_default().to_owned();
                found.push(Summary { version, arn, complete });
                if found.last().is_some_and(&enough) {
                    return Ok(found);
                }
            }
            // A page may be empty with others to follow.
            token = next_page(&call, token.as_deref(), answer.next_token())?;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    fn describe(&self, version: u32, arn: &str) -> Result<ModelRecord> {
        let (call, request) = self.describing(version, arn);
        let answer = self.sagemaker.wait(&call, request.send())?;
        record::read(&self.group, version, &answer)
    }

    fn describing(
        &self,
        version: u32,
        arn: &str,
    ) -> (Call, aws_sdk_sagemaker::operation::describe_model_package::builders::DescribeModelPackageFluentBuilder) {
        let what = format!("version {version} of model group {}", self.group);
        let call = Call::new("describe", what, "sagemaker:DescribeModelPackage");
        (call, self.sagemaker.client.describe_model_package().model_package_name(arn))
    }

    fn all(&self) -> Result<Vec<ModelRecord>> {
        let mut summaries = self.summaries(None, |_| false)?;
        summaries.sort_by_key(|s| s.version);
        summaries.iter().map(|s| self.describe(s.version, &s.arn)).collect()
    }

    fn one(&self, version: u32) -> Result<ModelRecord> {
        let who = self.sagemaker.identity()?;
        let (partition, account, region) = (who.partition, who.account, self.sagemaker.region());
        let group = self.group.to_lowercase();
        let arn = format!("arn:{partition}:sagemaker:{region}:{account}:model-package/{group}/{version}");
        let (call, request) = self.describing(version, &arn);
        match self.sagemaker.attempt(&call, request.send())? {
            Ok(answer) => record::read(&self.group, version, &answer),
            Err(facts) if is_missing(&facts) => Err(self.unknown(version)?.into()),
            Err(facts) => Err(classify(&call, &facts)),
        }
    }

    fn unknown(&self, version: u32) -> Result<kidu_pipeline::Error> {
        let numbers: Vec<u32> = self.summaries(None, |_| false)?.iter().map(|s| s.version).collect();
        let known = match (numbers.iter().min(), numbers.iter().max()) {
            (Some(first), Some(last)) if first != last => format!("it has versions {first} to {last}"),
            (Some(only), _) => format!("it has version {only} only"),
            _ => format!("it has none in {}; register a bundle first", self.sagemaker.region()),
        };
        Ok(kidu_pipeline::Error::UnknownVersion { group: self.group.clone(), version, known })
    }

    fn newest_approved(&self) -> Result<Option<ModelRecord>> {
        let found = self.summaries(Some(Status::Approved), |s| s.complete)?;
        found.iter().find(|s| s.complete).map(|s| self.describe(s.version, &s.arn)).transpose()
    }

    fn decide(&self, version: u32, to: Status, actor: &str, reason: Option<&str>) -> Result<ModelRecord> {
        let actor = entry_text("actor", actor)?;
        let reason = reason.map(|r| entry_text("reason", r)).transpose()?;
        let known = self.one(version)?;
        check_status_change(&self.group, version, (known.status, to), known.decision.as_deref(), reason.as_deref())?;
        if to == Status::Approved {
            self.require_model(&known)?;
        }
        let decision: String = decision_text(&actor, reason.as_deref()).chars().take(DECISION_LIMIT).collect();
        let what = format!("version {version} of model group {}", self.group);
        let call = Call::new("change", what, "sagemaker:UpdateModelPackage");
        let request = self
            .sagemaker
            .client
            .update_model_package()
            .model_package_arn(known.id.clone().unwrap_or_default())
            .model_approval_status(approval(to))
            .approval_description(decision);
        self.sagemaker.wait(&call, request.send())?;
        self.one(version)
    }

    /// What is approved may be deployed: its model must be there. Who may not look is not kept from approving.
    fn require_model(&self, record: &ModelRecord) -> Result<()> {
        let Some((folder, name)) = kidu_core::store::ObjectUri::parse(&record.bundle).ok().and_then(|u| u.split_last())
        else {
            return Ok(());
        };
        let found = S3Store::open_with(&self.sagemaker.aws, &folder)
            .and_then(|store| kidu_core::store::ObjectStore::head(&store, &name));
        if matches!(found, Ok(None)) {
            return Err(kidu_pipeline::Error::Transition {
                group: self.group.clone(),
                version: record.version,
                reason: format!("cannot be approved: its model {} is not there any more", record.bundle),
            }
            .into());
        }
        Ok(())
    }

    /// Makes the group, if there is none.
    fn ensure_group(&self) -> Result<()> {
        let what = format!("model group {}", self.group);
        let describe = Call::new("describe", &what, "sagemaker:DescribeModelPackageGroup");
        let client = &self.sagemaker.client;
        let asked = client.describe_model_package_group().model_package_group_name(&self.group).send();
        match self.sagemaker.attempt(&describe, asked)? {
            Ok(_) => return Ok(()),
            Err(facts) if is_missing(&facts) => {}
            Err(facts) => return Err(classify(&describe, &facts)),
        }
        let make = Call::new("make", what, "sagemaker:CreateModelPackageGroup");
        let request = client.create_model_package_group().model_package_group_name(&self.group);
        let request = request.model_package_group_description("Versions of a classifier of Kidu");
        let taken = |facts: &Facts| super::error::is_taken(facts);
        match self.sagemaker.attempt(&make, request.send())? {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(facts) if taken(&facts) => Ok(()),
            Err(facts) => Err(classify(&make, &facts)),
        }
    }
}

fn approval(status: Status) -> ModelApprovalStatus {
    ModelApprovalStatus::from(status.name())
}

impl From<SageMakerError> for kidu_pipeline::Error {
    fn from(error: SageMakerError) -> Self {
        match error {
            SageMakerError::Registry(error) => error,
            other => {
                let usage = other.is_usage();
                Self::Remote(Box::new(kidu_pipeline::error::RemoteError::new(other, usage)))
            }
        }
    }
}

impl ModelRegistry for ModelPackages {
    fn group(&self) -> &str {
        &self.group
    }

    fn register(&self, what: &Registration<'_>) -> kidu_pipeline::Result<Receipt> {
        Ok(self.publish(what)?)
    }

    fn records(&self) -> kidu_pipeline::Result<Vec<ModelRecord>> {
        Ok(self.all()?)
    }

    fn record(&self, version: u32) -> kidu_pipeline::Result<ModelRecord> {
        Ok(self.one(version)?)
    }

    fn approve(&self, version: u32, actor: &str, reason: Option<&str>) -> kidu_pipeline::Result<ModelRecord> {
        Ok(self.decide(version, Status::Approved, actor, reason)?)
    }

    fn reject(&self, version: u32, actor: &str, reason: &str) -> kidu_pipeline::Result<ModelRecord> {
        Ok(self.decide(version, Status::Rejected, actor, Some(reason))?)
    }

    fn latest_approved(&self) -> kidu_pipeline::Result<Option<ModelRecord>> {
        Ok(self.newest_approved()?)
    }
}
