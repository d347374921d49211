//! Why bytes did not become an image.

use crate::{decode::Format, limits::Limits};

/// Why bytes did not become an image. Messages complete the sentence "the image ...", so that callers put a path or
/// an index in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than [`Limits::max_bytes`].
    #[error("has {bytes} bytes, more than the {limit} allowed (max_bytes); store it smaller or raise the limit")]
    TooManyBytes {
        /// Size of the encoded image.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More pixels than [`Limits::max_pixels`], or a side longer than [`Limits::max_side`].
    #[error(
        "is {width}x{height} ({} pixels), larger than the {} pixels (max_pixels) and {} a side (max_side) that are \
         allowed; scale it down or raise the limit",
        u64::from(*width) * u64::from(*height), limits.max_pixels, limits.max_side
    )]
    TooManyPixels {
        /// Width in pixels, from the header.
        width: u32,
        /// Height in pixels, from the header.
        height: u32,
        /// The limits in force.
        limits: Limits,
    },
    /// Not an image type that is read, whatever the file's name says.
    #[error("is {found}, which is not read; convert it to JPEG, PNG or WebP")]
    UnsupportedFormat {
        /// What the bytes look like, with an article ("a GIF image", "text").
        found: String,
    },
    /// The right type, but damaged or cut short.
    #[error("is a damaged {format}: {reason}; restore it from its source or remove it")]
    Corrupt {
        /// The type it says it is.
        format: Format,
        /// The decoder's reason.
        reason: String,
    },
}

impl DecodeError {
    /// A stable name for machines: `too_many_bytes`, `too_many_pixels`, `unsupported_format` or `corrupt`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyBytes { .. } => "too_many_bytes",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::Corrupt { .. } => "corrupt",
        }
    }

    pub(crate) fn corrupt(format: Format, reason: impl Into<String>) -> Self {
        Self::Corrupt { format, reason: reason.into() }
    }
}
