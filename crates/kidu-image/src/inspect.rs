//! What a file is by its content, before it is decoded: type, colour, transparency, animation, orientation.
//!
//! Decoding hides all of this on purpose: whatever comes in, 8-bit RGB comes out. Who looks after a data set wants to
//! know it.

use crate::{
    decode::{self, Format},
    intact,
    limits::Limits,
};

/// What the header of a file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The type if it is one that is read.
    pub format: Option<Format>,
    /// What the bytes are, in words: "JPEG", or with an article "a GIF image", "text".
    pub content: String,
    /// Whether one grey value is stored for a pixel.
    pub grey: bool,
    /// Whether cyan, magenta, yellow and black are stored (JPEG).
    pub cmyk: bool,
    /// Whether pixels may be transparent.
    pub alpha: bool,
    /// Whether there is more than one frame.
    pub animated: bool,
    /// The EXIF orientation, 1 to 8; 1 is upright.
    pub orientation: u8,
    /// Whether the file ends before its format says that it does.
    pub cut_short: bool,
}

/// Reads what the header tells. Any bytes give an answer, never a panic; what a damaged header does not tell is taken
/// as the usual (colour, opaque, one frame, upright).
pub fn inspect(bytes: &[u8], limits: &Limits) -> Traits {
    let format = decode::format_of(bytes);
    let mut traits = Traits {
        format,
        content: format.map_or_else(|| decode::describe(bytes), |f| f.to_string()),
        grey: false,
        cmyk: false,
        alpha: false,
        animated: false,
        orientation: decode::orientation(bytes, limits).unwrap_or(1),
        // A JPEG that has its end and whose markers do not lead there is damaged.
        cut_short: format.is_some_and(|f| intact::cut_short(bytes, f).is_some()) && !bytes.ends_with(&[0xFF, 0xD9]),
    };
    match format {
        Some(Format::Jpeg) => {
            let components = jpeg_components(bytes);
            traits.grey = components == Some(1);
            traits.cmyk = components == Some(4);
        }
        Some(Format::Png) => png(bytes, &mut traits),
        Some(Format::WebP) => webp(bytes, &mut traits),
        None => traits.animated = bytes.starts_with(b"GIF8") && gif_frames(bytes) > 1,
    }
    traits
}

/// Number of components in the frame header.
fn jpeg_components(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        match (*bytes.get(at)?, marker) {
            (0xFF, 0xFF) => at += 1,
            // Start of frame, but for the tables of the same range (DHT, JPG, DAC).
            (0xFF, 0xC0..=0xCF) if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => return bytes.get(at + 9).copied(),
            (0xFF, 0xDA | 0xD9) => return None,
            (0xFF, _) => at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
            _ => return None,
        }
    }
}

/// Colour type of the header, transparency and animation of the chunks before the pixels.
fn png(bytes: &[u8], traits: &mut Traits) {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(data) = at.checked_add(8 + length).and_then(|end| bytes.get(at + 8..end)) else { return };
        match &head[4..] {
            b"IHDR" => {
                let colour = data.get(9).copied().unwrap_or_default();
                traits.grey = matches!(colour, 0 | 4);
                traits.alpha = matches!(colour, 4 | 6);
            }
            b"tRNS" => traits.alpha = true,
            b"acTL" => {
                traits.animated = data.get(..4).is_some_and(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]) > 1)
            }
            b"IDAT" => return,
            _ => {}
        }
        at += 12 + length;
    }
}

/// The flags of the extended header, or the transparency bit of a lossless stream.
fn webp(bytes: &[u8], traits: &mut Traits) {
    match (bytes.get(12..16), bytes.get(20..25)) {
        (Some(b"VP8X"), Some(data)) => {
            traits.alpha = data[0] & 0x10 != 0;
            traits.animated = data[0] & 0x02 != 0;
        }
        // Signature, 14 bits of width, 14 of height, then the bit.
        (Some(b"VP8L"), Some(data)) => traits.alpha = data[4] & 0x10 != 0,
        _ => {}
    }
}

