//! Damage in the compressed data of a JPEG that a decoder does not report.
//!
//! A decoder goes on as well as it can: a few bytes that were overwritten on a disk shift the colours of all that
//! follows, or turn the lower part of the picture to noise, and nothing is said. Here the Huffman codes of a baseline
//! JPEG (ITU-T T.81, annex F) are read without computing pixels, and four things are looked at that hold in every sound
//! file and that damage soon breaks: each code is one of the tables', each block has 64 coefficients at most, the mean of
//! each block is one that 8-bit samples can have, and the data ends where the last block does.

use crate::{Format, decode};

/// What is broken in the compressed data of a baseline JPEG; `None` for a sound file, for progressive files and for
/// other types, which are not looked at. Any bytes give an answer, never a panic.
pub fn damage(bytes: &[u8]) -> Option<&'static str> {
    if decode::format_of(bytes) != Some(Format::Jpeg) {
        return None;
    }
    match Header::read(bytes) {
        Some((header, data)) => header.walk(data).err(),
        None => None,
    }
}

const BAD_CODE: &str = "its data holds a code that is not in its tables";
const TOO_LONG: &str = "its data holds a block of more than 64 coefficients";
const BAD_MEAN: &str = "its data holds brightness that no image has";
const TOO_SHORT: &str = "its data ends before the image does";
const LEFT_OVER: &str = "its data goes on after the image has ended";
const BAD_RESTART: &str = "its restart markers are out of order";

type Walked<T> = Result<T, &'static str>;

/// A Huffman table: for each prefix of 16 bits, the length of the code and its symbol.
struct Table(Vec<(u8, u8)>);

impl Table {
    /// From the 16 numbers of codes by length and the symbols.
    fn new(counts: &[u8], symbols: &[u8]) -> Self {
        let mut lookup = vec![(0, 0); 1 << 16];
        let (mut code, mut next) = (0usize, 0);
        for (length, count) in (1..=16u8).zip(counts) {
            for _ in 0..*count {
                let (start, step) = (code << (16 - length), 1usize << (16 - length));
                if let (Some(slots), Some(symbol)) = (lookup.get_mut(start..start + step), symbols.get(next)) {
                    slots.fill((length, *symbol));
                }
                code += 1;
                next += 1;
            }
            code <<= 1;
        }
        Self(lookup)
    }
}

struct Component {
    id: u8,
    /// Blocks in a unit.
    blocks: usize,
    quantisation: usize,
    dc: usize,
    ac: usize,
}

