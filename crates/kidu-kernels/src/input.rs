//! What a kernel reads: values as they are, or through a normalisation and activation that are applied on the way.

use crate::{
    norm::{Apply, Bounds},
    simd::dispatch,
};

/// A normalisation and an activation: clamp(value * scale + shift), per channel. A kernel that applies them while it
/// reads saves writing their result and reading it again, and nobody has to keep it.
#[derive(Clone, Copy, Debug)]
pub struct Prologue<'a> {
    /// One for each channel.
    pub scale: &'a [f32],
    /// One for each channel.
    pub shift: &'a [f32],
    /// The activation.
    pub bounds: Bounds,
}

impl Prologue<'_> {
    /// Writes some whole pixels, on this thread.
    pub(crate) fn write(&self, input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), output.len(), "pixels of another shape");
        let Self { scale, shift, bounds } = *self;
        dispatch(Apply { input, scale, shift, residual: None, bounds, output });
    }
}

/// The input of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Channels-last.
    pub values: &'a [f32],
    /// What is applied to them first.
    pub prologue: Option<Prologue<'a>>,
}

impl<'a> From<&'a [f32]> for Input<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self { values, prologue: None }
    }
}

impl<'a> From<&'a Vec<f32>> for Input<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        values.as_slice().into()
    }
}
