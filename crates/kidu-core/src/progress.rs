//! How long work tells of itself, without printing: the command decides what is drawn.

/// Receives the progress of one piece of work after another. Libraries call it, binaries implement it: bars on a
/// terminal, plain lines otherwise.
pub trait Progress: Send + Sync {
    /// A piece of work begins: what is done ("hash images"), the unit ("images") and how many there are, if known.
    fn begin(&self, what: &str, unit: &str, total: Option<u64>);
    /// That many more units are done.
    fn advance(&self, units: u64);
    /// That many units were done by an earlier start: they say nothing of the speed. Right after `begin`.
    fn begin_at(&self, units: u64) {
        self.advance(units);
    }
    /// A short text beside the bar ("loss 0.31").
    fn set_message(&self, message: &str);
    /// The piece of work is over.
    fn end(&self);
    /// A line that stays: a result or a warning.
    fn note(&self, line: &str);
}

/// Progress that nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn set_message(&self, _: &str) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}
