//! Charts of lines and points, a few side by side.

use crate::{
    axis::{Axis, Scale},
    svg::{Anchor, GRID, INK, Svg, shorten},
};

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// A line, with a dot for each point while there are few.
    #[default]
    Line,
    /// Dots alone.
    Dots,
    /// A faint line without dots.
    Faint,
}

/// Points that belong together.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend; none if empty.
    pub label: String,
    /// An SVG colour.
    pub colour: String,
    /// (x, y) by x; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
}

/// A vertical line with a name.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where it stands.
    pub x: f64,
    /// What it stands for.
    pub label: String,
    /// An SVG colour.
    pub colour: String,
}

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What is drawn.
    pub title: String,
    /// Name and scale of the x axis.
    pub x: (String, Scale),
    /// Names for x = 0, 1, 2 and so on, in place of numbers; empty for numbers.
    pub x_names: Vec<String>,
    /// Name and scale of the y axis.
    pub y: (String, Scale),
    /// The series; those without points are left out.
    pub series: Vec<Series>,
    /// Vertical lines.
    pub marks: Vec<Mark>,
    /// Whether the y axis begins at 0.
    pub from_zero: bool,
    /// Bounds of the y axis in place of the values' own; what lies outside is cut off.
    pub y_range: Option<(f64, f64)>,
}

const LEFT: f64 = 66.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 46.0;

/// More points than this are drawn without dots.
const DOTTED: usize = 40;

/// Charts side by side, each of this width and height in pixels.
pub fn figure(charts: &[Chart], size: (f64, f64)) -> String {
    let title = charts.iter().map(|c| c.title.as_str()).collect::<Vec<_>>().join(", ");
    let mut svg = Svg::new(size.0 * charts.len().max(1) as f64, size.1, &title);
    for (i, chart) in charts.iter().enumerate() {
        Drawing { svg: &mut svg, left: size.0 * i as f64, size }.draw(chart);
    }
    svg.finish()
}

struct Drawing<'a> {
    svg: &'a mut Svg,
    left: f64,
    size: (f64, f64),
}

impl Drawing<'_> {
    fn draw(&mut self, chart: &Chart) {
        let (left, right) = (self.left + LEFT, self.left + self.size.0 - RIGHT);
        self.svg.text((self.left + 14.0, 24.0), Anchor::Start, 15.0, INK, &chart.title);
        let drawn: Vec<(&Series, Vec<(f64, f64)>)> =
            chart.series.iter().map(|s| (s, shown(chart, s))).filter(|(_, points)| !points.is_empty()).collect();
        let all = || drawn.iter().flat_map(|(_, points)| points.iter().copied());
        if all().next().is_none() {
            self.svg.text((left, self.size.1 / 2.0), Anchor::Start, 13.0, "#718096", "nothing yet");
            return;
        }
        let least = if chart.from_zero && chart.y.1 == Scale::Linear { 0.0 } else { f64::INFINITY };
        let y_range = chart.y_range.unwrap_or_else(|| range(all().map(|p| p.1), least));
        let y_axis = Axis::new(chart.y.1, y_range, (self.size.1 - BOTTOM, TOP));
        let x_axis = match chart.x_names.len() {
            0 => Axis::new(chart.x.1, range(all().map(|p| p.0), f64::INFINITY), (left, right)),
            // Half a place of air at both ends.
            names => Axis::exact((-0.5, names as f64 - 0.5), (left, right)),
        };
        self.axes(chart, &x_axis, &y_axis);
        for (series, points) in &drawn {
            let pixels: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x_axis.at(*x), y_axis.at(*y))).collect();
            self.series(series, &pixels);
        }
        for mark in chart.marks.iter().filter(|m| m.x.is_finite() && x_axis.covers(m.x)) {
            let x = x_axis.at(mark.x);
            self.svg.line((x, TOP), (x, self.size.1 - BOTTOM), &mark.colour, 1.4, "5 4");
        }
        self.legend(chart, &drawn);
    }

    fn axes(&mut self, chart: &Chart, x_axis: &Axis, y_axis: &Axis) {
        let (left, right, bottom) = (self.left + LEFT, self.left + self.size.0 - RIGHT, self.size.1 - BOTTOM);
        for (value, label) in y_axis.ticks() {
            let y = y_axis.at(value);
            self.svg.line((left, y), (right, y), GRID, 1.0, "");
            self.svg.text((left - 7.0, y + 4.0), Anchor::End, 12.0, INK, &label);
        }
        for (value, label) in x_ticks(chart, x_axis, right - left) {
            let x = x_axis.at(value);
            self.svg.line((x, bottom), (x, bottom + 4.0), INK, 1.0, "");
            self.svg.text((x, bottom + 18.0), Anchor::Middle, 12.0, INK, &label);
        }
        self.svg.line((left, bottom), (right, bottom), INK, 1.0, "");
        self.svg.text(((left + right) / 2.0, self.size.1 - 9.0), Anchor::Middle, 12.0, INK, &chart.x.0);
        let at = (self.left + 16.0, (TOP + bottom) / 2.0);
        self.svg.turned_text(at, Anchor::Middle, 12.0, INK, &chart.y.0, -90.0);
    }

    fn series(&mut self, series: &Series, pixels: &[(f64, f64)]) {
        let colour = &series.colour;
        match series.style {
            Style::Faint => self.svg.polyline(pixels, colour, 1.0, ""),
            Style::Line => self.svg.polyline(pixels, colour, 2.0, ""),
            Style::Dots => {}
        }
        if series.style == Style::Dots || (series.style == Style::Line && pixels.len() <= DOTTED) {
            pixels.iter().for_each(|at| self.svg.circle(*at, 2.8, colour));
        }
    }

    /// Names above the plot, from the left, as many as fit in a line.
    fn legend(&mut self, chart: &Chart, drawn: &[(&Series, Vec<(f64, f64)>)]) {
        let named = drawn.iter().map(|(s, _)| (&s.label, &s.colour, ""));
        let marks = chart.marks.iter().map(|m| (&m.label, &m.colour, "5 4"));
        let mut x = self.left + LEFT;
        for (label, colour, dash) in named.chain(marks).filter(|(label, ..)| !label.is_empty()) {
            let width = 32.0 + 6.6 * label.chars().count() as f64;
            if x + width > self.left + self.size.0 {
                break;
            }
            self.svg.line((x, 42.0), (x + 18.0, 42.0), colour, 2.5, dash);
            self.svg.text((x + 23.0, 46.0), Anchor::Start, 12.0, INK, label);
            x += width + 8.0;
        }
    }
}

