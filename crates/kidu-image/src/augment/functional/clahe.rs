//! Contrast-limited adaptive histogram equalisation (Zuiderveld 1994, Graphics Gems IV), of the lightness alone.

use std::ops::Range;

use image::RgbImage;

use super::{
    border::BorderMode,
    lab::{LAB, LANES},
    pool,
    simd::{round_u8, vectorize},
};

/// Equalises the lightness of L*a*b* in `grid` (columns, rows) tiles; between their middles, the tiles' tables are
/// interpolated (`cv2.createCLAHE`). Where a histogram exceeds `clip_limit` times its mean, the excess is spread over all
/// values; 0 is no limit.
pub fn clahe(image: &RgbImage, clip_limit: f64, grid: (u32, u32)) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = image.as_raw().as_chunks::<3>().0;
    let mut lightness = pool::take(width * height);
    LAB.lightness(pixels, &mut lightness);
    let mut changed = pool::take(width * height);
    equalize(&lightness, (width, height), clip_limit, (grid.0.max(1) as usize, grid.1.max(1) as usize), &mut changed);
    let mut out = pool::image(image.width(), image.height());
    let (blocks, rest) = pixels.as_chunks::<LANES>();
    let (levels, levels_rest) = changed.as_chunks::<LANES>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<3>().0.as_chunks_mut::<LANES>();
    for ((out, pixels), levels) in out_blocks.iter_mut().zip(blocks).zip(levels) {
        LAB.with_lightness(pixels, levels, out);
    }
    let (mut last, mut last_levels, mut last_out) = ([[0; 3]; LANES], [0; LANES], [[0; 3]; LANES]);
    last[..rest.len()].copy_from_slice(rest);
    last_levels[..rest.len()].copy_from_slice(levels_rest);
    LAB.with_lightness(&last, &last_levels, &mut last_out);
    out_rest.copy_from_slice(&last_out[..rest.len()]);
    pool::give(lightness);
    pool::give(changed);
    out
}

/// `cv2.createCLAHE(clip_limit, grid).apply(plane)`.
fn equalize(plane: &[u8], (width, height): (usize, usize), clip: f64, (columns, rows): (usize, usize), out: &mut [u8]) {
    // Sides that the tiles do not divide are continued by their mirror image.
    let whole = width.is_multiple_of(columns) && height.is_multiple_of(rows);
    let extended = |length: usize, parts: usize| if whole { length } else { length + parts - length % parts };
    let (tile_width, tile_height) = (extended(width, columns) / columns, extended(height, rows) / rows);
    let area = tile_width * tile_height;
    let limit = if clip > 0.0 { ((clip * area as f64 / 256.0) as u32).max(1) } else { u32::MAX };
    let mirrored = |at: usize, len: usize| BorderMode::Reflect101.index(at as i32, len as i32).unwrap_or(0);
    let mut tables = vec![[0_u8; 256]; columns * rows];
    for (tile, table) in tables.iter_mut().enumerate() {
        let (left, top) = (tile % columns * tile_width, tile / columns * tile_height);
        let mut counts = [0_u32; 256];
        for y in top..top + tile_height {
            let row = &plane[mirrored(y, height) * width..][..width];
            let (inside, beyond) =
                (left.min(width)..(left + tile_width).min(width), left.max(width)..left + tile_width);
            row[inside].iter().for_each(|v| counts[usize::from(*v)] += 1);
            beyond.for_each(|x| counts[usize::from(row[mirrored(x, width)])] += 1);
        }
        spread(&mut counts, limit);
        let scale = 255.0 / area as f32;
        let mut sum = 0;
        for (value, count) in table.iter_mut().zip(counts) {
            sum += count;
            *value = (sum as f32 * scale).round_ties_even().min(255.0) as u8;
        }
    }
    interpolate(plane, (width, height), (tile_width, tile_height), (columns, rows), &tables, out);
}

