//! Pipelines as text, and as graphs for Graphviz, Mermaid and the browser. Colours of the terminal are its own business.

mod drawing;
mod svg;

use std::fmt::Write;

pub use drawing::{Band, Drawing, Edge, Node};

use crate::{
    error::Result,
    graph::{InputSource, Pipeline, Step, StepKind},
    parameter::text_of,
};

/// The pipeline as a tree for the terminal, steps in the order they run.
///
/// # Errors
/// [`Error::Graph`](crate::Error::Graph) for a pipeline that is not valid.
pub fn tree(pipeline: &Pipeline) -> Result<String> {
    let steps = pipeline.validate()?;
    let mut out = format!("{}: {} steps, {} parameters\n", pipeline.name, steps.len(), pipeline.parameters.len());
    let width = pipeline.parameters.iter().map(|p| p.name.len()).max().unwrap_or(0);
    out.push_str("├─ parameters\n");
    for p in &pipeline.parameters {
        let value = p.default.as_ref().map_or_else(|| "(required)".into(), text_of);
        let key = p.config_key.as_deref().map(|k| format!(" [{k}]")).unwrap_or_default();
        let _ = writeln!(out, "│    {:width$}  {value}{key}", p.name);
    }
    for (i, step) in steps.iter().enumerate() {
        let (branch, bar) = if i + 1 == steps.len() { ("└─", "  ") } else { ("├─", "│ ") };
        let notes = notes(step);
        let _ = writeln!(out, "{branch} {} ({}){notes}", step.name, step.kind.name());
        for line in details(step) {
            let _ = writeln!(out, "{bar}   {line}");
        }
    }
    Ok(out)
}

fn notes(step: &Step) -> String {
    let after = (!step.after.is_empty()).then(|| format!(", only after {}", step.after.join(", ")));
    let uncached = (!step.cache).then(|| ", never cached".to_string());
    [after, uncached].into_iter().flatten().collect()
}

fn details(step: &Step) -> Vec<String> {
    let verb: Vec<String> = step.verb.iter().map(ToString::to_string).collect();
    let mut lines = match &step.kind {
        StepKind::Deploy { environment, bundle } => vec![format!("takes {bundle} into service in {environment}")],
        StepKind::Approval => vec!["waits for a person".to_string()],
        _ => vec![format!("kidu {}", verb.join(" "))],
    };
    let inputs: Vec<String> = step.inputs.iter().map(|i| input(&i.name, &i.source)).collect();
    let outputs: Vec<String> = step.outputs.iter().map(|o| format!("{} ({})", o.name, o.path)).collect();
    if !inputs.is_empty() {
        lines.push(format!("reads  {}", inputs.join(", ")));
    }
    if !outputs.is_empty() {
        lines.push(format!("writes {}", outputs.join(", ")));
    }
    if let StepKind::Condition { conditions } = &step.kind {
        let say = |c: &crate::graph::Condition| format!("{} {} {}", c.path, c.comparison.sign(), c.value);
        lines.extend(conditions.iter().map(|c| format!("asks   {}", say(c))));
    }
    lines
}

fn input(name: &str, source: &InputSource) -> String {
    match source {
        InputSource::Output(output) => output.to_string(),
        InputSource::External { location: Some(at) } => format!("{name} at {at}"),
        InputSource::External { location: None } => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_pipeline;

    #[test]
    fn every_step_is_in_the_tree() {
        let text = tree(&build_pipeline()).unwrap();
        assert!(text.contains("└─ register (Register), only after gate"), "{text}");
        assert!(text.contains(">= {Accuracy_Threshold}"), "{text}");
        assert!(text.contains("(required) [data.root]"), "{text}");
    }
}
