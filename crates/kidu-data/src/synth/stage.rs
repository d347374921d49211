//! What every scene is drawn with.

use kidu_core::rng::ChaCha8Rng;

use super::{
    canvas::{Canvas, Region},
    color::{Rgb, smoothstep},
    lens::Lens,
    noise::{Dice, Noise},
    weather::{Mood, Weather},
};

/// A canvas with its light, its random fields and the camera.
pub(super) struct Stage<'r> {
    pub(super) canvas: Canvas,
    pub(super) noise: Noise,
    pub(super) weather: Weather,
    pub(super) lens: Lens,
    pub(super) rng: &'r mut ChaCha8Rng,
}

impl<'r> Stage<'r> {
    pub(super) fn new(size: u32, moods: &[(Mood, f32)], rng: &'r mut ChaCha8Rng) -> Self {
        let noise = Noise::new(rng);
        let weather = Weather::new(rng, moods);
        let lens = Lens::new(rng);
        Self { canvas: Canvas::new(size), noise, weather, lens, rng }
    }

    /// The sky above `horizon`, painted down to `bottom`.
    pub(super) fn sky(&mut self, horizon: f32, bottom: f32) {
        self.weather.paint_sky(&mut self.canvas, &self.noise, horizon, bottom);
    }

    /// A green of the season: spring to late autumn, or the bluish green of needles.
    pub(super) fn foliage(&mut self) -> Rgb {
        let rng = &mut *self.rng;
        match rng.count(0, 9) {
            0 => Rgb::hsv(rng.within(0.02, 0.11), rng.within(0.5, 0.85), rng.within(0.45, 0.85)),
            1 => Rgb::hsv(rng.within(0.11, 0.17), rng.within(0.4, 0.8), rng.within(0.45, 0.8)),
            2..=4 => Rgb::hsv(rng.within(0.32, 0.45), rng.within(0.2, 0.5), rng.within(0.2, 0.42)),
            _ => Rgb::hsv(rng.within(0.2, 0.33), rng.within(0.35, 0.7), rng.within(0.28, 0.62)),
        }
    }

    /// The colour of bark.
    pub(super) fn bark(&mut self) -> Rgb {
        let rng = &mut *self.rng;
        if rng.chance(0.12) {
            Rgb::hsv(0.1, 0.05, rng.within(0.75, 0.9))
        } else {
            Rgb::hsv(rng.within(0.04, 0.1), rng.within(0.1, 0.45), rng.within(0.16, 0.45))
        }
    }

    /// The colour of bare rock.
    pub(super) fn rock(&mut self) -> Rgb {
        let rng = &mut *self.rng;
        let hue = rng.pick(&[0.03, 0.06, 0.09, 0.11, 0.58, 0.62, 0.3]);
        Rgb::hsv(hue + rng.within(-0.02, 0.02), rng.within(0.03, 0.3), rng.within(0.35, 0.68))
    }

    /// The colour of grass, from lush to dry.
    pub(super) fn grass(&mut self) -> Rgb {
        let rng = &mut *self.rng;
        Rgb::hsv(rng.within(0.12, 0.3), rng.within(0.3, 0.65), rng.within(0.35, 0.65))
    }

    /// Water from `line` down to `bottom` that mirrors what is above the line, more calmly the smaller `ripple`.
    pub(super) fn water(&mut self, line: f32, bottom: f32, colour: Rgb, ripple: f32) {
        let noise = &self.noise;
        let wave = |x: f32, y: f32| {
            let depth = 0.06 / (y - line + 0.02);
            noise.value(x * 14.0 * depth.max(0.4), (y - line) * 55.0 * depth.max(0.3)) - 0.5
        };
        let tint = colour * (self.weather.ambient + self.weather.sun * 0.5);
        self.canvas.mirror(
            line,
            bottom,
            |x, y| {
                let w = wave(x, y);
                (0.05 * ripple * w, 0.12 * ripple * w)
            },
            |x, y, _, mirrored| {
                let near = smoothstep(line, 1.0, y);
                let glint = 1.0 + 0.35 * ripple * wave(x + 0.3, y);
                mirrored.mix(tint, 0.25 + 0.5 * near) * glint
            },
        );
    }

    /// Level ground of one colour from `top` down, mottled more coarsely towards the viewer; `rough` is its contrast.
    pub(super) fn ground(&mut self, top: f32, colour: Rgb, rough: f32) {
        let (noise, weather) = (&self.noise, &self.weather);
        self.canvas.paint(Region::rows(top, 1.0), |x, y, _| {
            let depth = 0.25 / (y - top + 0.04);
            let grain = noise.fbm((x - 0.5) * 14.0 * depth, 40.0 * depth, 3);
            weather.veil(weather.lit(colour * (1.0 + rough * (grain - 0.5)), 0.6), 0.1 * depth)
        });
    }
}
