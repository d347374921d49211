//! The kinds of scene, and drawing one.

use std::{fmt, str::FromStr};

use image::RgbImage;
use kidu_core::{rng::ChaCha8Rng, suggest};
use serde::{Deserialize, Serialize};

use super::{SynthError, buildings, forest, glacier, mountain, sea, stage::Stage, street};

/// What a scene shows. The names are the classes of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SceneKind {
    /// Towers, blocks, houses, landmarks, skylines.
    Buildings,
    /// Among trunks, at the edge of a wood, wooded hills, crowns from above.
    Forest,
    /// Ice streams, calving fronts, drifting ice.
    Glacier,
    /// Ridges and summits of rock and snow.
    Mountain,
    /// Open water, beaches, coasts.
    Sea,
    /// Avenues, lanes and suburban roads.
    Street,
}

impl SceneKind {
    /// All six, in the order of their names.
    pub const ALL: [Self; 6] = [Self::Buildings, Self::Forest, Self::Glacier, Self::Mountain, Self::Sea, Self::Street];

    /// The lower-case name, which is also the name of the class folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buildings => "buildings",
            Self::Forest => "forest",
            Self::Glacier => "glacier",
            Self::Mountain => "mountain",
            Self::Sea => "sea",
            Self::Street => "street",
        }
    }
}

impl fmt::Display for SceneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SceneKind {
    type Err = SynthError;

    fn from_str(text: &str) -> Result<Self, SynthError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| SynthError::UnknownKind {
            name: text.to_owned(),
            nearest: suggest::nearest(text, Self::ALL.map(Self::name)).map(str::to_owned),
        })
    }
}

/// Draws one scene, `size` × `size` pixels (at least 1). Palette, light, weather, composition and camera all come from
/// `rng`, so the same generator gives the same picture. The picture is drawn at twice the size and averaged down.
pub fn draw_scene(kind: SceneKind, size: u32, rng: &mut ChaCha8Rng) -> RgbImage {
    let size = size.max(1);
    type Draw = fn(&mut Stage<'_>);
    let (moods, draw): (_, Draw) = match kind {
        SceneKind::Buildings => (buildings::MOODS, buildings::draw),
        SceneKind::Forest => (forest::MOODS, forest::draw),
        SceneKind::Glacier => (glacier::MOODS, glacier::draw),
        SceneKind::Mountain => (mountain::MOODS, mountain::draw),
        SceneKind::Sea => (sea::MOODS, sea::draw),
        SceneKind::Street => (street::MOODS, street::draw),
    };
    let mut stage = Stage::new(size, moods, rng);
    draw(&mut stage);
    stage.lens.develop(&stage.canvas, size)
}

#[cfg(test)]
mod tests {
    use kidu_core::rng::stream;

    use super::*;

    fn scene(kind: SceneKind, size: u32, index: u64) -> RgbImage {
        draw_scene(kind, size, &mut stream(11, "test", &[kind as u64, index]))
    }

    #[test]
    fn names_parse_back_and_a_typo_is_answered_with_the_nearest() {
        for kind in SceneKind::ALL {
            assert_eq!(kind.name().parse::<SceneKind>().unwrap(), kind);
        }
        let error = "glaciers".parse::<SceneKind>().unwrap_err().to_string();
        assert!(error.contains("did you mean 'glacier'"), "{error}");
    }

    #[test]
    fn every_size_is_drawn_and_the_same_stream_gives_the_same_bytes() {
        for kind in SceneKind::ALL {
            for size in [1, 8, 33, 64] {
                let first = scene(kind, size, u64::from(size));
                assert_eq!(first.dimensions(), (size, size));
                assert_eq!(first.as_raw(), scene(kind, size, u64::from(size)).as_raw(), "{kind} at {size}");
            }
        }
    }

    #[test]
    fn no_picture_is_flat_and_no_two_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for kind in SceneKind::ALL {
            for index in 0..25 {
                let bytes = scene(kind, 32, index).into_raw();
                let mean = bytes.iter().map(|v| f32::from(*v)).sum::<f32>() / bytes.len() as f32;
                let spread = bytes.iter().map(|v| (f32::from(*v) - mean).abs()).sum::<f32>() / bytes.len() as f32;
                assert!(spread > 2.0, "{kind} {index} is nearly flat ({spread})");
                assert!(seen.insert(bytes), "{kind} {index} repeats another picture");
            }
        }
    }

    /// The share of pictures whose mean colour is nearest to the mean of their own kind's mean colours.
    #[test]
    fn mean_colours_tell_something_but_do_not_solve_the_task() {
        let colour = |kind, index| {
            let picture = scene(kind, 16, index);
            let mut sum = [0.0f32; 3];
            for pixel in picture.pixels() {
                for (s, v) in sum.iter_mut().zip(pixel.0) {
                    *s += f32::from(v) / 256.0;
                }
            }
            sum
        };
        let fitted = 40;
        let centroids = SceneKind::ALL.map(|kind| {
            let all: Vec<[f32; 3]> = (0..fitted).map(|i| colour(kind, i)).collect();
            [0, 1, 2].map(|c| all.iter().map(|v| v[c]).sum::<f32>() / all.len() as f32)
        });
        let distance = |a: &[f32; 3], b: &[f32; 3]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
        let mut right = 0;
        for (own, kind) in SceneKind::ALL.into_iter().enumerate() {
            for index in fitted..fitted + 20 {
                let seen = colour(kind, index);
                let nearest =
                    (0..6).min_by(|a, b| distance(&centroids[*a], &seen).total_cmp(&distance(&centroids[*b], &seen)));
                right += usize::from(nearest == Some(own));
            }
        }
        let share = right as f32 / 120.0;
        assert!((0.2..0.6).contains(&share), "nearest mean colour: {share}");
    }
}
