//! `kidu pipeline upsert|start|status|logs --on sagemaker`.

use kidu_aws::sagemaker::{Execution, ExecutionStep, PipelineDefinition, SageMaker, StartExecution};
use kidu_infra::sagemaker::{cost::Estimate, definition};
use kidu_pipeline::{build_pipeline, text};
use serde_json::{Value, json};

use super::{connect, installation, may_start, name_and_value, not_there, wait_for};
use crate::{
    Outcome,
    cli::{PipelineCommand, PipelineLogsArgs, PipelineStartArgs, PipelineStatusArgs, PipelineUpsertArgs},
    failure::Failure,
    ui,
};

/// The most executions that are listed.
const LISTED: usize = 20;

pub(in crate::verbs) fn run(command: &PipelineCommand) -> Outcome {
    match command {
        PipelineCommand::Run(_) => Err(not_there("kidu pipeline run", "use `kidu pipeline upsert` and `start`")),
        PipelineCommand::Show(_) => Err(not_there("kidu pipeline show", "the graph is the same everywhere")),
        PipelineCommand::Upsert(arguments) => upsert(arguments),
        PipelineCommand::Start(arguments) => start(arguments),
        PipelineCommand::Status(arguments) => status(arguments),
        PipelineCommand::Logs(arguments) => logs(arguments),
    }
}

/// The name that `kidu-infra` gives a project's pipeline.
fn pipeline_name(project: &str) -> String {
    kidu_infra::Settings { project: project.into(), ..kidu_infra::Settings::default() }.pipeline_name()
}

fn upsert(arguments: &PipelineUpsertArgs) -> Outcome {
    let sagemaker = connect(&arguments.place)?;
    let mut settings = installation(&sagemaker, &arguments.installation)?;
    settings.overrides.clone_from(&arguments.overrides);
    if let Some(instance) = &arguments.processing_instance {
        settings.instances.processing.clone_from(instance);
    }
    if let Some(instance) = &arguments.training_instance {
        settings.instances.training.clone_from(instance);
    }
    settings.validate()?;
    let made = definition(&build_pipeline(), &settings.environment())?.to_string();
    let name = settings.pipeline_name();
    let upserted = sagemaker.upsert_pipeline(&PipelineDefinition {
        name: &name,
        definition: &made,
        role_arn: &settings.pipeline_role_arn(),
        description: "preprocess, train, evaluate, gate, register",
    })?;
    if arguments.output.json {
        return ui::json(&json!({"pipeline": name, "upserted": upserted}));
    }
    let how = match (upserted.created, upserted.changed) {
        (true, _) => "was made",
        (_, true) => "was updated",
        _ => "is as it should be: nothing was changed",
    };
    ui::line(format!("{name} {how}: {}", upserted.arn));
    Ok(())
}

fn start(arguments: &PipelineStartArgs) -> Outcome {
    let sagemaker = connect(&arguments.place)?;
    let name = pipeline_name(&arguments.installation.project);
    // What is started is what SageMaker holds, and not what this command would write.
    let held = sagemaker.pipeline_definition(&name)?;
    let given: Vec<(String, String)> =
        arguments.parameters.iter().map(|p| name_and_value("--parameter", p)).collect::<Outcome<_>>()?;
    check_parameters(&name, &held["Parameters"], &given)?;
    let estimate = Estimate::of_definition(&held, sagemaker.region());
    if !may_start(&estimate, &format!("pipeline {name}"), arguments.start)? {
        return if arguments.output.json { ui::json(&json!({"estimate": estimate})) } else { Ok(()) };
    }
    let arn = sagemaker.start_pipeline(&StartExecution {
        pipeline: &name,
        parameters: &given,
        token: arguments.token.as_deref(),
        description: arguments.description.as_deref(),
    })?;
    let id = arn.rsplit('/').next().unwrap_or_default().to_string();
    if arguments.start.wait {
        ui::note(format!("started execution {id} of {name}"));
        let ended = wait(&sagemaker, &arn, &name)?;
        if arguments.output.json {
            ui::json(&ended)?;
        }
        return outcome_of(&ended, sagemaker.region());
    }
    if arguments.output.json {
        return ui::json(&json!({"pipeline": name, "execution": id, "arn": arn, "estimate": estimate}));
    }
    ui::line(format!("started execution {id} of {name}"));
    ui::line(format!(
        "see it with: kidu pipeline status {id} --on sagemaker --project {}",
        arguments.installation.project
    ));
    Ok(())
}

