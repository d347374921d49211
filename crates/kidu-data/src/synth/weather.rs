//! Light and air: the time of day, the sky, and the haze that hides what is far.

use kidu_core::rng::ChaCha8Rng;

use super::{
    canvas::{Canvas, Region},
    color::{Rgb, smoothstep},
    noise::{Dice, Noise},
};

/// The time and the state of the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Clear,
    Fair,
    Overcast,
    Mist,
    Golden,
    Dusk,
    Night,
}

/// How a scene is lit.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    pub(super) mood: Mood,
    pub(super) zenith: Rgb,
    pub(super) horizon: Rgb,
    /// Colour of far things.
    pub(super) haze: Rgb,
    /// Share of haze at distance 1.
    pub(super) density: f32,
    /// Direct light.
    pub(super) sun: Rgb,
    /// Light from everywhere.
    pub(super) ambient: Rgb,
    /// Where direct light comes from: right, up and towards the viewer; a unit vector.
    pub(super) direction: [f32; 3],
    /// Share of the sky under cloud.
    cover: f32,
    cloud: Rgb,
    cloud_scale: f32,
    /// The sun's disc, as a fraction of the width, when it stands in the picture.
    disc: Option<f32>,
}

impl Weather {
    /// Draws a weather; moods with a larger weight come more often.
    pub(super) fn new(rng: &mut ChaCha8Rng, weights: &[(Mood, f32)]) -> Self {
        let total: f32 = weights.iter().map(|w| w.1).sum();
        let mut left = rng.unit() * total;
        let mut mood = Mood::Clear;
        for (candidate, weight) in weights {
            mood = *candidate;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        Self::of(mood, rng)
    }

    fn of(mood: Mood, rng: &mut ChaCha8Rng) -> Self {
        let hue = 0.57 + rng.within(-0.035, 0.035);
        let azimuth = rng.sign() * rng.within(0.35, 1.0);
        let height = rng.within(0.35, 0.9);
        let norm = (azimuth * azimuth + height * height + 0.16).sqrt();
        let day = Self {
            mood,
            zenith: Rgb::hsv(hue, rng.within(0.45, 0.8), rng.within(0.6, 0.9)),
            horizon: Rgb::hsv(hue - 0.02, rng.within(0.08, 0.3), rng.within(0.88, 0.98)),
            haze: Rgb::hsv(hue, rng.within(0.1, 0.3), rng.within(0.75, 0.92)),
            density: rng.within(0.15, 0.6),
            sun: Rgb::new(0.75, 0.71, 0.64),
            ambient: Rgb::new(0.42, 0.45, 0.5),
            direction: [azimuth / norm, height / norm, 0.4 / norm],
            cover: rng.within(0.0, 0.35),
            cloud: Rgb::grey(rng.within(0.92, 1.0)),
            cloud_scale: rng.within(0.5, 1.5),
            disc: None,
        };
        match mood {
            Mood::Clear => Self { cover: rng.within(0.0, 0.1), ..day },
            Mood::Fair => Self { cover: rng.within(0.35, 0.65), ..day },
            Mood::Overcast => Self::overcast(day, rng),
            Mood::Mist => {
                let air = Rgb::hsv(hue + rng.within(-0.05, 0.05), rng.within(0.02, 0.15), rng.within(0.65, 0.9));
                let clouds = Self::overcast(day, rng);
                Self { zenith: air * 0.97, horizon: air, haze: air, density: rng.within(0.9, 2.2), ..clouds }
            }
            Mood::Golden | Mood::Dusk => Self::low_sun(day, rng),
            Mood::Night => Self {
                zenith: Rgb::hsv(0.62 + rng.within(-0.06, 0.1), rng.within(0.4, 0.8), rng.within(0.04, 0.2)),
                horizon: Rgb::hsv(rng.pick(&[0.6, 0.07, 0.75]), rng.within(0.2, 0.6), rng.within(0.15, 0.4)),
                haze: Rgb::hsv(0.62, 0.4, 0.2),
                sun: Rgb::new(0.12, 0.13, 0.18),
                ambient: Rgb::new(0.2, 0.2, 0.26),
                cover: rng.within(0.0, 0.4),
                cloud: Rgb::grey(0.2),
                ..day
            },
        }
    }

    fn overcast(day: Self, rng: &mut ChaCha8Rng) -> Self {
        let grey = rng.within(0.55, 0.92);
        let tint = Rgb::hsv(0.58, rng.within(0.0, 0.15), grey);
        Self {
            zenith: tint * rng.within(0.7, 1.0),
            horizon: tint * 1.05,
            haze: tint,
            density: rng.within(0.4, 1.2),
            sun: Rgb::grey(0.22),
            ambient: Rgb::new(0.6, 0.62, 0.65) * rng.within(0.8, 1.15),
            cover: rng.within(0.5, 1.0),
            cloud: tint * rng.within(0.85, 1.15),
            ..day
        }
    }

    fn low_sun(day: Self, rng: &mut ChaCha8Rng) -> Self {
        let dusk = day.mood == Mood::Dusk;
        let glow = Rgb::hsv(rng.within(0.98, 1.11), rng.within(0.3, 0.75), rng.within(0.8, 1.0));
        let dark = if dusk { rng.within(0.62, 0.8) } else { 1.0 };
        let zenith = Rgb::hsv(rng.within(0.56, 0.76), rng.within(0.3, 0.65), rng.within(0.45, 0.8));
        Self {
            zenith: zenith * dark,
            horizon: glow * (0.4 + 0.6 * dark),
            haze: glow.mix(zenith, rng.within(0.2, 0.7)) * dark,
            density: rng.within(0.3, 1.0),
            sun: Rgb::new(0.9, 0.62, 0.38) * dark,
            ambient: Rgb::new(0.42, 0.38, 0.44) * dark,
            direction: [day.direction[0] * 1.1, 0.3, 0.25],
            cover: rng.within(0.1, 0.7),
            cloud: glow.mix(zenith, rng.unit()) * dark,
            disc: rng.chance(0.55).then(|| rng.within(0.1, 0.9)),
            ..day
        }
    }

    /// Whether lamps are on.
    pub(super) fn lamps(&self) -> bool {
        matches!(self.mood, Mood::Night | Mood::Dusk)
    }

    /// A surface's colour when `facing` (0 to 1) of the direct light falls on it.
    #[inline]
    pub(super) fn lit(&self, colour: Rgb, facing: f32) -> Rgb {
        colour * (self.ambient + self.sun * facing.max(0.0))
    }

    /// The share of direct light on a surface with this normal.
    #[inline]
    pub(super) fn facing(&self, normal: [f32; 3]) -> f32 {
        let [x, y, z] = self.direction;
        (normal[0] * x + normal[1] * y + normal[2] * z).max(0.0)
    }

    /// What is left of a colour at `distance`.
    #[inline]
    pub(super) fn veil(&self, colour: Rgb, distance: f32) -> Rgb {
        let depth = self.density * distance;
        colour.mix(self.haze, depth / (0.6 + depth))
    }

    /// The sky without clouds, `up` from 0 at the horizon to 1 at the zenith.
    #[inline]
    pub(super) fn sky_at(&self, up: f32) -> Rgb {
        let up = up.clamp(0.0, 1.0);
        self.horizon.mix(self.zenith, up * (1.7 - 0.7 * up))
    }

    /// Paints the sky down to `bottom`; the horizon, where it is palest, may lie elsewhere.
    pub(super) fn paint_sky(&self, canvas: &mut Canvas, noise: &Noise, horizon: f32, bottom: f32) {
        let reach = horizon.max(0.35);
        let low = 0.5 - 0.42 * (self.cover - 0.5);
        let side = self.direction[0];
        canvas.paint(Region::rows(0.0, bottom), |x, y, _| {
            let up = (horizon - y) / reach;
            let sky = self.sky_at(up);
            if self.cover < 0.02 {
                return sky;
            }
            // Clouds lie on a plane above the viewer: they shrink and crowd towards the horizon.
            let distance = self.cloud_scale / (up.max(0.0) + 0.18);
            let (u, v) = ((x - 0.5) * distance * 2.2, distance * 2.6);
            let thick = noise.fbm(u, v, 4);
            let amount = smoothstep(low, low + 0.22, thick);
            if amount <= 0.0 {
                return sky;
            }
            let lit = (thick - noise.fbm(u + 0.25 * side, v - 0.2, 2)) * 1.6;
            sky.mix(self.cloud * (0.9 + lit), amount * 0.92)
        });
        if let Some(x) = self.disc {
            let y = horizon - 0.06 - 0.2 * (x - 0.5).abs();
            canvas.glow((x, y), 0.35, self.horizon * 0.4);
            canvas.ellipse((x, y), (0.028, 0.028), |_, _, _| Rgb::new(1.0, 0.95, 0.8));
        }
        if self.mood == Mood::Night && self.cover < 0.2 {
            canvas.paint(Region::rows(0.0, bottom.min(horizon)), |x, y, under| {
                let star = super::noise::hash((x * 170.0) as i32, (y * 170.0) as i32, 77);
                if star > 0.9965 { under + Rgb::grey((star - 0.9965) * 160.0) } else { under }
            });
        }
    }

    /// Where the sun's disc stands, left to right.
    pub(super) fn disc(&self) -> Option<f32> {
        self.disc
    }
}
