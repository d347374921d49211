//! Pictures: the image, the heat map with its colour bar, and one over the other.

use image::{Rgb, RgbImage, imageops};
use kidu_plot::{Anchor, INK, Svg, inferno, png};

use crate::{error::Result, heat::HeatMap};

/// Weight of the heat map over the image.
const ALPHA: f32 = 0.55;

/// The map in inferno's colours; `map` is on [0, 1].
pub fn colour(map: &HeatMap) -> RgbImage {
    RgbImage::from_fn(map.width as u32, map.height as u32, |x, y| {
        Rgb(inferno(f64::from(map.values[y as usize * map.width + x as usize])))
    })
}

/// The map over the image; both of the same size.
pub fn blend(image: &RgbImage, map: &HeatMap) -> RgbImage {
    let heat = colour(map);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (a, b) = (image.get_pixel(x, y).0, heat.get_pixel(x, y).0);
        let mix = |i: usize| (f32::from(a[i]) * (1.0 - ALPHA) + f32::from(b[i]) * ALPHA).round() as u8;
        Rgb([mix(0), mix(1), mix(2)])
    })
}

/// PNG with the image, the heat map and the overlay side by side, a title, and a colour bar. `map` is on [0, 1].
///
/// # Errors
/// [`crate::ExplainError::Image`], [`crate::ExplainError::Plot`].
pub fn picture(image: &RgbImage, map: &HeatMap, title: &str) -> Result<Vec<u8>> {
    const SIDE: u32 = 280;
    const GAP: u32 = 16;
    const TOP: u32 = 52;
    const BAR: u32 = 18;
    let (width, height) = (3 * SIDE + 4 * GAP + BAR + 52, TOP + SIDE + 30);
    let mut svg = Svg::new(f64::from(width), f64::from(height), title);
    svg.text((f64::from(GAP), 30.0), Anchor::Start, 15.0, INK, title);
    let names = ["image", "attribution", "overlay"];
    for (i, name) in (0u32..).zip(names) {
        let x = GAP + i * (SIDE + GAP) + SIDE / 2;
        svg.text((f64::from(x), f64::from(TOP + SIDE + 20)), Anchor::Middle, 12.0, INK, name);
    }
    let bar = 3 * SIDE + 4 * GAP;
    for (value, text) in [(1.0, "1"), (0.5, "0.5"), (0.0, "0")] {
        let y = f64::from(TOP) + (1.0 - value) * f64::from(SIDE) + 4.0;
        svg.text((f64::from(bar + BAR + 6), y), Anchor::Start, 12.0, INK, text);
    }
    let scale = 2;
    let mut page = image::load_from_memory(&png(&svg.finish(), scale as f32)?)?.to_rgb8();
    let small = image.dimensions();
    let map = map.resized(small.1 as usize, small.0 as usize);
    let pictures = [image.clone(), colour(&map), blend(image, &map)];
    for (i, picture) in (0u32..).zip(pictures) {
        let side = SIDE * scale;
        let resized = imageops::resize(&picture, side, side, imageops::FilterType::CatmullRom);
        imageops::replace(&mut page, &resized, i64::from((GAP + i * (SIDE + GAP)) * scale), i64::from(TOP * scale));
    }
    let length = SIDE * scale;
    let shades =
        RgbImage::from_fn(BAR * scale, length, |_, y| Rgb(inferno(1.0 - f64::from(y) / f64::from(length - 1))));
    imageops::replace(&mut page, &shades, i64::from(bar * scale), i64::from(TOP * scale));
    let mut out = std::io::Cursor::new(Vec::new());
    page.write_to(&mut out, image::ImageFormat::Png)?;
    Ok(out.into_inner())
}
