//! Pipelines and their executions.

use aws_sdk_sagemaker::types::{Parameter, PipelineExecutionStep, SortOrder};
use kidu_core::Sha256Hex;
use serde::Serialize;
use serde_json::Value;

use super::{
    JobLog, Result, SageMaker, SageMakerError,
    client::{next_page, time},
    error::{Call, classify, is_missing, is_taken},
};

/// A pipeline as SageMaker keeps it.
#[derive(Clone, Debug)]
pub struct PipelineDefinition<'a> {
    /// Its name.
    pub name: &'a str,
    /// The JSON text of its definition, schema 2020-12-01.
    pub definition: &'a str,
    /// The role that starts its jobs.
    pub role_arn: &'a str,
    /// What it does.
    pub description: &'a str,
}

/// What an upsert did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upserted {
    /// The pipeline's ARN.
    pub arn: String,
    /// Whether there was none before.
    pub created: bool,
    /// Whether anything was written.
    pub changed: bool,
}

/// A start of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct StartExecution<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// Parameters that are not to have their defaults.
    pub parameters: &'a [(String, String)],
    /// Any text: a second start with the same one starts nothing and gives the first execution.
    pub token: Option<&'a str>,
    /// Why it was started, for people.
    pub description: Option<&'a str>,
}

/// An execution of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// `Executing`, `Stopping`, `Stopped`, `Failed` or `Succeeded`.
    pub status: String,
    /// When it was started, RFC 3339.
    pub started: Option<String>,
    /// Why it was started.
    pub description: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Its steps in the order they began; empty in a list of executions.
    pub steps: Vec<ExecutionStep>,
}

/// A step of an execution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExecutionStep {
    /// Its name.
    pub name: String,
    /// `Starting`, `Executing`, `Stopping`, `Stopped`, `Failed` or `Succeeded`.
    pub status: String,
    /// When it began, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// How often it was begun.
    pub attempts: u32,
    /// Why it failed.
    pub failure: Option<String>,
    /// The job or model version that it made.
    pub made: Option<String>,
    /// The execution whose result was taken from the cache.
    pub cached_from: Option<String>,
    /// Where its job writes its log.
    pub log: Option<JobLog>,
}

impl SageMaker {
    /// Makes a pipeline, or updates the one of that name if its definition or role differs.
    ///
    /// # Errors
    /// [`SageMakerError`].
    pub fn upsert_pipeline(&self, pipeline: &PipelineDefinition<'_>) -> Result<Upserted> {
        let name = pipeline.name;
        let what = format!("pipeline {name}");
        let describe = Call::new("describe", &what, "sagemaker:DescribePipeline");
        match self.attempt(&describe, self.client.describe_pipeline().pipeline_name(name).send())? {
            Ok(known) => {
                let arn = known.pipeline_arn().unwrap_or_default().to_owned();
                let same = same_json(known.pipeline_definition().unwrap_or_default(), pipeline.definition);
                if same && known.role_arn() == Some(pipeline.role_arn) {
                    return Ok(Upserted { arn, created: false, changed: false });
                }
                self.update_pipeline(pipeline)
            }
            Err(facts) if is_missing(&facts) => self.create_pipeline(pipeline),
            Err(facts) => Err(classify(&describe, &facts)),
        }
    }

    fn create_pipeline(&self, pipeline: &PipelineDefinition<'_>) -> Result<Upserted> {
        let call = Call::new("make", format!("pipeline {}", pipeline.name), "sagemaker:CreatePipeline");
        let request = self.client.create_pipeline().pipeline_name(pipeline.name).pipeline_display_name(pipeline.name);
        let request = request.pipeline_description(pipeline.description).pipeline_definition(pipeline.definition);
        // The same content makes the same request, however often it is sent.
        let token = Sha256Hex::of_bytes(format!("{}\n{}", pipeline.name, pipeline.definition).as_bytes());
        let request = request.role_arn(pipeline.role_arn).client_request_token(token.as_str());
        match self.attempt(&call, request.send())? {
            Ok(answer) => {
                let arn = answer.pipeline_arn().unwrap_or_default().to_owned();
                Ok(Upserted { arn, created: true, changed: true })
            }
            // Somebody else was faster.
            Err(facts) if is_taken(&facts) => self.update_pipeline(pipeline),
            Err(facts) => Err(classify(&call, &facts)),
        }
    }

    fn update_pipeline(&self, pipeline: &PipelineDefinition<'_>) -> Result<Upserted> {
        let call = Call::new("update", format!("pipeline {}", pipeline.name), "sagemaker:UpdatePipeline");
        let request = self.client.update_pipeline().pipeline_name(pipeline.name).role_arn(pipeline.role_arn);
        let request = request.pipeline_definition(pipeline.definition).pipeline_description(pipeline.description);
        let answer = self.wait(&call, request.send())?;
        let arn = answer.pipeline_arn().unwrap_or_default().to_owned();
        Ok(Upserted { arn, created: false, changed: true })
    }

    /// The definition that SageMaker holds.
    ///
    /// # Errors
    /// [`SageMakerError`].
    pub fn pipeline_definition(&self, name: &str) -> Result<Value> {
        let call = Call::new("describe", format!("pipeline {name}"), "sagemaker:DescribePipeline");
        let answer = self.wait(&call, self.client.describe_pipeline().pipeline_name(name).send())?;
        serde_json::from_str(answer.pipeline_definition().unwrap_or_default()).map_err(|e| SageMakerError::Refused {
            action: "read",
            what: format!("the definition of pipeline {name}"),
            reason: format!("it is no JSON ({e}); write it again with `kidu pipeline upsert --on sagemaker`"),
        })
    }

