//! Landscapes: a height field seen from the ground, drawn column by column from near to far.

use super::{canvas::Canvas, weather::Weather};
use crate::synth::color::Rgb;

/// Steps along each line of sight.
const STEPS: usize = 96;

/// Where a landscape is seen from. Lengths are in units of the far end's distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Viewpoint {
    /// Height of the horizon in the picture, a fraction of the side from the top.
    pub(super) horizon: f32,
    /// Focal length, in sides of the picture.
    pub(super) focal: f32,
    /// Height of the eye above the zero of the field.
    pub(super) eye: f32,
    /// Distance of the nearest ground drawn.
    pub(super) near: f32,
}

impl Viewpoint {
    /// A view of land near height 0 that begins at the lower edge of the picture.
    pub(super) fn over(horizon: f32, focal: f32, eye: f32) -> Self {
        Self { horizon, focal, eye, near: (0.55 * eye * focal / (1.0 - horizon).max(0.05)).clamp(0.01, 0.4) }
    }
}

/// A point of the ground, as the material function sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Distance to the right of the middle.
    pub(super) x: f32,
    /// Distance ahead, `near` to 1.
    pub(super) z: f32,
    /// Height.
    pub(super) height: f32,
    /// Upward part of the surface's normal: 1 on the level, 0 on a wall.
    pub(super) level: f32,
    /// Share of direct light on the surface, 0 to 1.
    pub(super) facing: f32,
}

/// Draws the field over what is on the canvas; the material's colours are lit already, haze is added here.
pub(super) fn draw(
    canvas: &mut Canvas,
    weather: &Weather,
    view: Viewpoint,
    height: impl Fn(f32, f32) -> f32,
    material: impl Fn(Spot) -> Rgb,
) {
    let grid = Grid::new(canvas.side().div_ceil(2).max(8), view, weather, height);
    for column in 0..canvas.side() {
        let mut lowest = canvas.side();
        let position = canvas.position(column);
        let mut before = grid.spot(position, 0, view);
        let mut below = view.row(before);
        for step in 1..STEPS {
            let spot = grid.spot(position, step, view);
            let above = view.row(spot);
            let top = canvas.index(above);
            for row in top..lowest {
                let y = canvas.position(row);
                // The segment between the two steps; what is nearer has been drawn.
                let t = if below > above { ((below - y) / (below - above)).clamp(0.0, 1.0) } else { 1.0 };
                let here = before.towards(spot, t);
                *canvas.sample_mut(column, row) = weather.veil(material(here), here.z);
            }
            lowest = lowest.min(top);
            (before, below) = (spot, above);
        }
    }
}

impl Viewpoint {
    fn row(self, spot: Spot) -> f32 {
        self.horizon - (spot.height - self.eye) * self.focal / spot.z
    }

    fn depth(self, step: usize) -> f32 {
        self.near * self.near.recip().powf(step as f32 / (STEPS - 1) as f32)
    }
}

impl Spot {
    #[inline]
    fn towards(self, other: Self, t: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * t;
        Self {
            x: mix(self.x, other.x),
            z: mix(self.z, other.z),
            height: mix(self.height, other.height),
            level: mix(self.level, other.level),
            facing: mix(self.facing, other.facing),
        }
    }
}

/// Heights and light on a fan of lines of sight: as fine in the picture near by as far off.
struct Grid {
    columns: usize,
    depths: Vec<f32>,
    heights: Vec<f32>,
    light: Vec<(f32, f32)>,
}

impl Grid {
    fn new(columns: usize, view: Viewpoint, weather: &Weather, height: impl Fn(f32, f32) -> f32) -> Self {
        let depths: Vec<f32> = (0..STEPS).map(|step| view.depth(step)).collect();
        let across = |column: usize, z: f32| (column as f32 / (columns - 1) as f32 - 0.5) * z / view.focal;
        let mut heights = Vec::with_capacity(columns * STEPS);
        for z in &depths {
            heights.extend((0..columns).map(|column| height(across(column, *z), *z)));
        }
        let mut grid = Self { columns, depths, heights, light: Vec::new() };
        grid.light = (0..STEPS * columns).map(|i| grid.light_at(i / columns, i % columns, view, weather)).collect();
        grid
    }

    fn light_at(&self, step: usize, column: usize, view: Viewpoint, weather: &Weather) -> (f32, f32) {
        let at = |step: usize, column: usize| self.heights[step * self.columns + column];
        let (left, right) = (column.saturating_sub(1), (column + 1).min(self.columns - 1));
        let (front, back) = (step.saturating_sub(1), (step + 1).min(STEPS - 1));
        let width = (right - left) as f32 / (self.columns - 1) as f32 * self.depths[step] / view.focal;
        let slope_x = (at(step, right) - at(step, left)) / width;
        let slope_z = (at(back, column) - at(front, column)) / (self.depths[back] - self.depths[front]);
        let norm = (slope_x * slope_x + slope_z * slope_z + 1.0).sqrt();
        // Towards the viewer is towards smaller depth.
        (1.0 / norm, weather.facing([-slope_x / norm, 1.0 / norm, slope_z / norm]))
    }

    #[inline]
    fn spot(&self, position: f32, step: usize, view: Viewpoint) -> Spot {
        let exact = position * (self.columns - 1) as f32;
        let left = (exact as usize).min(self.columns - 2);
        let t = exact - left as f32;
        let i = step * self.columns + left;
        let mix = |a: f32, b: f32| a + (b - a) * t;
        let z = self.depths[step];
        Spot {
            x: (position - 0.5) * z / view.focal,
            z,
            height: mix(self.heights[i], self.heights[i + 1]),
            level: mix(self.light[i].0, self.light[i + 1].0),
            facing: mix(self.light[i].1, self.light[i + 1].1),
        }
    }
}
