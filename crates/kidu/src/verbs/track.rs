//! `kidu track send`: deliver what an MLflow server has not got of a run.

use std::time::Duration;

use kidu_track::mlflow::{self, Credentials, Server};

use crate::{Outcome, cli::TrackCommand, failure::Failure, ui};

pub(super) fn run(command: &TrackCommand) -> Outcome {
    let TrackCommand::Send(arguments) = command;
    let server = |recorded: &str| {
        let uri = arguments.tracking_uri.as_deref().unwrap_or(recorded);
        Server::new(uri, Credentials::from_env())
    };
    let wait = Duration::from_secs(arguments.wait);
    let (report, notes) = mlflow::send(&arguments.run, server, wait).map_err(anyhow::Error::from)?;
    notes.iter().for_each(ui::note);
    ui::line(report.to_string());
    match report.undelivered {
        0 => Ok(()),
        _ => Err(Failure::Failed(anyhow::anyhow!(
            "something is still not delivered; run the command again when the server answers"
        ))),
    }
}
