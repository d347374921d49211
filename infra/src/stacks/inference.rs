//! Inference: one template, staging and production by parameters. An HTTP API, a function behind an alias whose versions
//! CodeDeploy shifts, alarms that take a shift back, a dashboard.
//!
//! It imports nothing, so that it can be deployed to another account or by hand.

mod api;
mod dashboard;
mod function;
mod own_metrics;
mod parameters;
mod release;

pub(super) use self::own_metrics::namespace_of;
use self::parameters::Parameters;
use crate::core::{App, Expr};

/// Adds the stack.
pub(super) fn stack(app: &mut App) {
    let stack = app.stack("inference", "Kidu: HTTP API and function of a stage (staging or production)");
    let parameters = Parameters::of(&stack);
    let function = function::add(&stack, &parameters);
    let release = release::add(&stack, &parameters, &function);
    let api = api::add(&stack, &parameters, &release.alias);
    release::alarms_of_api(&stack, &parameters, &api);
    dashboard::add(&stack, &api);
    stack.output("Url", "The address of the HTTP API", api.api_endpoint());
    stack.output("FunctionName", "The function", &function.function);
    stack.output("AliasArn", "The alias that serves, for the function's own API", release.alias.reference());
    stack.output("Version", "The version that was published last", release.version.version());
}

/// The stage's name, of everything in it.
fn name() -> Expr {
    Expr::sub("${SageMakerProjectName}-${StageName}")
}
