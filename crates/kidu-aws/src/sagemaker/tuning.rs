//! Automatic Model Tuning: many training jobs with other hyperparameters each.

use std::collections::BTreeMap;

use aws_sdk_sagemaker::types::{
    CategoricalParameterRange, ContinuousParameterRange, HyperParameterAlgorithmSpecification,
    HyperParameterScalingType, HyperParameterTrainingJobDefinition, HyperParameterTuningJobConfig,
    HyperParameterTuningJobObjective, HyperParameterTuningJobObjectiveType, HyperParameterTuningJobStrategyConfig,
    HyperParameterTuningJobStrategyType, HyperbandStrategyConfig, IntegerParameterRange, ParameterRanges,
    ResourceLimits, TrainingInputMode, TrainingJobEarlyStoppingType,
};
use serde::Serialize;

use super::{
    Result, SageMaker, TrainingJob,
    client::time,
    error::Call,
    jobs::{channels, checkpoints, map, metric_definitions, output, resources, stopping, whole},
};

/// A tuning job.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningJob {
    /// Its name: up to 32 letters, digits and hyphens, new in the account and region.
    pub name: String,
    /// How hyperparameters are chosen.
    pub strategy: Strategy,
    /// The metric of the training job that is optimised.
    pub metric: String,
    /// Whether larger is better.
    pub maximize: bool,
    /// Whether jobs that fall behind the median are given up.
    pub early_stopping: bool,
    /// Jobs in all; nothing for a grid, which has as many as it has points.
    pub max_jobs: Option<u32>,
    /// Jobs at the same time.
    pub parallel: u32,
    /// No job begins after so many seconds.
    pub max_seconds: Option<u32>,
    /// Seed of the choices.
    pub seed: Option<u32>,
    /// What is searched.
    pub ranges: Vec<Range>,
    /// Each job; its hyperparameters are those that are the same for all. Its command must be the image's own, since
    /// tuning knows no other.
    pub training: TrainingJob,
}

/// How hyperparameters are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// From what the jobs before have shown.
    Bayesian,
    /// At random.
    Random,
    /// Every combination of categories, once.
    Grid,
    /// Many short jobs, of which the best go on.
    Hyperband {
        /// Epochs of the shortest.
        min_resource: u32,
        /// Epochs of the longest.
        max_resource: u32,
    },
}

/// A hyperparameter and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// The values of a hyperparameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers, both ends included.
    Continuous {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
        /// Whether the logarithm is spread evenly.
        log: bool,
    },
    /// Whole numbers, both ends included.
    Integer {
        /// The least.
        low: i64,
        /// The greatest.
        high: i64,
        /// Whether the logarithm is spread evenly.
        log: bool,
    },
    /// One of some texts.
    Categorical(Vec<String>),
}

/// How a tuning job is getting on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TuningStatus {
    /// Its name.
    pub name: String,
    /// `InProgress`, `Completed`, `Failed`, `Stopping`, `Stopped` or others.
    pub status: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was started, RFC 3339.
    pub started: Option<String>,
    /// Jobs that have ended well.
    pub completed: i32,
    /// Jobs that run.
    pub running: i32,
    /// Jobs that have failed.
    pub failed: i32,
    /// Jobs that were given up.
    pub stopped: i32,
    /// The training job that is best so far.
    pub best_job: Option<String>,
    /// Its metric.
    pub best_value: Option<f64>,
    /// Its hyperparameters.
    pub best_parameters: BTreeMap<String, String>,
}

impl SageMaker {
    /// Starts a tuning job and gives its ARN.
    ///
    /// # Errors
    /// [`SageMakerError`](super::SageMakerError).
    pub fn start_tuning(&self, job: &TuningJob) -> Result<String> {
        let what = format!("tuning job {}", job.name);
        let call = Call::new("start", what, "sagemaker:CreateHyperParameterTuningJob");
        let request = self
            .client
            .create_hyper_parameter_tuning_job()
            .hyper_parameter_tuning_job_name(&job.name)
            .hyper_parameter_tuning_job_config(config(job))
            .training_job_definition(definition(&job.training));
        let answer = self.wait(&call, request.send())?;
        Ok(answer.hyper_parameter_tuning_job_arn().unwrap_or_default().to_owned())
    }

