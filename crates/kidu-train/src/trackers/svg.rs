//! Line charts as SVG text: a few panels side by side, without fonts or libraries.

use std::fmt::Write;

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 42.0;

/// One line.
pub(super) struct Curve {
    /// Its name in the legend.
    pub(super) label: &'static str,
    /// Its colour.
    pub(super) color: &'static str,
    /// (epoch, value), by epoch.
    pub(super) points: Vec<(f64, f64)>,
}

/// One chart.
pub(super) struct Panel {
    /// What is drawn.
    pub(super) title: &'static str,
    /// The lines; those without points are left out.
    pub(super) curves: Vec<Curve>,
    /// Whether the axis begins at 0.
    pub(super) from_zero: bool,
}

/// The panels side by side.
pub(super) fn figure(panels: &[Panel]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width} \
         {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#2d3748\">\n<rect width=\"{width}\" \
         height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate({} 0)\">", WIDTH * i as f64);
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Maps values to pixels.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }
}

// Writing to a String cannot fail, so the results are dropped.
fn draw(svg: &mut String, panel: &Panel) {
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"22\" font-size=\"14\" font-weight=\"bold\">{}</text>", panel.title);
    let drawn: Vec<&Curve> = panel.curves.iter().filter(|c| !c.points.is_empty()).collect();
    let points = || drawn.iter().flat_map(|c| c.points.iter().copied()).filter(|p| p.1.is_finite());
    let low = points().map(|p| p.1).fold(if panel.from_zero { 0.0 } else { f64::INFINITY }, f64::min);
    let high = points().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    if high == f64::NEG_INFINITY {
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" fill=\"#718096\">nothing yet</text>", HEIGHT / 2.0);
        return;
    }
    let (y_ticks, low, high) = ticks(low, high, 5);
    let last = points().map(|p| p.0).fold(1.0, f64::max);
    let x_axis = Axis { low: 0.0, high: last, from: LEFT, to: WIDTH - RIGHT };
    let y_axis = Axis { low, high, from: HEIGHT - BOTTOM, to: TOP };
    for tick in y_ticks {
        let y = y_axis.at(tick);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#e2e8f0\"/><text x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            label(tick, high)
        );
    }
    for tick in ticks(0.0, last, 6).0.into_iter().filter(|t| t.fract() == 0.0 && *t <= last) {
        let (x, y) = (x_axis.at(tick), HEIGHT - BOTTOM + 18.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{tick}</text>");
    }
    let (middle, below) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0);
    let _ = writeln!(svg, "<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">epoch</text>");
    for (i, curve) in drawn.iter().enumerate() {
        lines(svg, curve, &x_axis, &y_axis);
        let x = WIDTH - RIGHT - 70.0 * (drawn.len() - i) as f64 + 10.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"18\" x2=\"{:.1}\" y2=\"18\" stroke=\"{}\" stroke-width=\"2.5\"/><text \
             x=\"{:.1}\" y=\"22\">{}</text>",
            x + 18.0,
            curve.color,
            x + 23.0,
            curve.label
        );
    }
}

/// The line and, while there are few points, a dot for each.
fn lines(svg: &mut String, curve: &Curve, x_axis: &Axis, y_axis: &Axis) {
    let points: Vec<(f64, f64)> =
        curve.points.iter().filter(|p| p.1.is_finite()).map(|(x, y)| (x_axis.at(*x), y_axis.at(*y))).collect();
    let text: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let color = curve.color;
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-linejoin=\"round\"/>",
        text.join(" ")
    );
    if points.len() <= 40 {
        for (x, y) in points {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{color}\"/>");
        }
    }
}

/// About `n` round numbers that cover [low, high], and the range they span.
fn ticks(low: f64, high: f64, n: usize) -> (Vec<f64>, f64, f64) {
    let span = if high > low { high - low } else { high.abs().max(1e-12) };
    let raw = span / n as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil().max(first + 1.0);
    let values = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
    (values, first * step, last * step)
}

/// A tick without the noise of binary fractions; on an axis of small numbers as powers of ten.
fn label(value: f64, high: f64) -> String {
    if value != 0.0 && high < 0.01 {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(0.0, 1.8, 5).0, [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(ticks(0.35, 0.95, 5).1, 0.2);
        assert_eq!(ticks(0.0, 1e-3, 5).0.len(), 6);
        assert_eq!(ticks(0.5, 0.5, 5).2, 0.6000000000000001);
        let (values, low, high) = ticks(0.0, 0.0, 5);
        assert!(high > low && values.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.30000000000000004, 2.0, 0.0, 0.9985].map(|v| label(v, 2.0)), ["0.3", "2", "0", "0.9985"]);
        assert_eq!([0.0, 5e-4, 0.0015, 0.002].map(|v| label(v, 0.002)), ["0", "5e-4", "1.5e-3", "2e-3"]);
    }
}
