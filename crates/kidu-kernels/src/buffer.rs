//! Memory for results and for what a thread needs meanwhile.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

/// Floats behind the end of a gradient that [`crate::conv::backward_weight`] may read (and ignore).
pub const SLACK: usize = 64;

/// A vector whose values are unspecified until they are written. Zeroing would cost a pass over memory.
pub fn unfilled(len: usize) -> Vec<f32> {
    unfilled_with_slack(len, 0)
}

/// As [`unfilled`], with capacity for `slack` more floats behind the end, which are zero.
#[allow(clippy::uninit_vec, reason = "callers write every value before they read one")]
pub fn unfilled_with_slack(len: usize, slack: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len + slack);
    // SAFETY: the capacity is there, every bit pattern is an f32, and each caller in this workspace hands the vector
    // to a kernel that writes all of it.
    unsafe { values.set_len(len) };
    values.resize(len + slack, 0.0);
    values
}

/// A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in a cache line.
const LINE: usize = 16;

/// Floats that begin at a cache line: a vector that straddles two lines takes two loads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// Zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is sixteen floats without padding, and `len` of them are inside.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer of `len` floats with unspecified values that the thread keeps for the next call. Calls may nest.
pub(crate) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    let mut buffer = SCRATCH.with(|s| s.borrow_mut().pop()).unwrap_or_default();
    if buffer.len() < len {
        buffer = Aligned::zeros(len);
    }
    let result = work(&mut buffer[..len]);
    SCRATCH.with(|s| s.borrow_mut().push(buffer));
    result
}
