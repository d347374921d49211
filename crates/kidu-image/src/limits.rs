//! How large an image may be.

use serde::{Deserialize, Serialize};

/// Limits on encoded images. All are checked before any pixel is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of an encoded image.
    pub max_bytes: usize,
    /// Most pixels of a decoded image, width times height.
    pub max_pixels: u64,
    /// Most pixels of either side.
    pub max_side: u32,
}

impl Default for Limits {
    /// 20 MiB, 50 million pixels, 16384 pixels a side.
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000, max_side: 16_384 }
    }
}

impl Limits {
    /// Whether an image of this size is too large.
    pub fn exceeded_by(&self, width: u32, height: u32) -> bool {
        width > self.max_side || height > self.max_side || u64::from(width) * u64::from(height) > self.max_pixels
    }

    /// What a decoder may allocate beyond the encoded bytes: 8 bytes a pixel (16-bit RGBA) and 64 MiB for its tables
    /// and for metadata such as colour profiles.
    pub(crate) fn decoder_memory(&self) -> u64 {
        self.max_pixels.saturating_mul(8).saturating_add(64 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_counts() {
        let limits = Limits { max_bytes: 1, max_pixels: 100, max_side: 20 };
        assert!(!limits.exceeded_by(10, 10));
        assert!(limits.exceeded_by(10, 11));
        assert!(limits.exceeded_by(21, 1));
        assert!(Limits { max_pixels: u64::MAX, max_side: u32::MAX, ..limits }.decoder_memory() == u64::MAX);
        assert!(Limits::default().exceeded_by(u32::MAX, u32::MAX));
    }
}
