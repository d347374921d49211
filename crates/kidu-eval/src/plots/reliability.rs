//! The reliability diagram.

use kidu_plot::{Anchor, Frame, GRID, INK, Svg};

use crate::reliability::Reliability;

const BAR: &str = "#4a90c2";
const GAP: &str = "#f4b6b0";
const RESERVE: &str = "#9cc7e4";

/// Accuracy against confidence (DeGroot and Fienberg 1983) above a histogram of the confidence. The pale part of a
/// column is the gap between the two, red where the model is too confident: a calibrated model has none.
pub fn reliability_diagram(reliability: &Reliability) -> String {
    let mut svg = Svg::new(460.0, 650.0, "Reliability diagram");
    let frame = Frame { left: 64.0, top: 94.0, side: 372.0 };
    svg.text((frame.left, 26.0), Anchor::Start, 15.0, INK, "Reliability diagram");
    frame.axes(&mut svg, "", "accuracy");
    let bins = &reliability.bins;
    for bin in bins {
        let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.confidence) else { continue };
        let mut column = |from: f64, to: f64, fill: &str, hint: &str| {
            let (x, y) = frame.at(bin.lower, to);
            let width = (bin.upper - bin.lower) * frame.side - 1.0;
            svg.rect((x + 0.5, y), (width.max(0.5), (to - from) * frame.side), fill, Some(hint));
        };
        let hint = format!(
            "confidence {:.3} to {:.3}: {} images, mean confidence {confidence:.3}, accuracy {accuracy:.3}",
            bin.lower, bin.upper, bin.count
        );
        column(0.0, accuracy.min(confidence), BAR, &hint);
        let over = if accuracy > confidence { RESERVE } else { GAP };
        column(accuracy.min(confidence), accuracy.max(confidence), over, &hint);
        // The height of the accuracy, since the pale part may be above or below it.
        let (x, y) = frame.at(bin.lower, accuracy);
        svg.line((x, y), (frame.at(bin.upper, 0.0).0, y), INK, 1.2, "");
    }
    svg.line(frame.at(0.0, 0.0), frame.at(1.0, 1.0), "#666666", 1.2, "5 4");
    legend(&mut svg, &frame, reliability);
    histogram(&mut svg, &frame, reliability);
    svg.finish()
}

/// Above the frame: inside it, columns may reach every corner.
fn legend(svg: &mut Svg, frame: &Frame, reliability: &Reliability) {
    let errors = [
        format!("expected calibration error {:.4}", reliability.expected_calibration_error),
        format!("maximum calibration error {:.4}", reliability.maximum_calibration_error),
    ];
    for (i, line) in errors.iter().enumerate() {
        svg.text((frame.left, 52.0 + 18.0 * i as f64), Anchor::Start, 12.0, INK, line);
    }
    for (i, (fill, name)) in [(GAP, "too confident"), (RESERVE, "not confident enough")].into_iter().enumerate() {
        let (x, y) = (frame.left + 226.0, 52.0 + 18.0 * i as f64);
        svg.rect((x, y - 10.0), (12.0, 12.0), fill, None);
        svg.text((x + 18.0, y), Anchor::Start, 12.0, INK, name);
    }
}

fn histogram(svg: &mut Svg, frame: &Frame, reliability: &Reliability) {
    let (base, height) = (606.0, 96.0);
    let total: u64 = reliability.bins.iter().map(|b| b.count).sum();
    let most = reliability.bins.iter().map(|b| b.count).max().unwrap_or(1).max(1);
    let share = |count: u64| count as f64 / total.max(1) as f64;
    for part in [0.5, 1.0] {
        let y = base - height * part;
        svg.line((frame.left, y), (frame.left + frame.side, y), GRID, 1.0, "");
        let text = format!("{:.0} %", share(most) * part * 100.0);
        svg.text((frame.left - 6.0, y + 4.0), Anchor::End, 12.0, INK, &text);
    }
    for bin in &reliability.bins {
        let tall = height * bin.count as f64 / most as f64;
        let width = (bin.upper - bin.lower) * frame.side - 1.0;
        let hint = format!("confidence {:.3} to {:.3}: {} images", bin.lower, bin.upper, bin.count);
        svg.rect((frame.at(bin.lower, 0.0).0 + 0.5, base - tall), (width.max(0.5), tall), "#8c8c8c", Some(&hint));
    }
    svg.line((frame.left, base), (frame.left + frame.side, base), INK, 1.0, "");
    for i in 0..=5 {
        let v = f64::from(i) / 5.0;
        svg.text((frame.at(v, 0.0).0, base + 15.0), Anchor::Middle, 12.0, INK, &format!("{v:.1}"));
    }
    svg.text((frame.at(0.5, 0.0).0, base + 35.0), Anchor::Middle, 13.0, INK, "confidence");
    svg.turned_text((frame.left - 46.0, base - height / 2.0), Anchor::Middle, 13.0, INK, "images", -90.0);
}
