//! Bending: a lens, a stretched grid, a grid of shifted points.

use image::RgbImage;

use super::{
    border::BorderMode,
    remap::{self, fixed},
    simd::vectorize,
};

/// The bend of a lens, positive for a pincushion and negative for a barrel: albumentations' `OpticalDistortion` with its
/// camera (`cv2.initUndistortRectifyMap` of focal lengths equal to the sides, the middle as centre, and `k` as both
/// radial coefficients; then `cv2.remap`). The middle lies between the outermost pixels, at half of the side less one;
/// albumentations takes half of the side for one of its two uses, which shifts the image by half a pixel.
pub fn optical_distortion(image: &RgbImage, k: f64, mode: BorderMode, fill: [u8; 3]) -> RgbImage {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let (cx, cy) = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
    let columns: Vec<f32> = (0..image.width()).map(|x| ((f64::from(x) - cx) / width) as f32).collect();
    let (k, scale_x, scale_y, cx, cy) = (k as f32, width as f32, height as f32, cx as f32, cy as f32);
    remap::remap(image, mode, fill, |y, row| {
        let v = (y as f32 - cy) / scale_y;
        vectorize(
            #[inline(always)]
            || {
                for ((x, y), u) in row.x.iter_mut().zip(&mut row.y).zip(&columns) {
                    let r2 = u * u + v * v;
                    let bend = 1.0 + (k * r2 + k) * r2;
                    *x = fixed(u * bend * scale_x + cx);
                    *y = fixed(v * bend * scale_y + cy);
                }
            },
        );
    })
}

/// One axis of albumentations' `GridDistortion`: where each of `length` pixels comes from, when the grid's cells of
/// `length / num_steps` pixels are stretched by `factors`. There are `num_steps` + 1 of these; the last is for the pixels
/// that are left over. `normalized` scales all so that nothing from outside is shown.
pub fn grid_axis(length: u32, num_steps: u32, factors: &[f64], normalized: bool) -> Vec<f32> {
    let cell = length / num_steps.max(1);
    if cell == 0 {
        return (0..length).map(|x| x as f32).collect();
    }
    let mut factors = factors.to_vec();
    if normalized {
        let rest = length.min((num_steps + 1) * cell) - num_steps * cell;
        if let Some(last) = factors.last_mut() {
            *last *= f64::from(rest) / f64::from(cell);
        }
        let sum: f64 = factors.iter().sum();
        let whole = f64::from(length) / f64::from(cell);
        factors.iter_mut().for_each(|f| *f *= whole / sum);
    }
    let mut places = vec![0.0_f32; length as usize];
    let mut from = 0.0;
    for (places, factor) in places.chunks_mut(cell as usize).zip(factors) {
        let to = from + f64::from(cell) * factor;
        let steps = (places.len() - 1).max(1) as f64;
        for (i, place) in places.iter_mut().enumerate() {
            *place = (from + (to - from) * i as f64 / steps) as f32;
        }
        from = to;
    }
    places
}

/// Pixel (x, y) takes the colour at (`columns[x]`, `rows[y]`) (`cv2.remap` of a separable map).
///
/// # Panics
/// When there are not as many places as columns and rows.
pub fn grid_distortion(image: &RgbImage, columns: &[f32], rows: &[f32], mode: BorderMode, fill: [u8; 3]) -> RgbImage {
    assert!(columns.len() == image.width() as usize && rows.len() == image.height() as usize, "a place for each pixel");
    let xs: Vec<i32> = columns.iter().map(|x| fixed(*x)).collect();
    remap::remap(image, mode, fill, |y, row| {
        row.x.copy_from_slice(&xs);
        row.y.fill(fixed(rows[y]));
    })
}

