//! Batch norm with the activation behind it, on channels-last data (`[pixels, channels]`).

use rayon::prelude::*;

use crate::simd::{Simd, Work, dispatch};

/// Floats that are worked on together.
const CHUNK: usize = 64 * 1024;

/// The bounds of an activation: ReLU is (0, infinity), ReLU6 (0, 6), none (-infinity, infinity).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Smallest output.
    pub low: f32,
    /// Largest output.
    pub high: f32,
}

impl Bounds {
    /// No activation.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// max(x, 0).
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };
    /// min(max(x, 0), 6).
    pub const RELU6: Self = Self { low: 0.0, high: 6.0 };
}

/// Mean and summed squared deviation of each channel over some pixels.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// Pixels.
    pub count: usize,
    /// Means, then summed squared deviations.
    values: Vec<f32>,
}

impl Moments {
    /// The moments of a chunk that is in the cache: two passes, so that large means cost no digits.
    pub fn of(pixels: &[f32], channels: usize) -> Self {
        let mut values = vec![0.0; 2 * channels];
        dispatch(ChunkMoments { pixels, channels, values: &mut values });
        Self { count: pixels.len() / channels, values }
    }
}

/// Mean and biased variance of each channel from the moments of chunks (Chan, Golub and LeVeque 1983), in float64 and in
/// the order of the chunks.
pub fn combine(chunks: &[Moments], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut means, mut squares) = (vec![0.0f64; channels], vec![0.0f64; channels]);
    let mut total = 0.0;
    for chunk in chunks.iter().filter(|c| c.count > 0) {
        let count = chunk.count as f64;
        let sum = total + count;
        for c in 0..channels {
            let delta = f64::from(chunk.values[c]) - means[c];
            means[c] += delta * count / sum;
            squares[c] += f64::from(chunk.values[channels + c]) + delta * delta * total * count / sum;
        }
        total = sum;
    }
    let variance = squares.iter().map(|s| (s / f64::max(total, 1.0)) as f32).collect();
    (means.iter().map(|m| *m as f32).collect(), variance)
}

/// Vectors of channels that a pass over rows takes along.
const ALONG: usize = 4;

struct ChunkMoments<'a> {
    pixels: &'a [f32],
    channels: usize,
    values: &'a mut [f32],
}

impl Work for ChunkMoments<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (means, squares) = self.values.split_at_mut(self.channels);
        let rows = self.pixels.len() / self.channels;
        let scale = S::splat(1.0 / rows.max(1) as f32);
        each_block::<S>(self.channels, |c, n| {
            // SAFETY: channels c.. of each row, as many as `n` says.
            let mut sums = [S::splat(0.0); ALONG];
            let base = self.pixels.as_ptr().add(c);
            for row in 0..rows {
                let p = base.add(row * self.channels);
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = S::add(*sum, load_part::<S>(p, v, n));
                }
            }
            let mut deviations = [S::splat(0.0); ALONG];
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = S::mul(*sum, scale);
                store_part::<S>(means.as_mut_ptr().add(c), v, *sum, n);
            }
            for row in 0..rows {
                let p = base.add(row * self.channels);
                for (v, deviation) in deviations.iter_mut().enumerate() {
                    let d = S::sub(load_part::<S>(p, v, n), sums[v]);
                    *deviation = S::fma(d, d, *deviation);
                }
            }
            for (v, deviation) in deviations.iter().enumerate() {
                store_part::<S>(squares.as_mut_ptr().add(c), v, *deviation, n);
            }
        });
    }
}

/// Calls `work(first channel, channels)` for blocks of up to `ALONG` vectors.
#[inline(always)]
fn each_block<S: Simd>(channels: usize, mut work: impl FnMut(usize, usize)) {
    let step = ALONG * S::LANES;
    let mut c = 0;
    while c < channels {
        work(c, step.min(channels - c));
        c += step;
    }
}

