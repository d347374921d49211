//! Horizontal bars.

use crate::svg::{Anchor, INK, Svg, shorten};

/// Named values of at least 0 as bars, in the given order, with the value behind each.
pub fn bars(title: &str, bars: &[(String, f64)], colour: &str, format: impl Fn(f64) -> String) -> String {
    const WIDTH: f64 = 640.0;
    const ROW: f64 = 26.0;
    const TOP: f64 = 44.0;
    let names: Vec<String> = bars.iter().map(|(name, _)| shorten(name, 36)).collect();
    let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as f64;
    let left = (longest * 7.0 + 24.0).max(60.0);
    let most = bars.iter().map(|b| b.1).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let mut svg = Svg::new(WIDTH, TOP + ROW * bars.len().max(1) as f64 + 14.0, title);
    svg.text((14.0, 24.0), Anchor::Start, 15.0, INK, title);
    if bars.is_empty() {
        svg.text((14.0, TOP + 14.0), Anchor::Start, 13.0, "#718096", "nothing yet");
    }
    for (i, ((_, value), name)) in bars.iter().zip(&names).enumerate() {
        let y = TOP + ROW * i as f64;
        let share = if most > 0.0 && value.is_finite() { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        let length = share * (WIDTH - left - 84.0);
        svg.text((left - 8.0, y + 15.0), Anchor::End, 12.0, INK, name);
        svg.rect((left, y + 2.0), (length.max(1.0), ROW - 8.0), colour, Some(name));
        svg.text((left + length + 7.0, y + 15.0), Anchor::Start, 12.0, INK, &format(*value));
    }
    svg.finish()
}
