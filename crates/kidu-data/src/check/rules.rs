//! From what was measured of a file to findings.

use std::path::Path;

use kidu_image::Format;

use super::{
    facts::{Facts, PixelFacts},
    finding::Finding,
    kind::Kind,
    settings::CheckSettings,
    survey::Survey,
};

/// The largest difference between channels of an image without colour (JPEG rounds).
const GREY: f64 = 0.02;

/// All findings about one file.
pub(crate) fn findings(survey: &Survey, file: usize, facts: &Facts, settings: &CheckSettings) -> Vec<Finding> {
    let found = |kind: Kind, message: String| Finding::of_file(kind, survey, file, message);
    let mut findings = Vec::new();
    if let Some((kind, reason)) = &facts.problem {
        findings.push(found(*kind, reason.clone()));
    }
    if let Some(message) = wrong_extension(&survey.files[file].path, facts) {
        findings.push(found(Kind::WrongExtension, message));
    }
    if facts.animated {
        let message = format!("is {} with more than one frame", article(&facts.content));
        findings.push(found(Kind::Animated, message));
    }
    if facts.pixels.is_some() {
        if facts.orientation > 1 {
            let message = format!("is stored turned: EXIF orientation {}", facts.orientation);
            findings.push(found(Kind::ExifRotated, message).measured(f64::from(facts.orientation), 1.0));
        }
        if facts.cmyk {
            findings.push(found(Kind::Cmyk, "is stored in cyan, magenta, yellow and black".into()));
        }
        if facts.alpha {
            findings.push(found(Kind::Alpha, "may have transparent pixels".into()));
        }
    }
    if let Some(pixels) = &facts.pixels {
        findings.extend(shape(facts, settings).into_iter().map(|(kind, m, v, t)| found(kind, m).measured(v, t)));
        findings.extend(look(pixels, settings).into_iter().map(|(kind, m, v, t)| found(kind, m).measured(v, t)));
        if facts.grey || pixels.colour < GREY {
            let stored = if facts.grey { "stored as grey" } else { "stored in three equal channels" };
            findings.push(found(Kind::Greyscale, format!("has no colour ({stored})")).measured(pixels.colour, GREY));
        }
    }
    findings
}

type Measurement = (Kind, String, f64, f64);

fn shape(facts: &Facts, settings: &CheckSettings) -> Vec<Measurement> {
    let (width, height) = facts.size;
    let (short, long) = (width.min(height), width.max(height));
    let mut found = Vec::new();
    if short < settings.min_side {
        let message = format!("is {width}x{height}: a side of fewer than {} pixels", settings.min_side);
        found.push((Kind::Tiny, message, f64::from(short), f64::from(settings.min_side)));
    } else if facts.bytes < settings.min_bytes {
        let message = format!("has {} bytes, fewer than {}", facts.bytes, settings.min_bytes);
        found.push((Kind::Tiny, message, facts.bytes as f64, settings.min_bytes as f64));
    }
    let aspect = f64::from(long) / f64::from(short.max(1));
    if aspect > settings.max_aspect {
        let message = format!("is {width}x{height}: one side is {aspect:.1} times the other");
        found.push((Kind::OddAspect, message, aspect, settings.max_aspect));
    }
    found
}

/// The first of dark, bright, flat and blurry that holds: what is black is flat too, and nothing can be told of it.
fn look(p: &PixelFacts, settings: &CheckSettings) -> Vec<Measurement> {
    let per_cent = |v: f64| 100.0 * v;
    if p.bright_end < settings.dark {
        let message = format!("95 % of its pixels are darker than {:.0} % of white", per_cent(p.bright_end));
        return vec![(Kind::TooDark, message, p.bright_end, settings.dark)];
    }
    if p.dark_end > settings.bright {
        let message = format!("95 % of its pixels are brighter than {:.0} % of white", per_cent(p.dark_end));
        return vec![(Kind::TooBright, message, p.dark_end, settings.bright)];
    }
    if p.contrast < settings.contrast {
        let message = format!("its brightness deviates by {:.1} % of white only", per_cent(p.contrast));
        return vec![(Kind::LowContrast, message, p.contrast, settings.contrast)];
    }
    if p.sharpness < settings.sharpness {
        let message =
            format!("its sharpness is {:.4} (variance of the Laplacian over that of brightness)", p.sharpness);
        return vec![(Kind::Blurry, message, p.sharpness, settings.sharpness)];
    }
    Vec::new()
}