    /// Starts an execution and gives its ARN.
    ///
    /// # Errors
    /// [`SageMakerError`].
    pub fn start_pipeline(&self, start: &StartExecution<'_>) -> Result<String> {
        let call = Call::new("start", format!("pipeline {}", start.pipeline), "sagemaker:StartPipelineExecution");
        let parameter = |(name, value): &(String, String)| Parameter::builder().name(name).value(value).build();
        let parameters: Vec<Parameter> = start.parameters.iter().map(parameter).collect();
        let request = self.client.start_pipeline_execution().pipeline_name(start.pipeline);
        let request = request.set_pipeline_parameters((!parameters.is_empty()).then_some(parameters));
        let request = request.set_pipeline_execution_description(start.description.map(str::to_owned));
        // Tokens have 32 to 128 characters, whatever the caller's text has.
        let token = start.token.map(|t| Sha256Hex::of_bytes(t.as_bytes()).as_str().to_owned());
        let answer = self.wait(&call, request.set_client_request_token(token).send())?;
        Ok(answer.pipeline_execution_arn().unwrap_or_default().to_owned())
    }

    /// The newest executions of a pipeline, newest first, without their steps.
    ///
    /// # Errors
    /// [`SageMakerError`].
    pub fn executions(&self, pipeline: &str, at_most: usize) -> Result<Vec<Execution>> {
        let call = Call::new("list executions of", format!("pipeline {pipeline}"), "sagemaker:ListPipelineExecutions");
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_pipeline_executions().pipeline_name(pipeline);
            let request = request.sort_order(SortOrder::Descending).set_next_token(token.clone());
            let answer = self.wait(&call, request.send())?;
            found.extend(answer.pipeline_execution_summaries().iter().map(|s| {
                let arn = s.pipeline_execution_arn().unwrap_or_default().to_owned();
                Execution {
                    id: last_part(&arn),
                    arn,
                    status: s.pipeline_execution_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
                    started: time(s.start_time()),
                    description: s.pipeline_execution_description().map(str::to_owned),
                    failure: s.pipeline_execution_failure_reason().map(str::to_owned),
                    steps: Vec::new(),
                }
            }));
            token = next_page(&call, token.as_deref(), answer.next_token())?;
            if token.is_none() || found.len() >= at_most {
                found.truncate(at_most);
                return Ok(found);
            }
        }
    }

    /// An execution with its steps.
    ///
    /// # Errors
    /// [`SageMakerError`].
    pub fn execution(&self, arn: &str) -> Result<Execution> {
        let call =
            Call::new("describe", format!("execution {}", last_part(arn)), "sagemaker:DescribePipelineExecution");
        let answer = self.wait(&call, self.client.describe_pipeline_execution().pipeline_execution_arn(arn).send())?;
        Ok(Execution {
            id: last_part(arn),
            arn: arn.to_owned(),
            status: answer.pipeline_execution_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            started: time(answer.creation_time()),
            description: answer.pipeline_execution_description().map(str::to_owned),
            failure: answer.failure_reason().map(str::to_owned),
            steps: self.steps(arn)?,
        })
    }

    fn steps(&self, arn: &str) -> Result<Vec<ExecutionStep>> {
        let what = format!("the steps of execution {}", last_part(arn));
        let call = Call::new("list", what, "sagemaker:ListPipelineExecutionSteps");
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_pipeline_execution_steps().pipeline_execution_arn(arn);
            let request = request.sort_order(SortOrder::Ascending).set_next_token(token.clone());
            let answer = self.wait(&call, request.send())?;
            found.extend(answer.pipeline_execution_steps().iter().map(step));
            token = next_page(&call, token.as_deref(), answer.next_token())?;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The ARN of an execution that is given by its id, or by its ARN.
    ///
    /// # Errors
    /// [`SageMakerError`], since the account must be asked for.
    pub fn execution_arn(&self, pipeline: &str, id: &str) -> Result<String> {
        if id.starts_with("arn:") {
            return Ok(id.to_owned());
        }
        let who = self.identity()?;
        let (partition, account, region) = (who.partition, who.account, self.region());
        let name = pipeline.to_lowercase();
        Ok(format!("arn:{partition}:sagemaker:{region}:{account}:pipeline/{name}/execution/{id}"))
    }
}

fn step(step: &PipelineExecutionStep) -> ExecutionStep {
    let made = step.metadata().and_then(|m| {
        let training = m.training_job().and_then(|j| j.arn());
        let processing = m.processing_job().and_then(|j| j.arn());
        let tuning = m.tuning_job().and_then(|j| j.arn());
        let model = m.register_model().and_then(|j| j.arn());
        training.or(processing).or(tuning).or(model).map(str::to_owned)
    });
    // A Fail step says in its own words why the execution failed.
    let said = step.metadata().and_then(|m| m.fail()).and_then(|f| f.error_message());
    ExecutionStep {
        name: step.step_name().unwrap_or_default().to_owned(),
        status: step.step_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        started: time(step.start_time()),
        ended: time(step.end_time()),
        attempts: step.attempt_count().and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
        failure: said.or(step.failure_reason()).filter(|f| !f.is_empty()).map(str::to_owned),
        log: made.as_deref().and_then(JobLog::of_job),
        made,
        cached_from: step.cache_hit_result().and_then(|c| c.source_pipeline_execution_arn()).map(last_part),
    }
}

fn last_part(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}

/// Whether two texts are the same JSON value; SageMaker may write it otherwise.
fn same_json(one: &str, two: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == two || matches!((read(one), read(two)), (Some(one), Some(two)) if one == two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_compared_as_json() {
        assert!(same_json(r#"{"a": 1, "b": [2]}"#, r#"{"b":[2],"a":1}"#));
        assert!(!same_json(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!same_json("", r#"{"a": 2}"#));
    }
}
