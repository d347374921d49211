//! Every sample is made here, or was made by hand with Pillow and is a few bytes long.

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, Luma, LumaA, Rgb, Rgba,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use proptest::prelude::*;

use super::*;

/// An 8x8 JPEG of CMYK (200, 30, 90, 60) as Pillow writes it, with Adobe's inverted values; byte 17 is the transform.
const CMYK: [u8; 179] = [
    255, 216, 255, 238, 0, 14, 65, 100, 111, 98, 101, 0, 100, 0, 0, 0, 0, 0, 255, 219, 0, 67, 0, 3, 2, 2, 3, 2, 2, 3,
    3, 3, 3, 4, 3, 3, 4, 5, 8, 5, 5, 4, 4, 5, 10, 7, 7, 6, 8, 12, 10, 12, 12, 11, 10, 11, 11, 13, 14, 18, 16, 13, 14,
    17, 14, 11, 11, 16, 22, 16, 17, 19, 20, 21, 21, 21, 12, 15, 23, 24, 22, 20, 24, 18, 20, 21, 20, 255, 192, 0, 20, 8,
    0, 8, 0, 8, 4, 67, 17, 0, 77, 17, 0, 89, 17, 0, 75, 17, 0, 255, 196, 0, 22, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 8, 7, 9, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 14, 4,
    67, 0, 77, 0, 89, 0, 75, 0, 0, 63, 0, 30, 52, 13, 99, 44, 223, 255, 217,
];

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 11) as u8, (x * y) as u8]))
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn webp(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut bytes);
    encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn jpeg(image: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A TIFF header and one directory entry: the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [&b"II*\0"[..], &[8, 0, 0, 0, 1, 0], &entry, &[0; 4]].concat()
}

/// Overwrites width and height of a PNG's header and mends the checksum.
fn resized_header(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &png[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

fn decoded(bytes: &[u8]) -> RgbImage {
    decode(bytes, &Limits::default()).unwrap()
}

#[test]
fn each_type_is_recognised_by_content() {
    let image = gradient(9, 5);
    for (bytes, format) in [(png(image.clone()), Format::Png), (webp(&image), Format::WebP)] {
        assert_eq!(decoded(&bytes), image);
        let info = probe(&bytes, &Limits::default()).unwrap();
        assert_eq!(info, ImageInfo { format, width: 9, height: 5 });
    }
    let bytes = jpeg(&image, None);
    assert_eq!(probe(&bytes, &Limits::default()).unwrap().format, Format::Jpeg);
    assert_eq!(decoded(&bytes).dimensions(), (9, 5));
}

#[test]
fn a_huge_png_is_refused_by_its_header() {
    let bytes = resized_header(png(gradient(4, 4)), 30_000, 30_000);
    let start = std::time::Instant::now();
    let error = decode(&bytes, &Limits::default()).unwrap_err();
    assert!(start.elapsed().as_millis() < 500);
    assert_eq!(error.code(), "too_many_pixels");
    assert!(error.to_string().contains("30000x30000"), "{error}");
    assert_eq!(probe(&bytes, &Limits::default()).unwrap_err(), error);
}

#[test]
fn a_huge_jpeg_is_refused_by_its_header() {
    let mut bytes = jpeg(&gradient(8, 8), None);
    let sof = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bytes[sof + 5..sof + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    assert_eq!(decode(&bytes, &Limits::default()).unwrap_err().code(), "too_many_pixels");
}

#[test]
fn too_many_bytes_are_refused_unread() {
    let limits = Limits { max_bytes: 10, ..Limits::default() };
    let error = decode(&[0; 11], &limits).unwrap_err();
    assert_eq!(error, DecodeError::TooManyBytes { bytes: 11, limit: 10 });
    assert!(error.to_string().contains("max_bytes"));
}

#[test]
fn other_content_is_named() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "is empty"),
        (b"dear reader, this is no picture", "is text"),
        (b"GIF89a\x01\0\x01\0", "a GIF image"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0", "a BMP image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC image"),
        (b"PK\x03\x04\x14\0", "a zip archive"),
        (&[1, 2, 3], "of an unknown type"),
    ];
    for (bytes, found) in cases {
        let error = decode(bytes, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "unsupported_format");
        assert!(error.to_string().contains(found), "{error}");
        assert!(error.to_string().contains("convert it to JPEG, PNG or WebP"));
    }
}

#[test]
fn every_cut_is_an_error() {
    let image = gradient(40, 30);
    for bytes in [png(image.clone()), webp(&image), jpeg(&image, None), CMYK.to_vec()] {
        for end in 12..bytes.len() {
            let error = decode(&bytes[..end], &Limits::default()).unwrap_err();
            assert_eq!(error.code(), "corrupt", "{end} of {}: {error}", bytes.len());
        }
        // Bytes after the end do no harm.
        decoded(&[&bytes[..], b"tail"].concat());
    }
}

#[test]
fn exif_orientation_is_applied_for_all_eight() {
    // Two halves in colours that survive JPEG: left red, right blue; top bright, bottom dark.
    let upright = RgbImage::from_fn(32, 16, |x, y| {
        let level = if y < 8 { 250 } else { 120 };
        Rgb(if x < 16 { [level, 0, 0] } else { [0, 0, level] })
    });
    let stored = DynamicImage::ImageRgb8(upright.clone());
    // How a camera that writes each value stored the picture: the inverse of what a viewer does.
    let cases = [
        (1, stored.clone()),
        (2, stored.fliph()),
        (3, stored.rotate180()),
        (4, stored.flipv()),
        (5, stored.rotate90().fliph()),
        (6, stored.rotate270()),
        (7, stored.rotate270().fliph()),
        (8, stored.rotate90()),
    ];
    for (value, image) in cases {
        let bytes = jpeg(&image.into_rgb8(), Some(exif(value)));
        let found = decoded(&bytes);
        assert_eq!(found.dimensions(), (32, 16), "orientation {value}");
        let info = probe(&bytes, &Limits::default()).unwrap();
        assert_eq!((info.width, info.height), (32, 16));
        for (x, y) in [(4, 3), (28, 3), (4, 12), (28, 12)] {
            let (a, b) = (found.get_pixel(x, y), upright.get_pixel(x, y));
            assert!(a.0.iter().zip(b.0).all(|(a, b)| a.abs_diff(b) < 12), "orientation {value}: {a:?} {b:?}");
        }
    }
    assert_eq!(decoded(&jpeg(&upright, Some(vec![7; 40]))).dimensions(), (32, 16));
}

#[test]
fn cmyk_and_ycck_agree_with_pillow() {
    let mut ycck = CMYK;
    ycck[17] = 2;
    // Without Adobe's segment Pillow assumes inverted values all the same.
    let bare = [&CMYK[..2], &CMYK[18..]].concat();
    for (bytes, expected) in [(&CMYK[..], [42, 172, 126]), (&ycck, [113, 195, 21]), (&bare, [42, 172, 126])] {
        let found = decoded(bytes).get_pixel(4, 4).0;
        assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2), "{found:?} {expected:?}");
    }
}

