//! Charts of lines and points, a few in a figure.

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

/// Height of each line of a legend but the first, which is part of `TOP`.
const LEGEND_LINE: f64 = 18.0;

/// More points than this are drawn without dots.
const DOTTED: usize = 40;

/// Charts in a row, each of this width and height in pixels; more than three in rows, lest they become a ribbon.
pub fn figure(charts: &[Chart], size: (f64, f64)) -> String {
    let title = charts.iter().map(|c| c.title.as_str()).collect::<Vec<_>>().join(", ");
    let columns = match charts.len() {
        0 => 1,
        4 => 2,
        few => few.min(3),
    };
    let rows = charts.len().div_ceil(columns).max(1);
    let mut svg = Svg::new(size.0 * columns as f64, size.1 * rows as f64, &title);
    for (i, chart) in charts.iter().enumerate() {
        let (left, upper) = (size.0 * (i % columns) as f64, size.1 * (i / columns) as f64);
        Drawing { svg: &mut svg, left, upper, top: upper + TOP, size }.draw(chart);
    }
    svg.finish()
}

struct Drawing<'a> {
    svg: &'a mut Svg,
    left: f64,
    /// The chart's upper edge.
    upper: f64,
    /// Where the plot begins, below the legend.
    top: f64,
    size: (f64, f64),
}

/// A name in the legend.
struct Entry<'a> {
    label: &'a str,
    colour: &'a str,
    dash: &'static str,
    /// From the chart's left edge, and the line it stands in.
    x: f64,
    line: usize,
}

impl Drawing<'_> {
    fn draw(&mut self, chart: &Chart) {
        let (left, right) = (self.left + LEFT, self.left + self.size.0 - RIGHT);
        self.svg.text((self.left + 14.0, self.upper + 24.0), Anchor::Start, 15.0, INK, &chart.title);
        let drawn: Vec<(&Series, Vec<(f64, f64)>)> =
            chart.series.iter().map(|s| (s, shown(chart, s))).filter(|(_, points)| !points.is_empty()).collect();
        let all = || drawn.iter().flat_map(|(_, points)| points.iter().copied());
        if all().next().is_none() {
            self.svg.text((left, self.upper + self.size.1 / 2.0), Anchor::Start, 13.0, "#718096", "nothing yet");
            return;
        }
        let legend = legend(chart, &drawn, self.size);
        self.top += LEGEND_LINE * legend.last().map_or(0, |entry| entry.line) as f64;
        let least = if chart.from_zero && chart.y.1 == Scale::Linear { 0.0 } else { f64::INFINITY };
        let y_range = chart.y_range.unwrap_or_else(|| range(all().map(|p| p.1), least));
        let y_axis = Axis::new(chart.y.1, y_range, (self.bottom(), self.top));
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
            self.svg.line((x, self.top), (x, self.bottom()), &mark.colour, 1.4, "5 4");
        }
        for Entry { label, colour, dash, x, line } in legend {
            let (x, y) = (self.left + x, self.upper + 42.0 + LEGEND_LINE * line as f64);
            self.svg.line((x, y), (x + 18.0, y), colour, 2.5, dash);
            self.svg.text((x + 23.0, y + 4.0), Anchor::Start, 12.0, INK, label);
        }
    }

    /// Where the plot ends.
    fn bottom(&self) -> f64 {
        self.upper + self.size.1 - BOTTOM
    }

    fn axes(&mut self, chart: &Chart, x_axis: &Axis, y_axis: &Axis) {
        let (left, right, bottom) = (self.left + LEFT, self.left + self.size.0 - RIGHT, self.bottom());
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
        self.svg.text(((left + right) / 2.0, self.upper + self.size.1 - 9.0), Anchor::Middle, 12.0, INK, &chart.x.0);
        let at = (self.left + 16.0, (self.top + bottom) / 2.0);
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
}

/// Names above the plot, from the left, in as many lines as they need; the plot keeps half of the height.
fn legend<'a>(chart: &'a Chart, drawn: &[(&'a Series, Vec<(f64, f64)>)], size: (f64, f64)) -> Vec<Entry<'a>> {
    let named = drawn.iter().map(|(s, _)| (s.label.as_str(), s.colour.as_str(), ""));
    let marks = chart.marks.iter().map(|m| (m.label.as_str(), m.colour.as_str(), "5 4"));
    let most = ((size.1 / 2.0 - TOP) / LEGEND_LINE).max(0.0) as usize;
    let (mut x, mut line) = (LEFT, 0);
    let mut entries = Vec::new();
    for (label, colour, dash) in named.chain(marks).filter(|(label, ..)| !label.is_empty()) {
        let width = 32.0 + 6.6 * label.chars().count() as f64;
        if x > LEFT && x + width > size.0 {
            (x, line) = (LEFT, line + 1);
        }
        if line > most {
            break;
        }
        entries.push(Entry { label, colour, dash, x, line });
        x += width + 8.0;
    }
    entries
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
    fn a_legend_takes_the_lines_it_needs_and_the_plot_keeps_half() {
        let mut chart = chart(vec![(0.0, 1.0), (1.0, 2.0)]);
        let name = |i: usize| format!("a corruption {i:02}");
        chart.series = (0..5).map(|i| Series { label: name(i), ..chart.series[0].clone() }).collect();
        let svg = figure(&[chart.clone()], (400.0, 300.0));
        for i in 0..5 {
            assert!(svg.contains(&format!(">{}<", name(i))), "{svg}");
        }
        assert!(svg.contains("y=\"46\"") && svg.contains("y=\"64\"") && svg.contains("y=\"82\""), "{svg}");
        chart.series = (0..60).map(|i| Series { label: name(i), ..chart.series[0].clone() }).collect();
        let entries = figure(&[chart], (400.0, 300.0)).matches(">a corruption").count();
        assert!((10..=12).contains(&entries), "{entries}");
    }

    #[test]
    fn many_charts_stand_in_rows() {
        let one = chart(vec![(0.0, 1.0), (1.0, 2.0)]);
        for (count, size) in [(1, (400, 300)), (3, (1200, 300)), (4, (800, 600)), (5, (1200, 600)), (7, (1200, 900))] {
            let svg = figure(&vec![one.clone(); count], (400.0, 300.0));
            assert!(svg.contains(&format!("width=\"{}\" height=\"{}\"", size.0, size.1)), "{count}: {}", &svg[..200]);
            assert_eq!(svg.matches(">loss<").count(), count);
        }
    }

    #[test]
    fn what_lies_outside_the_range_is_cut_off() {
        let mut chart = chart(vec![(0.0, 1.0), (1.0, 2.0), (2.0, 900.0)]);
        chart.y_range = Some((0.0, 4.0));
        let svg = figure(&[chart], (400.0, 300.0));
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