/// Vector `v` of a block of `n` channels; zeros beyond its end.
#[inline(always)]
unsafe fn load_part<S: Simd>(p: *const f32, v: usize, n: usize) -> S::V {
    let at = v * S::LANES;
    if at + S::LANES <= n {
        S::load(p.add(at))
    } else if at < n {
        S::load_head(p.add(at), n - at)
    } else {
        S::splat(0.0)
    }
}

#[inline(always)]
unsafe fn store_part<S: Simd>(p: *mut f32, v: usize, value: S::V, n: usize) {
    let at = v * S::LANES;
    if at < n {
        S::store_n(p.add(at), value, n - at);
    }
}

/// output = clamp(input * scale + shift + residual), per channel.
///
/// # Panics
/// When lengths disagree.
pub fn apply(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[f32]>,
    bounds: Bounds,
    output: &mut [f32],
) {
    let channels = scale.len();
    assert!(shift.len() == channels && input.len() == output.len() && input.len().is_multiple_of(channels));
    assert!(residual.is_none_or(|r| r.len() == input.len()), "residual of another shape");
    let step = chunk_len(channels);
    output.par_chunks_mut(step).enumerate().for_each(|(number, output)| {
        let range = number * step..number * step + output.len();
        let residual = residual.map(|r| &r[range.clone()]);
        dispatch(Apply { input: &input[range.clone()], scale, shift, residual, bounds, output });
    });
}

fn chunk_len(channels: usize) -> usize {
    (CHUNK / channels).max(1) * channels
}

pub(crate) struct Apply<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) bounds: Bounds,
    pub(crate) output: &'a mut [f32],
}

impl Work for Apply<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (low, high) = (S::splat(self.bounds.low), S::splat(self.bounds.high));
        let channels = self.scale.len();
        for at in (0..self.input.len()).step_by(channels) {
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let (scale, shift) =
                    (S::load_n(self.scale.as_ptr().add(c), n), S::load_n(self.shift.as_ptr().add(c), n));
                let mut value = S::fma(S::load_n(self.input.as_ptr().add(at + c), n), scale, shift);
                if let Some(residual) = self.residual {
                    value = S::add(value, S::load_n(residual.as_ptr().add(at + c), n));
                }
                S::store_n(self.output.as_mut_ptr().add(at + c), S::min(high, S::max(low, value)), n);
                c += S::LANES;
            }
        }
    }
}

/// Where the activation let a value through.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// Everywhere.
    All,
    /// Where input * scale + shift lies strictly between the bounds.
    Recompute(Bounds),
    /// Where this output of the activation lies strictly between the bounds.
    Output(&'a [f32], Bounds),
}

/// What a normalisation's backward pass needs of its forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a> {
    /// What was normalised, `[pixels, channels]`.
    pub input: &'a [f32],
    /// gamma / sqrt(variance + epsilon).
    pub scale: &'a [f32],
    /// beta - mean * scale.
    pub shift: &'a [f32],
    /// Means that were subtracted.
    pub mean: &'a [f32],
    /// 1 / sqrt(variance + epsilon).
    pub inverse_std: &'a [f32],
    /// Whether mean and variance are the batch's own.
    pub batch: bool,
    /// The activation's mask.
    pub mask: Mask<'a>,
}

/// Gradients of scale (gamma) and shift (beta).
#[derive(Clone, Debug, PartialEq)]
pub struct AffineGradient {
    /// Of gamma.
    pub gamma: Vec<f32>,
    /// Of beta.
    pub beta: Vec<f32>,
}

