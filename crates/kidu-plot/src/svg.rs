//! Just enough SVG: shapes, text and a frame for curves in the unit square.

use std::fmt::Write as _;

use kidu_core::markup::escape;

/// Dark grey of text and axes.
pub const INK: &str = "#222222";
/// Light grey of grids.
pub const GRID: &str = "#dddddd";

/// Where a text's given point lies.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// At its middle.
    Middle,
    /// At its end.
    End,
}

/// A drawing of a given size in pixels on a white ground.
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

impl Svg {
    /// An empty drawing.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { width, height, title: escape(title), body: String::new() };
        svg.rect((0.0, 0.0), (width, height), "#ffffff", None);
        svg
    }

    /// A filled rectangle; `hint` is shown when the pointer rests on it.
    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), fill: &str, hint: Option<&str>) {
        let (x, y, w, h) = (short(at.0), short(at.1), short(size.0), short(size.1));
        self.push(format_args!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}""#));
        match hint {
            Some(hint) => self.push(format_args!("><title>{}</title></rect>\n", escape(hint))),
            None => self.push(format_args!("/>\n")),
        }
    }

    /// A line between two points.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64, dash: &str) {
        self.polyline(&[from, to], stroke, width, dash);
    }

    /// A line through points; `dash` is empty for a solid one.
    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: &str, width: f64, dash: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
        self.push(format_args!(
            r#"<polyline points="{}" fill="none" stroke="{stroke}" stroke-width="{}" stroke-linejoin="round""#,
            points.join(" "),
            short(width)
        ));
        if !dash.is_empty() {
            self.push(format_args!(r#" stroke-dasharray="{dash}""#));
        }
        self.push(format_args!("/>\n"));
    }

    /// A filled circle.
    pub fn circle(&mut self, at: (f64, f64), radius: f64, fill: &str) {
        let (x, y, r) = (short(at.0), short(at.1), short(radius));
        self.push(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{fill}\"/>\n"));
    }

    /// Text at a point.
    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, size: f64, fill: &str, content: &str) {
        self.turned_text(at, anchor, size, fill, content, 0.0);
    }

    /// Text turned by an angle in degrees, clockwise, around its point.
    pub fn turned_text(&mut self, at: (f64, f64), anchor: Anchor, size: f64, fill: &str, content: &str, angle: f64) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = (short(at.0), short(at.1));
        let turn =
            if angle == 0.0 { String::new() } else { format!(r#" transform="rotate({} {x} {y})""#, short(angle)) };
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-size=\"{}\" fill=\"{fill}\"{turn}>{}</text>\n",
            short(size),
            escape(content)
        ));
    }

    /// The SVG text.
    pub fn finish(self) -> String {
        let (w, h) = (short(self.width), short(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             font-family=\"Helvetica, Arial, DejaVu Sans, sans-serif\">\n<title>{}</title>\n{}</svg>\n",
            self.title, self.body
        )
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(text);
    }
}

/// A square with axes from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// In pixels.
    pub left: f64,
    /// In pixels.
    pub top: f64,
    /// In pixels.
    pub side: f64,
}

impl Frame {
    /// Pixel of a point of the unit square.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + x.clamp(0.0, 1.0) * self.side, self.top + (1.0 - y.clamp(0.0, 1.0)) * self.side)
    }

    /// Grid, ticks and names of the axes.
    pub fn axes(&self, svg: &mut Svg, x_name: &str, y_name: &str) {
        for i in 0..=5 {
            let v = f64::from(i) / 5.0;
            let stroke = if i == 0 { INK } else { GRID };
            svg.line(self.at(v, 0.0), self.at(v, 1.0), stroke, 1.0, "");
            svg.line(self.at(0.0, v), self.at(1.0, v), stroke, 1.0, "");
            let (x, y) = self.at(v, 0.0);
            svg.text((x, y + 16.0), Anchor::Middle, 12.0, INK, &format!("{v:.1}"));
            let (x, y) = self.at(0.0, v);
            svg.text((x - 6.0, y + 4.0), Anchor::End, 12.0, INK, &format!("{v:.1}"));
        }
        let (x, y) = self.at(0.5, 0.0);
        svg.text((x, y + 36.0), Anchor::Middle, 13.0, INK, x_name);
        let (x, y) = self.at(0.0, 0.5);
        svg.turned_text((x - 38.0, y), Anchor::Middle, 13.0, INK, y_name, -90.0);
    }
}

/// At most `max` characters; of a longer text, its beginning and its end, by which similar names differ.
pub fn shorten(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_string();
    }
    let kept = max.saturating_sub(1);
    let end = kept / 3;
    text.chars().take(kept - end).chain(['…']).chain(text.chars().skip(count - end)).collect()
}

/// A colour between white (0) and dark blue (1).
pub fn blue(share: f64) -> String {
    let stops = [(255.0, 255.0, 255.0), (158.0, 202.0, 225.0), (8.0, 69.0, 148.0)];
    let at = share.clamp(0.0, 1.0) * 2.0;
    let (from, to, part) = if at < 1.0 { (stops[0], stops[1], at) } else { (stops[1], stops[2], at - 1.0) };
    let mix = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// A pixel value with at most two decimals.
pub fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shortened_by_characters() {
        assert_eq!(shorten("éééé", 4), "éééé");
        assert_eq!(shorten("éabcdü", 4), "éa…ü");
        assert_eq!(shorten("ab", 1), "…");
    }

    #[test]
    fn numbers_and_colours() {
        assert_eq!((short(1.0), short(0.126), short(-0.001)), ("1".into(), "0.13".into(), "0".into()));
        assert_eq!((blue(0.0), blue(1.0)), ("#ffffff".into(), "#084594".into()));
    }
}
