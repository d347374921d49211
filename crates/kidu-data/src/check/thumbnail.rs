//! What is kept of an image to recognise it again: its brightness at 32 x 32.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kidu_image::RgbImage;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::plane::Plane;

/// The brightness of an image at [`Thumbnail::SIDE`] squared, stretched to the whole of 0 to 255: exposure does not
/// matter to what it is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail(Vec<u8>);

/// Below this range of brightness (0 to 255) there is nothing to recognise.
const LEAST_RANGE: f32 = 8.0;

impl Thumbnail {
    /// Pixels of each side.
    pub const SIDE: usize = 32;

    /// Of an image; `None` for one that is smaller than the thumbnail in either direction, or all of one value.
    pub fn of(image: &RgbImage) -> Option<Self> {
        Self::of_plane(&Plane::luma(image))
    }

    pub(crate) fn of_plane(luma: &Plane) -> Option<Self> {
        if luma.width < Self::SIDE || luma.height < Self::SIDE {
            return None;
        }
        let small = luma.shrink(Self::SIDE, Self::SIDE).values;
        let (low, high) = small.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        let range = high - low;
        if range < LEAST_RANGE {
            return None;
        }
        Some(Self(small.iter().map(|v| ((v - low) / range * 255.0).round() as u8).collect()))
    }

    /// The values, row by row.
    pub(crate) fn values(&self) -> [f32; Self::SIDE * Self::SIDE] {
        std::array::from_fn(|i| f32::from(self.0[i]))
    }
}

impl Serialize for Thumbnail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Thumbnail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let values = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        if values.len() == Self::SIDE * Self::SIDE {
            Ok(Self(values))
        } else {
            Err(D::Error::custom("a thumbnail has 1024 values"))
        }
    }
}

/// A square part of an image: where it begins and how large it is, in parts of the image's sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) scale: f32,
}

/// The parts by which crops are recognised: the whole, and 95 % and 90 % of each side in the corners and the middle.
pub(crate) const VIEWS: [View; 11] = {
    const fn view(x: f32, y: f32, scale: f32) -> View {
        View { x, y, scale }
    }
    [
        view(0.0, 0.0, 1.0),
        view(0.0, 0.0, 0.95),
        view(0.05, 0.0, 0.95),
        view(0.0, 0.05, 0.95),
        view(0.05, 0.05, 0.95),
        view(0.025, 0.025, 0.95),
        view(0.0, 0.0, 0.9),
        view(0.1, 0.0, 0.9),
        view(0.0, 0.1, 0.9),
        view(0.1, 0.1, 0.9),
        view(0.05, 0.05, 0.9),
    ]
};

const SIDE: usize = Thumbnail::SIDE;

/// Thumbnail values in single precision.
pub(crate) type Values = [f32; SIDE * SIDE];

/// The part of a thumbnail at the thumbnail's size, bilinear; beyond the edges the outermost values go on.
pub(crate) fn cut(values: &Values, view: View) -> Values {
    let at = |start: f32| -> [(usize, f32); SIDE] {
        std::array::from_fn(|i| {
            let position = (i as f32 + 0.5) * view.scale + start * SIDE as f32 - 0.5;
            let position = position.clamp(0.0, (SIDE - 1) as f32);
            let first = (position as usize).min(SIDE - 2);
            (first, position - first as f32)
        })
    };
    let (columns, rows) = (at(view.x), at(view.y));
    let mut out = [0.0; SIDE * SIDE];
    for (line, (y, fy)) in out.chunks_exact_mut(SIDE).zip(rows) {
        let (upper, lower) = (&values[y * SIDE..(y + 1) * SIDE], &values[(y + 1) * SIDE..(y + 2) * SIDE]);
        for (slot, (x, fx)) in line.iter_mut().zip(columns) {
            let top = upper[x] + (upper[x + 1] - upper[x]) * fx;
            let bottom = lower[x] + (lower[x + 1] - lower[x]) * fx;
            *slot = top + (bottom - top) * fy;
        }
    }
    out
}

/// Left and right exchanged.
pub(crate) fn mirrored(values: &Values) -> Values {
    std::array::from_fn(|i| values[i / SIDE * SIDE + (SIDE - 1 - i % SIDE)])
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn exposure_does_not_matter_and_flat_or_small_images_have_none() {
        let ramp =
            |gain: f32, offset: f32| RgbImage::from_fn(64, 48, |x, y| Rgb([(gain * (x + y) as f32 + offset) as u8; 3]));
        let (a, b) = (Thumbnail::of(&ramp(2.0, 0.0)).unwrap(), Thumbnail::of(&ramp(1.0, 90.0)).unwrap());
        assert!(a.0.iter().zip(&b.0).all(|(a, b)| a.abs_diff(*b) <= 1));
        assert!(Thumbnail::of(&RgbImage::from_pixel(64, 64, Rgb([9; 3]))).is_none());
        assert!(Thumbnail::of(&RgbImage::new(31, 64)).is_none());
        let text = serde_json::to_string(&a).unwrap();
        assert_eq!(serde_json::from_str::<Thumbnail>(&text).unwrap(), a);
        assert!(serde_json::from_str::<Thumbnail>("\"AAAA\"").is_err());
    }

    #[test]
    fn a_view_of_a_ramp_is_a_ramp() {
        let ramp: Values = std::array::from_fn(|i| (i % SIDE) as f32);
        assert_eq!(cut(&ramp, VIEWS[0]), ramp);
        let part = cut(&ramp, View { x: 0.25, y: 0.0, scale: 0.5 });
        // Pixel 0 of the part is centred at 8.25 of the source.
        assert!((part[0] - 7.75).abs() < 1e-5 && (part[31] - 23.25).abs() < 1e-5, "{} {}", part[0], part[31]);
        assert_eq!(mirrored(&mirrored(&ramp)), ramp);
        assert_eq!(mirrored(&ramp)[0], 31.0);
    }
}