/// What is needed to read the only scan of a baseline JPEG.
struct Header {
    components: Vec<Component>,
    units: usize,
    restart: usize,
    /// The step of the mean, by table.
    steps: [i32; 4],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

impl Header {
    /// Reads up to the data of the first scan. `None` for what is not baseline, has several scans or is not understood.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut header = Self {
            components: Vec::new(),
            units: 0,
            restart: 0,
            steps: [1; 4],
            dc: Default::default(),
            ac: Default::default(),
        };
        let mut at = 2;
        loop {
            let (prefix, marker) = (*bytes.get(at)?, *bytes.get(at + 1)?);
            if prefix != 0xFF {
                return None;
            }
            if marker == 0xFF {
                at += 1;
                continue;
            }
            let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
            let segment = bytes.get(at + 4..at + 2 + length.max(2))?;
            at += 2 + length.max(2);
            match marker {
                0xC0 | 0xC1 => header.frame(segment)?,
                0xC4 => header.tables(segment)?,
                0xC2 | 0xC3 | 0xC5..=0xCF => return None,
                0xDB => header.quantisation(segment)?,
                0xDD => header.restart = usize::from(u16::from_be_bytes([*segment.first()?, *segment.get(1)?])),
                0xDA => {
                    header.scan(segment)?;
                    return Some((header, bytes.get(at..)?));
                }
                0xD0..=0xD9 | 0x01 => return None,
                _ => {}
            }
        }
    }

    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let [precision, h1, h0, w1, w0, count] = *segment.first_chunk::<6>()?;
        let (height, width) = (usize::from(u16::from_be_bytes([h1, h0])), usize::from(u16::from_be_bytes([w1, w0])));
        if precision != 8 || !self.components.is_empty() {
            return None;
        }
        let (mut across, mut down) = (1, 1);
        for part in segment.get(6..6 + 3 * usize::from(count))?.chunks_exact(3) {
            let (h, v) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
                return None;
            }
            (across, down) = (across.max(h), down.max(v));
            let quantisation = usize::from(part[2] & 3);
            self.components.push(Component { id: part[0], blocks: h * v, quantisation, dc: 0, ac: 0 });
        }
        if let [only] = self.components.as_mut_slice() {
            // A scan of one component holds its blocks one by one, whatever its sampling.
            (across, down, only.blocks) = (1, 1, 1);
        }
        self.units = width.div_ceil(8 * across) * height.div_ceil(8 * down);
        (self.units > 0).then_some(())
    }

    fn tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((class, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_at_checked(16)?;
            let total = counts.iter().map(|c| usize::from(*c)).sum::<usize>();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(class & 15))? = Some(Table::new(counts, symbols));
            segment = rest;
        }
        Some(())
    }

    fn quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let wide = kind >> 4 != 0;
            let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 })?;
            let first = if wide { u16::from_be_bytes([values[0], values[1]]) } else { u16::from(values[0]) };
            *self.steps.get_mut(usize::from(kind & 15))? = i32::from(first);
            segment = rest;
        }
        Some(())
    }

    fn scan(&mut self, segment: &[u8]) -> Option<()> {
        let count = usize::from(*segment.first()?);
        if count != self.components.len() || count == 0 {
            return None;
        }
        for part in segment.get(1..1 + 2 * count)?.chunks_exact(2) {
            let component = self.components.iter_mut().find(|c| c.id == part[0])?;
            (component.dc, component.ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        }
        let complete = |c: &Component| {
            self.dc.get(c.dc).is_some_and(Option::is_some) && self.ac.get(c.ac).is_some_and(Option::is_some)
        };
        self.components.iter().all(complete).then_some(())
    }

    /// Reads all units.
    fn walk(&self, data: &[u8]) -> Walked<()> {
        let mut bits = Bits { data, at: 0, held: 0, count: 0 };
        let mut means = vec![0i32; self.components.len()];
        for unit in 0..self.units {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 {
                bits.restart((unit / self.restart - 1) % 8)?;
                means.fill(0);
            }
            for (component, mean) in self.components.iter().zip(&mut means) {
                for _ in 0..component.blocks {
                    self.block(component, mean, &mut bits)?;
                }
            }
        }
        bits.end()
    }

    fn block(&self, component: &Component, mean: &mut i32, bits: &mut Bits<'_>) -> Walked<()> {
        let (Some(dc), Some(ac)) = (&self.dc[component.dc], &self.ac[component.ac]) else { return Ok(()) };
        let size = bits.symbol(dc)?;
        if size > 11 {
            return Err(BAD_CODE);
        }
        *mean += bits.signed(size)?;
        // The transform of 64 samples of -128 is -1024; rounding and clipped colours allow for as much again.
        let step = self.steps[component.quantisation];
        if (*mean * step).abs() > 2048 + step {
            return Err(BAD_MEAN);
        }
        let mut at = 1;
        while at < 64 {
            let symbol = bits.symbol(ac)?;
            let (run, size) = (usize::from(symbol >> 4), symbol & 15);
            match (run, size) {
                (15, 0) => at += 16,
                (_, 0) => return Ok(()),
                _ => {
                    at += run + 1;
                    bits.signed(size)?;
                }
            }
            if at > 64 {
                return Err(TOO_LONG);
            }
        }
        Ok(())
    }
}

