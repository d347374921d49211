//! What each stage deploys, as CloudFormation reads it beside the template: the latest approved model and an image.

use kidu_pipeline::{ModelRecord, Status};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// The stages.
pub const STAGES: [&str; 2] = ["staging", "production"];

/// What the stages have in common.
#[derive(Clone, Debug)]
pub struct DeployConfig<'a> {
    /// The project's name.
    pub project: &'a str,
    /// The Lambda image, by digest.
    pub image: &'a str,
    /// `arm64` or `x86_64`: what the image was built for.
    pub architecture: &'a str,
    /// The digest of the bundle that the version's evaluation is of, where it names one.
    pub bundle_sha256: Option<&'a str>,
    /// The key of logs and environment.
    pub key_arn: Option<&'a str>,
    /// The topic of alarms.
    pub alerts_topic_arn: Option<&'a str>,
    /// The installation whose boundary the stages' roles get.
    pub installation: Option<&'a str>,
    /// Parameters of one's own, `NAME=VALUE`, which beat the others.
    pub parameters: &'a [(String, String)],
}

impl DeployConfig<'_> {
    /// Whether a version can be deployed with it.
    ///
    /// # Errors
    /// [`Error::Option`] for a version that is not approved or lies on this machine, an image without a digest, and an
    /// architecture that Lambda does not have.
    pub fn check(&self, version: &ModelRecord) -> Result<()> {
        let refuse = |option, value: &str, reason: &str| {
            Err(Error::Option { option, value: value.into(), reason: reason.into() })
        };
        let name = format!("{}/{}", version.group, version.version);
        if version.status != Status::Approved {
            return refuse("version", &name, "it is not approved; approve it first with `kidu model approve`");
        }
        if !version.bundle.starts_with("s3://") {
            let reason =
                "its bundle lies on this machine, where the function cannot read it; register it with --on sagemaker";
            return refuse("version", &name, reason);
        }
        let digest = self.image.rsplit_once("@sha256:").map(|(_, digest)| digest);
        if !digest.is_some_and(|d| d.len() == 64 && d.chars().all(|c| c.is_ascii_hexdigit())) {
            let reason =
                "name the image by its digest, as in ACCOUNT.dkr.ecr.REGION.amazonaws.com/kidu/lambda@sha256:...";
            return refuse("--image", self.image, reason);
        }
        match ["arm64", "x86_64"].contains(&self.architecture) {
            true => Ok(()),
            false => refuse("--architecture", self.architecture, "arm64 or x86_64"),
        }
    }
}

/// The files of the stages by name (`staging.json`, `production.json`): parameters of the template `inference`.
///
/// # Errors
/// Those of [`DeployConfig::check`].
pub fn deploy_config(version: &ModelRecord, config: &DeployConfig<'_>) -> Result<Vec<(String, Value)>> {
    config.check(version)?;
    Ok(STAGES.iter().map(|stage| (format!("{stage}.json"), stage_config(stage, version, config))).collect())
}

fn stage_config(stage: &str, version: &ModelRecord, config: &DeployConfig<'_>) -> Value {
    let fixed = [
        ("SageMakerProjectName", Some(config.project)),
        ("StageName", Some(stage)),
        ("ModelBinaryLocation", Some(version.bundle.as_str())),
        ("BundleSha256", config.bundle_sha256),
        ("ImageUri", Some(config.image)),
        ("Architecture", Some(config.architecture)),
        ("KmsKeyArn", config.key_arn),
        ("AlertsTopicArn", config.alerts_topic_arn),
        ("Installation", config.installation),
    ];
    let mut parameters = Map::new();
    for (name, value) in fixed {
        value.map(|value| parameters.insert(name.into(), json!(value)));
    }
    for (name, value) in config.parameters {
        parameters.insert(name.clone(), json!(value));
    }
    json!({ "Parameters": parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> ModelRecord {
        ModelRecord {
            group: "kidu".into(),
            version: 3,
            status: Status::Approved,
            bundle: "s3://artifacts/kidu/e1/train/job/output/model.tar.gz".into(),
            ..ModelRecord::default()
        }
    }

    fn config<'a>(image: &'a str, parameters: &'a [(String, String)]) -> DeployConfig<'a> {
        DeployConfig {
            project: "kidu",
            image,
            architecture: "arm64",
            bundle_sha256: Some("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            key_arn: Some("arn:aws:kms:eu-west-1:111122223333:key/k"),
            alerts_topic_arn: None,
            installation: Some("kidu"),
            parameters,
        }
    }

    /// Every parameter is one of the template's, and every one that has no default is given.
    #[test]
    fn the_parameters_are_those_of_the_template() {
        let image = format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/kidu/lambda@sha256:{}", "a".repeat(64));
        let own = [("MemorySize".to_string(), "3008".to_string())];
        let files = deploy_config(&version(), &config(&image, &own)).unwrap();
        let assembly = crate::synth(&crate::Settings::default()).unwrap();
        let template = &assembly.stack("inference").unwrap().template;
        for (stage, (name, file)) in STAGES.iter().zip(&files) {
            assert_eq!(*name, format!("{stage}.json"));
            let given = file["Parameters"].as_object().unwrap();
            assert_eq!((&given["StageName"], &given["MemorySize"]), (&json!(stage), &json!("3008")));
            assert_eq!(given["ModelBinaryLocation"], version().bundle.as_str());
            for (parameter, declared) in template.section("Parameters") {
                assert!(given.contains_key(parameter) || declared.get("Default").is_some(), "{parameter}");
            }
            for parameter in given.keys() {
                assert!(template.section("Parameters").any(|(name, _)| name == parameter), "{parameter}");
            }
        }
    }

    #[test]
    fn what_must_not_be_deployed_is_refused() {
        let image = format!("x@sha256:{}", "a".repeat(64));
        let says = |version: &ModelRecord, image: &str, expected: &str| {
            let error = deploy_config(version, &config(image, &[])).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        says(&ModelRecord { status: Status::PendingManualApproval, ..version() }, &image, "not approved");
        says(&ModelRecord { bundle: "registry/kidu/versions/3/bundle".into(), ..version() }, &image, "on this machine");
        says(&version(), "kidu/lambda:v1", "by its digest");
    }
}
