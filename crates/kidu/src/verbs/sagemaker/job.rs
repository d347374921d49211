//! A training job from the command line's configuration: what `kidu train` and every trial of a search run.

use std::{collections::BTreeMap, path::Path};

use kidu_aws::sagemaker::{Channel, Metric, SageMaker, Spot, TrainingJob};
use kidu_core::run::new_run_id;
use kidu_data::archive::ArchiveKind;
use kidu_models::WeightsSpec;

use super::{installation, not_there};
use crate::{
    Outcome,
    cli::{ConfigArgs, JobArgs, ManifestArgs, RunOutputArgs},
    failure::Failure,
    settings::{Configuration, need, need_root},
    stores, ui,
};

/// SageMaker's limits of hyperparameters.
const MAX_HYPERPARAMETERS: usize = 100;
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 2500;

/// The metrics that the log of a training tells, with the expressions that read them.
pub(super) const METRICS: [(&str, &str); 4] = [
    ("train/loss", r"train loss ([0-9.eE+-]+) acc"),
    ("train/acc", r"train loss [0-9.eE+-]+ acc ([0-9.]+)"),
    ("val/loss", r"val loss ([0-9.eE+-]+) acc"),
    ("val/acc", r"val loss [0-9.eE+-]+ acc ([0-9.]+)"),
];

/// A job that is not started yet.
pub(super) struct Planned {
    pub(super) training: TrainingJob,
    /// The configuration's keys among the hyperparameters.
    pub(super) region: String,
}

/// Refuses what has no counterpart in a job, before anything is asked of AWS.
pub(super) fn check_options(config: &ConfigArgs, dataset: &ManifestArgs, output: &RunOutputArgs) -> Outcome {
    if config.config.is_some() || !config.config_dir.is_empty() || Path::new("configs/train.yaml").is_file() {
        let instead = "the job has the configuration of its image and gets keys; give them as key=value, or put the files \
                       into the image (and start this command where there is no configs/train.yaml)";
        return Err(not_there("a configuration of files on this machine", instead));
    }
    if dataset.manifest.is_some() {
        let instead = "give data.root the s3:// folder that `preprocess` or `kidu data split` has written: a manifest in it \
                       is used";
        return Err(not_there("--manifest", instead));
    }
    if output.out.is_some() {
        return Err(not_there("--out", "the job writes below the installation's bucket of artifacts"));
    }
    Ok(())
}

/// The job of a configuration.
pub(super) fn plan(
    sagemaker: &SageMaker,
    configuration: &Configuration,
    config: &ConfigArgs,
    arguments: &JobArgs,
) -> Outcome<Planned> {
    let root = need_root(&configuration.settings.data)?;
    if stores::s3_uri(root)?.is_none() {
        return Err(Failure::usage(format!(
            "data.root={}: a job in SageMaker reads its images in S3; upload them first, as with `aws s3 sync {} \
             s3://BUCKET/dataset/`",
            root.display(),
            root.display()
        )));
    }
    let weights = &need(&configuration.settings.model, "model")?.weights;
    if let WeightsSpec::File(path) = weights
        && stores::s3_uri(path)?.is_none()
    {
        return Err(Failure::usage(format!(
            "model.weights={}: the job cannot read a file of this machine; upload it and give its s3:// address",
            path.display()
        )));
    }
    if !(arguments.max_hours > 0.0 && arguments.max_hours <= 28.0 * 24.0) {
        return Err(Failure::usage(format!("--max-hours {}: give hours above 0, at most 672", arguments.max_hours)));
    }
    let settings = installation(sagemaker, &arguments.installation)?;
    let environment = settings.environment();
    let own_role = environment.roles.get("train").cloned().unwrap_or_default();
    if arguments.role_arn.is_none() && !reads(root, &environment.artifacts_bucket) {
        ui::note(format!(
            "note: the role {own_role} reads datasets that `preprocess` has written (s3://{}/{}/*/preprocess/dataset/) and \
             nothing else; for other places give a role with --role-arn",
            environment.artifacts_bucket, environment.prefix
        ));
    }
    // Digits only: names of tuning jobs have at most 32 characters.
    let name = arguments.job_name.clone().unwrap_or_else(|| format!("kidu-{}", new_run_id().replace(['-', '_'], "")));
    let place = format!("s3://{}/{}/{name}", environment.artifacts_bucket, environment.prefix);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be above 0 and small")]
    let max_seconds = (arguments.max_hours * 3600.0).ceil() as u32;
    let wait = environment.instances.waiting_seconds.saturating_sub(environment.instances.training_seconds);
    let training = TrainingJob {
        name,
        image: environment.image,
        command: Vec::new(),
        hyperparameters: hyperparameters(&config.overrides)?,
        environment: BTreeMap::from([("KIDU_PROGRESS".to_string(), "plain".to_string())]),
        role_arn: arguments.role_arn.clone().unwrap_or(own_role),
        channels: vec![Channel { name: "dataset".into(), uri: channel_uri(root) }],
        output: format!("{place}/train"),
        key: Some(environment.key),
        // Where the training role may write checkpoints; see the stack `foundation`.
        checkpoints: Some(format!("{place}/preprocess/dataset-checkpoints/train")),
        tensorboard: Some(format!("{place}/train/tensorboard")),
        instance: arguments.training_instance.clone().unwrap_or(environment.instances.training),
        volume_gb: environment.instances.volume_gb,
        max_seconds,
        spot: (!arguments.on_demand).then_some(Spot { max_wait_seconds: max_seconds + wait }),
        metrics: METRICS.map(|(name, regex)| Metric { name: name.into(), regex: regex.into() }).to_vec(),
    };
    Ok(Planned { training, region: sagemaker.region().to_string() })
}

