//! Finding the first setting out of its range, under its full key.

use std::fmt::Debug;

use super::super::settings::AugmentError;

/// Where in the settings we are, and the first broken rule.
pub(in super::super) struct Check {
    path: String,
    broken: Option<AugmentError>,
}

impl Check {
    /// At a key below `data.augmentation`.
    pub(in super::super) fn at(path: &str) -> Self {
        Self { path: path.into(), broken: None }
    }

    /// The first broken rule.
    pub(in super::super) fn finish(self) -> Result<(), AugmentError> {
        self.broken.map_or(Ok(()), Err)
    }

    /// Checks what lies at a key further in.
    pub(in super::super) fn inside(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path = self.key(key);
        check(self);
        self.path.truncate(length);
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key` must be `good`.
    pub(in super::super) fn rule(&mut self, good: bool, key: &str, value: &dyn Debug, rule: &'static str) {
        if !good && self.broken.is_none() {
            let key = self.key(key);
            self.broken = Some(AugmentError::Setting { key, value: format!("{value:?}"), rule });
        }
    }

    /// `range` must be [least, greatest] with both in `least..=greatest`.
    pub(super) fn range(&mut self, key: &str, range: [f64; 2], (least, greatest): (f64, f64), rule: &'static str) {
        let good = range[0] >= least && range[0] <= range[1] && range[1] <= greatest;
        self.rule(good, key, &range, rule);
    }

    /// `p` must be a probability.
    pub(super) fn probability(&mut self, p: f64) {
        self.rule((0.0..=1.0).contains(&p), "p", &p, "it is a probability, in [0, 1]");
    }

    /// A range of odd sizes of kernels.
    pub(super) fn sizes(&mut self, key: &str, [least, greatest]: [u32; 2]) {
        let good = least >= 3 && least <= greatest && greatest <= 255;
        self.rule(good, key, &[least, greatest], "it is [least, greatest] size of the kernel in pixels, 3 to 255");
    }
}
