//! Resampling, with Pillow's filters.

use std::cell::RefCell;

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedCroppedImage, TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;
use kidu_core::{Crop, Filter};

use crate::augment::functional::pool;
#[cfg(target_arch = "x86_64")]
use crate::enlarge::enlarge;

thread_local! {
    // Its intermediate buffers are large; one a thread is enough, and no result depends on what it held before.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Number of columns, at least 1.
    pub width: u32,
    /// Number of rows, at least 1.
    pub height: u32,
}

impl Rect {
    /// The whole of an image.
    pub fn of(image: &RgbImage) -> Self {
        Self { left: 0, top: 0, width: image.width(), height: image.height() }
    }

    /// Whether the rectangle lies inside an image of this size.
    pub fn is_inside(&self, width: u32, height: u32) -> bool {
        let fits = |start: u32, length: u32, of: u32| length > 0 && start.checked_add(length).is_some_and(|e| e <= of);
        fits(self.left, self.width, width) && fits(self.top, self.height, height)
    }
}

/// A rectangle in source pixels, not necessarily whole ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SourceBox {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Cuts `rect` out of `image`, then resizes it to `width` x `height`: pixels outside the rectangle have no influence.
pub(crate) fn resize_rect(image: &RgbImage, rect: Rect, width: u32, height: u32, filter: Filter) -> RgbImage {
    let whole = SourceBox { left: 0.0, top: 0.0, width: f64::from(rect.width), height: f64::from(rect.height) };
    resize(image, rect, whole, width, height, filter)
}

/// Resizes the part `part` of `image` to `width` x `height`; at its edges the filter sees the pixels beyond them.
/// That equals resizing the whole and cutting afterwards, without computing what is cut off.
pub(crate) fn resize_part(image: &RgbImage, part: SourceBox, width: u32, height: u32, filter: Filter) -> RgbImage {
    resize(image, Rect::of(image), part, width, height, filter)
}

/// By the quicker way where there is one: both give the same pixels.
fn resize(image: &RgbImage, rect: Rect, part: SourceBox, width: u32, height: u32, filter: Filter) -> RgbImage {
    if filter == Filter::Bilinear && rect.is_inside(image.width(), image.height()) {
        let mut out = pool::image(width, height);
        if enlarge(image, rect, part, &mut out) {
            return out;
        }
        pool::recycle(out);
    }
    run(image, rect, width, height, &options(filter, part))
}

/// The whole of `image` by Pillow's box filter: means of what each new pixel covers, or repeated pixels.
pub(crate) fn resize_box(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
    run(image, Rect::of(image), width, height, &options)
}

/// Other processors have no quicker way.
#[cfg(not(target_arch = "x86_64"))]
fn enlarge(_: &RgbImage, _: Rect, _: SourceBox, _: &mut RgbImage) -> bool {
    false
}

/// One call with the one type of pixels: each further call of the generic code, or its call for any type of pixels,
/// would be compiled again, for a minute or more.
fn run(image: &RgbImage, rect: Rect, width: u32, height: u32, options: &ResizeOptions) -> RgbImage {
    let mut pixels = pool::image(width, height);
    let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw()).ok();
    let part = source.and_then(|s| TypedCroppedImage::new(s, rect.left, rect.top, rect.width, rect.height).ok());
    let out = TypedImage::<U8x3>::from_buffer(width, height, pixels.as_mut()).ok();
    let done = part.zip(out).is_some_and(|(source, mut out)| {
        RESIZER.with_borrow_mut(|resizer| resizer.resize_typed(&source, &mut out, options).is_ok())
    });
    // The buffers have the size of their images and all callers pass rectangles that lie inside.
    assert!(done, "a rectangle outside an image of {}x{} cannot be resized", image.width(), image.height());
    pixels
}

fn options(filter: Filter, part: SourceBox) -> ResizeOptions {
    let options = ResizeOptions::new().crop(part.left, part.top, part.width, part.height);
    options.resize_alg(match filter {
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        Filter::Nearest => ResizeAlg::Nearest,
    })
}

