//! What synthesis is told.

use std::collections::BTreeMap;

use serde_json::json;

use super::names::{JOB_ROLES, PROJECT_PREFIX, fill, template};
use crate::{
    error::{Error, Result},
    sagemaker::{Environment, Instances},
};

/// What synthesis is told. The templates do not depend on the account and region; the pipeline definition as a file does,
/// because `update-pipeline` takes no parameters. Without them it keeps their holes, as in the template.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The installation's name.
    pub foundation: String,
    /// The project's name.
    pub project: String,
    /// The account, for the definition.
    pub account: Option<String>,
    /// The region, for the definition.
    pub region: Option<String>,
    /// The tag of the images; tags are immutable.
    pub image_tag: Option<String>,
    /// Keys of the configuration in the definition, as `experiment=transfer`; each reaches the steps that it concerns.
    pub overrides: Vec<String>,
    /// The machines.
    pub instances: Instances,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            foundation: "kidu".into(),
            project: "kidu".into(),
            account: None,
            region: None,
            image_tag: None,
            overrides: Vec::new(),
            instances: Instances::default(),
        }
    }
}

impl Settings {
    /// Checks what would otherwise be found by CloudFormation, or be written into a document unseen.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn validate(&self) -> Result<()> {
        let name = |t: &str| {
            let rest = t.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            rest && t.starts_with(|c: char| c.is_ascii_lowercase()) && (2..=21).contains(&t.len())
        };
        let told = "2 to 21 lower-case letters, digits and hyphens, a letter first";
        require("--foundation", Some(&self.foundation), name, told)?;
        require("--project", Some(&self.project), name, told)?;
        let digits = |t: &str| t.len() == 12 && t.chars().all(|c| c.is_ascii_digit());
        require("--account", self.account.as_ref(), digits, "12 digits")?;
        let region = |t: &str| {
            let words: Vec<&str> = t.split('-').collect();
            words.len() >= 3 && words.iter().all(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric()))
        };
        require("--region", self.region.as_ref(), region, "a region such as eu-central-1")?;
        let tag = |t: &str| {
            let rest = t.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            (1..=128).contains(&t.len()) && rest && t != "latest"
        };
        require("--image-tag", self.image_tag.as_ref(), tag, "a version; 'latest' would name another image tomorrow")?;
        let argument = |t: &str| t.contains('=') && !t.contains(['$', '"', '\\']) && t.len() <= 256;
        self.overrides.iter().try_for_each(|o| {
            require("--set", Some(o), argument, "key=value of the configuration, without $, quotes and backslashes")
        })
    }

    /// The environment of the definition that is written as a file, and of jobs that are started by hand.
    pub fn environment(&self) -> Environment {
        self.templated().map(|text| self.filled(text))
    }

    /// The name of the project's SageMaker pipeline.
    pub fn pipeline_name(&self) -> String {
        format!("{}-build", self.project)
    }

    /// The role that starts the pipeline's jobs.
    pub fn pipeline_role_arn(&self) -> String {
        self.filled(&template::role_arn("pipeline"))
    }

    fn filled(&self, text: &str) -> String {
        let mut values =
            vec![("Foundation", self.foundation.as_str()), ("SageMakerProjectName", self.project.as_str())];
        values.extend(self.account.as_deref().map(|a| ("AWS::AccountId", a)));
        if let Some(region) = self.region.as_deref() {
            values.extend([
                ("AWS::Region", region),
                ("AWS::URLSuffix", suffix(region)),
                ("AWS::Partition", partition(region)),
            ]);
        }
        values.extend(self.image_tag.as_deref().map(|t| ("ImageTag", t)));
        fill(text, &values)
    }

    /// The environment of the definition inside a template: every name with its holes.
    pub(crate) fn templated(&self) -> Environment {
        let image = format!("{}:${{ImageTag}}", template::repository("job"));
        let raw = template::bucket("raw");
        Environment {
            artifacts_bucket: template::bucket("artifacts"),
            prefix: PROJECT_PREFIX.into(),
            key: template::KEY_ALIAS.into(),
            inference_image: image.clone(),
            image,
            code_version: "${ImageTag}".into(),
            roles: JOB_ROLES.map(|(step, job)| (step.to_string(), template::role_arn(job))).into(),
            instances: self.instances.clone(),
            config_arguments: self.overrides.clone(),
            defaults: BTreeMap::from([
                ("InputDatasetZip".to_string(), json!(format!("s3://{raw}/dataset/"))),
                ("ModelPackageGroupName".to_string(), json!("${SageMakerProjectName}")),
            ]),
        }
    }
}

fn require(option: &'static str, value: Option<&String>, is: impl Fn(&str) -> bool, reason: &str) -> Result<()> {
    match value {
        Some(value) if !is(value) => Err(Error::Option { option, value: value.clone(), reason: reason.into() }),
        _ => Ok(()),
    }
}

fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn partition(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

impl Environment {
    /// With every text changed.
    fn map(self, change: impl Fn(&str) -> String) -> Self {
        let default = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => json!(change(&text)),
            other => other,
        };
        Self {
            artifacts_bucket: change(&self.artifacts_bucket),
            prefix: change(&self.prefix),
            key: change(&self.key),
            image: change(&self.image),
            inference_image: change(&self.inference_image),
            code_version: change(&self.code_version),
            roles: self.roles.into_iter().map(|(step, role)| (step, change(&role))).collect(),
            defaults: self.defaults.into_iter().map(|(name, value)| (name, default(value))).collect(),
            ..self
        }
    }
}
