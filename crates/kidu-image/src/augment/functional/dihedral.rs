//! The eight ways to lay a rectangle on itself: quarter turns and mirror images.

use image::RgbImage;

use super::pool;

/// One of the eight symmetries of the square. Several, one after another, are one again ([`Dihedral::then`]), so that
/// a list of flips and turns moves each pixel once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dihedral {
    /// Rows and columns change places, first.
    transpose: bool,
    /// Left and right change places, after that.
    horizontal: bool,
    /// Top and bottom change places, after that.
    vertical: bool,
}

impl Dihedral {
    /// Nothing moves.
    pub const IDENTITY: Self = Self { transpose: false, horizontal: false, vertical: false };
    /// Left and right change places (`cv2.flip(image, 1)`).
    pub const HORIZONTAL: Self = Self { transpose: false, horizontal: true, vertical: false };
    /// Top and bottom change places (`cv2.flip(image, 0)`).
    pub const VERTICAL: Self = Self { transpose: false, horizontal: false, vertical: true };
    /// Half a turn (`cv2.flip(image, -1)`).
    pub const BOTH: Self = Self { transpose: false, horizontal: true, vertical: true };
    /// Rows and columns change places (`cv2.transpose`).
    pub const TRANSPOSE: Self = Self { transpose: true, horizontal: false, vertical: false };

    /// Quarter turns counter-clockwise (`numpy.rot90(image, turns)`).
    pub fn rot90(turns: u32) -> Self {
        match turns % 4 {
            0 => Self::IDENTITY,
            1 => Self { transpose: true, horizontal: false, vertical: true },
            2 => Self::BOTH,
            _ => Self { transpose: true, horizontal: true, vertical: false },
        }
    }

    /// This one, then `next`.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        // A mirror image of the columns before a transposition is one of the rows after it.
        let (horizontal, vertical) =
            if next.transpose { (self.vertical, self.horizontal) } else { (self.horizontal, self.vertical) };
        Self {
            transpose: self.transpose ^ next.transpose,
            horizontal: horizontal ^ next.horizontal,
            vertical: vertical ^ next.vertical,
        }
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.transpose
    }

    /// The image, turned and mirrored.
    pub fn apply(self, image: &RgbImage) -> RgbImage {
        let (width, height) = (image.width() as usize, image.height() as usize);
        if self.transpose {
            let mut out = pool::image(height as u32, width as u32);
            self.transposed(image.as_raw(), width, height, &mut out);
            return out;
        }
        let mut out = pool::image(width as u32, height as u32);
        let stride = (3 * width).max(1);
        let rows = image.as_raw().chunks_exact(stride);
        let write = |(out, row): (&mut [u8], &[u8])| {
            if self.horizontal {
                for (out, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<3>().0.iter().rev()) {
                    *out = *pixel;
                }
            } else {
                out.copy_from_slice(row);
            }
        };
        if self.vertical {
            out.chunks_exact_mut(stride).zip(rows.rev()).for_each(write);
        } else {
            out.chunks_exact_mut(stride).zip(rows).for_each(write);
        }
        out
    }

    /// In blocks that lie in the cache together, for one side is read along and the other written across.
    fn transposed(self, pixels: &[u8], width: usize, height: usize, out: &mut [u8]) {
        const BLOCK: usize = 16;
        let source = pixels.as_chunks::<3>().0;
        let target = out.as_chunks_mut::<3>().0;
        for top in (0..width).step_by(BLOCK) {
            for left in (0..height).step_by(BLOCK) {
                for y in top..(top + BLOCK).min(width) {
                    // Output row y holds source column x, output column i source row j.
                    let x = if self.vertical { width - 1 - y } else { y };
                    let row = &mut target[y * height..(y + 1) * height];
                    for i in left..(left + BLOCK).min(height) {
                        let j = if self.horizontal { height - 1 - i } else { i };
                        row[i] = source[j * width + x];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, imageops};

    use super::*;

    fn sample() -> RgbImage {
        RgbImage::from_fn(37, 18, |x, y| Rgb([x as u8, y as u8, (3 * x + y) as u8]))
    }

    fn all() -> Vec<Dihedral> {
        let flips = [Dihedral::IDENTITY, Dihedral::HORIZONTAL, Dihedral::VERTICAL, Dihedral::BOTH];
        flips.iter().flat_map(|f| [*f, Dihedral::TRANSPOSE.then(*f)]).collect()
    }

    #[test]
    fn each_is_what_it_says() {
        let image = sample();
        assert_eq!(Dihedral::HORIZONTAL.apply(&image), imageops::flip_horizontal(&image));
        assert_eq!(Dihedral::VERTICAL.apply(&image), imageops::flip_vertical(&image));
        assert_eq!(Dihedral::BOTH.apply(&image), imageops::rotate180(&image));
        // The image crate turns clockwise.
        assert_eq!(Dihedral::rot90(1).apply(&image), imageops::rotate270(&image));
        assert_eq!(Dihedral::rot90(3).apply(&image), imageops::rotate90(&image));
        assert_eq!(Dihedral::rot90(4).apply(&image), image);
        let transposed = Dihedral::TRANSPOSE.apply(&image);
        assert_eq!(transposed.dimensions(), (18, 37));
        assert!(transposed.enumerate_pixels().all(|(x, y, p)| p == image.get_pixel(y, x)));
    }

    #[test]
    fn two_in_a_row_are_one() {
        let image = sample();
        for a in all() {
            for b in all() {
                assert_eq!(a.then(b).apply(&image), b.apply(&a.apply(&image)), "{a:?} {b:?}");
            }
        }
    }
}
