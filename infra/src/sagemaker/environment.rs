//! Where a definition runs: what the pipeline value does not know.

use std::collections::BTreeMap;

use serde_json::Value;

/// Where a definition runs. Texts may hold `${Name}` for `Fn::Sub` of a template.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The bucket that jobs write into.
    pub artifacts_bucket: String,
    /// The folder in the bucket, without slashes at its ends.
    pub prefix: String,
    /// The key that what jobs write is encrypted with, by its alias. Without one SageMaker would take the account's own of S3,
    /// whatever the bucket's default is.
    pub key: String,
    /// The image whose entry is `kidu`, for jobs.
    pub image: String,
    /// The image that serves, written into registered models.
    pub inference_image: String,
    /// The version of the code, for the place of checkpoints: other code never goes on from them.
    pub code_version: String,
    /// The roles of the jobs, by step; a step without one is an error.
    pub roles: BTreeMap<String, String>,
    /// The machines.
    pub instances: Instances,
    /// Keys of the configuration, as `experiment=transfer`; each reaches the steps that it concerns.
    pub config_arguments: Vec<String>,
    /// Defaults of parameters that depend on the place.
    pub defaults: BTreeMap<String, Value>,
}

/// The machines of the jobs.
#[derive(Clone, Debug)]
pub struct Instances {
    /// The type for work on data.
    pub processing: String,
    /// The type for training.
    pub training: String,
    /// GB of disk.
    pub volume_gb: u32,
    /// The longest a training may run, in seconds.
    pub training_seconds: u32,
    /// The longest it may wait for spot capacity and run, in seconds.
    pub waiting_seconds: u32,
    /// Types on which registered models may serve, the first recommended.
    pub serving: Vec<String>,
}

impl Default for Instances {
    fn default() -> Self {
        Self {
            processing: "ml.m5.xlarge".into(),
            training: "ml.c5.4xlarge".into(),
            volume_gb: 30,
            training_seconds: 4 * 3600,
            waiting_seconds: 6 * 3600,
            serving: ["ml.c6i.large", "ml.c5.large", "ml.m5.large"].map(str::to_string).to_vec(),
        }
    }
}

#[cfg(test)]
impl Environment {
    pub(crate) fn example() -> Self {
        let role = |step: &str| (step.to_string(), format!("arn:aws:iam::111122223333:role/kidu-{step}"));
        Self {
            artifacts_bucket: "artifacts".into(),
            prefix: "kidu".into(),
            key: "alias/kidu".into(),
            image: "111122223333.dkr.ecr.eu-central-1.amazonaws.com/kidu/job:1".into(),
            inference_image: "111122223333.dkr.ecr.eu-central-1.amazonaws.com/kidu/job:1".into(),
            code_version: "1".into(),
            roles: ["preprocess", "train", "evaluate"].map(role).into(),
            instances: Instances::default(),
            config_arguments: Vec::new(),
            defaults: BTreeMap::new(),
        }
    }
}