/// Whether the installation's training role may read a place.
fn reads(root: &Path, artifacts: &str) -> bool {
    let root = root.to_string_lossy();
    root.starts_with(&format!("s3://{artifacts}/")) && root.contains("/preprocess/dataset")
}

/// Of a folder the address ends with a slash: without one, S3 would also count what begins with its name.
fn channel_uri(root: &Path) -> String {
    let text = root.to_string_lossy().into_owned();
    match ArchiveKind::of(root).is_some() || text.ends_with('/') {
        true => text,
        false => format!("{text}/"),
    }
}

/// Overrides as hyperparameters. The place of the images is the container's.
fn hyperparameters(overrides: &[String]) -> Outcome<BTreeMap<String, String>> {
    let mut made = BTreeMap::new();
    for text in overrides {
        let pair = text.split_once('=').filter(|(key, _)| !key.starts_with('~'));
        let Some((key, value)) = pair else {
            return Err(not_there(text, "hyperparameters are keys and values; give it as key=value"));
        };
        let key = key.trim();
        if key == "data.root" {
            continue;
        }
        if key.len() > MAX_NAME || value.len() > MAX_VALUE || value.is_empty() {
            return Err(not_there(text, "a name has at most 256 bytes, a value 1 to 2500"));
        }
        if made.insert(key.to_string(), value.to_string()).is_some() {
            return Err(Failure::usage(format!("{key} is given twice; keep one")));
        }
    }
    if made.len() > MAX_HYPERPARAMETERS {
        return Err(not_there("so many keys", "a job has at most 100 hyperparameters"));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_hyperparameters() {
        let given = ["model=resnet18", "data.root=s3://b/x", "trainer.max_epochs=3", "tags=[a,b]"].map(String::from);
        let made = hyperparameters(&given).unwrap();
        let expected = [("model", "resnet18"), ("tags", "[a,b]"), ("trainer.max_epochs", "3")];
        assert_eq!(made.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        for wrong in ["~logger", "seed", "seed="] {
            assert!(
                hyperparameters(&[wrong.to_string()]).unwrap_err().to_string().contains("--on sagemaker"),
                "{wrong}"
            );
        }
        let twice = ["seed=1", "seed=2"].map(String::from);
        assert!(hyperparameters(&twice).unwrap_err().to_string().contains("given twice"));
    }

    #[test]
    fn a_folder_is_named_as_one() {
        assert_eq!(channel_uri(Path::new("s3://b/data")), "s3://b/data/");
        assert_eq!(channel_uri(Path::new("s3://b/data/")), "s3://b/data/");
        assert_eq!(channel_uri(Path::new("s3://b/data.zip")), "s3://b/data.zip");
        assert!(reads(Path::new("s3://kidu-artifacts-1-r/kidu/e1/preprocess/dataset"), "kidu-artifacts-1-r"));
        assert!(!reads(Path::new("s3://kidu-raw-1-r/dataset/x.zip"), "kidu-artifacts-1-r"));
    }
}
