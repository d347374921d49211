//! The verbs whose work is done in SageMaker: `--on sagemaker`.

mod job;
mod model;
mod pipeline;
mod search;
mod train;

use std::io::{BufRead, IsTerminal};

use kidu_aws::{
    Aws, AwsSettings,
    sagemaker::{SageMaker, SageMakerError},
};
use kidu_infra::{Settings, sagemaker::cost::Estimate};

pub(super) use self::{model::run as model, pipeline::run as pipeline, search::run as search, train::run as train};
use crate::{
    Outcome,
    cli::{InstallationArgs, PlaceArgs, StartingArgs},
    failure::Failure,
    ui,
};

impl From<SageMakerError> for Failure {
    fn from(error: SageMakerError) -> Self {
        if error.is_usage() { Self::Usage(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<kidu_infra::Error> for Failure {
    fn from(error: kidu_infra::Error) -> Self {
        match error {
            kidu_infra::Error::Core(error) => Self::from(error),
            other => Self::Usage(other.into()),
        }
    }
}

/// SageMaker in the region that was named, or that of the environment.
fn connect(place: &PlaceArgs) -> Outcome<SageMaker> {
    let mut settings = AwsSettings::from_environment();
    if let Some(region) = &place.region {
        settings = settings.with_region(region.clone());
    }
    Ok(SageMaker::open_with(&Aws::load_blocking(&settings)?)?)
}

/// The installation's names. Whose account it is, is asked for if nobody said.
fn installation(sagemaker: &SageMaker, arguments: &InstallationArgs) -> Outcome<Settings> {
    let account = match &arguments.account {
        Some(account) => account.clone(),
        None => sagemaker.identity()?.account,
    };
    let settings = Settings {
        foundation: arguments.foundation.clone(),
        project: arguments.project.clone(),
        account: Some(account),
        region: Some(sagemaker.region().to_string()),
        image_tag: Some(arguments.image_tag.clone().unwrap_or_else(|| format!("v{}", env!("CARGO_PKG_VERSION")))),
        ..Settings::default()
    };
    settings.validate()?;
    Ok(settings)
}

/// Says what it may cost, and asks. `false`: nothing is to be started, and nothing is wrong.
fn may_start(estimate: &Estimate, what: &str, starting: StartingArgs) -> Outcome<bool> {
    ui::note(estimate.to_text());
    if starting.dry_run {
        return Ok(false);
    }
    if starting.yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(format!("{what} was not started: it costs money; say --yes to start it")));
    }
    ui::note(format!("Start {what}? [y/N]"));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        _ => Err(Failure::usage(format!("{what} was not started"))),
    }
}

/// Asks again and again until `ended` says so. A signal ends the waiting, not the work.
fn wait_for<T>(
    what: &str,
    ask: impl Fn() -> Outcome<T>,
    ended: impl Fn(&T) -> bool,
    say: impl Fn(&T) -> String,
) -> Outcome<T> {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(20);
    const STEP: std::time::Duration = std::time::Duration::from_millis(200);
    crate::stop::on_signals()?;
    let mut said = String::new();
    loop {
        let state = match ask() {
            Ok(state) => state,
            // An outage of a minute must not end a wait of hours.
            Err(Failure::Failed(e)) if e.downcast_ref::<SageMakerError>().is_some_and(SageMakerError::is_transient) => {
                ui::note(format!("{e:#}"));
                std::thread::sleep(EVERY);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let now = say(&state);
        if now != said {
            ui::note(&now);
            said = now;
        }
        if ended(&state) {
            return Ok(state);
        }
        let start = std::time::Instant::now();
        while start.elapsed() < EVERY {
            if crate::stop::is_asked_for() {
                return Err(Failure::Interrupted(format!("{what} goes on in SageMaker; only the waiting has ended")));
            }
            std::thread::sleep(STEP);
        }
    }
}

/// `NAME=VALUE`.
fn name_and_value(option: &str, text: &str) -> Outcome<(String, String)> {
    let pair = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
    let pair = pair.ok_or_else(|| Failure::usage(format!("{option} {text}: write NAME=VALUE")))?;
    Ok((pair.0.trim().to_string(), pair.1.to_string()))
}

/// The message of a verb or option that SageMaker has no counterpart for.
fn not_there(option: &str, instead: &str) -> Failure {
    Failure::usage(format!("{option} is not possible with --on sagemaker: {instead}"))
}
