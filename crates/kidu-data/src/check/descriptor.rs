//! A description of an image without any network: where which colours and which edges are.
//!
//! It tells seas from streets well enough to rank labels that look wrong where there is no trained network yet. Colours:
//! mean and deviation of brightness and two colour differences in 4 x 4 cells. Edges: histograms of directions in 4 x 4
//! cells (Dalal and Triggs 2005). Histograms of hue and of brightness over the whole.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kidu_image::RgbImage;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::plane::Plane;

const SIDE: usize = 64;
const CELLS: usize = 4;
const DIRECTIONS: usize = 9;
const HUES: usize = 12;
const LEVELS: usize = 12;

/// The numbers of an image, each in [0, 1] in steps of 1/255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor(Vec<u8>);

impl Descriptor {
    /// How many numbers there are.
    pub const LEN: usize = CELLS * CELLS * (6 + DIRECTIONS + 1) + HUES + LEVELS;

    /// Of an image of any size.
    pub fn of(image: &RgbImage) -> Self {
        let [red, green, blue] = [0, 1, 2].map(|c| square(&Plane::channel(image, c)));
        let mix = |r: f32, g: f32, b: f32| 0.299 * r + 0.587 * g + 0.114 * b;
        let luma: Vec<f32> = (0..SIDE * SIDE).map(|i| mix(red[i], green[i], blue[i])).collect();
        let towards =
            |channel: &[f32]| -> Vec<f32> { channel.iter().zip(&luma).map(|(c, y)| (c - y) / 2.0 + 0.5).collect() };
        let (warm, cold) = (towards(&red), towards(&blue));
        let mut numbers = Vec::with_capacity(Self::LEN);
        for plane in [&luma, &warm, &cold] {
            for cell in 0..CELLS * CELLS {
                let (mean, deviation) = moments(plane, cell);
                numbers.extend([mean, 2.0 * deviation]);
            }
        }
        edges(&luma, &mut numbers);
        histograms(&luma, [&red, &green, &blue], &mut numbers);
        Self(numbers.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect())
    }

    /// The numbers.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> {
        self.0.iter().map(|v| f32::from(*v) / 255.0)
    }
}

/// 64 x 64 values in [0, 1]; a smaller image is repeated up to that.
fn square(plane: &Plane) -> Vec<f32> {
    let small = plane.shrink(SIDE, SIDE);
    let at = |i: usize, length: usize| i * length / SIDE;
    (0..SIDE * SIDE)
        .map(|i| small.values[at(i / SIDE, small.height) * small.width + at(i % SIDE, small.width)] / 255.0)
        .collect()
}

const CELL: usize = SIDE / CELLS;

/// Mean and standard deviation of a cell.
fn moments(plane: &[f32], cell: usize) -> (f32, f32) {
    let (top, left) = (cell / CELLS * CELL, cell % CELLS * CELL);
    let values = (top..top + CELL).flat_map(|y| &plane[y * SIDE + left..y * SIDE + left + CELL]);
    let (sum, squares) = values.fold((0.0f32, 0.0f32), |(s, q), v| (s + v, q + v * v));
    let n = (CELL * CELL) as f32;
    let mean = sum / n;
    (mean, (squares / n - mean * mean).max(0.0).sqrt())
}

/// For each cell, how strong its edges are and how they divide among the directions.
fn edges(luma: &[f32], numbers: &mut Vec<f32>) {
    let mut cells = [[0.0f32; DIRECTIONS]; CELLS * CELLS];
    for (y, x) in (1..SIDE - 1).flat_map(|y| (1..SIDE - 1).map(move |x| (y, x))) {
        let i = y * SIDE + x;
        let (dx, dy) = (luma[i + 1] - luma[i - 1], luma[i + SIDE] - luma[i - SIDE]);
        let strength = dx.hypot(dy);
        // An edge has no sign: half a turn is the same direction.
        let turn = dy.atan2(dx).rem_euclid(std::f32::consts::PI) / std::f32::consts::PI * DIRECTIONS as f32;
        let (first, share) = (turn as usize % DIRECTIONS, turn.fract());
        let cell = &mut cells[y / CELL * CELLS + x / CELL];
        cell[first] += strength * (1.0 - share);
        cell[(first + 1) % DIRECTIONS] += strength * share;
    }
    for cell in cells {
        let total: f32 = cell.iter().sum();
        numbers.push((total / (CELL * CELL) as f32 * 4.0).sqrt().min(1.0));
        let length = cell.iter().map(|v| v * v).sum::<f32>().sqrt();
        numbers.extend(cell.map(|v| v / (length + 0.1)));
    }
}

fn histograms(luma: &[f32], [red, green, blue]: [&[f32]; 3], numbers: &mut Vec<f32>) {
    let (mut hues, mut levels) = ([0.0f32; HUES], [0.0f32; LEVELS]);
    for i in 0..SIDE * SIDE {
        let (r, g, b) = (red[i], green[i], blue[i]);
        let chroma = r.max(g).max(b) - r.min(g).min(b);
        // The angle around the grey axis.
        let angle = (1.732_050_8 * (g - b)).atan2(2.0 * r - g - b).rem_euclid(std::f32::consts::TAU);
        hues[(angle / std::f32::consts::TAU * HUES as f32) as usize % HUES] += chroma;
        levels[((luma[i] * LEVELS as f32) as usize).min(LEVELS - 1)] += 1.0;
    }
    let pixels = (SIDE * SIDE) as f32;
    numbers.extend(hues.map(|v| (v / pixels * 2.0).sqrt()));
    numbers.extend(levels.map(|v| (v / pixels).sqrt()));
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        if values.len() == Self::LEN { Ok(Self(values)) } else { Err(D::Error::custom("of another length")) }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn colours_and_directions_stand_where_they_are() {
        let image = RgbImage::from_fn(128, 128, |x, y| {
            if y < 64 { Rgb([200, 0, 0]) } else { Rgb([if x / 8 % 2 == 0 { 255 } else { 0 }; 3]) }
        });
        let d = Descriptor::of(&image);
        let values: Vec<f32> = d.values().collect();
        assert_eq!(values.len(), Descriptor::LEN);
        // Brightness of the first cell: 0.299 * 200 / 255; no deviation.
        assert!((values[0] - 0.2345).abs() < 0.004 && values[1] == 0.0, "{:?}", &values[..2]);
        // The last cell has edges in one direction only: dx, the first of nine.
        let last = &values[96 + 15 * 10..96 + 16 * 10];
        assert!(last[0] > 0.5 && last[1] > 0.9 && last[5] < 0.1, "{last:?}");
        let back: Descriptor = serde_json::from_str(&serde_json::to_string(&d).unwrap()).unwrap();
        assert_eq!(back, d);
    }

    #[test]
    fn any_size_has_one() {
        for (w, h) in [(1, 1), (3, 200), (64, 64), (65, 7)] {
            assert_eq!(Descriptor::of(&RgbImage::new(w, h)).values().len(), Descriptor::LEN);
        }
    }
}
