//! From encoded bytes to red, green and blue.

use std::{
    fmt,
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage, metadata::Orientation};
use serde::{Deserialize, Serialize};

use crate::{error::DecodeError, intact, limits::Limits};

/// The image types that are read. They are recognised by their first bytes, never by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JPEG: baseline and progressive, Huffman coded.
    Jpeg,
    /// PNG, and the still image of an animated one.
    Png,
    /// WebP: lossy, lossless, and the first frame of an animation.
    WebP,
}

impl Format {
    /// The media type: `image/jpeg`, `image/png` or `image/webp`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }

    fn to_image(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::WebP => ImageFormat::WebP,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}

/// What the header of an image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The image type.
    pub format: Format,
    /// Width in pixels, as [`decode`] returns it (the EXIF orientation is honoured).
    pub width: u32,
    /// Height in pixels, as [`decode`] returns it.
    pub height: u32,
}

/// Decodes JPEG, PNG or WebP to 8-bit RGB.
///
/// - The EXIF orientation is applied; an unreadable one is ignored.
/// - Greyscale is repeated, palettes are expanded, CMYK and YCCK (inverted, as Adobe writes them) are converted as
///   Pillow does. 16 bits are scaled to 8 (Pillow cuts 16-bit greyscale off at 255 instead). Colour profiles are not
///   applied.
/// - Transparency is dropped, not blended: the colour beneath it shows, as with Pillow's `convert("RGB")`.
/// - Of an animation the first frame is taken.
///
/// Limits are checked on the header, before any pixel is decoded.
///
/// # Errors
/// [`DecodeError`]. Any bytes give an image or an error, never a panic; a file that is cut short is an error.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, DecodeError> {
    let format = recognise(bytes, limits)?;
    guarded(format, || read_pixels(bytes, format, limits))
}

/// Reads type and size from the header, without decoding pixels.
///
/// # Errors
/// As [`decode`], as far as the header tells.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<ImageInfo, DecodeError> {
    let format = recognise(bytes, limits)?;
    guarded(format, || open(bytes, format, limits).map(|(_, info, _)| info))
}

/// Decoders are written by others and meet hostile bytes. A panic in one (seen with debug assertions and arithmetic
/// overflow) must not take a server or a training run down. They own all they touch, so nothing is left half-changed.
fn guarded<T>(format: Format, work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DecodeError::corrupt(format, "the decoder failed on its content")))
}

fn read_pixels(bytes: &[u8], format: Format, limits: &Limits) -> Result<RgbImage, DecodeError> {
    let (decoder, _, orientation) = open(bytes, format, limits)?;
    if let Some(reason) = intact::cut_short(bytes, format) {
        return Err(DecodeError::corrupt(format, reason));
    }
    let pixels = DynamicImage::from_decoder(decoder).map_err(|e| translate(format, &e))?.into_rgb8();
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let mut turned = DynamicImage::ImageRgb8(pixels);
    turned.apply_orientation(orientation);
    Ok(turned.into_rgb8())
}

/// Reads the header and checks the size.
fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &Limits,
) -> Result<(impl ImageDecoder + 'a, ImageInfo, Orientation), DecodeError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.to_image());
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.decoder_memory());
    reader.limits(memory);
    let mut decoder = reader.into_decoder().map_err(|e| translate(format, &e))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DecodeError::corrupt(format, format!("its size is {width}x{height}")));
    }
    if limits.exceeded_by(width, height) {
        return Err(DecodeError::TooManyPixels { width, height, limits: *limits });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = if swaps_sides(orientation) { (height, width) } else { (width, height) };
    Ok((decoder, ImageInfo { format, width, height }, orientation))
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn translate(format: Format, error: &ImageError) -> DecodeError {
    match error {
        // A kind of JPEG, PNG or WebP that is not read, such as arithmetic coding.
        ImageError::Unsupported(e) => DecodeError::UnsupportedFormat { found: format!("a kind of {format} ({e})") },
        ImageError::Limits(_) => {
            DecodeError::corrupt(format, "it asks for more memory than an image of its size needs")
        }
        // The cause without the "format error decoding" that our own message says already.
        ImageError::Decoding(e) => {
            let cause = std::error::Error::source(e).map_or_else(|| e.to_string(), ToString::to_string);
            DecodeError::corrupt(format, cause.trim_end_matches('.'))
        }
        other => DecodeError::corrupt(format, other.to_string()),
    }
}

fn recognise(bytes: &[u8], limits: &Limits) -> Result<Format, DecodeError> {
    if bytes.len() > limits.max_bytes {
        return Err(DecodeError::TooManyBytes { bytes: bytes.len(), limit: limits.max_bytes });
    }
    format_of(bytes).ok_or_else(|| DecodeError::UnsupportedFormat { found: describe(bytes) })
}

/// The type by the first bytes, if it is one that is read.
pub(crate) fn format_of(bytes: &[u8]) -> Option<Format> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Some(Format::Jpeg),
        Ok(ImageFormat::Png) => Some(Format::Png),
        Ok(ImageFormat::WebP) => Some(Format::WebP),
        _ => None,
    }
}

/// The EXIF orientation, 1 to 8, if the header can be read.
pub(crate) fn orientation(bytes: &[u8], limits: &Limits) -> Option<u8> {
    let format = recognise(bytes, limits).ok()?;
    guarded(format, || open(bytes, format, limits).map(|(_, _, orientation)| orientation.to_exif())).ok()
}

/// Names what is often mistaken for an image, with an article where it has one.
pub(crate) fn describe(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(512)];
    let brand = head.get(4..12).unwrap_or_default();
    let known = match head {
        [] => "empty",
        _ if head.starts_with(b"GIF8") => "a GIF image",
        _ if head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) => "a BMP image",
        _ if head.starts_with(b"II*\0") || head.starts_with(b"MM\0*") => "a TIFF image",
        _ if matches!(brand, b"ftypavif" | b"ftypavis") => "an AVIF image",
        _ if matches!(brand, b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftyphevc") => "a HEIC image",
        _ if brand.starts_with(b"ftyp") => "a video",
        _ if head.starts_with(b"%PDF") => "a PDF document",
        _ if head.starts_with(b"PK\x03\x04") => "a zip archive",
        _ if head.starts_with(&[0x1F, 0x8B]) => "a gzip archive",
        _ if head.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7E | 0x80..)) => "text",
        _ => "of an unknown type",
    };
    known.to_string()
}

#[cfg(test)]
mod tests;