/// Number of images in a GIF, counted up to 2.
fn gif_frames(bytes: &[u8]) -> usize {
    let table = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let Some(flags) = bytes.get(10) else { return 0 };
    let (mut at, mut frames) = (13 + table(*flags), 0);
    while frames < 2 {
        match bytes.get(at) {
            Some(0x21) => at += 2,
            Some(0x2C) => {
                frames += 1;
                let Some(flags) = bytes.get(at + 9) else { return frames };
                at += 11 + table(*flags);
            }
            _ => return frames,
        }
        // Sub-blocks, each with its length before it, up to one of length 0.
        loop {
            match bytes.get(at) {
                Some(0) => break at += 1,
                Some(length) => at += 1 + usize::from(*length),
                None => return frames,
            }
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, GrayImage, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn traits(bytes: &[u8]) -> Traits {
        inspect(bytes, &Limits::default())
    }

    /// A GIF of 1x1 pixels with so many frames.
    fn gif(frames: usize) -> Vec<u8> {
        let frame = [0x21, 0xF9, 4, 0, 0, 0, 0, 0, 0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0];
        let head = [&b"GIF89a\x01\0\x01\0\x80\0\0"[..], &[0, 0, 0, 255, 255, 255]].concat();
        [head, frame.repeat(frames), vec![0x3B]].concat()
    }

    #[test]
    fn colour_and_transparency_come_from_the_header() {
        let (grey, clear) = (GrayImage::from_pixel(9, 5, Luma([7])), RgbaImage::from_pixel(9, 5, Rgba([1, 2, 3, 4])));
        let colour = RgbImage::from_pixel(9, 5, Rgb([1, 2, 3]));
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            assert!(traits(&encoded(grey.clone(), format)).grey, "{format:?}");
            let found = traits(&encoded(colour.clone(), format));
            assert!(!found.grey && !found.alpha && !found.animated && found.orientation == 1, "{found:?}");
        }
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            assert!(traits(&encoded(clear.clone(), format)).alpha, "{format:?}");
        }
        assert!(!traits(&encoded(colour, ImageFormat::WebP)).alpha);
    }

    #[test]
    fn other_types_are_named_and_their_frames_counted() {
        let (still, moving) = (traits(&gif(1)), traits(&gif(3)));
        assert_eq!((still.format, still.content.as_str(), still.animated), (None, "a GIF image", false));
        assert!(moving.animated);
        assert_eq!(traits(b"").content, "empty");
    }

    #[test]
    fn animation_is_a_chunk_of_a_png_and_a_flag_of_a_webp() {
        let png = encoded(RgbImage::new(2, 2), ImageFormat::Png);
        let control = [&[0, 0, 0, 8][..], b"acTL", &[0, 0, 0, 3, 0, 0, 0, 0], &[0; 4]].concat();
        let animated = [&png[..33], &control, &png[33..]].concat();
        assert!(traits(&animated).animated && !traits(&png).animated);
        let webp = [&b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x12"[..], &[0; 9]].concat();
        let found = traits(&webp);
        assert!(found.animated && found.alpha, "{found:?}");
    }

    #[test]
    fn orientation_is_that_of_the_exif() {
        let exif = [&b"II*\0"[..], &[8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0], &[0; 4]].concat();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&[0; 12], 2, 2, image::ExtendedColorType::Rgb8).unwrap();
        assert_eq!(traits(&bytes).orientation, 6);
        assert!(!traits(&bytes).cut_short && traits(&bytes[..bytes.len() - 2]).cut_short);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0usize..5) {
            let magic: [&[u8]; 5] =
                [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"RIFF\x90\x01\0\0WEBPVP8X", b"GIF89a"];
            inspect(&[magic[kind], &bytes].concat(), &Limits { max_pixels: 10_000, ..Limits::default() });
        }
    }
}
