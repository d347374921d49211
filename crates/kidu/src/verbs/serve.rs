//! `kidu serve`: predictions over HTTP.

use kidu_serve::{
    ServeError,
    server::{self, ServeOptions},
};
use kidu_telemetry::logs;

use crate::{Outcome, failure::Failure, ui};

pub(super) fn run(options: &ServeOptions) -> Outcome {
    logs::install(&options.log);
    server::run(options, |address| ui::line(format!("listening on http://{address}"))).map_err(|error| match error {
        ServeError::Setting(_) => Failure::Usage(error.into()),
        other => Failure::Failed(other.into()),
    })
}
