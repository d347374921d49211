//! Drawing the sheet: rows of pictures with captions.

use std::convert::Infallible;

use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{
        MonoFont, MonoTextStyle,
        ascii::{FONT_7X13, FONT_9X15_BOLD},
    },
    pixelcolor::{Rgb888, RgbColor},
    text::{Baseline, Text},
};
use image::{ImageEncoder, Rgb, RgbImage, codecs::png::PngEncoder, imageops};

use crate::{Outcome, cli::Background};

/// Pixels around everything.
const MARGIN: u32 = 16;
/// Pixels between pictures.
const GAP: u32 = 6;
/// Height of the title with the space below it.
const TITLE: u32 = 28;
/// Height of the captions above the first row.
const CAPTIONS: u32 = 18;

/// A whole sheet.
pub(in crate::verbs) struct Sheet {
    pub(in crate::verbs) title: String,
    /// Pictures of a row besides the original.
    pub(in crate::verbs) columns: usize,
    /// Side of a picture in pixels.
    pub(in crate::verbs) tile: u32,
    pub(in crate::verbs) rows: Vec<Row>,
}

/// One row of it.
pub(in crate::verbs) struct Row {
    pub(in crate::verbs) label: String,
    pub(in crate::verbs) cells: Vec<Cell>,
}

/// One picture.
pub(in crate::verbs) struct Cell {
    pub(in crate::verbs) caption: String,
    pub(in crate::verbs) image: RgbImage,
}

impl Sheet {
    /// The sheet as an image.
    pub(in crate::verbs) fn draw(&self, background: Background) -> RgbImage {
        let (paper, ink, faint) = match background {
            Background::Light => ([255; 3], Rgb888::new(28, 30, 34), Rgb888::new(98, 104, 112)),
            Background::Dark => ([24, 26, 30], Rgb888::new(236, 238, 240), Rgb888::new(156, 162, 170)),
        };
        let longest = self.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0) as u32;
        let labels = longest.min(32) * FONT_7X13.character_size.width + 12;
        let cells = self.columns as u32 + 1;
        // The originals stand a little apart.
        let width = 2 * MARGIN + labels + cells * (self.tile + GAP) + GAP;
        let height = 2 * MARGIN + TITLE + CAPTIONS + self.rows.len() as u32 * (self.tile + GAP);
        let mut page = Page(RgbImage::from_pixel(width, height, Rgb(paper)));
        page.write(&clipped(&self.title, width - 2 * MARGIN, &FONT_9X15_BOLD), (MARGIN, MARGIN), &FONT_9X15_BOLD, ink);
        for (r, row) in self.rows.iter().enumerate() {
            let top = MARGIN + TITLE + CAPTIONS + r as u32 * (self.tile + GAP);
            let middle = top + (self.tile - FONT_7X13.character_size.height.min(self.tile)) / 2;
            page.write(&clipped(&row.label, labels, &FONT_7X13), (MARGIN, middle), &FONT_7X13, ink);
            for (c, cell) in row.cells.iter().enumerate() {
                let left = MARGIN + labels + c as u32 * (self.tile + GAP) + if c > 0 { GAP } else { 0 };
                if r == 0 {
                    page.write(&cell.caption, (left, MARGIN + TITLE), &FONT_7X13, faint);
                }
                imageops::replace(&mut page.0, &cell.image, i64::from(left), i64::from(top));
            }
        }
        page.0
    }
}

/// As much of a text as fits into `width` pixels. What the font lacks is drawn as a question mark.
fn clipped(text: &str, width: u32, font: &MonoFont<'_>) -> String {
    let room = (width / font.character_size.width.max(1)) as usize;
    let length = text.chars().count();
    let plain = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    if length <= room { plain.collect() } else { plain.take(room.saturating_sub(2)).chain("..".chars()).collect() }
}

/// An image that text is drawn on.
struct Page(RgbImage);

impl Page {
    fn write(&mut self, text: &str, (left, top): (u32, u32), font: &MonoFont<'_>, ink: Rgb888) {
        let at = Point::new(left as i32, top as i32);
        let text = Text::with_baseline(text, at, MonoTextStyle::new(font, ink), Baseline::Top);
        let Ok(_) = embedded_graphics::Drawable::draw(&text, self);
    }
}

impl OriginDimensions for Page {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Page {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else { continue };
            if let Some(pixel) = self.0.get_pixel_mut_checked(x, y) {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

/// The image as PNG.
pub(in crate::verbs) fn png(image: &RgbImage) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(image.as_raw(), image.width(), image.height(), image::ExtendedColorType::Rgb8)
        .map_err(anyhow::Error::from)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let cell = |grey: u8| Cell { caption: "1".into(), image: RgbImage::from_pixel(40, 40, Rgb([grey; 3])) };
        let row = |label: &str| Row { label: label.into(), cells: vec![cell(10), cell(200)] };
        Sheet { title: "A title".into(), columns: 1, tile: 40, rows: vec![row("first"), row("zweite Zeile \u{e4}")] }
    }

    #[test]
    fn pictures_and_text_lie_on_their_background() {
        for (background, paper) in [(Background::Light, [255; 3]), (Background::Dark, [24, 26, 30])] {
            let image = sheet().draw(background);
            assert_eq!(image.get_pixel(0, 0).0, paper);
            let count = |colour: [u8; 3]| image.pixels().filter(|p| p.0 == colour).count();
            // Two pictures of 40 x 40 of each grey.
            assert_eq!((count([10; 3]), count([200; 3])), (3200, 3200));
            let ink = if background == Background::Light { [28, 30, 34] } else { [236, 238, 240] };
            assert!(count(ink) > 200);
        }
    }

    #[test]
    fn long_texts_are_cut_and_unknown_letters_marked() {
        assert_eq!(clipped("abcdefgh", 35, &FONT_7X13), "abc..");
        assert_eq!(clipped("\u{e4}b", 70, &FONT_7X13), "?b");
    }

    #[test]
    fn the_file_is_a_png_of_the_same_pixels() {
        let image = sheet().draw(Background::Light);
        assert_eq!(image::load_from_memory(&png(&image).unwrap()).unwrap().into_rgb8(), image);
    }
}
