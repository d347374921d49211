//! `kidu train --on sagemaker`.

use kidu_aws::sagemaker::{JobLog, SageMaker, TrainingStatus};
use kidu_infra::sagemaker::cost::{Estimate, JobCost};
use serde_json::json;

use super::{connect, job, may_start, not_there, wait_for};
use crate::{Outcome, cli::TrainArgs, failure::Failure, settings, ui};

pub(in crate::verbs) fn run(arguments: &TrainArgs) -> Outcome {
    if arguments.multirun {
        return Err(not_there("--multirun", "use `kidu search --on sagemaker`, or start the jobs one by one"));
    }
    if arguments.resume.is_some() {
        return Err(not_there("--resume", "an interrupted job goes on by itself"));
    }
    if arguments.hyperparameters.is_some() {
        return Err(not_there("--hyperparameters", "give keys as key=value: the job gets them as hyperparameters"));
    }
    job::check_options(&arguments.config, &arguments.dataset, &arguments.output)?;
    // What the container would refuse is refused here, where it costs nothing.
    let configuration = settings::load(&arguments.config, "train")?;
    let sagemaker = connect(&arguments.place)?;
    let planned = job::plan(&sagemaker, &configuration, &arguments.config, &arguments.job)?;
    let training = &planned.training;
    let cost = JobCost::new("train", &training.instance, training.max_seconds, &planned.region);
    let estimate = Estimate::of_jobs(vec![cost.on_spot(training.spot.is_some())], &planned.region);
    let what = format!("training job {}", training.name);
    if !may_start(&estimate, &what, arguments.job.start)? {
        let keys = &training.hyperparameters;
        let planned =
            json!({"job": training.name, "image": training.image, "hyperparameters": keys, "estimate": estimate});
        return if arguments.output.json { ui::json(&planned) } else { Ok(()) };
    }
    let arn = sagemaker.start_training(training)?;
    if arguments.job.start.wait {
        ui::note(format!("started {what}"));
        return finish(&sagemaker, &training.name, arguments.output.json);
    }
    let log = JobLog::of_training(&training.name);
    if arguments.output.json {
        return ui::json(
            &json!({"job": training.name, "arn": arn, "log": log, "output": training.output, "estimate": estimate}),
        );
    }
    ui::line(format!("started {what}"));
    ui::line(format!(
        "see it with: aws sagemaker describe-training-job --training-job-name {} --region {}",
        training.name, planned.region
    ));
    ui::line(format!("its log: {}", log.command(&planned.region)));
    Ok(())
}

/// Waits for the end and says how it was.
fn finish(sagemaker: &SageMaker, name: &str, json: bool) -> Outcome {
    let ended = |s: &TrainingStatus| ["Completed", "Failed", "Stopped"].contains(&s.status.as_str());
    let say = |s: &TrainingStatus| format!("{name}: {} ({})", s.status, s.phase);
    let what = format!("training job {name}");
    let status = wait_for(&what, || Ok(sagemaker.training_status(name)?), ended, say)?;
    if json {
        ui::json(&status)?;
    } else {
        status.metrics.iter().for_each(|(metric, value)| ui::line(format!("{metric} {value:.4}")));
        status.model.iter().for_each(|model| ui::line(format!("bundle: {model}")));
        if let (Some(trained), Some(billed)) = (status.seconds, status.billed_seconds) {
            ui::line(format!("trained {trained} s, paid {billed} s"));
        }
    }
    if status.status == "Completed" {
        return Ok(());
    }
    let reason = status.failure.unwrap_or_else(|| format!("it was stopped ({})", status.phase));
    let log = status.log.command(sagemaker.region());
    Err(Failure::Failed(anyhow::anyhow!("training job {name}: {reason}; its log: {log}")))
}
