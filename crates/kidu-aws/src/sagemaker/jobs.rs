//! Training jobs.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, Channel as SdkChannel, CheckpointConfig, DataSource, MetricDefinition, OutputDataConfig,
    ResourceConfig, S3DataDistribution, S3DataSource, S3DataType, StoppingCondition, TensorBoardOutputConfig,
    TrainingInputMode, TrainingInstanceType,
};
use serde::Serialize;

use super::{Result, SageMaker, client::time, error::Call};

/// A training job of our own image.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingJob {
    /// Its name: up to 63 letters, digits and hyphens, new in the account and region.
    pub name: String,
    /// The image.
    pub image: String,
    /// The program in the image and its arguments; empty: the image's own, which gets `train`.
    pub command: Vec<String>,
    /// What the container finds in `hyperparameters.json`.
    pub hyperparameters: BTreeMap<String, String>,
    /// The environment of the container.
    pub environment: BTreeMap<String, String>,
    /// The role of the job.
    pub role_arn: String,
    /// What lies in `/opt/ml/input/data`.
    pub channels: Vec<Channel>,
    /// `s3://` place that the model is written below.
    pub output: String,
    /// The key that the model is encrypted with: its id, ARN or alias. Without one SageMaker takes the account's own of S3,
    /// whatever the bucket's default is.
    pub key: Option<String>,
    /// `s3://` place that `/opt/ml/checkpoints` is kept at; without one an interrupted job starts afresh.
    pub checkpoints: Option<String>,
    /// `s3://` place of TensorBoard's files.
    pub tensorboard: Option<String>,
    /// The type of the machine.
    pub instance: String,
    /// GB of disk.
    pub volume_gb: u32,
    /// The longest it may run, in seconds.
    pub max_seconds: u32,
    /// On spare capacity, which is cheaper and may be taken away.
    pub spot: Option<Spot>,
    /// Numbers that SageMaker reads from the log.
    pub metrics: Vec<Metric>,
}

/// A folder or archive that a job reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its folder in `/opt/ml/input/data`.
    pub name: String,
    /// `s3://` place; everything that begins with it is copied.
    pub uri: String,
}

/// Spare capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The longest the job may wait and run, in seconds.
    pub max_wait_seconds: u32,
}

/// A number that is read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// A regular expression with one group.
    pub regex: String,
}

/// How a training job is getting on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingStatus {
    /// Its name.
    pub name: String,
    /// `InProgress`, `Completed`, `Failed`, `Stopping` or `Stopped`.
    pub status: String,
    /// What it does at present (`Starting`, `Downloading`, `Training`, `Uploading`, `Interrupted`, ...).
    pub phase: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// `s3://` place of the model, once it is there.
    pub model: Option<String>,
    /// Seconds that it has trained.
    pub seconds: Option<i64>,
    /// Seconds that are paid for.
    pub billed_seconds: Option<i64>,
    /// When it was started, RFC 3339.
    pub started: Option<String>,
    /// The last values of its metrics.
    pub metrics: BTreeMap<String, f64>,
    /// Where it writes its log.
    pub log: JobLog,
}

/// Where a job writes its log in CloudWatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobLog {
    /// The log group.
    pub group: String,
    /// What its streams begin with.
    pub stream_prefix: String,
}

impl JobLog {
    /// The log of a training job.
    pub fn of_training(name: &str) -> Self {
        Self { group: "/aws/sagemaker/TrainingJobs".into(), stream_prefix: format!("{name}/") }
    }

    /// The log of the training or processing job of that ARN; nothing for what is no job with a log.
    pub fn of_job(arn: &str) -> Option<Self> {
        let (kind, name) = arn.split(':').nth(5)?.split_once('/')?;
        let group = match kind {
            "training-job" => "TrainingJobs",
            "processing-job" => "ProcessingJobs",
            _ => return None,
        };
        Some(Self { group: format!("/aws/sagemaker/{group}"), stream_prefix: format!("{name}/") })
    }

    /// The command that prints it.
    pub fn command(&self, region: &str) -> String {
        format!(
            "aws logs tail {} --log-stream-name-prefix {} --since 1d --region {region}",
            self.group, self.stream_prefix
        )
    }
}

impl SageMaker {
    /// Starts a training job and gives its ARN.
    ///
    /// # Errors
    /// [`SageMakerError`](super::SageMakerError).
    pub fn start_training(&self, job: &TrainingJob) -> Result<String> {
        let call = Call::new("start", format!("training job {}", job.name), "sagemaker:CreateTrainingJob");
        let mut command = job.command.iter().cloned();
        let entry = command.next().map(|program| vec![program]);
        let arguments: Vec<String> = command.collect();
        let algorithm = AlgorithmSpecification::builder()
            .training_image(&job.image)
            .training_input_mode(TrainingInputMode::File)
            .set_metric_definitions(metric_definitions(job))
            .set_container_entrypoint(entry)
            .set_container_arguments((!arguments.is_empty()).then_some(arguments))
            .build();
        let tensorboard = job.tensorboard.as_ref().map(|uri| {
            TensorBoardOutputConfig::builder().s3_output_path(uri).local_path("/opt/ml/output/tensorboard").build()
        });
        let request = self
            .client
            .create_training_job()
            .training_job_name(&job.name)
            .algorithm_specification(algorithm)
            .role_arn(&job.role_arn)
            .set_hyper_parameters(map(&job.hyperparameters))
            .set_environment(map(&job.environment))
            .set_input_data_config(Some(channels(job)))
            .output_data_config(output(job))
            .resource_config(resources(job))
            .stopping_condition(stopping(job))
            .enable_managed_spot_training(job.spot.is_some())
            .set_checkpoint_config(checkpoints(job))
            .set_tensor_board_output_config(tensorboard);
        let answer = self.wait(&call, request.send())?;
        Ok(answer.training_job_arn().unwrap_or_default().to_owned())
    }

