//! Walls with windows, shared by streets and buildings. Lengths are metres.

use kidu_core::rng::ChaCha8Rng;

use super::{
    color::Rgb,
    noise::{Dice, Noise, hash, split},
    weather::Weather,
};

/// What a wall is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wall {
    Brick,
    Plaster,
    Stone,
    Panel,
    Glass,
    Wood,
}

/// The pattern of a building's front.
#[derive(Clone, Debug)]
pub(super) struct Facade {
    wall: Wall,
    colour: Rgb,
    trim: Rgb,
    glass: Rgb,
    bay: f32,
    storey: f32,
    window: (f32, f32),
    arched: bool,
    bands: bool,
    balconies: bool,
    /// Height of the ground floor when it is a shop, else 0.
    shop: f32,
    sign: Rgb,
    /// Share of windows with a lamp on.
    lamps: f32,
    seed: u32,
}

impl Facade {
    /// A town house or shop building of a few storeys.
    pub(super) fn town(rng: &mut ChaCha8Rng, weather: &Weather, shops: f32) -> Self {
        let wall = rng.pick(&[Wall::Brick, Wall::Brick, Wall::Plaster, Wall::Plaster, Wall::Stone, Wall::Wood]);
        let colour = match wall {
            Wall::Brick => Rgb::hsv(rng.within(0.0, 0.07), rng.within(0.3, 0.65), rng.within(0.35, 0.75)),
            Wall::Stone => Rgb::hsv(rng.within(0.07, 0.14), rng.within(0.08, 0.3), rng.within(0.5, 0.85)),
            _ => Rgb::hsv(rng.pick(&[0.03, 0.09, 0.12, 0.14, 0.55, 0.3]), rng.within(0.05, 0.5), rng.within(0.6, 0.95)),
        };
        let trim = if rng.chance(0.7) { Rgb::grey(rng.within(0.7, 0.95)) } else { colour * 0.6 };
        Self {
            wall,
            colour,
            trim,
            glass: Rgb::hsv(0.58, rng.within(0.1, 0.4), rng.within(0.12, 0.4)),
            bay: rng.within(1.8, 3.4),
            storey: rng.within(2.9, 3.8),
            window: (rng.within(0.34, 0.6), rng.within(0.45, 0.66)),
            arched: rng.chance(0.15),
            bands: rng.chance(0.4),
            balconies: rng.chance(0.25),
            shop: if rng.chance(shops) { rng.within(3.2, 4.2) } else { 0.0 },
            sign: Rgb::hsv(rng.unit(), rng.within(0.3, 0.9), rng.within(0.3, 0.95)),
            lamps: if weather.lamps() { rng.within(0.2, 0.75) } else { rng.within(0.0, 0.05) },
            seed: (rng.unit() * 16_777_216.0) as u32,
        }
    }

    /// An office tower or a block of flats.
    pub(super) fn tower(rng: &mut ChaCha8Rng, weather: &Weather) -> Self {
        let wall = rng.pick(&[Wall::Glass, Wall::Glass, Wall::Panel, Wall::Panel, Wall::Stone, Wall::Brick]);
        let warm = rng.chance(0.4);
        let hue = if warm { rng.within(0.04, 0.13) } else { rng.within(0.5, 0.64) };
        let (saturation, value) = match wall {
            Wall::Glass => (rng.within(0.1, 0.5), rng.within(0.25, 0.7)),
            _ => (rng.within(0.0, 0.25), rng.within(0.4, 0.9)),
        };
        let ribbon = rng.chance(0.35);
        let small = (rng.within(0.4, 0.75), rng.within(0.4, 0.7));
        Self {
            wall,
            colour: Rgb::hsv(hue, saturation, value),
            trim: Rgb::grey(rng.within(0.25, 0.9)),
            glass: Rgb::hsv(rng.within(0.5, 0.62), rng.within(0.2, 0.5), rng.within(0.15, 0.5)),
            bay: rng.within(1.4, 3.6),
            storey: rng.within(3.0, 4.2),
            window: if ribbon { (1.0, rng.within(0.35, 0.6)) } else { small },
            arched: false,
            bands: rng.chance(0.3),
            balconies: wall != Wall::Glass && rng.chance(0.3),
            shop: if rng.chance(0.3) { rng.within(4.0, 6.0) } else { 0.0 },
            ..Self::town(rng, weather, 0.0)
        }
    }

    /// The colour of trims, for roofs' edges and gables.
    pub(super) fn plain(&self) -> Rgb {
        self.colour
    }

