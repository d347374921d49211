//! Bilinear sampling at given places, in OpenCV's fixed point: places are rounded to 1/32 of a pixel, so that the four
//! weights are whole numbers with the sum 1024.

use image::RgbImage;

use super::{
    border::BorderMode,
    pool,
    simd::{round_i32, vectorize},
};

/// Fractional bits of a place.
const BITS: u32 = 5;
const ONE: u32 = 1 << BITS;
/// Pixels that are worked on together.
const LANES: usize = 16;
/// Three channels in one word, 21 bits each: a weighted sum takes 18.
const HALF: u64 = (1 << (2 * BITS - 1)) * (1 | 1 << 21 | 1 << 42);

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
    mut places: impl FnMut(usize, &mut Places),
) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut out = pool::image(image.width(), image.height());
    let mut row = Places { x: vec![0; width], y: vec![0; width] };
    let source = Source { pixels: image.as_raw(), width, height, mode, fill };
    // Eight bytes hold a pixel and its right neighbour: the last ones of the image lack two of them.
    let mut readable = pool::take(image.as_raw().len() + 2);
    readable[..image.as_raw().len()].copy_from_slice(image.as_raw());
    for (y, out) in out.chunks_exact_mut((3 * width).max(1)).enumerate() {
        places(y, &mut row);
        vectorize(
            #[inline(always)]
            || {
                fold(&mut row.x, width, mode);
                fold(&mut row.y, height, mode);
                let blocks = out.as_chunks_mut::<3>().0.chunks_mut(LANES);
                for ((out, x), y) in blocks.zip(row.x.chunks(LANES)).zip(row.y.chunks(LANES)) {
                    source.sample(&readable, x, y, out);
                }
            },
        );
    }
    pool::give(readable);
    out
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
    /// The colours at up to [`LANES`] places. `readable` are the pixels and two bytes more.
    #[inline(always)]
    fn sample(&self, readable: &[u8], xs: &[i32], ys: &[i32], out: &mut [[u8; 3]]) {
        let stride = 3 * self.width;
        let [mut x, mut y, mut left, mut top, mut fx, mut fy] = [[0_i32; LANES]; 6];
        x[..xs.len()].copy_from_slice(xs);
        y[..ys.len()].copy_from_slice(ys);
        let mut beyond = 0;
        // The last column and row have no right or lower neighbour: they are the far end of the pair before them.
        let (last_left, last_top) = (self.width as i32 - 2, self.height as i32 - 2);
        for i in 0..LANES {
            (left[i], top[i]) = ((x[i] >> BITS).min(last_left), (y[i] >> BITS).min(last_top));
            (fx[i], fy[i]) = (x[i] - (left[i] << BITS), y[i] - (top[i] << BITS));
            beyond |= left[i] | top[i] | (ONE as i32 - fx[i]) | (ONE as i32 - fy[i]);
        }
        if beyond < 0 {
            let places = xs.iter().zip(ys);
            out.iter_mut().zip(places).for_each(|(out, (x, y))| *out = self.at_edge(*x, *y));
            return;
        }
        let [mut upper, mut lower] = [[0_u64; LANES]; 2];
        for i in 0..LANES {
            let start = top[i] as usize * stride + 3 * left[i] as usize;
            let read =
                |start: usize| readable[start..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            (upper[i], lower[i]) = (read(start), read(start + stride));
        }
        let mut colours = [0_u32; LANES];
        for i in 0..LANES {
            colours[i] = between(upper[i], lower[i], fx[i] as u32, fy[i] as u32);
        }
        for (out, colour) in out.iter_mut().zip(colours) {
            let [red, green, blue, _] = colour.to_le_bytes();
            *out = [red, green, blue];
        }
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

/// The pixel (red in the lowest byte) between two of an upper and two of a lower row (red, green, blue, red, green, blue, from the lowest byte):
/// every second byte in a lane of 16 bits, so that one multiplication weighs four of them.
#[inline(always)]
fn between(top: u64, bottom: u64, fx: u32, fy: u32) -> u32 {
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