#[test]
fn other_colour_types_become_rgb() {
    let grey = GrayImage::from_pixel(3, 2, Luma([77]));
    assert_eq!(decoded(&png(grey)).get_pixel(1, 1).0, [77; 3]);

    let deep = ImageBuffer::<Luma<u16>, _>::from_pixel(3, 2, Luma([300]));
    assert_eq!(decoded(&png(deep)).get_pixel(1, 1).0, [1; 3]);
    let deep = ImageBuffer::<Rgb<u16>, _>::from_pixel(3, 2, Rgb([65_535, 257 * 128, 0]));
    assert_eq!(decoded(&png(deep)).get_pixel(1, 1).0, [255, 128, 0]);

    let clear = ImageBuffer::<Rgba<u8>, _>::from_pixel(3, 2, Rgba([10, 20, 30, 0]));
    assert_eq!(decoded(&png(clear)).get_pixel(1, 1).0, [10, 20, 30]);
    let clear = ImageBuffer::<LumaA<u8>, _>::from_pixel(3, 2, LumaA([40, 3]));
    assert_eq!(decoded(&png(clear)).get_pixel(1, 1).0, [40; 3]);
}

#[test]
fn an_exif_chunk_of_a_png_counts_too() {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif(6)).unwrap();
    let image = gradient(6, 3);
    encoder.write_image(image.as_raw(), 6, 3, ExtendedColorType::Rgb8).unwrap();
    assert_eq!(decoded(&bytes).dimensions(), (3, 6));
}

proptest! {
    #[test]
    fn any_bytes_give_an_image_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0usize..4) {
        let magic: [&[u8]; 4] = [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"RIFF\x90\x01\0\0WEBPVP8 "];
        let limits = Limits { max_pixels: 100_000, ..Limits::default() };
        let bytes = [magic[kind], &bytes].concat();
        let _ = decode(&bytes, &limits);
        let _ = probe(&bytes, &limits);
    }

    #[test]
    fn damaged_images_never_panic(
        kind in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let image = gradient(20, 13);
        let mut bytes = match kind {
            0 => png(image),
            1 => webp(&image),
            2 => jpeg(&image, Some(exif(6))),
            _ => CMYK.to_vec(),
        };
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let limits = Limits { max_pixels: 100_000, ..Limits::default() };
        let _ = decode(&bytes, &limits);
    }
}