/// The part of a source of `(width, height)` that becomes the target `(width, height)`.
pub(crate) fn source_part(source: (u32, u32), target: (u32, u32), crop: Crop) -> SourceBox {
    let (full_width, full_height) = (f64::from(source.0), f64::from(source.1));
    match crop {
        Crop::Squash => SourceBox { left: 0.0, top: 0.0, width: full_width, height: full_height },
        Crop::Center { pct } => {
            let resized = before_center_crop(source, target, pct);
            let (left, width) = middle(full_width, resized.0, target.0);
            let (top, height) = middle(full_height, resized.1, target.1);
            SourceBox { left, top, width, height }
        }
    }
}

/// The size that timm's evaluation transform resizes to before it cuts the middle out. A square target goes through
/// torchvision's `Resize(int)` (the longer side is cut off to whole pixels), any other through timm's
/// `ResizeKeepRatio` (rounded, halves to even).
fn before_center_crop(source: (u32, u32), target: (u32, u32), pct: f32) -> (f64, f64) {
    // The small term makes up for `pct` being single precision: 224 / 0.8 is 280, not 279.
    let scaled = |side: u32| (f64::from(side) / f64::from(pct) + 1e-4).floor();
    let (width, height) = (f64::from(source.0), f64::from(source.1));
    let (to_width, to_height) = (scaled(target.0), scaled(target.1));
    if to_width == to_height {
        if width <= height {
            (to_width, (to_width * height / width).floor())
        } else {
            ((to_height * width / height).floor(), to_height)
        }
    } else {
        let ratio = (width / to_width).min(height / to_height);
        let side = |length: f64, at_least: u32| (length / ratio).round_ties_even().max(f64::from(at_least));
        (side(width, target.0), side(height, target.1))
    }
}

