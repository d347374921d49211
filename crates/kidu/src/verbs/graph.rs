//! Pipelines as text and pictures.

use kidu_pipeline::{
    Pipeline,
    render::{self, Drawing},
};

use crate::{Outcome, cli::GraphFormat, ui};

/// Prints one pipeline.
pub(super) fn show_one(format: GraphFormat, pipeline: Pipeline) -> Outcome {
    match format {
        GraphFormat::Json => ui::json(&pipeline),
        _ => show(format, std::slice::from_ref(&pipeline), &Drawing::of(&pipeline)),
    }
}

/// Prints several, and what joins them where the format can tell.
pub(super) fn show(format: GraphFormat, pipelines: &[Pipeline], drawing: &Drawing) -> Outcome {
    let text = match format {
        GraphFormat::Json => return ui::json(&pipelines),
        GraphFormat::Text => pipelines.iter().map(render::tree).collect::<Result<Vec<_>, _>>()?.join("\n"),
        GraphFormat::Dot => drawing.dot(),
        GraphFormat::Mermaid => drawing.mermaid(),
        GraphFormat::Svg => drawing.svg(),
    };
    ui::line(text.trim_end());
    Ok(())
}
