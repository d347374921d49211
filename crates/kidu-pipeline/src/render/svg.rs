//! Drawings as SVG: each band a row of columns, edges past a column in lanes above and below the row.
//!
//! Pipelines are nearly chains, so a layout by longest paths with lanes for the edges that skip a step is as clear as a general
//! one, and it is the same on every run.

use std::fmt::Write;

use kidu_core::markup::escape;

use super::{Band, Drawing, Edge};

const HEIGHT: f64 = 46.0;
const LANE: f64 = 26.0;
const MARGIN: f64 = 24.0;
/// Between a band's lowest lane and the next band, where the joins run.
const GAP: f64 = 44.0;
/// Width of a character, on the mean, of the sizes that nodes and labels have.
const NODE_CHARACTER: f64 = 7.9;
const LABEL_CHARACTER: f64 = 6.3;

/// Colours as custom properties, so that one file does for light and dark pages.
const STYLE: &str = "\
svg{--ground:#fff;--ink:#1f2328;--soft:#57606a;--line:#6e7781;--node:#ddeafb;--edge:#5a8fd0;--ask:#fdf0d2;--asks:#c48a1a}\
@media(prefers-color-scheme:dark){svg{--ground:#0d1117;--ink:#e6edf3;--soft:#a5adb8;--line:#8b949e;--node:#182c47;\
--edge:#4a86d2;--ask:#3b2e12;--asks:#c9962f}}\
text{font-family:system-ui,sans-serif;fill:var(--ink);text-anchor:middle}.note,.label{font-size:11px;fill:var(--soft)}\
.name{font-size:14px;font-weight:600}.band{font-size:13px;fill:var(--soft);text-anchor:end}\
.label{paint-order:stroke;stroke:var(--ground);stroke-width:4px}path{fill:none;stroke:var(--line);stroke-width:1.4}\
.order{stroke-dasharray:4 3}.node{fill:var(--node);stroke:var(--edge)}.decides{fill:var(--ask);stroke:var(--asks)}";

/// Where a node lies.
#[derive(Clone, Debug)]
struct Place {
    name: String,
    band: usize,
    x: f64,
    y: f64,
    width: f64,
}

impl Place {
    fn middle(&self) -> f64 {
        self.x + self.width / 2.0
    }
}

/// An edge that passes at least one column, and the lane it takes: 1, 2, ... above, -1, -2, ... below.
struct Detour<'a> {
    edge: &'a Edge,
    columns: (usize, usize),
    lane: i32,
}

pub(super) fn draw(drawing: &Drawing) -> String {
    let left = MARGIN + if drawing.joins.is_empty() { 0.0 } else { 2.0 * LANE };
    let mut places: Vec<Place> = Vec::new();
    let mut body = String::new();
    let mut y = MARGIN;
    let mut tops = Vec::new();
    for (index, band) in drawing.bands.iter().enumerate() {
        tops.push(y);
        if !band.title.is_empty() {
            y += 20.0;
        }
        let columns = columns(band);
        let detours = detours(band, &columns);
        let lanes = |side: i32| detours.iter().map(|d| d.lane * side).max().unwrap_or(0).max(0) as f64;
        let row = y + lanes(1) * LANE + 6.0;
        let placed = place(band, index, &columns, (left, row));
        y = placed.iter().map(|p| p.y + HEIGHT).fold(row + HEIGHT, f64::max) + lanes(-1) * LANE + GAP;
        edges_of(&mut body, band, &placed, &detours);
        places.extend(placed);
    }
    for join in &drawing.joins {
        draw_join(&mut body, join, &places, &tops);
    }
    for (node, place) in drawing.bands.iter().flat_map(|b| &b.nodes).zip(&places) {
        let class = if node.decides { "node decides" } else { "node" };
        let (x, middle) = (place.x, place.middle());
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{HEIGHT}\" rx=\"{}\"/>\
             <text class=\"name\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text><text class=\"note\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            place.y,
            place.width,
            if node.decides { 22 } else { 5 },
            place.y + 20.0,
            escape(&node.name),
            place.y + 36.0,
            escape(&node.note),
        );
    }
    let width = places.iter().map(|p| p.x + p.width).fold(0.0, f64::max) + MARGIN;
    let height = y - GAP + MARGIN;
    // At the right, where no join comes down.
    for (band, top) in drawing.bands.iter().zip(&tops).filter(|(b, _)| !b.title.is_empty()) {
        let (x, y) = (width - MARGIN, top + 12.0);
        let _ = writeln!(body, "<text class=\"band\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(&band.title));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" style=\"fill:var(--line);stroke:none\"/>\
         </marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"var(--ground)\"/>\n{body}</svg>\n",
        escape(&drawing.title)
    )
}