impl<'a> Normalised<'a> {
    /// Sums up what a backward pass needs to know of the whole batch, from the gradient of the activation's output.
    ///
    /// # Panics
    /// When lengths disagree.
    pub fn prepare(self, gradient: &'a [f32]) -> NormBackward<'a> {
        let channels = self.scale.len();
        let len = self.input.len();
        assert!(gradient.len() == len && len.is_multiple_of(channels.max(1)), "gradient of another shape");
        assert!([self.shift, self.mean, self.inverse_std].iter().all(|v| v.len() == channels));
        if let Mask::Output(output, _) = self.mask {
            assert_eq!(output.len(), len, "output of another shape");
        }
        let affine = self.sums(gradient);
        let pixels = (len / channels) as f64;
        let mut factors = vec![0.0f32; 3 * channels];
        for c in 0..channels {
            let scale = f64::from(self.scale[c]);
            factors[c] = self.scale[c];
            if self.batch {
                let slope = -scale * f64::from(self.inverse_std[c]) * f64::from(affine.gamma[c]) / pixels;
                factors[channels + c] = slope as f32;
                let level = -scale * f64::from(affine.beta[c]) / pixels - slope * f64::from(self.mean[c]);
                factors[2 * channels + c] = level as f32;
            }
        }
        NormBackward { pass: self, gradient, factors, affine }
    }

    fn sums(&self, gradient: &[f32]) -> AffineGradient {
        let channels = self.scale.len();
        let step = chunk_len(channels);
        let chunks = self.input.len().div_ceil(step);
        let mut parts = vec![0.0f32; chunks * 2 * channels];
        parts.par_chunks_mut(2 * channels).enumerate().for_each(|(number, sums)| {
            let range = number * step..self.input.len().min((number + 1) * step);
            dispatch(GradientSums { pass: self.part(gradient, range), sums });
        });
        let mut totals = vec![0.0f64; 2 * channels];
        for part in parts.chunks_exact(2 * channels) {
            totals.iter_mut().zip(part).for_each(|(total, value)| *total += f64::from(*value));
        }
        let (beta, products) = totals.split_at(channels);
        AffineGradient {
            gamma: products.iter().zip(self.inverse_std).map(|(p, r)| (p * f64::from(*r)) as f32).collect(),
            beta: beta.iter().map(|b| *b as f32).collect(),
        }
    }

    fn part<'b>(&'b self, gradient: &'b [f32], range: std::ops::Range<usize>) -> Pass<'b> {
        let (bounds, output) = match self.mask {
            Mask::All => (None, None),
            Mask::Recompute(bounds) => (Some(bounds), None),
            Mask::Output(output, bounds) => (Some(bounds), Some(&output[range.clone()])),
        };
        Pass { of: self, gradient: &gradient[range.clone()], input: &self.input[range], output, bounds }
    }
}

/// A backward pass that knows its sums over the batch; what is left can be made piece by piece.
#[derive(Clone, Debug)]
pub struct NormBackward<'a> {
    pass: Normalised<'a>,
    gradient: &'a [f32],
    /// Input gradient = k0 * masked gradient + k1 * input + k2; three vectors.
    factors: Vec<f32>,
    /// The gradients of gamma and beta.
    pub affine: AffineGradient,
}

impl NormBackward<'_> {
    /// Values of what was normalised.
    #[allow(clippy::len_without_is_empty, reason = "a normalisation has an input")]
    pub fn len(&self) -> usize {
        self.gradient.len()
    }

    /// Writes the values `first..` of the gradient of what was normalised, on this thread; as many as `target` holds.
    /// Whole pixels only.
    ///
    /// # Panics
    /// When the range is outside.
    pub fn write(&self, first: usize, target: &mut [f32]) {
        let range = first..first + target.len();
        dispatch(InputGradient { pass: self.pass.part(self.gradient, range), factors: &self.factors, target });
    }

    /// Writes all of it to `target`, which may be longer.
    ///
    /// # Panics
    /// When `target` is too short.
    pub fn write_all(&self, target: &mut [f32]) {
        let step = chunk_len(self.pass.scale.len());
        let chunks = target[..self.len()].par_chunks_mut(step).enumerate();
        chunks.for_each(|(number, target)| self.write(number * step, target));
    }
}

