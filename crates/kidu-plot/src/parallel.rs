//! Parallel coordinates (Inselberg 1985): an axis for each quantity, and a line through them for each thing.

use crate::{
    axis::{Axis, Scale},
    svg::{Anchor, INK, Svg, shorten},
};

/// What stands on an axis.
#[derive(Clone, Debug)]
pub enum Ticks {
    /// Numbers between two ends.
    Numbers(Scale, (f64, f64)),
    /// Names, at 0, 1, 2 and so on from below.
    Names(Vec<String>),
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Coordinate {
    /// Its name; what stands before the last dot is written smaller, above the rest.
    pub name: String,
    /// What stands on it.
    pub ticks: Ticks,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Thread {
    /// A number for each axis; a line without one passes below the axis.
    pub values: Vec<Option<f64>>,
    /// An SVG colour.
    pub colour: String,
    /// In pixels.
    pub width: f64,
    /// As in [`Svg::polyline`].
    pub dash: String,
}

const SPACING: f64 = 132.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 92.0;
const TOP: f64 = 108.0;
const HEIGHT: f64 = 300.0;
/// Height of the row for lines without a value.
const NONE: f64 = 30.0;
/// Names are written smaller where there are more of them than this.
const ROOMY: usize = 12;
/// More names than this are drawn as marks alone.
const MOST_NAMES: usize = 40;

/// Axes from left to right and lines, the last on top, with a line of explanation under the title.
pub fn parallel_coordinates(title: &str, legend: &str, axes: &[Coordinate], threads: &[Thread]) -> String {
    let width = LEFT + RIGHT + SPACING * axes.len().saturating_sub(1).max(2) as f64;
    let lacking = threads.iter().any(|t| t.values.iter().any(Option::is_none));
    let height = TOP + HEIGHT + if lacking { NONE } else { 0.0 } + 22.0;
    let mut svg = Svg::new(width, height, title);
    svg.text((14.0, 24.0), Anchor::Start, 15.0, INK, &shorten(title, (width / 8.0) as usize));
    svg.text((14.0, 44.0), Anchor::Start, 12.0, "#4a5568", &shorten(legend, (width / 6.2) as usize));
    if axes.is_empty() || threads.is_empty() {
        svg.text((14.0, TOP), Anchor::Start, 13.0, "#718096", "nothing yet");
        return svg.finish();
    }
    let rods: Vec<Rod> = axes.iter().enumerate().map(|(i, a)| Rod::new(a, LEFT + SPACING * i as f64)).collect();
    for thread in threads {
        let at = |(rod, value): (&Rod, &Option<f64>)| (rod.x, rod.y(*value));
        let points: Vec<(f64, f64)> = rods.iter().zip(&thread.values).map(at).collect();
        svg.polyline(&points, &thread.colour, thread.width, &thread.dash);
    }
    for (rod, axis) in rods.iter().zip(axes) {
        let none = threads.iter().any(|t| rods.iter().zip(&t.values).any(|(r, v)| r.x == rod.x && v.is_none()));
        rod.draw(&mut svg, axis, none);
    }
    svg.finish()
}

/// An axis at its place.
struct Rod {
    x: f64,
    axis: Axis,
    /// Values for ticks with their labels.
    ticks: Vec<(f64, String)>,
}

impl Rod {
    fn new(coordinate: &Coordinate, x: f64) -> Self {
        let pixels = (TOP + HEIGHT, TOP);
        match &coordinate.ticks {
            Ticks::Numbers(scale, range) => {
                let axis = Axis::new(*scale, *range, pixels);
                let ticks = axis.ticks();
                Self { x, axis, ticks }
            }
            Ticks::Names(names) => {
                // Half a place of air at both ends; this axis rounds nothing.
                let place = HEIGHT / names.len().max(1) as f64;
                let ends = (TOP + HEIGHT - place / 2.0, TOP + place / 2.0);
                let last = names.len().saturating_sub(1);
                let axis = Axis::exact((0.0, last.max(1) as f64), if last == 0 { (ends.0, ends.0) } else { ends });
                Self { x, axis, ticks: names.iter().enumerate().map(|(i, name)| (i as f64, name.clone())).collect() }
            }
        }
    }

    fn y(&self, value: Option<f64>) -> f64 {
        match value {
            Some(value) => self.axis.at(value).clamp(TOP, TOP + HEIGHT),
            None => TOP + HEIGHT + NONE,
        }
    }

    fn draw(&self, svg: &mut Svg, coordinate: &Coordinate, none: bool) {
        let bottom = TOP + HEIGHT + if none { NONE } else { 0.0 };
        svg.line((self.x, TOP), (self.x, TOP + HEIGHT), INK, 1.2, "");
        if none {
            svg.line((self.x, TOP + HEIGHT), (self.x, bottom), INK, 1.0, "2 3");
            label(svg, (self.x, bottom), 10.0, "none");
        }
        let size = if self.ticks.len() > ROOMY { 8.0 } else { 10.5 };
        for (value, text) in &self.ticks {
            let y = self.axis.at(*value);
            svg.line((self.x - 3.0, y), (self.x + 3.0, y), INK, 1.0, "");
            if self.ticks.len() <= MOST_NAMES {
                label(svg, (self.x, y), size, &shorten(text, 17));
            }
        }
        let (path, name) = coordinate.name.rsplit_once('.').unwrap_or(("", &coordinate.name));
        svg.text((self.x, TOP - 30.0), Anchor::Middle, 10.0, "#718096", &shorten(path, 23));
        svg.text((self.x, TOP - 15.0), Anchor::Middle, 12.0, INK, &shorten(name, 20));
    }
}

/// A text beside an axis, readable over the lines.
fn label(svg: &mut Svg, at: (f64, f64), size: f64, text: &str) {
    let width = text.chars().count() as f64 * size * 0.58 + 3.0;
    svg.rect((at.0 + 5.0, at.1 - size * 0.6), (width, size * 1.2), "rgba(255,255,255,0.8)", None);
    svg.text((at.0 + 7.0, at.1 + size * 0.36), Anchor::Start, size, INK, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> Vec<Coordinate> {
        vec![
            Coordinate { name: "val/acc".into(), ticks: Ticks::Numbers(Scale::Linear, (0.5, 0.9)) },
            Coordinate { name: "model.learning_rate".into(), ticks: Ticks::Numbers(Scale::Log10, (1e-5, 0.1)) },
            Coordinate { name: "kind".into(), ticks: Ticks::Names(vec!["adam".into(), "a < b".into()]) },
        ]
    }

    fn thread(values: [Option<f64>; 3]) -> Thread {
        Thread { values: values.to_vec(), colour: "#123456".into(), width: 1.0, dash: String::new() }
    }

    #[test]
    fn lines_pass_through_their_values() {
        let threads = [thread([Some(0.9), Some(1e-3), Some(0.0)]), thread([Some(0.5), None, Some(1.0)])];
        let svg = parallel_coordinates("t", "l", &axes(), &threads);
        // Top; the middle of four powers of ten; the middle of the lower half.
        let middle = TOP + HEIGHT / 2.0;
        let expected =
            format!("{LEFT},{TOP} {},{middle} {},{}", LEFT + SPACING, LEFT + 2.0 * SPACING, TOP + 0.75 * HEIGHT);
        assert!(svg.contains(&expected), "{expected} in {svg}");
        assert!(svg.contains(&format!("{},{}", LEFT + SPACING, TOP + HEIGHT + NONE)));
        assert_eq!(svg.matches(">none<").count(), 1, "only the axis that needs it");
        assert!(svg.contains("a &lt; b") && svg.contains(">learning_rate<") && svg.contains(">model<"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn little_is_drawn_as_well() {
        let one = [Coordinate { name: "x".into(), ticks: Ticks::Names(vec!["only".into()]) }];
        let flat = [Coordinate { name: "x".into(), ticks: Ticks::Numbers(Scale::Log10, (1.0, 1.0)) }];
        let thread = Thread { values: vec![Some(0.0)], ..thread([None; 3]) };
        for axes in [&one[..], &flat, &[]] {
            for threads in [&[thread.clone()][..], &[]] {
                let svg = parallel_coordinates("t", "l", axes, threads);
                assert!(svg.trim_end().ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
