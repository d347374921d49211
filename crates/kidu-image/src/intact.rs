//! Whether an encoded image ends where its format says that it ends.
//!
//! The JPEG decoder fills what is missing with grey and the PNG decoder stops reading after the last row, so a file
//! that was cut short could pass for a whole one. Bytes after the end are allowed, as everywhere.

use crate::decode::Format;

/// The reason why `bytes` are cut short, if they are.
pub(crate) fn cut_short(bytes: &[u8], format: Format) -> Option<&'static str> {
    let (whole, reason) = match format {
        Format::Jpeg => (jpeg_ends(bytes), "it is cut short, there is no end-of-image marker"),
        Format::Png => (png_ends(bytes), "it is cut short, there is no IEND chunk"),
        Format::WebP => (webp_ends(bytes), "it is cut short, it has fewer bytes than its header says"),
    };
    (!whole).then_some(reason)
}

/// Walks the segments up to the end-of-image marker. Segments are skipped by their length, so that the end of an
/// embedded thumbnail is not taken for the end of the image.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(skip) = bytes.get(at..).and_then(|rest| memchr::memchr(0xFF, rest)) {
        at += skip;
        let Some(marker) = bytes.get(at + 1) else { return false };
        match marker {
            0xD9 => return true,
            // A fill byte: the next one may begin the marker.
            0xFF => at += 1,
            // A stuffed zero, a restart marker, TEM or SOI: nothing follows that has a length.
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
            _ => {
                let Some(length) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    false
}

/// Walks the chunks (length, type, data, checksum) up to `IEND`.
fn png_ends(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = at.checked_add(12).and_then(|n| n.checked_add(length)) else { return false };
        if &head[4..] == b"IEND" {
            return end <= bytes.len();
        }
        at = end;
    }
    false
}

/// Compares with the size in the RIFF header.
fn webp_ends(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|n| bytes.len() as u64 >= 8 + u64::from(u32::from_le_bytes([n[0], n[1], n[2], n[3]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end() {
        let thumbnail = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
        let scan = [0xFF, 0xDA, 0, 2, 1, 0xFF, 0, 2, 0xFF, 0xD0, 3];
        let cut = [&[0xFF, 0xD8][..], &thumbnail, &scan].concat();
        assert!(!jpeg_ends(&cut));
        assert!(jpeg_ends(&[&cut[..], &[0xFF, 0xFF, 0xD9, 7]].concat()));
    }

    #[test]
    fn hostile_lengths_end_the_walk() {
        assert!(!jpeg_ends(&[0xFF, 0xD8, 0xFF, 0xE1, 0xFF, 0xFF]));
        assert!(!jpeg_ends(&[0xFF, 0xD8, 0xFF, 0xE1, 0, 0, 0xFF]));
        let mut png = vec![0; 8];
        png.extend_from_slice(&[0xFF; 8]);
        assert!(!png_ends(&png));
        assert!(!webp_ends(b"RIFF\xFF\xFF\xFF\xFFWEBP"));
    }
}
