//! Bilinear sampling at given places, in OpenCV's fixed point: places are rounded to 1/32 of a pixel, so that the four
//! weights are whole numbers with the sum 1024.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i as Vector;
use std::cell::RefCell;

use image::RgbImage;
#[cfg(target_arch = "x86_64")]
use pulp::{cast, x86::V3};

#[cfg(target_arch = "x86_64")]
use super::simd::without_fourth;
use super::{
    border::BorderMode,
    pool,
    simd::{Vectors, round_i32, with_vectors},
};

/// Fractional bits of a place.
const BITS: u32 = 5;
const ONE: u32 = 1 << BITS;
/// Pixels that are worked on together.
const LANES: usize = 16;
/// Images of so many bytes have a copy of fixed length, in which no place has to be looked at whether it lies inside.
const SMALL: usize = 1 << 18;
/// Three channels in one word, 21 bits each: a weighted sum takes 18.
const HALF: u64 = (1 << (2 * BITS - 1)) * (1 | 1 << 21 | 1 << 42);

thread_local! {
    static SMALL_COPY: RefCell<Box<[u8; SMALL + 8]>> = RefCell::new(Box::new([0; SMALL + 8]));
}

/// A place in fixed point; far beyond any image it is cut off.
#[inline(always)]
pub(super) fn fixed(place: f32) -> i32 {
    round_i32((place * ONE as f32).max(-4_000_000.0).min(4_000_000.0))
}

/// Where each pixel of a row comes from, in 1/32 pixels.
pub(super) struct Places {
    pub(super) x: Vec<i32>,
    pub(super) y: Vec<i32>,
}

/// Gives each pixel of an image of the same size the colour at the place that `places` writes for its row
/// (`cv2.remap`, `INTER_LINEAR`). `fill` is the colour outside for [`BorderMode::Constant`].
pub(super) fn remap(
    image: &RgbImage,
    mode: BorderMode,
    fill: [u8; 3],
    places: impl FnMut(usize, &mut Places),
) -> RgbImage {
    if image.as_raw().len() <= SMALL {
        SMALL_COPY.with_borrow_mut(|copy| {
            copy[..image.as_raw().len()].copy_from_slice(image.as_raw());
            rows(image, copy.as_ref(), mode, fill, places)
        })
    } else {
        // Eight bytes hold a pixel and its right neighbour: the last ones of the image lack two of them.
        let mut copy = pool::take(image.as_raw().len() + 2);
        copy[..image.as_raw().len()].copy_from_slice(image.as_raw());
        let out = rows(image, copy.as_slice(), mode, fill, places);
        pool::give(copy);
        out
    }
}

/// `readable` are the pixels and at least two bytes more.
fn rows<B: Bytes + ?Sized>(
    image: &RgbImage,
    readable: &B,
    mode: BorderMode,
    fill: [u8; 3],
    mut places: impl FnMut(usize, &mut Places),
) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut out = pool::image(image.width(), image.height());
    let mut row = Places { x: vec![0; width], y: vec![0; width] };
    let source = Source { pixels: image.as_raw(), width, height, mode, fill };
    for (y, out) in out.chunks_exact_mut((3 * width).max(1)).enumerate() {
        places(y, &mut row);
        with_vectors(
            #[inline(always)]
            |vectors| {
                fold(&mut row.x, width, mode);
                fold(&mut row.y, height, mode);
                let (xs, xs_rest) = row.x.as_chunks::<LANES>();
                let (ys, ys_rest) = row.y.as_chunks::<LANES>();
                let (outs, out_rest) = out.as_chunks_mut::<{ 3 * LANES }>();
                for ((out, x), y) in outs.iter_mut().zip(xs).zip(ys) {
                    source.sample(vectors, readable, x, y, out);
                }
                let ([mut x, mut y], mut last) = ([[0; LANES]; 2], [0; 3 * LANES]);
                x[..xs_rest.len()].copy_from_slice(xs_rest);
                y[..ys_rest.len()].copy_from_slice(ys_rest);
                if !out_rest.is_empty() {
                    source.sample(vectors, readable, &x, &y, &mut last);
                    out_rest.copy_from_slice(&last[..out_rest.len()]);
                }
            },
        );
    }
    out
}

/// Where eight bytes are read at once.
trait Bytes {
    /// The bytes from `start` on, the first one lowest.
    fn eight(&self, start: u32) -> u64;
}