/// Ticks of the x axis; names only as long as their place in `width` pixels.
fn x_ticks(chart: &Chart, axis: &Axis, width: f64) -> Vec<(f64, String)> {
    if chart.x_names.is_empty() {
        return axis.ticks();
    }
    let most = (width / chart.x_names.len() as f64 / 6.8) as usize;
    let name = |(i, name): (usize, &String)| (i as f64, if most < 3 { String::new() } else { shorten(name, most) });
    chart.x_names.iter().enumerate().map(name).collect()
}

/// The points that can be drawn.
fn shown(chart: &Chart, series: &Series) -> Vec<(f64, f64)> {
    let fits = |value: f64, scale: Scale| value.is_finite() && (scale == Scale::Linear || value > 0.0);
    let inside = |y: f64| chart.y_range.is_none_or(|(low, high)| (low..=high).contains(&y));
    let points = series.points.iter().copied();
    points.filter(|(x, y)| fits(*x, chart.x.1) && fits(*y, chart.y.1) && inside(*y)).collect()
}

fn range(values: impl Iterator<Item = f64>, least: f64) -> (f64, f64) {
    values.fold((least, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let series = Series { label: "loss".into(), colour: "#123456".into(), points, style: Style::Line };
        Chart { title: "a < b".into(), series: vec![series], ..Chart::default() }
    }

    #[test]
    fn draws_any_number_of_points_and_nothing_that_is_no_number() {
        for points in [vec![], vec![(1.0, 2.0)], vec![(0.0, f64::NAN), (1.0, f64::INFINITY), (2.0, 3.0), (3.0, -3.0)]] {
            for scale in [Scale::Linear, Scale::Log10] {
                let mut chart = chart(points.clone());
                chart.x.1 = scale;
                chart.y.1 = scale;
                chart.marks = vec![Mark { x: 2.0, label: "here".into(), colour: "red".into() }];
                let svg = figure(&[chart.clone(), chart], (400.0, 300.0));
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
                assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("a &lt; b"), "{svg}");
            }
        }
    }

    #[test]
    fn names_stand_under_their_places() {
        let mut chart = chart(vec![(0.0, 1.0), (2.0, 2.0)]);
        chart.x_names = vec!["adam".into(), "a name that is much too long for its place".into(), "sgd".into()];
        let svg = figure(&[chart.clone()], (400.0, 300.0));
        let x = LEFT + (400.0 - LEFT - RIGHT) / 6.0;
        assert!(svg.contains(&format!("<text x=\"{x}\"")) && svg.contains(">adam<") && svg.contains('…'), "{svg}");
        chart.x_names = (0..90).map(|i| format!("name {i}")).collect();
        assert!(!figure(&[chart], (400.0, 300.0)).contains(">name"), "too many to be read");
    }

    #[test]
    fn what_lies_outside_the_range_is_cut_off() {
        let mut chart = chart(vec![(0.0, 1.0), (1.0, 2.0), (2.0, 900.0)]);
        chart.y_range = Some((0.0, 4.0));
        let svg = figure(&[chart], (400.0, 300.0));
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