/// Names and values that the pipeline takes: SageMaker would say so only after a start.
fn check_parameters(pipeline: &str, declared: &Value, given: &[(String, String)]) -> Outcome {
    let declared: Vec<&Value> = declared.as_array().into_iter().flatten().collect();
    let names = || declared.iter().filter_map(|p| p["Name"].as_str());
    for (name, value) in given {
        let Some(parameter) = declared.iter().find(|p| p["Name"] == name.as_str()) else {
            let nearest = kidu_core::suggest::did_you_mean(kidu_core::suggest::nearest(name, names()));
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!(
                "--parameter {name}: pipeline '{pipeline}' has no parameter '{name}'{nearest}; it has {known}"
            )));
        };
        let number = |whole: bool| match whole {
            true => value.parse::<i64>().is_ok(),
            false => value.parse::<f64>().is_ok_and(f64::is_finite),
        };
        let fits = match parameter["Type"].as_str() {
            Some("Integer") => number(true),
            Some("Float") => number(false),
            Some("Boolean") => value.parse::<bool>().is_ok(),
            _ => true,
        };
        let allowed: Vec<&str> =
            parameter["EnumValues"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !fits {
            let kind = parameter["Type"].as_str().unwrap_or_default();
            return Err(Failure::usage(format!("--parameter {name}: '{value}' is no {kind}")));
        }
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            let nearest = kidu_core::suggest::did_you_mean(kidu_core::suggest::nearest(value, allowed.iter().copied()));
            return Err(Failure::usage(format!(
                "--parameter {name}: '{value}' is not allowed{nearest}; allowed: {}",
                allowed.join(", ")
            )));
        }
    }
    match declared
        .iter()
        .find(|p| p.get("DefaultValue").is_none() && !given.iter().any(|(n, _)| p["Name"] == n.as_str()))
    {
        Some(open) => {
            let name = open["Name"].as_str().unwrap_or_default();
            Err(Failure::usage(format!("pipeline '{pipeline}' needs --parameter {name}=VALUE, which has no default")))
        }
        None => Ok(()),
    }
}

fn wait(sagemaker: &SageMaker, arn: &str, pipeline: &str) -> Outcome<Execution> {
    let ended = |e: &Execution| ["Succeeded", "Failed", "Stopped"].contains(&e.status.as_str());
    let say = |e: &Execution| {
        let steps: Vec<String> = e.steps.iter().map(|s| format!("{} {}", s.name, s.status)).collect();
        format!("{}: {}", e.status, steps.join(", "))
    };
    let what = format!("pipeline {pipeline}");
    wait_for(&what, || Ok(sagemaker.execution(arn)?), ended, say)
}

/// The failure that an execution's end stands for, if any. The gate's step fails on purpose.
fn outcome_of(execution: &Execution, region: &str) -> Outcome {
    if execution.status == "Succeeded" {
        return Ok(());
    }
    let failed = execution.steps.iter().find(|s| s.status == "Failed");
    let reason = failed.and_then(|s| s.failure.clone()).or_else(|| execution.failure.clone());
    let reason = reason.unwrap_or_else(|| execution.status.clone());
    if failed.is_some_and(|s| s.name.ends_with("-refused")) {
        return Err(Failure::Refused(reason));
    }
    let step = failed.map(|s| format!(", step {}", s.name)).unwrap_or_default();
    let log = failed.and_then(|s| s.log.as_ref()).map(|l| format!("; its log: {}", l.command(region)));
    Err(Failure::Failed(anyhow::anyhow!("execution {}{step}: {reason}{}", execution.id, log.unwrap_or_default())))
}

