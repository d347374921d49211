//! A pipeline as text, Graphviz DOT and Mermaid, and nothing but text: colours are the terminal's business.

use std::fmt::Write;

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

/// Whether what follows depends on what it says.
fn decides(step: &Step) -> bool {
    matches!(step.kind, StepKind::Condition { .. } | StepKind::Test { .. } | StepKind::Approval)
}

/// The edges: from step, to step, label (the output, or nothing for mere order).
fn edges(pipeline: &Pipeline) -> Vec<(&str, &str, &str)> {
    let mut edges = Vec::new();
    for step in &pipeline.steps {
        let data = step.input_outputs().map(|o| (o.step.as_str(), step.name.as_str(), o.output.as_str()));
        let order = step.after.iter().map(|a| (a.as_str(), step.name.as_str(), ""));
        edges.extend(data.chain(order));
    }
    edges
}

/// The graph in Graphviz' language.
pub fn dot(pipeline: &Pipeline) -> String {
    let mut out = format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", pipeline.name);
    for step in &pipeline.steps {
        let shape = if decides(step) { "diamond" } else { "box" };
        let _ = writeln!(out, "  \"{0}\" [shape={shape}, label=\"{0}\\n{1}\"];", step.name, step.kind.name());
    }
    for (from, to, label) in edges(pipeline) {
        let style = if label.is_empty() { "style=dashed".to_string() } else { format!("label=\"{label}\"") };
        let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [{style}];");
    }
    out.push_str("}\n");
    out
}

/// The graph in Mermaid's language, for Markdown.
pub fn mermaid(pipeline: &Pipeline) -> String {
    let mut out = String::from("flowchart LR\n");
    for step in &pipeline.steps {
        let (open, close) = if decides(step) { ('{', '}') } else { ('[', ']') };
        let _ = writeln!(out, "  {0}{open}\"{0}<br/>{1}\"{close}", step.name, step.kind.name());
    }
    for (from, to, label) in edges(pipeline) {
        let arrow = if label.is_empty() { "-.->".to_string() } else { format!("-->|{label}|") };
        let _ = writeln!(out, "  {from} {arrow} {to}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_pipeline;

    #[test]
    fn every_step_and_edge_is_drawn() {
        let pipeline = build_pipeline();
        let text = tree(&pipeline).unwrap();
        assert!(text.contains("└─ register (Register), only after gate"), "{text}");
        assert!(text.contains(">= {Accuracy_Threshold}"), "{text}");
        assert!(text.contains("(required) [data.root]"), "{text}");
        assert!(dot(&pipeline).contains("\"gate\" -> \"register\" [style=dashed];"));
        assert!(dot(&pipeline).contains("\"train\" -> \"evaluate\" [label=\"bundle\"];"));
        assert!(mermaid(&pipeline).contains("preprocess -->|dataset| train"));
        assert!(mermaid(&pipeline).contains("gate{\"gate<br/>Condition\"}"));
    }
}