    /// How a tuning job is getting on.
    ///
    /// # Errors
    /// [`SageMakerError`](super::SageMakerError).
    pub fn tuning_status(&self, name: &str) -> Result<TuningStatus> {
        let what = format!("tuning job {name}");
        let call = Call::new("describe", what, "sagemaker:DescribeHyperParameterTuningJob");
        let request = self.client.describe_hyper_parameter_tuning_job().hyper_parameter_tuning_job_name(name);
        let answer = self.wait(&call, request.send())?;
        let counters = answer.training_job_status_counters();
        let best = answer.best_training_job();
        let objective = best.and_then(|b| b.final_hyper_parameter_tuning_job_objective_metric());
        let tuned = best.and_then(|b| b.tuned_hyper_parameters()).into_iter().flatten();
        Ok(TuningStatus {
            name: name.to_owned(),
            status: answer.hyper_parameter_tuning_job_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            failure: answer.failure_reason().filter(|f| !f.is_empty()).map(str::to_owned),
            started: time(answer.creation_time()),
            completed: counters.and_then(|c| c.completed()).unwrap_or(0),
            running: counters.and_then(|c| c.in_progress()).unwrap_or(0),
            failed: counters.map_or(0, |c| c.retryable_error().unwrap_or(0) + c.non_retryable_error().unwrap_or(0)),
            stopped: counters.and_then(|c| c.stopped()).unwrap_or(0),
            best_job: best.and_then(|b| b.training_job_name()).map(str::to_owned),
            best_value: objective.and_then(|o| o.value()).map(f64::from),
            best_parameters: tuned.map(|(k, v)| (k.clone(), v.clone())).collect(),
        })
    }
}

fn config(job: &TuningJob) -> HyperParameterTuningJobConfig {
    let objective = HyperParameterTuningJobObjective::builder()
        .r#type(match job.maximize {
            true => HyperParameterTuningJobObjectiveType::Maximize,
            false => HyperParameterTuningJobObjectiveType::Minimize,
        })
        .metric_name(&job.metric)
        .build();
    let limits = ResourceLimits::builder()
        .set_max_number_of_training_jobs(job.max_jobs.map(whole))
        .max_parallel_training_jobs(whole(job.parallel))
        .set_max_runtime_in_seconds(job.max_seconds.map(whole))
        .build();
    let (strategy, hyperband) = match job.strategy {
        Strategy::Bayesian => (HyperParameterTuningJobStrategyType::Bayesian, None),
        Strategy::Random => (HyperParameterTuningJobStrategyType::Random, None),
        Strategy::Grid => (HyperParameterTuningJobStrategyType::Grid, None),
        Strategy::Hyperband { min_resource, max_resource } => {
            let config = HyperbandStrategyConfig::builder();
            let config = config.min_resource(whole(min_resource)).max_resource(whole(max_resource)).build();
            (HyperParameterTuningJobStrategyType::Hyperband, Some(config))
        }
    };
    let hyperband = hyperband
        .map(|config| HyperParameterTuningJobStrategyConfig::builder().hyperband_strategy_config(config).build());
    HyperParameterTuningJobConfig::builder()
        .strategy(strategy)
        .set_strategy_config(hyperband)
        .hyper_parameter_tuning_job_objective(objective)
        .resource_limits(limits)
        .parameter_ranges(ranges(&job.ranges))
        .training_job_early_stopping_type(match job.early_stopping {
            true => TrainingJobEarlyStoppingType::Auto,
            false => TrainingJobEarlyStoppingType::Off,
        })
        .set_random_seed(job.seed.map(whole))
        .build()
}

fn scale(log: bool) -> HyperParameterScalingType {
    if log { HyperParameterScalingType::Logarithmic } else { HyperParameterScalingType::Linear }
}

fn ranges(ranges: &[Range]) -> ParameterRanges {
    ranges
        .iter()
        .fold(ParameterRanges::builder(), |all, Range { name, values }| match values {
            Values::Continuous { low, high, log } => all.continuous_parameter_ranges(
                ContinuousParameterRange::builder()
                    .name(name)
                    .min_value(low.to_string())
                    .max_value(high.to_string())
                    .scaling_type(scale(*log))
                    .build(),
            ),
            Values::Integer { low, high, log } => all.integer_parameter_ranges(
                IntegerParameterRange::builder()
                    .name(name)
                    .min_value(low.to_string())
                    .max_value(high.to_string())
                    .scaling_type(scale(*log))
                    .build(),
            ),
            Values::Categorical(values) => all.categorical_parameter_ranges(
                CategoricalParameterRange::builder().name(name).set_values(Some(values.clone())).build(),
            ),
        })
        .build()
}

fn definition(job: &TrainingJob) -> HyperParameterTrainingJobDefinition {
    let algorithm = HyperParameterAlgorithmSpecification::builder()
        .training_image(&job.image)
        .training_input_mode(TrainingInputMode::File)
        .set_metric_definitions(metric_definitions(job))
        .build();
    HyperParameterTrainingJobDefinition::builder()
        .algorithm_specification(algorithm)
        .set_static_hyper_parameters(map(&job.hyperparameters))
        .set_environment(map(&job.environment))
        .role_arn(&job.role_arn)
        .set_input_data_config(Some(channels(job)))
        .output_data_config(output(job))
        .resource_config(resources(job))
        .stopping_condition(stopping(job))
        .enable_managed_spot_training(job.spot.is_some())
        .set_checkpoint_config(checkpoints(job))
        .build()
}
