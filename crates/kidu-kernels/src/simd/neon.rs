//! NEON on arm64.

use std::arch::aarch64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub(crate) struct Neon;

impl Simd for Neon {
    const LANES: usize = 4;
    const TILE_VECTORS: usize = 4;
    const TILE_ROWS: usize = 6;
    type V = float32x4_t;

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        vdupq_n_f32(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        vld1q_f32(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        vst1q_f32(p, v);
    }
    #[inline(always)]
    unsafe fn load_head(p: *const f32, n: usize) -> float32x4_t {
        let mut values = [0.0f32; 4];
        std::ptr::copy_nonoverlapping(p, values.as_mut_ptr(), n);
        vld1q_f32(values.as_ptr())
    }
    #[inline(always)]
    unsafe fn store_head(p: *mut f32, v: float32x4_t, n: usize) {
        let mut values = [0.0f32; 4];
        vst1q_f32(values.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(values.as_ptr(), p, n);
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vaddq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vsubq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vmulq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vdivq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn sqrt(a: float32x4_t) -> float32x4_t {
        vsqrtq_f32(a)
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmaq_f32(c, a, b)
    }
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vbslq_f32(vcgtq_f32(a, b), a, b)
    }
    #[inline(always)]
    unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vbslq_f32(vcltq_f32(a, b), a, b)
    }
    #[inline(always)]
    unsafe fn where_between(x: float32x4_t, low: float32x4_t, high: float32x4_t, v: float32x4_t) -> float32x4_t {
        let inside = vandq_u32(vcltq_f32(low, x), vcltq_f32(x, high));
        vbslq_f32(inside, v, vdupq_n_f32(0.0))
    }
}
