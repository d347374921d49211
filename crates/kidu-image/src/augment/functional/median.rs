//! The median of the neighbours.

use image::RgbImage;

use super::{
    border::{BorderMode, Padded},
    pool,
    simd::vectorize,
};

/// The median of the `ksize` x `ksize` neighbours (`cv2.medianBlur`), the edges repeated; `ksize` is odd, 3..=255.
pub fn median_blur(image: &RgbImage, ksize: u32) -> RgbImage {
    let ksize = (ksize as usize) | 1;
    let padded = Padded::new(image, ksize / 2, BorderMode::Replicate);
    let mut out = pool::image(image.width(), image.height());
    let stride = (3 * image.width() as usize).max(1);
    let (mut candidates, mut below) = (vec![0_u8; stride], vec![0_u8; stride]);
    for (y, out) in out.chunks_exact_mut(stride).enumerate() {
        if ksize == 3 {
            vectorize(
                #[inline(always)]
                || of_nine([0, 1, 2].map(|k| padded.row(y + k)), out),
            );
        } else if ksize <= 15 {
            vectorize(
                #[inline(always)]
                || by_bits(&padded, y, ksize, (&mut candidates, &mut below), out),
            );
        } else {
            for channel in 0..3 {
                by_histogram(&padded, y, ksize, channel, out);
            }
        }
    }
    out
}

/// Comparisons without branches (Paeth 1990, Graphics Gems): the median of nine is the median of the greatest of the
/// three least, the median of the three middle and the least of the three greatest of the columns.
#[inline(always)]
fn of_nine(rows: [&[u8]; 3], out: &mut [u8]) {
    let len = out.len();
    let [above, middle, below] = rows.map(|row| &row[..len + 6]);
    let (a0, a1, a2) = (&above[..len], &above[3..len + 3], &above[6..len + 6]);
    let (b0, b1, b2) = (&middle[..len], &middle[3..len + 3], &middle[6..len + 6]);
    let (c0, c1, c2) = (&below[..len], &below[3..len + 3], &below[6..len + 6]);
    for (i, out) in out.iter_mut().enumerate() {
        let [l0, m0, h0] = sorted(a0[i], b0[i], c0[i]);
        let [l1, m1, h1] = sorted(a1[i], b1[i], c1[i]);
        let [l2, m2, h2] = sorted(a2[i], b2[i], c2[i]);
        let low = l0.max(l1).max(l2);
        let [_, middle, _] = sorted(m0, m1, m2);
        let high = h0.min(h1).min(h2);
        *out = sorted(low, middle, high)[1];
    }
}

#[inline(always)]
fn sorted(a: u8, b: u8, c: u8) -> [u8; 3] {
    let (low, high) = (a.min(b), a.max(b));
    let (middle, greatest) = (high.min(c), high.max(c));
    [low.min(middle), low.max(middle), greatest]
}

/// Bit by bit from the highest: a bit of the median is set if no more than half of the values lie below the number with
/// that bit. Counts fit into a byte for up to 15 x 15 values.
#[inline(always)]
fn by_bits(padded: &Padded, y: usize, ksize: usize, (candidates, below): (&mut [u8], &mut [u8]), out: &mut [u8]) {
    let half = (ksize * ksize / 2) as u8;
    out.fill(0);
    for bit in (0..8).rev() {
        candidates.iter_mut().zip(out.iter()).for_each(|(candidate, median)| *candidate = median | 1 << bit);
        below.fill(0);
        for row in (y..y + ksize).map(|y| padded.row(y)) {
            for k in 0..ksize {
                let values = &row[3 * k..3 * k + out.len()];
                for ((below, value), candidate) in below.iter_mut().zip(values).zip(candidates.iter()) {
                    *below += u8::from(value < candidate);
                }
            }
        }
        for ((median, below), candidate) in out.iter_mut().zip(below.iter()).zip(candidates.iter()) {
            *median = if *below <= half { *candidate } else { *median };
        }
    }
}

/// A histogram that moves along the row (Huang 1979): per pixel, `2 ksize` values enter or leave, and the median moves
/// a little.
fn by_histogram(padded: &Padded, y: usize, ksize: usize, channel: usize, out: &mut [u8]) {
    let half = (ksize * ksize / 2) as u32;
    let mut counts = [0_u32; 256];
    // Values below the median.
    let (mut median, mut below) = (0_usize, 0_u32);
    for row in (y..y + ksize).map(|y| padded.row(y)) {
        (0..ksize).for_each(|x| counts[usize::from(row[3 * x + channel])] += 1);
    }
    let width = out.len() / 3;
    for x in 0..width {
        if x > 0 {
            for row in (y..y + ksize).map(|y| padded.row(y)) {
                let leaving = usize::from(row[3 * (x - 1) + channel]);
                let entering = usize::from(row[3 * (x + ksize - 1) + channel]);
                counts[leaving] -= 1;
                counts[entering] += 1;
                below = below + u32::from(entering < median) - u32::from(leaving < median);
            }
        }
        while below > half {
            median -= 1;
            below -= counts[median];
        }
        while below + counts[median] <= half {
            below += counts[median];
            median += 1;
        }
        out[3 * x + channel] = median as u8;
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn both_ways_are_the_sorted_middle() {
        let image = RgbImage::from_fn(19, 13, |x, y| {
            let v = x * 7919 + y * 104_729;
            Rgb([(v % 256) as u8, (v / 7 % 256) as u8, (v / 31 % 5 * 60) as u8])
        });
        for ksize in [3_u32, 5, 7, 15, 17] {
            let out = median_blur(&image, ksize);
            let r = ksize as i32 / 2;
            for (x, y, pixel) in out.enumerate_pixels() {
                for c in 0..3 {
                    let at = |v: u32, d: i32, len: i32| (v as i32 + d).clamp(0, len - 1) as u32;
                    let mut values: Vec<u8> = (-r..=r)
                        .flat_map(|dx| (-r..=r).map(move |dy| (dx, dy)))
                        .map(|(dx, dy)| image.get_pixel(at(x, dx, 19), at(y, dy, 13)).0[c])
                        .collect();
                    values.sort_unstable();
                    assert_eq!(pixel.0[c], values[values.len() / 2], "{ksize} {x} {y}");
                }
            }
        }
    }
}