/// Bends the image between the points of a regular grid of `nb_rows` x `nb_cols`, the corners of the image included (each
/// at least 2): point i shows the place `offsets[i]` pixels (right, down) from its own, and what lies between is
/// interpolated linearly in triangles, each cell cut from its upper left to its lower right. Places outside are those of
/// the nearest edge. scikit-image's `PiecewiseAffineTransform` as the inverse map, on this triangulation.
///
/// # Panics
/// When there is not one offset for each point.
pub fn piecewise_affine(
    image: &RgbImage,
    (nb_rows, nb_cols): (u32, u32),
    offsets: &[[f32; 2]],
    mode: BorderMode,
    fill: [u8; 3],
) -> RgbImage {
    let (rows, columns) = (nb_rows.max(2) as usize, nb_cols.max(2) as usize);
    assert_eq!(offsets.len(), rows * columns, "an offset for each point of the grid");
    let (right, bottom) = ((image.width().max(1) - 1) as f32, (image.height().max(1) - 1) as f32);
    let across = cells(image.width(), columns);
    let numbers: Vec<f32> = (0..image.width()).map(|x| x as f32).collect();
    remap::remap(image, mode, fill, |y, row| {
        let at = if bottom > 0.0 { y as f32 * (rows - 1) as f32 / bottom } else { 0.0 };
        let cell = (at as usize).min(rows - 2);
        let v = at - cell as f32;
        let upper = &offsets[cell * columns..(cell + 1) * columns];
        let lower = &offsets[(cell + 1) * columns..(cell + 2) * columns];
        vectorize(
            #[inline(always)]
            || {
                for (cell, (start, places)) in across.iter().enumerate() {
                    let part = *start..*start + places.len();
                    let (nw, ne, sw, se) = (upper[cell], upper[cell + 1], lower[cell], lower[cell + 1]);
                    let offset = |c: usize, u: f32| {
                        let right = nw[c] + u * (ne[c] - nw[c]) + v * (se[c] - ne[c]);
                        let left = nw[c] + v * (sw[c] - nw[c]) + u * (se[c] - sw[c]);
                        if u >= v { right } else { left }
                    };
                    let target = row.x[part.clone()].iter_mut().zip(&mut row.y[part.clone()]);
                    for ((x, y_out), (i, u)) in target.zip(numbers[part].iter().zip(places)) {
                        *x = fixed((i + offset(0, *u)).max(0.0).min(right));
                        *y_out = fixed((y as f32 + offset(1, *u)).max(0.0).min(bottom));
                    }
                }
            },
        );
    })
}

/// For each cell along an axis of `points` grid points: its first pixel, and the places of its pixels in it, 0..=1.
fn cells(length: u32, points: usize) -> Vec<(usize, Vec<f32>)> {
    let last = (length.max(2) - 1) as f32;
    let mut cells = vec![(0, Vec::new()); points - 1];
    for x in 0..length {
        let at = x as f32 * (points - 1) as f32 / last;
        let cell = (at as usize).min(points - 2);
        let (start, places) = &mut cells[cell];
        if places.is_empty() {
            *start = x as usize;
        }
        places.push(at - cell as f32);
    }
    cells
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn sample() -> RgbImage {
        RgbImage::from_fn(41, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]))
    }

    #[test]
    fn nothing_bends_at_zero() {
        let image = sample();
        let mode = BorderMode::Reflect101;
        assert_eq!(optical_distortion(&image, 0.0, mode, [0; 3]), image);
        assert_eq!(piecewise_affine(&image, (4, 4), &[[0.0; 2]; 16], mode, [0; 3]), image);
        let single = RgbImage::from_pixel(1, 1, Rgb([1, 2, 3]));
        assert_eq!(piecewise_affine(&single, (4, 4), &[[5.0; 2]; 16], mode, [0; 3]), single);
        assert_eq!(optical_distortion(&single, 0.3, mode, [0; 3]), single);
    }

    #[test]
    fn the_whole_grid_shifted_is_a_shift() {
        let image = sample();
        let out = piecewise_affine(&image, (3, 5), &[[2.0, -1.0]; 15], BorderMode::Reflect101, [0; 3]);
        assert_eq!(out.get_pixel(10, 10), image.get_pixel(12, 9));
        assert_eq!(out.get_pixel(40, 0), image.get_pixel(40, 0));
    }

    #[test]
    fn a_normalised_axis_stays_inside() {
        for length in [224, 223, 41, 7] {
            let places = grid_axis(length, 5, &[1.3, 0.7, 1.2, 0.9, 1.0, 0.75], true);
            assert_eq!(places.len(), length as usize);
            assert!(places.iter().all(|p| (0.0..=length as f32 + 1e-3).contains(p)), "{places:?}");
        }
        // Fewer pixels than cells: nothing can be stretched.
        assert_eq!(grid_axis(3, 5, &[1.0; 6], true), [0.0, 1.0, 2.0]);
    }
}