    /// The colour at `u` along and `v` above the ground of a wall `height` high; `grain` is the width of a sample
    /// on the wall, and patterns finer than that are blurred away.
    pub(super) fn shade(
        &self,
        (noise, weather): (&Noise, &Weather),
        (u, v): (f32, f32),
        height: f32,
        facing: f32,
        grain: f32,
    ) -> Rgb {
        let stained = 0.92 + 0.16 * noise.value(u * 0.3, v * 0.25 + f32::from(self.seed as u8));
        if v < self.shop {
            return self.shop_front((noise, weather), u, v, facing);
        }
        if v > height - 0.55 {
            return weather.lit(self.trim, facing * 1.1);
        }
        let ((i, fu), (j, fv)) = (split(u / self.bay), split((v - self.shop) / self.storey));
        let cell = (i, j);
        let fine = grain < self.bay * 0.42;
        if !fine {
            let share = self.window.0 * self.window.1;
            return weather.lit(self.colour * stained, facing).mix(self.pane(weather, cell, v), share);
        }
        let (w, h) = self.window;
        let (dx, dy) = ((fu - 0.5).abs() * 2.0, (fv - 0.52) * 2.0);
        let w_here = if self.arched && dy > 0.2 { w * (1.0 - (dy - 0.2) * (dy - 0.2) * 2.5) } else { w };
        if dx < w_here && dy.abs() < h {
            let mullion = w < 0.95 && grain < 0.08 && (dx < 0.06 || (dy - 0.2 * h).abs() < 0.05);
            return if mullion { weather.lit(self.trim, facing) } else { self.pane(weather, cell, v) };
        }
        if self.balconies && fv < 0.3 && dx < 0.85 && hash(cell.0, cell.1 / 2, self.seed) > 0.25 {
            let bar = grain < 0.1 && ((u * 7.0) as i32 & 1) == 0 && fv < 0.26;
            return weather.lit(if bar { self.colour * 0.8 } else { Rgb::grey(0.22) }, facing);
        }
        let framed = dx < w_here + 0.14 && dy.abs() < h + 0.12;
        let banded = self.bands && fv < 0.08;
        let colour =
            if (framed && w < 0.95) || banded { self.trim } else { self.colour * self.texture(noise, u, v, grain) };
        weather.lit(colour * stained, facing)
    }

    fn texture(&self, noise: &Noise, u: f32, v: f32, grain: f32) -> f32 {
        match self.wall {
            Wall::Brick if grain < 0.25 => {
                let row = (v * 6.0) as i32;
                let brick = hash((u * 3.0 + 0.5 * (row & 1) as f32) as i32, row, self.seed);
                0.82 + 0.3 * brick
            }
            Wall::Wood if grain < 0.3 => {
                if split(v * 3.5).1 < 0.18 {
                    0.72
                } else {
                    1.0
                }
            }
            Wall::Stone if grain < 0.4 => 0.85 + 0.25 * hash((u * 1.1) as i32, (v * 1.6) as i32, self.seed),
            Wall::Panel => 0.94 + 0.1 * noise.value(u * 0.8, v * 0.8),
            _ => 0.92 + 0.14 * noise.value(u * 1.7, v * 1.7),
        }
    }

    /// A window: a lamp behind it, a curtain, or the sky's reflection.
    fn pane(&self, weather: &Weather, cell: (i32, i32), v: f32) -> Rgb {
        let chance = hash(cell.0, cell.1, self.seed);
        if chance < self.lamps {
            return Rgb::hsv(0.11, 0.25 + 0.35 * chance, 0.75 + 0.25 * hash(cell.1, cell.0, self.seed));
        }
        let other = hash(cell.1, cell.0, self.seed ^ 9);
        let mirror = if self.wall == Wall::Glass { 0.45 } else { 0.22 };
        let sky = weather.sky_at(0.15 + v * 0.012);
        let glass = (self.glass * weather.ambient * 1.6).mix(sky, mirror * (0.4 + 0.9 * other));
        if self.wall != Wall::Glass && other > 0.8 { weather.lit(Rgb::grey(0.75), 0.1) } else { glass }
    }

    /// Display windows under a sign, some with an awning.
    fn shop_front(&self, (noise, weather): (&Noise, &Weather), u: f32, v: f32, facing: f32) -> Rgb {
        let (index, fu) = split(u / (self.bay * 2.0));
        let t = v / self.shop;
        let sign =
            Rgb::hsv(hash(index, 3, self.seed), 0.55, 0.35 + 0.6 * hash(index, 4, self.seed)).mix(self.sign, 0.4);
        let glow = if weather.lamps() { 0.9 } else { 0.0 };
        if t > 0.78 {
            let letters = (0.84..0.93).contains(&t) && (0.2..0.8).contains(&fu) && noise.value(u * 5.0, 3.0) > 0.45;
            let colour = if letters { Rgb::WHITE } else { sign };
            return weather.lit(colour, facing).mix(colour, glow * 0.7);
        }
        if t > 0.58 && hash(index, 5, self.seed) > 0.45 {
            let stripe = ((u * 2.5) as i32 & 1) == 0;
            return weather.lit(if stripe { sign } else { Rgb::grey(0.9) }, facing + 0.2);
        }
        if (fu - 0.5).abs() > 0.44 || t < 0.1 {
            return weather.lit(self.colour * 0.7, facing);
        }
        let inside = noise.value(u * 3.0, v * 2.5 + f32::from(self.seed as u8));
        let goods = Rgb::hsv(noise.value(u * 0.7, 9.0), 0.4, 0.25 + 0.6 * inside);
        let lit = Rgb::hsv(0.11, 0.35, 0.6 + 0.4 * inside);
        weather.lit(goods, 0.1).mix(lit, if glow > 0.0 { 0.75 } else { 0.18 })
    }
}
