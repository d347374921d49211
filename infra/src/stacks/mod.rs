//! The stacks of an installation.

mod boundary;
mod catalog;
mod foundation;
mod github;
mod inference;
mod manage;
mod model_build;
mod model_deploy;
mod monitoring;
mod names;
mod project;
mod settings;

use kidu_pipeline::build_pipeline;

pub use self::{foundation::Foundation, settings::Settings};
use crate::{
    core::{App, Assembly},
    error::Result,
    sagemaker,
};

/// The file of the SageMaker pipeline definition.
pub const DEFINITION: &str = "pipeline-definition.json";

/// Everything: all templates, and the definition of the build pipeline for an account and region.
///
/// # Errors
/// Those of [`App::synth`] and [`sagemaker::definition`].
pub fn synth(settings: &Settings) -> Result<Assembly> {
    let pipeline = build_pipeline();
    let mut app = App::new();
    let foundation = Foundation::new(&mut app);
    model_build::stack(&mut app, &foundation, &pipeline, settings)?;
    model_deploy::stack(&mut app, &foundation);
    inference::stack(&mut app);
    monitoring::stack(&mut app, &foundation);
    project::stack(&mut app, &foundation);
    catalog::stack(&mut app, &foundation);
    github::stack(&mut app, &foundation);
    let mut assembly = app.synth()?;
    let definition = sagemaker::definition(&pipeline, &settings.environment())?;
    assembly.documents.insert(DEFINITION.into(), definition);
    Ok(assembly)
}