/// Cuts the histogram at `limit` and gives what was cut off to all values, what remains in even steps.
fn spread(counts: &mut [u32; 256], limit: u32) {
    let mut excess = 0;
    for count in counts.iter_mut().filter(|count| **count > limit) {
        excess += *count - limit;
        *count = limit;
    }
    let (each, rest) = (excess / 256, (excess % 256) as usize);
    counts.iter_mut().for_each(|count| *count += each);
    if let Some(step) = 256_usize.checked_div(rest) {
        counts.iter_mut().step_by(step.max(1)).take(rest).for_each(|count| *count += 1);
    }
}

/// The two tiles on both sides of a pixel and the weight of the second.
fn neighbours(at: usize, tile: usize, tiles: usize) -> (usize, usize, f32) {
    let place = at as f32 * (1.0 / tile as f32) - 0.5;
    let first = place.floor();
    let clamped = |tile: f32| tile.clamp(0.0, (tiles - 1) as f32) as usize;
    (clamped(first), clamped(first + 1.0), place - first)
}

fn interpolate(
    plane: &[u8],
    (width, height): (usize, usize),
    (tile_width, tile_height): (usize, usize),
    (columns, rows): (usize, usize),
    tables: &[[u8; 256]],
    out: &mut [u8],
) {
    // Columns that lie between the same two tiles, and their weights.
    let mut runs: Vec<(usize, usize, Range<usize>)> = Vec::new();
    let mut weights = Vec::with_capacity(width);
    for x in 0..width {
        let (left, right, u) = neighbours(x, tile_width, columns);
        weights.push(u);
        match runs.last_mut() {
            Some(run) if (run.0, run.1) == (left, right) => run.2.end = x + 1,
            _ => runs.push((left, right, x..x + 1)),
        }
    }
    // What the four tiles around make of each value, in one word: one look-up instead of four.
    let mut fours = vec![[0_u32; 256]; runs.len()];
    let mut row = vec![0_u32; width];
    let mut between = None;
    for y in 0..height {
        let (upper, lower, v) = neighbours(y, tile_height, rows);
        if between.replace((upper, lower)) != Some((upper, lower)) {
            let (upper, lower) = (&tables[upper * columns..][..columns], &tables[lower * columns..][..columns]);
            for (four, (left, right, _)) in fours.iter_mut().zip(&runs) {
                let (a, b, c, d) = (&upper[*left], &upper[*right], &lower[*left], &lower[*right]);
                for i in 0..256 {
                    four[i] = u32::from_le_bytes([a[i], b[i], c[i], d[i]]);
                }
            }
        }
        let plane = &plane[y * width..][..width];
        for (four, (_, _, run)) in fours.iter().zip(&runs) {
            for (found, value) in row[run.clone()].iter_mut().zip(&plane[run.clone()]) {
                *found = four[usize::from(*value)];
            }
        }
        let out = &mut out[y * width..][..width];
        vectorize(
            #[inline(always)]
            || {
                for ((out, four), u) in out.iter_mut().zip(&row).zip(&weights) {
                    let tile = |shift: u32| ((*four >> shift) & 255) as i32 as f32;
                    let top = tile(0) * (1.0 - u) + tile(8) * u;
                    let bottom = tile(16) * (1.0 - u) + tile(24) * u;
                    *out = round_u8(top * (1.0 - v) + bottom * v);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn the_excess_is_kept() {
        let mut counts = [0_u32; 256];
        (counts[3], counts[200]) = (1000, 300);
        spread(&mut counts, 40);
        assert_eq!(counts.iter().sum::<u32>(), 1300);
        assert!(counts.iter().all(|c| *c <= 40 + 1300 / 256 + 1));
    }

    #[test]
    fn dim_images_gain_contrast_and_any_size_works() {
        let dim = RgbImage::from_fn(50, 37, |x, y| Rgb([(90 + (x * y) % 20) as u8; 3]));
        let out = clahe(&dim, 4.0, (8, 8));
        let span = |image: &RgbImage| image.iter().max().unwrap() - image.iter().min().unwrap();
        assert!(span(&out) > 3 * span(&dim), "{} {}", span(&out), span(&dim));
        assert_eq!(clahe(&RgbImage::from_pixel(1, 1, Rgb([7; 3])), 2.0, (8, 8)).dimensions(), (1, 1));
    }
}
