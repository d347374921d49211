//! Axes: from values to pixels, and where their ticks stand.

/// How values are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithm; values must be above 0.
    Log10,
}

/// An axis between two pixels.
#[derive(Clone, Debug)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    /// Round values of a linear axis, from end to end.
    round: Vec<f64>,
}

impl Axis {
    /// An axis that covers `range` with round ends (linear), or exactly (logarithmic), from pixel `from` to `to`.
    pub fn new(scale: Scale, range: (f64, f64), pixels: (f64, f64)) -> Self {
        let (round, low, high) = match scale {
            Scale::Linear => round_ticks(range.0, range.1, 5),
            Scale::Log10 if range.0 < range.1 => (Vec::new(), range.0, range.1),
            Scale::Log10 => (Vec::new(), range.0 / 2.0, range.0 * 2.0),
        };
        Self { scale, low, high, from: pixels.0, to: pixels.1, round }
    }

    /// A linear axis whose ends are exactly those of `range`; it has no ticks of its own.
    pub(crate) fn exact(range: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { scale: Scale::Linear, low: range.0, high: range.1, from: pixels.0, to: pixels.1, round: Vec::new() }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log10 => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        self.from + share * (self.to - self.from)
    }

    /// Whether a value lies on the axis.
    pub fn covers(&self, value: f64) -> bool {
        let slack = (self.high - self.low) * 1e-9;
        (self.low - slack..=self.high + slack).contains(&value)
    }

    /// Values for ticks with their labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.round.iter().map(|v| (*v, label(*v, self.high))).collect(),
            Scale::Log10 => self.log_ticks(),
        }
    }

    /// Powers of ten, with 2 and 5 between them where there are few.
    fn log_ticks(&self) -> Vec<(f64, String)> {
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let few = (self.high / self.low).log10() < 2.5;
        let step = ((self.high / self.low).log10() / 8.0).ceil().max(1.0) as i32;
        let factors: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let values = powers.filter(|p| p % step == 0).flat_map(|p| factors.iter().map(move |f| f * 10f64.powi(p)));
        values.filter(|v| self.covers(*v)).map(|v| (v, power_label(v))).collect()
    }
}

/// About `n` round numbers that cover [low, high], and the range they span.
pub(crate) fn round_ticks(low: f64, high: f64, n: usize) -> (Vec<f64>, f64, f64) {
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
pub(crate) fn label(value: f64, high: f64) -> String {
    if value != 0.0 && (high.abs() < 0.01 || high.abs() >= 1e6) {
        return power_label(value);
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

/// A number between 0.01 and 9999 as it is, others as `2e-5`.
fn power_label(value: f64) -> String {
    if (0.01..10_000.0).contains(&value) {
        return label(value, 1.0);
    }
    format!("{value:.1e}").replace(".0e", "e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(round_ticks(0.0, 1.8, 5).0, [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(round_ticks(0.35, 0.95, 5).1, 0.2);
        assert_eq!(round_ticks(0.0, 1e-3, 5).0.len(), 6);
        assert_eq!(round_ticks(0.5, 0.5, 5).2, 0.6000000000000001);
        let (values, low, high) = round_ticks(0.0, 0.0, 5);
        assert!(high > low && values.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn no_tick_lies_beyond_the_axis() {
        // Rounded once to 0.65 and 0.95, and once more these would be 0.6 and 1.
        for range in [(0.69, 0.91), (0.0, 1.0), (-3.0, 7.0), (8.0, 56.0)] {
            let axis = Axis::new(Scale::Linear, range, (0.0, 100.0));
            let ticks = axis.ticks();
            assert!(ticks.len() >= 3 && ticks.iter().all(|(v, _)| axis.covers(*v)), "{range:?}: {ticks:?}");
        }
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.30000000000000004, 2.0, 0.0, 0.9985].map(|v| label(v, 2.0)), ["0.3", "2", "0", "0.9985"]);
        assert_eq!([0.0, 5e-4, 0.0015, 0.002].map(|v| label(v, 0.002)), ["0", "5e-4", "1.5e-3", "2e-3"]);
    }

    #[test]
    fn a_logarithmic_axis_spreads_powers_evenly() {
        let axis = Axis::new(Scale::Log10, (1e-6, 1.0), (100.0, 700.0));
        assert!([1e-6, 1e-3, 1.0].iter().zip([100.0, 400.0, 700.0]).all(|(v, x)| (axis.at(*v) - x).abs() < 1e-9));
        let ticks: Vec<String> = axis.ticks().into_iter().map(|t| t.1).collect();
        assert_eq!(ticks, ["1e-6", "1e-5", "1e-4", "1e-3", "0.01", "0.1", "1"]);
        let near = Axis::new(Scale::Log10, (0.03, 0.6), (0.0, 1.0));
        assert_eq!(near.ticks().into_iter().map(|t| t.1).collect::<Vec<_>>(), ["0.05", "0.1", "0.2", "0.5"]);
    }
}