/// The column of each node: the length of the longest path to it.
fn columns(band: &Band) -> Vec<usize> {
    let at = |name: &str| band.nodes.iter().position(|n| n.name == name);
    let mut columns = vec![0; band.nodes.len()];
    // A path has fewer edges than there are nodes; a circle, which no valid pipeline has, ends here too.
    for _ in 0..band.nodes.len() {
        for edge in &band.edges {
            if let (Some(from), Some(to)) = (at(&edge.from), at(&edge.to))
                && columns[to] <= columns[from]
                && columns[from] + 1 < band.nodes.len()
            {
                columns[to] = columns[from] + 1;
            }
        }
    }
    columns
}

/// Lanes for the edges that pass a column: short ones inside, alternating between above and below.
fn detours<'a>(band: &'a Band, columns: &[usize]) -> Vec<Detour<'a>> {
    let column = |name: &str| band.nodes.iter().position(|n| n.name == name).map_or(0, |i| columns[i]);
    let mut long: Vec<(&Edge, (usize, usize))> =
        band.edges.iter().map(|e| (e, (column(&e.from), column(&e.to)))).collect();
    long.retain(|(_, (from, to))| to.abs_diff(*from) != 1);
    long.sort_by_key(|(_, (from, to))| (to.abs_diff(*from), *from));
    let mut taken: Vec<Detour<'a>> = Vec::new();
    for (edge, (from, to)) in long {
        let free = |lane: i32| {
            taken.iter().all(|d| d.lane != lane || d.columns.1 <= from.min(to) || d.columns.0 >= from.max(to))
        };
        let lane = (1..).flat_map(|n| [n, -n]).find(|lane| free(*lane)).unwrap_or(1);
        taken.push(Detour { edge, columns: (from.min(to), from.max(to)), lane });
    }
    taken
}

/// Each column is as wide as its widest node, and the space after it as the widest label there.
fn place(band: &Band, index: usize, columns: &[usize], (left, top): (f64, f64)) -> Vec<Place> {
    let width = |text: &str, character: f64| text.chars().count() as f64 * character;
    let node_width = |i: usize| {
        let node = &band.nodes[i];
        width(&node.name, NODE_CHARACTER).max(width(&node.note, LABEL_CHARACTER)) + 26.0
    };
    let column = |name: &str| band.nodes.iter().position(|n| n.name == name).map(|i| columns[i]);
    let mut x = left;
    let mut places = Vec::new();
    for c in 0..=columns.iter().copied().max().unwrap_or(0) {
        let inside: Vec<usize> = (0..columns.len()).filter(|i| columns[*i] == c).collect();
        let widest = inside.iter().map(|i| node_width(*i)).fold(0.0, f64::max);
        for (row, &i) in inside.iter().enumerate() {
            let y = top + row as f64 * (HEIGHT + LANE);
            places.push((i, Place { name: band.nodes[i].name.clone(), band: index, x, y, width: widest }));
        }
        let labels = band.edges.iter().filter(|e| column(&e.from) == Some(c) && column(&e.to) == Some(c + 1));
        x += widest + labels.map(|e| width(&e.label, LABEL_CHARACTER)).fold(0.0, f64::max) + 40.0;
    }
    places.sort_by_key(|(i, _)| *i);
    places.into_iter().map(|(_, place)| place).collect()
}

fn find<'a>(places: &'a [Place], name: &str) -> Option<&'a Place> {
    places.iter().find(|p| p.name == name)
}