impl Bytes for [u8; SMALL + 8] {
    #[inline(always)]
    fn eight(&self, start: u32) -> u64 {
        // The places lie inside: this tells the compiler, which then needs no branch.
        let start = start as usize % SMALL;
        self[start..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl Bytes for [u8] {
    #[inline(always)]
    fn eight(&self, start: u32) -> u64 {
        let bytes = self.get(start as usize..).and_then(<[u8]>::first_chunk::<8>);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// Brings places beyond the edges inside, where the border is the nearest pixel or the mirror image without the edge: a
/// place between two pixels has the same colour as its mirror image between theirs.
#[inline(always)]
fn fold(places: &mut [i32], length: usize, mode: BorderMode) {
    let last = ((length as i32) - 1) << BITS;
    match mode {
        BorderMode::Replicate => places.iter_mut().for_each(|place| *place = (*place).clamp(0, last)),
        BorderMode::Reflect101 if last > 0 => {
            for place in places.iter_mut() {
                let once = place.abs();
                *place = once.min((2 * last - once).abs());
            }
        }
        _ => {}
    }
}

struct Source<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
    mode: BorderMode,
    fill: [u8; 3],
}

impl Source<'_> {
    /// The colours at [`LANES`] places.
    #[inline(always)]
    fn sample<B: Bytes + ?Sized>(
        &self,
        vectors: Vectors,
        readable: &B,
        x: &[i32; LANES],
        y: &[i32; LANES],
        out: &mut [u8; 3 * LANES],
    ) {
        let stride = 3 * self.width as u32;
        let [mut left, mut top, mut fx, mut fy] = [[0_i32; LANES]; 4];
        let mut beyond = 0;
        // The last column and row have no right or lower neighbour: they are the far end of the pair before them.
        let (last_left, last_top) = (self.width as i32 - 2, self.height as i32 - 2);
        for i in 0..LANES {
            (left[i], top[i]) = ((x[i] >> BITS).min(last_left), (y[i] >> BITS).min(last_top));
            (fx[i], fy[i]) = (x[i] - (left[i] << BITS), y[i] - (top[i] << BITS));
            beyond |= left[i] | top[i] | (ONE as i32 - fx[i]) | (ONE as i32 - fy[i]);
        }
        if beyond < 0 {
            let places = x.iter().zip(y);
            let outs = out.as_chunks_mut::<3>().0;
            outs.iter_mut().zip(places).for_each(|(out, (x, y))| *out = self.at_edge(*x, *y));
            return;
        }
        let mut starts = [0_u32; LANES];
        for i in 0..LANES {
            starts[i] = (top[i] as u32).wrapping_mul(stride).wrapping_add(3 * left[i] as u32);
        }
        *out = between(vectors, readable, &starts, stride, &fx, &fy);
    }

    #[cold]
    fn at_edge(&self, x: i32, y: i32) -> [u8; 3] {
        let pixel = |x: i32, y: i32| {
            let at = self.mode.index(x, self.width as i32).zip(self.mode.index(y, self.height as i32));
            match at {
                Some((x, y)) => word(&self.pixels[3 * (y * self.width + x)..]),
                None => word(&self.fill),
            }
        };
        let (fx, fy) = ((x as u32) & (ONE - 1), (y as u32) & (ONE - 1));
        let (x, y) = (x >> BITS, y >> BITS);
        let top = pixel(x, y) * u64::from(ONE - fx) + pixel(x + 1, y) * u64::from(fx);
        let bottom = pixel(x, y + 1) * u64::from(ONE - fx) + pixel(x + 1, y + 1) * u64::from(fx);
        let sum = (top * u64::from(ONE - fy) + bottom * u64::from(fy) + HALF) >> (2 * BITS);
        [sum as u8, (sum >> 21) as u8, (sum >> 42) as u8]
    }
}

/// Red, green, blue, red, green, blue at a place and in the next row, from the lowest byte.
#[inline(always)]
fn pair<B: Bytes + ?Sized>(readable: &B, start: u32, stride: u32) -> [u64; 2] {
    [readable.eight(start), readable.eight(start.wrapping_add(stride))]
}

/// The colours between two pixels at each start and the two of the next row.
#[inline(always)]
fn between<B: Bytes + ?Sized>(
    vectors: Vectors,
    readable: &B,
    starts: &[u32; LANES],
    stride: u32,
    fx: &[i32; LANES],
    fy: &[i32; LANES],
) -> [u8; 3 * LANES] {
    let mut out = [0; 3 * LANES];
    #[cfg(target_arch = "x86_64")]
    if let Vectors::V3(simd) = vectors {
        let weights = fx.as_chunks::<8>().0.iter().zip(fy.as_chunks::<8>().0);
        let blocks = out.as_chunks_mut::<24>().0.iter_mut().zip(starts.as_chunks::<8>().0);
        for ((out, [a, b, c, d, e, f, g, h]), (fx, fy)) in blocks.zip(weights) {
            let pairs = [
                pair(readable, *a, stride),
                pair(readable, *b, stride),
                pair(readable, *c, stride),
                pair(readable, *d, stride),
                pair(readable, *e, stride),
                pair(readable, *f, stride),
                pair(readable, *g, stride),
                pair(readable, *h, stride),
            ];
            *out = eight_between(simd, pairs, fx, fy);
        }
        return out;
    }
    let _ = vectors;
    let mut pairs = [[0_u64; 2]; LANES];
    for i in 0..LANES {
        pairs[i] = pair(readable, starts[i], stride);
    }
    let mut colours = [0_u32; LANES];
    for i in 0..LANES {
        colours[i] = one_between(pairs[i], fx[i] as u32, fy[i] as u32);
    }
    for (out, colour) in out.as_chunks_mut::<3>().0.iter_mut().zip(colours) {
        let [red, green, blue, _] = colour.to_le_bytes();
        *out = [red, green, blue];
    }
    out
}

/// The same for eight.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn eight_between(simd: V3, pairs: [[u64; 2]; 8], fx: &[i32; 8], fy: &[i32; 8]) -> [u8; 24] {
    let s = simd.avx2;
    let all = |value| simd.avx._mm256_set1_epi32(value);
    let (fx, fy): (Vector, Vector) = (cast(*fx), cast(*fy));
    // Weights of left and right as two bytes (32 - fx, fx), twice; of upper and lower as two numbers of 16 bits.
    let across = s._mm256_add_epi32(s._mm256_mullo_epi32(fx, all(0xFF_00FF)), all(0x20_0020));
    let down = s._mm256_add_epi32(s._mm256_mullo_epi32(fy, all(0xFFFF)), all(32));
    let weights = [across, down];
    let [a, b, c, d, e, f, g, h] = pairs;
    // Packing works on each half of a vector by itself.
    let low = s._mm256_packs_epi32(
        two_between::<0b00_00_00_00>(simd, a, e, weights),
        two_between::<0b01_01_01_01>(simd, b, f, weights),
    );
    let high = s._mm256_packs_epi32(
        two_between::<0b10_10_10_10>(simd, c, g, weights),
        two_between::<0b11_11_11_11>(simd, d, h, weights),
    );
    without_fourth(simd, s._mm256_packus_epi16(low, high))
}

/// Two pixels of which `I` picks the weights, one in each half: three channels of 32 bits each.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn two_between<const I: i32>(simd: V3, [a, b]: [u64; 2], [c, d]: [u64; 2], [across, down]: [Vector; 2]) -> Vector {
    // Both pixels of both rows, channel by channel.
    const BY_CHANNEL: [u8; 16] = [0, 3, 8, 11, 1, 4, 9, 12, 2, 5, 10, 13, 128, 128, 128, 128];
    let s = simd.avx2;
    let bytes = s._mm256_shuffle_epi8(cast([a, b, c, d]), cast([BY_CHANNEL; 2]));
    let rows = s._mm256_maddubs_epi16(bytes, s._mm256_shuffle_epi32::<I>(across));
    let sums = s._mm256_madd_epi16(rows, s._mm256_shuffle_epi32::<I>(down));
    s._mm256_srli_epi32::<10>(s._mm256_add_epi32(sums, simd.avx._mm256_set1_epi32(512)))
}

/// One of them, red in the lowest byte: every second byte in a lane of 16 bits, so that one multiplication weighs four.
#[inline(always)]
fn one_between([top, bottom]: [u64; 2], fx: u32, fy: u32) -> u32 {
    const EVERY_SECOND: u64 = 0x00FF_00FF_00FF_00FF;
    let (gx, gy) = (u64::from(ONE - fx), u64::from(ONE - fy));
    let (fx, fy) = (u64::from(fx), u64::from(fy));
    let even = (top & EVERY_SECOND) * gy + (bottom & EVERY_SECOND) * fy;
    let odd = ((top >> 8) & EVERY_SECOND) * gy + ((bottom >> 8) & EVERY_SECOND) * fy;
    // even: red, blue, right green; odd: green, right red, right blue. Red and blue take 32 bits each.
    let left = (even & 0xFFFF) | (even & 0xFFFF_0000) << 16;
    let right = ((odd >> 16) & 0xFFFF) | (odd & 0xFFFF_0000_0000);
    let red_blue = left * gx + right * fx + (512 | 512 << 32);
    let green = (odd & 0xFFFF) * gx + ((even >> 32) & 0xFFFF) * fx + 512;
    let (red, green, blue) = ((red_blue >> 10) & 0xFF, (green >> 10) & 0xFF, (red_blue >> 42) & 0xFF);
    (red | green << 8 | blue << 16) as u32
}

/// Three channels in one word, see [`HALF`].
fn word(pixel: &[u8]) -> u64 {
    u64::from(pixel[0]) | u64::from(pixel[1]) << 21 | u64::from(pixel[2]) << 42
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Everywhere, the quick way gives what the four neighbours by the rule of the border give.
    #[test]
    fn edges_are_what_the_rule_says() {
        let image = RgbImage::from_fn(7, 5, |x, y| Rgb([(x * 36) as u8, (y * 60) as u8, (x * y * 10) as u8]));
        let modes = [
            BorderMode::Constant,
            BorderMode::Replicate,
            BorderMode::Reflect,
            BorderMode::Reflect101,
            BorderMode::Wrap,
        ];
        for mode in modes {
            let source = Source { pixels: image.as_raw(), width: 7, height: 5, mode, fill: [9, 8, 7] };
            for start in (-1500..1500).step_by(7) {
                let places = |y: usize, row: &mut Places| {
                    (0..7).for_each(|x| (row.x[x], row.y[x]) = (start + 37 * x as i32, start / 2 + 41 * y as i32));
                };
                let out = remap(&image, mode, [9, 8, 7], places);
                for (x, y, pixel) in out.enumerate_pixels() {
                    assert_eq!(pixel.0, source.at_edge(start + 37 * x as i32, start / 2 + 41 * y as i32), "{mode:?}");
                }
            }
        }
    }

    #[test]
    fn all_vectors_give_the_same() {
        let mut key = 1_u64;
        let mut draw = || {
            key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            key >> 13
        };
        for round in 0..200 {
            let bright = if round % 4 == 0 { 255 } else { 0 };
            let bytes: Vec<u8> = (0..100).map(|_| draw() as u8 | bright).collect();
            let bytes = bytes.as_slice();
            let starts = std::array::from_fn(|_| (draw() % 42) as u32);
            let [fx, fy]: [[i32; LANES]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| (draw() % 33) as i32));
            let plain = between(Vectors::Any, bytes, &starts, 50, &fx, &fy);
            assert_eq!(with_vectors(|vectors| between(vectors, bytes, &starts, 50, &fx, &fy)), plain);
        }
    }

    #[test]
    fn whole_and_half_places() {
        let image = RgbImage::from_fn(5, 4, |x, y| Rgb([(x * 50) as u8, (y * 80) as u8, 255]));
        let same = |y: usize, row: &mut Places| {
            (0..5).for_each(|x| (row.x[x], row.y[x]) = (fixed(x as f32), fixed(y as f32)));
        };
        assert_eq!(remap(&image, BorderMode::Constant, [0; 3], same), image);
        let half = |y: usize, row: &mut Places| {
            (0..5).for_each(|x| (row.x[x], row.y[x]) = (fixed(x as f32 + 0.5), fixed(y as f32)));
        };
        let out = remap(&image, BorderMode::Reflect101, [0; 3], half);
        assert_eq!(out.get_pixel(1, 2).0, [75, 160, 255]);
        // Half of the last column and half of its mirror image, the one before it.
        assert_eq!(out.get_pixel(4, 2).0, [175, 160, 255]);
        let filled = remap(&image, BorderMode::Constant, [9, 9, 9], |_, row: &mut Places| {
            row.x.fill(fixed(-1.0e9));
        });
        assert!(filled.pixels().all(|p| p.0 == [9, 9, 9]));
    }
}