    /// How a training job is getting on.
    ///
    /// # Errors
    /// [`SageMakerError`](super::SageMakerError).
    pub fn training_status(&self, name: &str) -> Result<TrainingStatus> {
        let call = Call::new("describe", format!("training job {name}"), "sagemaker:DescribeTrainingJob");
        let answer = self.wait(&call, self.client.describe_training_job().training_job_name(name).send())?;
        let metric = |m: &aws_sdk_sagemaker::types::MetricData| {
            let value = m.value()?;
            Some((m.metric_name()?.to_owned(), f64::from(value)))
        };
        Ok(TrainingStatus {
            name: name.to_owned(),
            status: answer.training_job_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            phase: answer.secondary_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            failure: answer.failure_reason().filter(|f| !f.is_empty()).map(str::to_owned),
            model: answer.model_artifacts().and_then(|m| m.s3_model_artifacts()).map(str::to_owned),
            seconds: answer.training_time_in_seconds().map(i64::from),
            billed_seconds: answer.billable_time_in_seconds().map(i64::from),
            started: time(answer.creation_time()),
            metrics: answer.final_metric_data_list().iter().filter_map(metric).collect(),
            log: JobLog::of_training(name),
        })
    }

    /// Stops a training job. It gets SIGTERM, and two minutes to save.
    ///
    /// # Errors
    /// [`SageMakerError`](super::SageMakerError).
    pub fn stop_training(&self, name: &str) -> Result<()> {
        let call = Call::new("stop", format!("training job {name}"), "sagemaker:StopTrainingJob");
        self.wait(&call, self.client.stop_training_job().training_job_name(name).send()).map(|_| ())
    }
}

/// Nothing for an empty map.
pub(super) fn map(values: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!values.is_empty()).then(|| values.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
}

pub(super) fn metric_definitions(job: &TrainingJob) -> Option<Vec<MetricDefinition>> {
    let one = |m: &Metric| MetricDefinition::builder().name(&m.name).regex(&m.regex).build();
    (!job.metrics.is_empty()).then(|| job.metrics.iter().map(one).collect())
}

pub(super) fn channels(job: &TrainingJob) -> Vec<SdkChannel> {
    let channel = |c: &Channel| {
        let data = S3DataSource::builder()
            .s3_data_type(S3DataType::S3Prefix)
            .s3_uri(&c.uri)
            .s3_data_distribution_type(S3DataDistribution::FullyReplicated)
            .build();
        let source = DataSource::builder().s3_data_source(data).build();
        SdkChannel::builder().channel_name(&c.name).data_source(source).build()
    };
    job.channels.iter().map(channel).collect()
}

pub(super) fn output(job: &TrainingJob) -> OutputDataConfig {
    OutputDataConfig::builder().s3_output_path(&job.output).set_kms_key_id(job.key.clone()).build()
}

pub(super) fn resources(job: &TrainingJob) -> ResourceConfig {
    ResourceConfig::builder()
        .instance_type(TrainingInstanceType::from(job.instance.as_str()))
        .instance_count(1)
        .volume_size_in_gb(whole(job.volume_gb))
        .build()
}

pub(super) fn stopping(job: &TrainingJob) -> StoppingCondition {
    StoppingCondition::builder()
        .max_runtime_in_seconds(whole(job.max_seconds))
        .set_max_wait_time_in_seconds(job.spot.map(|s| whole(s.max_wait_seconds)))
        .build()
}

pub(super) fn checkpoints(job: &TrainingJob) -> Option<CheckpointConfig> {
    let uri = job.checkpoints.as_ref()?;
    Some(CheckpointConfig::builder().s3_uri(uri).local_path("/opt/ml/checkpoints").build())
}

pub(super) fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_found_by_the_jobs_arn() {
        let log = JobLog::of_job("arn:aws:sagemaker:eu-west-1:1:training-job/pipelines-abc-train-x").unwrap();
        assert_eq!(log.group, "/aws/sagemaker/TrainingJobs");
        assert!(log.command("eu-west-1").contains("--log-stream-name-prefix pipelines-abc-train-x/ "));
        let log = JobLog::of_job("arn:aws:sagemaker:eu-west-1:1:processing-job/p").unwrap();
        assert_eq!((log.group.as_str(), log.stream_prefix.as_str()), ("/aws/sagemaker/ProcessingJobs", "p/"));
        assert_eq!(JobLog::of_job("arn:aws:sagemaker:eu-west-1:1:model-package/kidu/3"), None);
        assert_eq!(JobLog::of_job("x"), None);
    }
}