fn edges_of(out: &mut String, band: &Band, places: &[Place], detours: &[Detour<'_>]) {
    for edge in &band.edges {
        let (Some(from), Some(to)) = (find(places, &edge.from), find(places, &edge.to)) else { continue };
        match detours.iter().find(|d| std::ptr::eq(d.edge, edge)) {
            None => {
                let (x1, y1, x2, y2) = (from.x + from.width, from.y + HEIGHT / 2.0, to.x, to.y + HEIGHT / 2.0);
                let half = (x1 + x2) / 2.0;
                arrow(out, edge, &format!("M{x1:.1},{y1:.1} C{half:.1},{y1:.1} {half:.1},{y2:.1} {x2:.1},{y2:.1}"));
                label(out, edge, half, (y1 + y2) / 2.0 - 5.0);
            }
            Some(detour) => {
                // Each lane leaves and arrives at a place of its own, so that no two run in one line.
                let shift = |lane: i32| (f64::from(lane.abs()) - 1.0) * 9.0;
                let (x1, x2) = (from.middle() + 8.0 + shift(detour.lane), to.middle() - 8.0 - shift(detour.lane));
                let side = |place: &Place| if detour.lane > 0 { place.y } else { place.y + HEIGHT };
                let rim = match detour.lane > 0 {
                    true => places.iter().map(|p| p.y).fold(f64::INFINITY, f64::min),
                    false => places.iter().map(|p| p.y + HEIGHT).fold(0.0, f64::max),
                };
                let y = rim - f64::from(detour.lane) * LANE;
                arrow(out, edge, &bent(&[(x1, side(from)), (x1, y), (x2, y), (x2, side(to))]));
                label(out, edge, (x1 + x2) / 2.0, y - 4.0);
            }
        }
    }
}

/// Downwards through the gap between two bands, upwards along the left margin.
fn draw_join(out: &mut String, join: &Edge, places: &[Place], tops: &[f64]) {
    let (Some(from), Some(to)) = (find(places, &join.from), find(places, &join.to)) else { return };
    if from.band < to.band {
        let gap = tops[to.band] - GAP / 2.0;
        arrow(
            out,
            join,
            &bent(&[(from.middle(), from.y + HEIGHT), (from.middle(), gap), (to.middle(), gap), (to.middle(), to.y)]),
        );
        label(out, join, (from.middle() + to.middle()) / 2.0, gap - 4.0);
    } else {
        let (y1, y2) = (from.y + HEIGHT / 2.0, to.y + HEIGHT / 2.0);
        arrow(out, join, &bent(&[(from.x, y1), (MARGIN + 4.0, y1), (MARGIN + 4.0, y2), (to.x, y2)]));
        let (x, y) = (MARGIN - 2.0, (y1 + y2) / 2.0);
        let _ = writeln!(
            out,
            "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\" transform=\"rotate(-90 {x:.1} {y:.1})\">{}</text>",
            escape(&join.label)
        );
    }
}

fn arrow(out: &mut String, edge: &Edge, path: &str) {
    let class = if edge.label.is_empty() { " class=\"order\"" } else { "" };
    let _ = writeln!(out, "<path{class} d=\"{path}\" marker-end=\"url(#tip)\"/>");
}

fn label(out: &mut String, edge: &Edge, x: f64, y: f64) {
    if !edge.label.is_empty() {
        let _ = writeln!(out, "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(&edge.label));
    }
}

/// Straight lines from point to point with round corners.
fn bent(points: &[(f64, f64)]) -> String {
    const RADIUS: f64 = 8.0;
    let mut path = String::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        let toward = |other: (f64, f64)| {
            let (dx, dy) = (other.0 - x, other.1 - y);
            let length = dx.hypot(dy);
            let step = RADIUS.min(length / 2.0) / length.max(1e-9);
            (x + dx * step, y + dy * step)
        };
        match (i.checked_sub(1).and_then(|p| points.get(p)), points.get(i + 1)) {
            (Some(&before), Some(&after)) => {
                let ((x1, y1), (x2, y2)) = (toward(before), toward(after));
                let _ = write!(path, " L{x1:.1},{y1:.1} Q{x:.1},{y:.1} {x2:.1},{y2:.1}");
            }
            (None, _) => {
                let _ = write!(path, "M{x:.1},{y:.1}");
            }
            (_, None) => {
                let _ = write!(path, " L{x:.1},{y:.1}");
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{build_pipeline, deploy_pipeline};

    fn boxes(drawing: &Drawing) -> Vec<Place> {
        let band = &drawing.bands[0];
        place(band, 0, &columns(band), (0.0, 0.0))
    }

    #[test]
    fn nodes_stand_in_the_order_of_their_edges_and_never_on_each_other() {
        for pipeline in [build_pipeline(), deploy_pipeline()] {
            let drawing = Drawing::of(&pipeline);
            let places = boxes(&drawing);
            for edge in &drawing.bands[0].edges {
                let (from, to) = (find(&places, &edge.from).unwrap(), find(&places, &edge.to).unwrap());
                assert!(from.x + from.width < to.x, "{edge:?}");
            }
            for (i, a) in places.iter().enumerate() {
                for b in &places[..i] {
                    assert!((a.x - b.x).abs() > a.width.min(b.width) || (a.y - b.y).abs() >= HEIGHT, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn lanes_are_not_shared_where_edges_overlap() {
        let drawing = Drawing::of(&build_pipeline());
        let band = &drawing.bands[0];
        let lanes = detours(band, &columns(band));
        assert!(!lanes.is_empty(), "the dataset goes to the evaluation past the training");
        for (i, a) in lanes.iter().enumerate() {
            for b in &lanes[..i] {
                let apart = a.columns.1 <= b.columns.0 || b.columns.1 <= a.columns.0;
                assert!(a.lane != b.lane || apart, "{} and {}", a.edge.label, b.edge.label);
            }
        }
    }

    #[test]
    fn every_node_edge_and_title_is_in_the_picture() {
        let circle = Drawing::circle();
        let svg = circle.svg();
        let nodes: usize = circle.bands.iter().map(|b| b.nodes.len()).sum();
        assert_eq!(svg.matches("class=\"name\"").count(), nodes);
        let edges = circle.joins.len() + circle.bands.iter().map(|b| b.edges.len()).sum::<usize>();
        assert_eq!(svg.matches("marker-end").count(), edges);
        assert!(svg.contains("<title>Kidu</title>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