/// Bits of the compressed data, most significant first; stuffed zeros are taken out.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// Holds at least 32 bits, or all that are left before the next marker.
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(byte) = self.data.get(self.at) else { return };
            if *byte == 0xFF {
                // A stuffed zero belongs to it; anything else is a marker.
                if self.data.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.held = self.held << 8 | u64::from(*byte);
            self.count += 8;
        }
    }

    fn symbol(&mut self, table: &Table) -> Walked<u8> {
        self.fill();
        let prefix = if self.count >= 16 {
            self.held >> (self.count - 16)
        } else {
            // The last code may be shorter than what is looked at.
            self.held << (16 - self.count)
        };
        let (length, symbol) = table.0[(prefix & 0xFFFF) as usize];
        if length == 0 {
            return Err(if self.count < 16 { TOO_SHORT } else { BAD_CODE });
        }
        self.take(u32::from(length))?;
        Ok(symbol)
    }

    fn take(&mut self, bits: u32) -> Walked<u32> {
        if self.count < bits {
            return Err(TOO_SHORT);
        }
        self.count -= bits;
        Ok((self.held >> self.count) as u32 & ((1u32 << bits) - 1))
    }

    /// A number of so many bits, whose first bit tells its sign.
    fn signed(&mut self, size: u8) -> Walked<i32> {
        if size == 0 {
            return Ok(0);
        }
        self.fill();
        let value = self.take(u32::from(size))? as i32;
        Ok(if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value })
    }

    /// The data must be used up to the padding of the last byte, and the next marker be the expected one.
    fn restart(&mut self, number: usize) -> Walked<()> {
        self.used_up()?;
        while self.data.get(self.at + 1) == Some(&0xFF) {
            self.at += 1;
        }
        if self.data.get(self.at + 1).is_none_or(|m| usize::from(*m) != 0xD0 + number) {
            return Err(BAD_RESTART);
        }
        self.at += 2;
        (self.held, self.count) = (0, 0);
        Ok(())
    }

    fn end(&mut self) -> Walked<()> {
        self.used_up()
    }

    /// Some writers pad by a byte or two.
    fn used_up(&mut self) -> Walked<()> {
        self.fill();
        if self.count >= 32 { Err(LEFT_OVER) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, GrayImage, ImageEncoder, Rgb, RgbImage, codecs::jpeg::JpegEncoder};
    use proptest::prelude::*;

    use super::*;

    fn scene(seed: u32, width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let wave = |k: u32| ((x * k + seed) as f32 * 0.11).sin() + ((y * k) as f32 * 0.07 + seed as f32).cos();
            let noise =
                (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ seed).wrapping_mul(2_654_435_761) >> 27;
            Rgb([1, 2, 3].map(|k| (128.0 + 50.0 * wave(k)) as u8 / 2 + noise as u8))
        })
    }

    fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    #[test]
    fn sound_files_are_sound() {
        for (quality, width, height) in [(5, 8, 8), (50, 33, 17), (90, 150, 150), (100, 1, 1), (100, 64, 100)] {
            assert_eq!(damage(&jpeg(&scene(1, width, height), quality)), None, "{quality} {width}x{height}");
        }
        let mut grey = Vec::new();
        let image = GrayImage::from_fn(50, 40, |x, y| image::Luma([(x * y) as u8]));
        JpegEncoder::new(&mut grey).write_image(image.as_raw(), 50, 40, ExtendedColorType::L8).unwrap();
        assert_eq!(damage(&grey), None);
        // Black and white next to each other: the widest steps there are.
        let board = RgbImage::from_fn(80, 80, |x, y| Rgb([if (x / 8 + y / 8) % 2 == 0 { 0 } else { 255 }; 3]));
        assert_eq!(damage(&jpeg(&board, 100)), None);
        assert_eq!(damage(b"GIF89a"), None);
    }

    #[test]
    fn overwritten_data_is_mostly_noticed() {
        let mut noticed = 0;
        for seed in 0..100u32 {
            let mut bytes = jpeg(&scene(seed, 150, 150), 85);
            let at = bytes.len() / 3 + 29 * seed as usize;
            for (i, byte) in bytes[at..at + 200].iter_mut().enumerate() {
                // Random bytes or zeros.
                *byte =
                    if seed % 2 == 0 { (i as u32 * 97 + seed).wrapping_mul(2_654_435_761).to_be_bytes()[0] } else { 0 };
            }
            noticed += usize::from(damage(&bytes).is_some());
        }
        assert!(noticed >= 85, "{noticed} of 100");
    }

    proptest! {
        #[test]
        fn any_damage_has_an_answer(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
            let mut bytes = jpeg(&scene(2, 40, 30), 80);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            damage(&bytes);
        }
    }
}
