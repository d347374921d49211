//! From a painted canvas to a photograph: framing, exposure, colour cast, softness and grain.

use image::RgbImage;
use kidu_core::rng::ChaCha8Rng;

use super::{
    canvas::{Canvas, SUPERSAMPLING},
    color::Rgb,
    noise::{Dice, hash},
};

/// How a picture is taken.
pub(super) struct Lens {
    /// Turn of the camera about its axis, radians.
    pub(super) roll: f32,
    /// How strongly uprights lean together towards the top; 0 keeps them parallel.
    pub(super) lean: f32,
    zoom: f32,
    exposure: f32,
    contrast: f32,
    saturation: f32,
    cast: Rgb,
    vignette: f32,
    grain: f32,
    /// Radius of the blur, in pixels of the final image.
    softness: f32,
    seed: u32,
}

impl Lens {
    /// A random hand-held shot.
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let faded = rng.chance(0.07);
        Self {
            roll: rng.within(-0.05, 0.05),
            lean: 0.0,
            zoom: rng.within(1.0, 1.12),
            exposure: rng.within(0.8, 1.2),
            contrast: rng.within(0.82, 1.2),
            saturation: if faded { rng.within(0.05, 0.5) } else { rng.within(0.65, 1.25) },
            cast: Rgb::new(rng.within(0.92, 1.08), rng.within(0.96, 1.04), rng.within(0.92, 1.08)),
            vignette: rng.within(0.0, 0.3),
            grain: rng.within(0.0, 0.03),
            softness: if rng.chance(0.25) { rng.within(0.4, 1.1) } else { 0.0 },
            seed: (rng.unit() * 16_777_216.0) as u32,
        }
    }

    /// Takes the picture, `size` pixels a side.
    pub(super) fn develop(&self, canvas: &Canvas, size: u32) -> RgbImage {
        // Enough zoom to keep the turned frame within the canvas.
        let margin = self.zoom * (1.0 + self.roll.abs());
        let turn = (self.roll.sin() / margin, self.roll.cos() / margin);
        let mut picture = Vec::with_capacity(size as usize * size as usize);
        for row in 0..size as usize {
            for column in 0..size as usize {
                picture.push(self.gather(canvas, column, row, turn));
            }
        }
        if self.softness > 0.0 {
            soften(&mut picture, size as usize, self.softness);
        }
        RgbImage::from_fn(size, size, |column, row| {
            let colour = self.grade(picture[row as usize * size as usize + column as usize], column, row, size);
            image::Rgb([colour.r, colour.g, colour.b].map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8))
        })
    }

    /// The mean of a pixel's samples, fetched where the camera's pose puts them.
    fn gather(&self, canvas: &Canvas, column: usize, row: usize, (sin, cos): (f32, f32)) -> Rgb {
        let mut sum = Rgb::default();
        let last = canvas.side() as i32 - 1;
        let at = |v: f32| ((v * canvas.side() as f32) as i32).clamp(0, last) as usize;
        for j in 0..SUPERSAMPLING {
            let dy = canvas.position(row * SUPERSAMPLING + j) - 0.5;
            // Reading narrower at the bottom makes uprights meet above.
            let narrow = 1.0 - self.lean * (0.5 + dy);
            for i in 0..SUPERSAMPLING {
                let dx = (canvas.position(column * SUPERSAMPLING + i) - 0.5) * narrow;
                sum += canvas.sample(at(0.5 + dx * cos - dy * sin), at(0.5 + dx * sin + dy * cos));
            }
        }
        sum * (1.0 / (SUPERSAMPLING * SUPERSAMPLING) as f32)
    }

    fn grade(&self, colour: Rgb, column: u32, row: u32, size: u32) -> Rgb {
        let (x, y) = ((column as f32 + 0.5) / size as f32 - 0.5, (row as f32 + 0.5) / size as f32 - 0.5);
        let shade = self.exposure * (1.0 - self.vignette * 2.0 * (x * x + y * y));
        let exposed = colour * self.cast * shade;
        let graded = Rgb::grey(exposed.luma()) * (1.0 - self.saturation) + exposed * self.saturation;
        let contrasted = (graded + Rgb::grey(-0.5)) * self.contrast + Rgb::grey(0.5);
        let noise = |k: u32| {
            let a = hash(column as i32, row as i32, self.seed ^ k);
            let b = hash(row as i32, column as i32, self.seed.wrapping_add(k));
            (a + b - 1.0) * 2.0 * self.grain
        };
        // Mostly brightness, a little colour, as sensors do.
        let common = noise(1);
        contrasted
            + Rgb::new(0.7 * common + 0.4 * noise(2), 0.7 * common + 0.4 * noise(3), 0.7 * common + 0.4 * noise(4))
    }
}

/// Blurs with a small separable kernel (weights 1 : 2 : 1, faded by `radius`).
fn soften(picture: &mut [Rgb], size: usize, radius: f32) {
    let side = radius.min(1.0) * 0.25;
    for step in [1, size] {
        let before = picture.to_vec();
        for (i, pixel) in picture.iter_mut().enumerate() {
            let position = if step == 1 { i % size } else { i / size };
            let back = if position == 0 { i } else { i - step };
            let ahead = if position + 1 == size { i } else { i + step };
            *pixel = before[i] * (1.0 - 2.0 * side) + (before[back] + before[ahead]) * side;
        }
    }
}
