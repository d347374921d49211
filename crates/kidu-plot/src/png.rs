//! SVG to PNG, with an embedded font.

use std::sync::{Arc, LazyLock};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

/// Letters of the Latin, Greek and Cyrillic scripts and common signs, cut out of DejaVu Sans (`fonts/LICENSE`).
const FONT: &[u8] = include_bytes!("../fonts/plot-sans.ttf");

/// The font's family.
const FAMILY: &str = "Plot Sans";

/// The most pixels of a picture.
const MOST_PIXELS: f64 = 64e6;

/// Why a plot cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The SVG cannot be read.
    #[error("the plot is no SVG that can be drawn: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// The picture would be empty or enormous.
    #[error("a plot of {width} x {height} pixels cannot be drawn; at most {MOST_PIXELS} pixels")]
    Size {
        /// In pixels.
        width: f64,
        /// In pixels.
        height: f64,
    },
    /// The PNG cannot be written.
    #[error("the plot cannot be encoded: {0}")]
    Encode(String),
}

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.to_vec());
    Arc::new(fonts)
});

/// Draws an SVG at `scale` pixels for each of its own.
///
/// # Errors
/// [`PlotError`].
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, PlotError> {
    // Whatever family the text names, there is this one.
    let options = Options { fontdb: Arc::clone(&FONTS), font_family: FAMILY.into(), ..Options::default() };
    let svg = svg.replacen("font-family=\"", &format!("font-family=\"{FAMILY}, "), 1);
    let tree = Tree::from_str(&svg, &options)?;
    let size = tree.size();
    let (width, height) = ((size.width() * scale).ceil(), (size.height() * scale).ceil());
    let wrong = PlotError::Size { width: f64::from(width), height: f64::from(height) };
    if f64::from(width) * f64::from(height) > MOST_PIXELS {
        return Err(wrong);
    }
    let Some(mut pixels) = Pixmap::new(width as u32, height as u32) else { return Err(wrong) };
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| PlotError::Encode(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Anchor, Svg};

    #[test]
    fn letters_are_drawn_without_any_font_of_the_machine() {
        let dark = |text: &str| {
            let mut svg = Svg::new(200.0, 40.0, "test");
            svg.text((10.0, 26.0), Anchor::Start, 16.0, "#000000", text);
            let image = image::load_from_memory(&png(&svg.finish(), 2.0).unwrap()).unwrap().to_luma8();
            assert_eq!(image.dimensions(), (400, 80));
            image.pixels().filter(|p| p.0[0] < 100).count()
        };
        assert_eq!(dark(""), 0);
        assert!(dark("loss 0.5") > 200);
        assert!(dark("größe µ αβ Ж …") > 200);
    }

    #[test]
    fn what_is_no_svg_is_an_error() {
        assert!(png("no svg", 1.0).is_err());
        assert!(matches!(png(&Svg::new(9e4, 9e4, "x").finish(), 1.0), Err(PlotError::Size { .. })));
    }
}
