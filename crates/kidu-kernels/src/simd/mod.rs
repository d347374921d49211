//! Vectors of the instruction set at hand, chosen at run time.
//!
//! A kernel is written once against [`Simd`] and compiled for each set. [`dispatch`] runs it with the widest set that
//! the processor has; work is dispatched inside a thread's share, since a closure that another thread calls would not
//! be compiled for the set.

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::atomic::{AtomicU8, Ordering};

/// Operations on a vector of `f32`.
///
/// # Safety
/// Every function needs a processor with the instruction set; pointers need no alignment, and `load` and `store` touch
/// `LANES` values, the `_head` forms the first `n` of them.
pub(crate) trait Simd: Copy + 'static {
    /// Values in a vector.
    const LANES: usize;
    /// Vectors in the row of a matrix-product tile.
    const TILE_VECTORS: usize;
    /// Rows of a tile: as many as leave registers for the operands.
    const TILE_ROWS: usize;
    type V: Copy;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n < LANES` values; the others are 0.
    unsafe fn load_head(p: *const f32, n: usize) -> Self::V;
    unsafe fn store_head(p: *mut f32, v: Self::V, n: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// a * b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger one; `b` where either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller one; `b` where either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `v` where `low < x < high`, else 0; 0 for NaN.
    unsafe fn where_between(x: Self::V, low: Self::V, high: Self::V, v: Self::V) -> Self::V;

    /// `n` values, `n <= LANES`.
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V {
        if n >= Self::LANES { Self::load(p) } else { Self::load_head(p, n) }
    }

    /// `n` values, `n <= LANES`.
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: Self::V, n: usize) {
        if n >= Self::LANES { Self::store(p, v) } else { Self::store_head(p, v, n) }
    }
}

/// Floats in the row of a tile: the width of a panel of packed weights.
pub(crate) const fn tile_width<S: Simd>() -> usize {
    S::LANES * S::TILE_VECTORS
}

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// No intrinsics; the compiler vectorises for the target's baseline.
    Portable = 1,
    /// AVX2 with fused multiply-add (x86-64).
    Avx2 = 2,
    /// AVX-512F (x86-64).
    Avx512 = 3,
    /// NEON (arm64).
    Neon = 4,
}

static CURRENT: AtomicU8 = AtomicU8::new(0);

impl Level {
    /// The set in use: the widest one that the processor has, or what [`Level::force`] chose.
    pub fn current() -> Self {
        match CURRENT.load(Ordering::Relaxed) {
            1 => Self::Portable,
            2 => Self::Avx2,
            3 => Self::Avx512,
            4 => Self::Neon,
            _ => {
                let level = Self::available().last().copied().unwrap_or(Self::Portable);
                CURRENT.store(level as u8, Ordering::Relaxed);
                level
            }
        }
    }

    /// The sets that this processor can run, the fastest last.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    levels.push(Self::Avx512);
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon);
        levels
    }

    /// Uses another set from now on, for tests and measurements. Weights that are packed already keep theirs. Returns
    /// whether the processor can run it; if not, nothing changes.
    pub fn force(self) -> bool {
        let can = Self::available().contains(&self);
        if can {
            CURRENT.store(self as u8, Ordering::Relaxed);
        }
        can
    }

    /// Floats in a panel of packed weights.
    pub(crate) fn panel(self) -> usize {
        match self {
            Self::Portable => tile_width::<scalar::Scalar>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => tile_width::<x86::Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => tile_width::<x86::Avx512>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => tile_width::<neon::Neon>(),
            #[allow(unreachable_patterns, reason = "sets of other architectures")]
            _ => tile_width::<scalar::Scalar>(),
        }
    }
}

/// A piece of work that is compiled for every instruction set.
pub(crate) trait Work {
    type Output;
    /// # Safety
    /// The processor must have the set `S`.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Runs a piece of work with the current set.
pub(crate) fn dispatch<W: Work>(work: W) -> W::Output {
    dispatch_at(Level::current(), work)
}

/// Runs a piece of work with a set that came from [`Level::current`].
pub(crate) fn dispatch_at<W: Work>(level: Level, work: W) -> W::Output {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Level::current` yields only sets that the processor has.
        Level::Avx512 => unsafe { x86::run_avx512(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { x86::run_avx2(work) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: NEON belongs to the architecture.
        Level::Neon => unsafe { work.run::<neon::Neon>() },
        // SAFETY: needs nothing of the processor.
        _ => unsafe { work.run::<scalar::Scalar>() },
    }
}
