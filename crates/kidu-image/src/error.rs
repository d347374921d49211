//! Why bytes did not become an image.

use crate::{decode::Format, limits::Limits};

/// Why bytes did not become an image. Messages complete the sentence "the image ...", so that callers put a path or
/// an index in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than [`Limits::max_bytes`].
    #[error("{}", too_many_bytes(*bytes, *limit, str::to_string))]
    TooManyBytes {
        /// Size of the encoded image.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More pixels than [`Limits::max_pixels`], or a side longer than [`Limits::max_side`].
    #[error("{}", too_many_pixels(*width, *height, limits, str::to_string))]
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

    /// The message with the limits under the names by which the caller's users set them: `name` gets `max_bytes`,
    /// `max_pixels` or `max_side`.
    pub fn explain(&self, name: impl Fn(&str) -> String) -> String {
        match self {
            Self::TooManyBytes { bytes, limit } => too_many_bytes(*bytes, *limit, name),
            Self::TooManyPixels { width, height, limits } => too_many_pixels(*width, *height, limits, name),
            Self::UnsupportedFormat { .. } | Self::Corrupt { .. } => self.to_string(),
        }
    }

    pub(crate) fn corrupt(format: Format, reason: impl Into<String>) -> Self {
        Self::Corrupt { format, reason: reason.into() }
    }
}

fn too_many_bytes(bytes: usize, limit: usize, name: impl Fn(&str) -> String) -> String {
    let name = name("max_bytes");
    format!("has {bytes} bytes, more than {name}={limit}; store it smaller or raise {name}")
}

fn too_many_pixels(width: u32, height: u32, limits: &Limits, name: impl Fn(&str) -> String) -> String {
    let pixels = u64::from(width) * u64::from(height);
    let (most, longest) = (name("max_pixels"), name("max_side"));
    let (mut broken, mut names) = (Vec::new(), Vec::new());
    if pixels > limits.max_pixels {
        broken.push(format!("{pixels} pixels are more than {most}={}", limits.max_pixels));
        names.push(most);
    }
    let side = width.max(height);
    if side > limits.max_side {
        broken.push(format!("a side of {side} is more than {longest}={}", limits.max_side));
        names.push(longest);
    }
    let (broken, names) = (broken.join(", and "), names.join(" and "));
    format!("is {width}x{height}: {broken}; scale it down or raise {names}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_limits_that_are_broken_are_named_and_as_the_caller_names_them() {
        let limits = Limits { max_pixels: 100, max_side: 20, ..Limits::default() };
        let message = |width, height| DecodeError::TooManyPixels { width, height, limits }.to_string();
        assert_eq!(
            message(11, 10),
            "is 11x10: 110 pixels are more than max_pixels=100; scale it down or raise max_pixels"
        );
        assert!(message(1, 21).ends_with("a side of 21 is more than max_side=20; scale it down or raise max_side"));
        assert!(message(30, 30).ends_with("raise max_pixels and max_side"));
        let error = DecodeError::TooManyBytes { bytes: 3, limit: 2 };
        assert_eq!(
            error.explain(|n| format!("data.{n}")),
            "has 3 bytes, more than data.max_bytes=2; store it smaller or raise data.max_bytes"
        );
    }
}