/// Start and length, in source pixels, of the middle `target` of `resized` pixels. torchvision's `CenterCrop` rounds
/// the start to whole pixels, halves to even.
fn middle(full: f64, resized: f64, target: u32) -> (f64, f64) {
    let scale = full / resized;
    let start = (((resized - f64::from(target)) / 2.0).round_ties_even() * scale).max(0.0);
    (start, (f64::from(target) * scale).min(full - start))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// What `fast_image_resize` gives is what is given, whoever computes it.
    #[test]
    fn enlarging_is_the_general_way_to_the_bit() {
        let noise = |x: u32, y: u32, c: u32| ((x * 73 + y * 151 + c * 29).wrapping_mul(2_654_435_761) >> 23) as u8;
        let (mut key, mut enlarged) = (1_u32, 0_usize);
        let mut draw = |below: u32| {
            key = key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (key >> 8) % below
        };
        for round in 0..400 {
            let image = RgbImage::from_fn(1 + draw(70), 1 + draw(50), |x, y| {
                // Sharp edges and full brightness, where rounding would show.
                if round % 3 == 0 { Rgb([255 * (x % 2) as u8; 3]) } else { Rgb([0, 1, 2].map(|c| noise(x, y, c))) }
            });
            let rect = if round % 2 == 0 {
                Rect::of(&image)
            } else {
                let (left, top) = (draw(image.width()), draw(image.height()));
                let (width, height) = (1 + draw(image.width() - left), 1 + draw(image.height() - top));
                Rect { left, top, width, height }
            };
            let share = |of: u32, draw: u32| f64::from(of) * f64::from(draw) / 8.0;
            let (left, top) = (share(rect.width, draw(4)), share(rect.height, draw(4)));
            let part = SourceBox {
                left,
                top,
                width: share(rect.width, 4 + draw(5)).min(f64::from(rect.width) - left),
                height: share(rect.height, 4 + draw(5)).min(f64::from(rect.height) - top),
            };
            let (width, height) = (rect.width + draw(100), rect.height + draw(100));
            let general = run(&image, rect, width, height, &options(Filter::Bilinear, part));
            let what = format!("{:?} {rect:?} {part:?} {width}x{height}", image.dimensions());
            assert!(resize(&image, rect, part, width, height, Filter::Bilinear) == general, "{what}");
            enlarged += usize::from(enlarge(&image, rect, part, &mut RgbImage::new(width, height)));
        }
        #[cfg(target_arch = "x86_64")]
        assert!(enlarged > 300 || pulp::x86::V3::try_new().is_none(), "{enlarged}");
        #[cfg(not(target_arch = "x86_64"))]
        assert_eq!(enlarged, 0);
    }

    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 3) as u8, (y * 3) as u8, (x + y) as u8]))
    }

    #[test]
    fn sizes_before_the_centre_crop_are_torchvisions() {
        // (width, height), share, resized to: from torchvision's `Resize(floor(224 / pct))`.
        let cases = [
            ((150, 150), 0.875, (256.0, 256.0)),
            ((301, 200), 0.875, (385.0, 256.0)),
            ((200, 301), 0.95, (235.0, 353.0)),
            ((333, 251), 0.95, (311.0, 235.0)),
            ((333, 251), 1.0, (297.0, 224.0)),
            ((100, 100), 0.8, (280.0, 280.0)),
        ];
        for (source, pct, expected) in cases {
            assert_eq!(before_center_crop(source, (224, 224), pct), expected, "{source:?} {pct}");
        }
        assert_eq!(before_center_crop((400, 400), (224, 112), 1.0), (224.0, 224.0));
    }

    #[test]
    fn the_middle_starts_at_torchvisions_pixel() {
        // 297 - 224 = 73, half of it is 36.5, to even 36; 353 - 224 = 129, 64.5, 64.
        assert_eq!(middle(297.0, 297.0, 224), (36.0, 224.0));
        assert_eq!(middle(353.0, 353.0, 224), (64.0, 224.0));
        // At half scale each resized pixel is two source pixels.
        assert_eq!(middle(100.0, 50.0, 30), (20.0, 60.0));
    }

    #[test]
    fn a_centre_crop_equals_resizing_all_and_cutting() {
        let image = ramp(70, 50);
        let part = source_part((70, 50), (32, 32), Crop::Center { pct: 0.8 });
        let fused = resize_part(&image, part, 32, 32, Filter::Bicubic);
        let whole = resize_rect(&image, Rect::of(&image), 56, 40, Filter::Bicubic);
        for (x, y, pixel) in fused.enumerate_pixels() {
            let other = whole.get_pixel(x + 12, y + 4);
            assert!(pixel.0.iter().zip(other.0).all(|(a, b)| a.abs_diff(b) <= 1), "{x},{y}: {pixel:?} {other:?}");
        }
    }

    #[test]
    fn a_rectangle_of_the_target_size_is_copied() {
        let image = ramp(20, 20);
        let rect = Rect { left: 3, top: 5, width: 8, height: 9 };
        let out = resize_rect(&image, rect, 8, 9, Filter::Lanczos);
        assert!(out.enumerate_pixels().all(|(x, y, p)| p == image.get_pixel(x + 3, y + 5)));
    }

    #[test]
    fn halving_with_the_box_of_nearest_takes_the_centre_pixel() {
        // Pillow's nearest takes floor((x + 0.5) * scale): 1, 3, 5 ... for a scale of 2.
        let out = resize_rect(&ramp(10, 10), Rect::of(&ramp(10, 10)), 5, 5, Filter::Nearest);
        assert_eq!(out.get_pixel(0, 0).0, [3, 3, 2]);
        assert_eq!(out.get_pixel(4, 2).0, [27, 15, 14]);
    }

    #[test]
    fn extreme_shapes_cost_only_the_target() {
        let image = RgbImage::from_pixel(16_384, 2, Rgb([9, 8, 7]));
        let part = source_part((16_384, 2), (224, 224), Crop::Center { pct: 0.875 });
        let out = resize_part(&image, part, 224, 224, Filter::Bicubic);
        assert!(out.pixels().all(|p| p.0 == [9, 8, 7]));
        let image = RgbImage::from_pixel(1, 1, Rgb([9, 8, 7]));
        let out = resize_part(&image, source_part((1, 1), (8, 8), Crop::Squash), 8, 8, Filter::Lanczos);
        assert!(out.pixels().all(|p| p.0 == [9, 8, 7]));
    }

    #[test]
    fn every_centre_box_lies_inside() {
        for width in [1, 2, 7, 149, 150, 997] {
            for height in [1, 3, 150, 224, 1013] {
                for pct in [0.1, 0.33, 0.875, 0.9, 0.95, 1.0] {
                    for target in [(224, 224), (8, 8), (224, 112), (31, 97)] {
                        let part = source_part((width, height), target, Crop::Center { pct });
                        assert!(part.left >= 0.0 && part.width > 0.0 && part.left + part.width <= f64::from(width));
                        assert!(part.top >= 0.0 && part.height > 0.0 && part.top + part.height <= f64::from(height));
                    }
                }
            }
        }
    }
}