fn status(arguments: &PipelineStatusArgs) -> Outcome {
    let sagemaker = connect(&arguments.place)?;
    let name = pipeline_name(&arguments.project);
    let Some(id) = &arguments.run else {
        let executions = sagemaker.executions(&name, LISTED)?;
        if arguments.output.json {
            return ui::json(&executions);
        }
        if executions.is_empty() {
            ui::line(format!("{name} has no executions yet"));
            return Ok(());
        }
        let row = |e: &Execution| {
            let started = e.started.clone().unwrap_or_default();
            let why = e.failure.clone().or_else(|| e.description.clone()).unwrap_or_default();
            vec![e.id.clone(), e.status.clone(), started, why]
        };
        let rows: Vec<_> = executions.iter().map(row).collect();
        ui::line(text::table(&["execution", "status", "started", "message"], &rows).trim_end());
        return Ok(());
    };
    let execution = sagemaker.execution(&sagemaker.execution_arn(&name, id)?)?;
    if arguments.output.json {
        return ui::json(&execution);
    }
    ui::line(format!("{} of {name}: {}", execution.id, execution.status));
    if let Some(failure) = &execution.failure {
        ui::line(format!("  {failure}"));
    }
    let row = |s: &ExecutionStep| {
        let how = s.cached_from.as_ref().map(|e| format!("from the cache of {e}"));
        let why = s.failure.clone().or(how).or_else(|| s.made.clone()).unwrap_or_default();
        let begun = s.started.clone().unwrap_or_else(|| "-".into());
        vec![s.name.clone(), s.status.clone(), begun, s.ended.clone().unwrap_or_else(|| "-".into()), why]
    };
    let rows: Vec<_> = execution.steps.iter().map(row).collect();
    ui::line(text::table(&["step", "status", "started", "ended", "what"], &rows).trim_end());
    Ok(())
}

fn logs(arguments: &PipelineLogsArgs) -> Outcome {
    let sagemaker = connect(&arguments.place)?;
    let name = pipeline_name(&arguments.project);
    let arn = match &arguments.execution {
        Some(id) => sagemaker.execution_arn(&name, id)?,
        None => match sagemaker.executions(&name, 1)?.pop() {
            Some(newest) => newest.arn,
            None => return Err(Failure::usage(format!("{name} has no executions yet: start one first"))),
        },
    };
    let execution = sagemaker.execution(&arn)?;
    if arguments.output.json {
        return ui::json(&execution.steps);
    }
    ui::line(format!("{} of {name}: {}", execution.id, execution.status));
    for step in &execution.steps {
        ui::line(format!("{} ({})", step.name, step.status));
        if let Some(failure) = &step.failure {
            ui::line(format!("  {failure}"));
        }
        match &step.log {
            Some(log) => {
                ui::line(format!("  {} {}", log.group, log.stream_prefix));
                ui::line(format!("  {}", log.command(sagemaker.region())));
            }
            None if step.cached_from.is_some() => ui::line("  from the cache: no job, no log"),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Value {
        let settings = kidu_infra::Settings::default();
        definition(&build_pipeline(), &settings.environment()).unwrap()["Parameters"].clone()
    }

    fn says(given: &[(&str, &str)], expected: &str) {
        let given: Vec<(String, String)> = given.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let message = check_parameters("kidu-build", &declared(), &given).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn parameters_are_those_of_the_pipeline() {
        let good = [("Model", "resnet18"), ("Batch_Size", "64"), ("Learning_Rate", "1e-3")];
        let good: Vec<(String, String)> = good.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        check_parameters("kidu-build", &declared(), &good).unwrap();
        says(&[("Modle", "resnet18")], "did you mean 'Model'?");
        says(&[("Model", "resnet81")], "did you mean 'resnet18'?");
        says(&[("Batch_Size", "many")], "'many' is no Integer");
        let open = json!([{"Name": "A", "Type": "String"}]);
        let message = check_parameters("p", &open, &[]).unwrap_err().to_string();
        assert!(message.contains("needs --parameter A=VALUE"), "{message}");
    }

    #[test]
    fn the_gates_refusal_is_not_a_failure_of_the_work() {
        let step = |name: &str, failure: &str| ExecutionStep {
            name: name.into(),
            status: "Failed".into(),
            started: None,
            ended: None,
            attempts: 1,
            failure: Some(failure.into()),
            made: Some("arn:aws:sagemaker:eu-west-1:1:training-job/t1".into()),
            cached_from: None,
            log: kidu_aws::sagemaker::JobLog::of_job("arn:aws:sagemaker:eu-west-1:1:training-job/t1"),
        };
        let execution = |status: &str, steps| Execution {
            id: "e1".into(),
            arn: "a".into(),
            status: status.into(),
            started: None,
            description: None,
            failure: None,
            steps,
        };
        outcome_of(&execution("Succeeded", vec![]), "eu-west-1").unwrap();
        let refused = outcome_of(&execution("Failed", vec![step("gate-refused", "accuracy 0.5")]), "eu-west-1");
        assert!(matches!(refused, Err(Failure::Refused(reason)) if reason == "accuracy 0.5"));
        let failed = outcome_of(&execution("Failed", vec![step("train", "out of memory")]), "eu-west-1").unwrap_err();
        let message = failed.to_string();
        assert!(message.contains("step train: out of memory") && message.contains("aws logs tail"), "{message}");
    }
}
