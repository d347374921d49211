//! ROC and precision-recall curves, one class against the rest.

use kidu_plot::{Anchor, COLOURS, Frame, INK, Svg, shorten};

use crate::{
    evaluation::{ClassMetrics, Details, ranking_of},
    scores::Scores,
};

/// More curves than there are colours cannot be told apart.
const MAX_CURVES: usize = COLOURS.len();

/// Points of a curve are left out while they stay within this distance, in shares of the axis.
const RESOLUTION: f64 = 1.0 / 500.0;

/// ROC curves with their areas; of more than ten classes, the ten with the least areas.
pub fn roc_curves(scores: &Scores<'_>, details: &Details) -> String {
    let shown = worst(&details.per_class, |c| c.roc_auc).into_iter();
    let curve = |(class, area)| Curve {
        points: thinned(&ranking_of(scores, class).roc_curve()),
        class: details.per_class[class].class.clone(),
        area,
    };
    let axes = ("false positive rate", "true positive rate");
    let plot = Plot { title: "ROC curves", axes, curves: shown.map(curve).collect(), diagonal: true };
    plot.draw("AUC", details.roc_auc.macro_average, details.classes.len())
}

/// Precision-recall curves with their average precisions, drawn as the steps whose area that is; of more than ten
/// classes, the ten with the least areas.
pub fn precision_recall_curves(scores: &Scores<'_>, details: &Details) -> String {
    let shown = worst(&details.per_class, |c| c.average_precision).into_iter();
    let curve = |(class, area)| Curve {
        points: thinned(&as_steps(&ranking_of(scores, class).precision_recall_curve())),
        class: details.per_class[class].class.clone(),
        area,
    };
    let axes = ("recall", "precision");
    let plot = Plot { title: "Precision-recall curves", axes, curves: shown.map(curve).collect(), diagonal: false };
    plot.draw("AP", details.average_precision.macro_average, details.classes.len())
}

/// Up to ten classes with a defined area, in their own order: all of them, or those with the least areas.
fn worst(classes: &[ClassMetrics], area: impl Fn(&ClassMetrics) -> Option<f64>) -> Vec<(usize, f64)> {
    let mut defined: Vec<(usize, f64)> =
        classes.iter().enumerate().filter_map(|(i, c)| area(c).map(|a| (i, a))).collect();
    defined.sort_by(|a, b| a.1.total_cmp(&b.1));
    defined.truncate(MAX_CURVES);
    defined.sort_by_key(|(class, _)| *class);
    defined
}

/// The points that matter at the size of the plot; the first and the last stay.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let far = kept.last().is_none_or(|last: &(f64, f64)| {
            (point.0 - last.0).abs() > RESOLUTION || (point.1 - last.1).abs() > RESOLUTION
        });
        if far || i + 1 == points.len() {
            kept.push(*point);
        }
    }
    kept
}

/// The staircase below which the average precision lies: each rise of recall has the precision at its end. Points that
/// add no recall add no area and are left out.
fn as_steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    let mut before = 0.0;
    for &(recall, precision) in points.iter().filter(|p| p.0 > 0.0) {
        if recall > before {
            steps.extend([(before, precision), (recall, precision)]);
            before = recall;
        }
    }
    steps
}

/// A square frame with a legend below it, in two columns.
struct Plot {
    title: &'static str,
    axes: (&'static str, &'static str),
    curves: Vec<Curve>,
    diagonal: bool,
}

/// One class.
struct Curve {
    points: Vec<(f64, f64)>,
    class: String,
    area: f64,
}

const WIDTH: f64 = 460.0;
const FRAME: Frame = Frame { left: 64.0, top: 44.0, side: 372.0 };
/// Where the legend begins, and the height of its rows.
const LEGEND: (f64, f64) = (484.0, 21.0);

impl Plot {
    /// `area` is the name of the area below a curve.
    fn draw(&self, area: &str, macro_average: Option<f64>, classes: usize) -> String {
        let rows = self.curves.len().div_ceil(2);
        let mut svg = Svg::new(WIDTH, LEGEND.0 + LEGEND.1 * rows as f64 + 14.0, self.title);
        svg.text((FRAME.left, 26.0), Anchor::Start, 15.0, INK, self.title);
        FRAME.axes(&mut svg, self.axes.0, self.axes.1);
        if self.diagonal {
            svg.line(FRAME.at(0.0, 0.0), FRAME.at(1.0, 1.0), "#888888", 1.2, "5 4");
        }
        for (curve, colour) in self.curves.iter().zip(COLOURS) {
            let pixels: Vec<(f64, f64)> = curve.points.iter().map(|(x, y)| FRAME.at(*x, *y)).collect();
            svg.polyline(&pixels, colour, 1.8, "");
        }
        self.legend(&mut svg, area, macro_average, classes);
        svg.finish()
    }

    fn legend(&self, svg: &mut Svg, area: &str, macro_average: Option<f64>, classes: usize) {
        let head = match self.curves.len() {
            0 => format!("{area}: undefined"),
            n if n < classes => format!("{area}, the least {n} of {classes} classes"),
            _ => area.to_string(),
        };
        svg.text((24.0, LEGEND.0), Anchor::Start, 13.0, INK, &head);
        if let Some(mean) = macro_average {
            let text = format!("mean of all classes {mean:.4}");
            svg.text((FRAME.left + FRAME.side, LEGEND.0), Anchor::End, 13.0, INK, &text);
        }
        let rows = self.curves.len().div_ceil(2);
        for (i, (curve, colour)) in self.curves.iter().zip(COLOURS).enumerate() {
            let (x, y) = (24.0 + 216.0 * (i / rows) as f64, LEGEND.0 + LEGEND.1 * (i % rows + 1) as f64);
            svg.line((x, y - 4.0), (x + 20.0, y - 4.0), colour, 3.0, "");
            svg.text((x + 27.0, y), Anchor::Start, 12.0, INK, &shorten(&curve.class, 18));
            svg.text((x + 196.0, y), Anchor::End, 12.0, INK, &format!("{:.4}", curve.area));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_shape() {
        let points: Vec<(f64, f64)> =
            (0..=10_000).map(|i| (f64::from(i) / 10_000.0, f64::from(i) / 10_000.0)).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= 502);
        assert_eq!((kept[0], *kept.last().unwrap()), ((0.0, 0.0), (1.0, 1.0)));
        assert!(thinned(&[]).is_empty());
    }

    #[test]
    fn the_area_below_the_steps_is_the_average_precision() {
        let scored = (0..40).map(|i| (f64::from(i * 17 % 23), i % 3 == 0));
        let ranking = crate::ranking::Ranking::new(scored);
        let steps = as_steps(&ranking.precision_recall_curve());
        let area: f64 = steps.chunks(2).map(|s| (s[1].0 - s[0].0) * s[1].1).sum();
        assert!((area - ranking.average_precision().unwrap()).abs() < 1e-12);
    }
}