/// A name that promises another type than the content is.
fn wrong_extension(path: &str, facts: &Facts) -> Option<String> {
    let extension = Path::new(path).extension()?.to_str()?.to_ascii_lowercase();
    let promised = match extension.as_str() {
        "jpg" | "jpeg" | "jfif" | "jpe" => "JPEG",
        "png" | "apng" => "PNG",
        "webp" => "WebP",
        "gif" => "a GIF image",
        "bmp" => "a BMP image",
        "tif" | "tiff" => "a TIFF image",
        "avif" => "an AVIF image",
        "heic" | "heif" => "a HEIC image",
        _ => return None,
    };
    // Without content that is known, the file is damaged, not misnamed.
    let known = facts.format.is_some() || facts.content.ends_with("image");
    let proper = match facts.format {
        Some(Format::Jpeg) => "; name it .jpg",
        Some(Format::Png) => "; name it .png",
        Some(Format::WebP) => "; name it .webp",
        None => "",
    };
    (known && facts.content != promised)
        .then(|| format!("is called .{extension} and is {}{proper}", article(&facts.content)))
}

/// "JPEG" as "a JPEG".
fn article(content: &str) -> String {
    match content {
        "JPEG" | "PNG" | "WebP" => format!("a {content}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kidu_image::{Limits, RgbImage};

    use super::*;
    use crate::check::survey::SurveyFile;

    fn kinds(path: &str, change: impl FnOnce(&mut Facts)) -> Vec<Kind> {
        let survey = Survey {
            root: "/".into(),
            layout: None,
            classes: vec!["sea".into()],
            files: vec![SurveyFile { path: path.into(), class: 0, split: None }],
            notes: Vec::new(),
            can_fix: true,
        };
        let image = RgbImage::from_fn(64, 64, |x, y| {
            let noise = (x * 31 + y * 57).wrapping_mul(2_654_435_761);
            image::Rgb([(noise >> 24) as u8, (y * 4) as u8, ((x ^ y) * 4) as u8])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        let mut facts = Facts::of_bytes(bytes.get_ref(), &Limits::default());
        change(&mut facts);
        findings(&survey, 0, &facts, &CheckSettings::default()).iter().map(|f| f.kind).collect()
    }

    fn pixels(change: impl FnOnce(&mut PixelFacts)) -> Vec<Kind> {
        kinds("a.png", |f| change(f.pixels.as_mut().unwrap()))
    }

    #[test]
    fn a_sound_image_has_no_finding_and_each_fault_has_its_own() {
        assert!(kinds("a.png", |_| ()).is_empty(), "{:?}", kinds("a.png", |_| ()));
        assert_eq!(kinds("a.JPG", |_| ()), [Kind::WrongExtension]);
        assert_eq!(kinds("a.png", |f| f.size = (31, 31)), [Kind::Tiny]);
        assert_eq!(kinds("a.png", |f| f.bytes = 100), [Kind::Tiny]);
        assert_eq!(kinds("a.png", |f| f.size = (301, 100)), [Kind::OddAspect]);
        assert!(kinds("a.png", |f| f.size = (100, 300)).is_empty());
        assert_eq!(kinds("a.png", |f| f.orientation = 6), [Kind::ExifRotated]);
        assert_eq!(
            kinds("a.png", |f| (f.animated, f.alpha, f.cmyk, f.grey) = (true, true, true, true)),
            [Kind::Animated, Kind::Cmyk, Kind::Alpha, Kind::Greyscale]
        );
        assert_eq!(pixels(|p| p.bright_end = 0.1), [Kind::TooDark]);
        assert_eq!(pixels(|p| p.dark_end = 0.9), [Kind::TooBright]);
        assert_eq!(pixels(|p| p.contrast = 0.01), [Kind::LowContrast]);
        assert_eq!(pixels(|p| p.sharpness = 0.001), [Kind::Blurry]);
        assert_eq!(pixels(|p| p.colour = 0.0), [Kind::Greyscale]);
    }
}