/// The masked gradient of `gradient` where `output` lies strictly between the bounds.
///
/// # Panics
/// When lengths disagree.
pub fn mask_gradient(gradient: &[f32], output: &[f32], bounds: Bounds, target: &mut [f32]) {
    assert!(gradient.len() == output.len() && gradient.len() == target.len());
    target.par_chunks_mut(CHUNK).enumerate().for_each(|(number, target)| {
        let range = number * CHUNK..number * CHUNK + target.len();
        let masked = output[range.clone()].iter().zip(&gradient[range]);
        for (slot, (o, g)) in target.iter_mut().zip(masked) {
            *slot = if bounds.low < *o && *o < bounds.high { *g } else { 0.0 };
        }
    });
}

/// A chunk of a backward pass.
struct Pass<'a> {
    of: &'a Normalised<'a>,
    gradient: &'a [f32],
    input: &'a [f32],
    output: Option<&'a [f32]>,
    bounds: Option<Bounds>,
}

impl Pass<'_> {
    /// The masked gradient of vector `v` of a block of `n` channels that begins at a place.
    #[inline(always)]
    unsafe fn masked<S: Simd>(&self, at: usize, v: usize, input: S::V, scale: S::V, shift: S::V, n: usize) -> S::V {
        let gradient = load_part::<S>(self.gradient.as_ptr().add(at), v, n);
        let Some(bounds) = self.bounds else { return gradient };
        let value = match self.output {
            Some(output) => load_part::<S>(output.as_ptr().add(at), v, n),
            None => S::fma(input, scale, shift),
        };
        S::where_between(value, S::splat(bounds.low), S::splat(bounds.high), gradient)
    }
}

/// Sums of the masked gradient, and of it times the deviation of the input, per channel.
struct GradientSums<'a> {
    pass: Pass<'a>,
    sums: &'a mut [f32],
}

impl Work for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (pass, of) = (&self.pass, self.pass.of);
        let channels = of.scale.len();
        let (plain, products) = self.sums.split_at_mut(channels);
        each_block::<S>(channels, |c, n| {
            // SAFETY: channels c.. of each row, as many as `n` says.
            let load = |values: &[f32], v: usize| load_part::<S>(values.as_ptr().add(c), v, n);
            let vectors = |values: &[f32]| {
                let mut of_block = [S::splat(0.0); ALONG];
                of_block.iter_mut().enumerate().for_each(|(v, vector)| *vector = load(values, v));
                of_block
            };
            let (scale, shift, mean) = (vectors(of.scale), vectors(of.shift), vectors(of.mean));
            let (mut sums, mut deviations) = ([S::splat(0.0); ALONG], [S::splat(0.0); ALONG]);
            for at in (c..pass.input.len()).step_by(channels) {
                for v in 0..ALONG {
                    let input = load_part::<S>(pass.input.as_ptr().add(at), v, n);
                    let gradient = pass.masked::<S>(at, v, input, scale[v], shift[v], n);
                    sums[v] = S::add(sums[v], gradient);
                    deviations[v] = S::fma(gradient, S::sub(input, mean[v]), deviations[v]);
                }
            }
            for v in 0..ALONG {
                store_part::<S>(plain.as_mut_ptr().add(c), v, sums[v], n);
                store_part::<S>(products.as_mut_ptr().add(c), v, deviations[v], n);
            }
        });
    }
}

/// target = k0 * masked gradient + k1 * input + k2.
struct InputGradient<'a> {
    pass: Pass<'a>,
    factors: &'a [f32],
    target: &'a mut [f32],
}

impl Work for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (pass, of) = (&self.pass, self.pass.of);
        let channels = of.scale.len();
        for row in (0..pass.input.len()).step_by(channels) {
            let mut c = 0;
            while c < channels {
                let n = S::LANES.min(channels - c);
                let load = |values: &[f32], at: usize| S::load_n(values.as_ptr().add(at), n);
                let input = load(pass.input, row + c);
                let gradient = pass.masked::<S>(row + c, 0, input, load(of.scale, c), load(of.shift, c), n);
                let level = S::fma(input, load(self.factors, channels + c), load(self.factors, 2 * channels + c));
                let value = S::fma(gradient, load(self.factors, c), level);
                S::store_n(self.target.as_mut_ptr().add(row + c), value, n);
                c += S::LANES;
            }
        }
    }
}
