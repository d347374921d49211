//! A rectangle without the image.

use image::RgbImage;
use rand::Rng;

use super::pool;
use crate::resize::Rect;

/// The rectangle in one colour. It lies inside the image.
pub fn erase_value(image: &RgbImage, rect: Rect, value: [u8; 3]) -> RgbImage {
    erased(image, rect, |row| row.as_chunks_mut::<3>().0.fill(value))
}

/// The rectangle with independent uniform values. It lies inside the image.
pub fn erase_noise(image: &RgbImage, rect: Rect, rng: &mut impl Rng) -> RgbImage {
    erased(image, rect, |row| rng.fill_bytes(row))
}

fn erased(image: &RgbImage, rect: Rect, mut write: impl FnMut(&mut [u8])) -> RgbImage {
    let mut out = pool::copy(image);
    let stride = (3 * image.width() as usize).max(1);
    let (left, width) = (3 * rect.left as usize, 3 * rect.width as usize);
    for row in out.chunks_exact_mut(stride).skip(rect.top as usize).take(rect.height as usize) {
        if let Some(part) = row.get_mut(left..left + width) {
            write(part);
        }
    }
    out
}
