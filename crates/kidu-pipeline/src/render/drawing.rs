//! What a drawing shows, whatever language draws it.

use std::fmt::Write;

use super::svg;
use crate::{
    build_pipeline, deploy_pipeline,
    graph::{Pipeline, Step, StepKind},
};

/// A box of a drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique within a drawing.
    pub name: String,
    /// What kind of thing it is.
    pub note: String,
    /// Whether what follows depends on what it says.
    pub decides: bool,
}

/// An arrow of a drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The name of the node it leaves.
    pub from: String,
    /// The name of the node it reaches.
    pub to: String,
    /// What goes along it; empty where one only waits for the other.
    pub label: String,
}

impl Edge {
    fn new(from: &str, to: &str, label: &str) -> Self {
        Self { from: from.into(), to: to.into(), label: label.into() }
    }
}

/// Nodes and the arrows between them: a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// Its heading; empty for none.
    pub title: String,
    /// Its nodes in the order they run.
    pub nodes: Vec<Node>,
    /// Arrows between its nodes; at most one from a node to another.
    pub edges: Vec<Edge>,
}

impl Band {
    fn of(pipeline: &Pipeline, title: &str) -> Self {
        let node = |step: &Step| Node {
            name: step.name.clone(),
            note: step.kind.name().to_string(),
            decides: matches!(step.kind, StepKind::Condition { .. } | StepKind::Test { .. } | StepKind::Approval),
        };
        let mut edges: Vec<Edge> = Vec::new();
        for step in &pipeline.steps {
            let data = step.input_outputs().map(|o| Edge::new(&o.step, &step.name, &o.output));
            let order = step.after.iter().map(|after| Edge::new(after, &step.name, ""));
            for edge in data.chain(order) {
                match edges.iter_mut().find(|e| e.from == edge.from && e.to == edge.to) {
                    Some(known) if edge.label.is_empty() || known.label.split(", ").any(|l| l == edge.label) => {}
                    Some(known) if known.label.is_empty() => known.label = edge.label,
                    Some(known) => known.label = format!("{}, {}", known.label, edge.label),
                    None => edges.push(edge),
                }
            }
        }
        Self { title: title.into(), nodes: pipeline.steps.iter().map(node).collect(), edges }
    }
}

/// One pipeline, or several with what leads from one to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// The name of the whole.
    pub title: String,
    /// The pipelines, from top to bottom.
    pub bands: Vec<Band>,
    /// Arrows between nodes of different pipelines.
    pub joins: Vec<Edge>,
}

impl Drawing {
    /// One pipeline alone.
    pub fn of(pipeline: &Pipeline) -> Self {
        Self { title: pipeline.name.clone(), bands: vec![Band::of(pipeline, "")], joins: Vec::new() }
    }

    /// The whole circle: [`build_pipeline`](build_pipeline()), [`deploy_pipeline`](deploy_pipeline()), and the annotation that begins the next round.
    pub fn circle() -> Self {
        let annotation = Band {
            title: "annotation".into(),
            nodes: vec![Node { name: "label-studio".into(), note: "Label Studio".into(), decides: false }],
            edges: Vec::new(),
        };
        Self {
            title: "Kidu".into(),
            bands: vec![Band::of(&build_pipeline(), "build"), Band::of(&deploy_pipeline(), "deploy"), annotation],
            joins: vec![
                Edge::new("register", "package", "approved version"),
                Edge::new("production", "label-studio", "predictions"),
                Edge::new("label-studio", "preprocess", "corrected labels"),
            ],
        }
    }

    /// The drawing in Graphviz' language.
    pub fn dot(&self) -> String {
        let mut out = format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", self.title);
        for band in &self.bands {
            let (open, close) = match band.title.is_empty() {
                true => (String::new(), ""),
                false => (format!("  subgraph \"cluster_{0}\" {{ label=\"{0}\";\n", band.title), "  }\n"),
            };
            out += &open;
            for Node { name, note, decides } in &band.nodes {
                let shape = if *decides { "diamond" } else { "box" };
                let _ = writeln!(out, "  \"{name}\" [shape={shape}, label=\"{name}\\n{note}\"];");
            }
            out += close;
        }
        for Edge { from, to, label } in self.edges() {
            let style = if label.is_empty() { "style=dashed".to_string() } else { format!("label=\"{label}\"") };
            let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [{style}];");
        }
        out + "}\n"
    }

    /// The drawing in Mermaid's language, for Markdown.
    pub fn mermaid(&self) -> String {
        let direction = if self.bands.len() > 1 { "TB" } else { "LR" };
        let mut out = format!("flowchart {direction}\n");
        for band in &self.bands {
            let (open, close) = match band.title.is_empty() {
                true => (String::new(), ""),
                false => (format!("  subgraph {}\n  direction LR\n", band.title), "  end\n"),
            };
            out += &open;
            for Node { name, note, decides } in &band.nodes {
                let (open, close) = if *decides { ('{', '}') } else { ('[', ']') };
                let _ = writeln!(out, "  {name}{open}\"{name}<br/>{note}\"{close}");
            }
            out += close;
        }
        let mut edge = |from: &str, to: &str, label: &str| {
            let arrow = if label.is_empty() { "-.->".to_string() } else { format!("-->|{label}|") };
            let _ = writeln!(out, "  {from} {arrow} {to}");
        };
        for Edge { from, to, label } in self.bands.iter().flat_map(|b| &b.edges) {
            edge(from, to, label);
        }
        for Edge { from, to, label } in &self.joins {
            // From pipeline to pipeline: one whose steps lead outside would be drawn from top to bottom.
            edge(self.band_of(from), self.band_of(to), label);
        }
        out
    }

    /// The title of the band that a node is part of.
    fn band_of(&self, node: &str) -> &str {
        let band = self.bands.iter().find(|b| b.nodes.iter().any(|n| n.name == node));
        band.map_or("", |b| &b.title)
    }

    /// The drawing as a picture, light or dark as its reader prefers.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.bands.iter().flat_map(|b| &b.edges).chain(&self.joins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_and_edge_is_drawn() {
        let drawing = Drawing::of(&build_pipeline());
        assert!(drawing.dot().contains("\"gate\" -> \"register\" [style=dashed];"));
        assert!(drawing.dot().contains("\"train\" -> \"evaluate\" [label=\"bundle\"];"));
        assert!(drawing.mermaid().contains("preprocess -->|dataset| train"));
        assert!(drawing.mermaid().contains("gate{\"gate<br/>Condition\"}"));
    }

    #[test]
    fn the_circle_is_closed_and_its_names_are_unique() {
        let circle = Drawing::circle();
        let names: Vec<&String> = circle.bands.iter().flat_map(|b| &b.nodes).map(|n| &n.name).collect();
        let unique: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        assert!(circle.edges().all(|e| names.contains(&&e.from) && names.contains(&&e.to)), "{circle:?}");
        let pairs: Vec<_> = circle.edges().map(|e| (&e.from, &e.to)).collect();
        assert!(
            (1..pairs.len()).all(|i| !pairs[..i].contains(&pairs[i])),
            "one arrow from a node to another: {pairs:?}"
        );
        assert!(circle.mermaid().contains("  build -->|approved version| deploy\n"), "{}", circle.mermaid());
        assert!(circle.mermaid().contains("subgraph deploy") && circle.dot().contains("cluster_deploy"));
    }
}
