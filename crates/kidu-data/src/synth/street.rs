//! Streets: a road or lane between two rows of houses, with what drives, walks and stands on it.

use super::{
    city::{self, Block, Roof, View},
    color::{Rgb, smoothstep},
    facade::Facade,
    noise::{Dice, hash, split},
    plants::{self, Tree},
    props,
    stage::Stage,
    weather::Mood,
};

pub(super) const MOODS: &[(Mood, f32)] = &[
    (Mood::Clear, 2.2),
    (Mood::Fair, 2.2),
    (Mood::Overcast, 3.0),
    (Mood::Mist, 0.5),
    (Mood::Golden, 1.0),
    (Mood::Dusk, 1.0),
    (Mood::Night, 1.6),
];

/// The kinds of street.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Avenue,
    Lane,
    Suburb,
}

/// Widths from the middle, in metres.
struct Profile {
    kind: Kind,
    /// Where the carriageway ends.
    kerb: f32,
    /// Where the houses begin, left and right.
    walls: (f32, f32),
}

pub(super) fn draw(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let kind = rng.pick(&[Kind::Avenue, Kind::Avenue, Kind::Avenue, Kind::Lane, Kind::Lane, Kind::Suburb]);
    let kerb = match kind {
        Kind::Avenue => rng.within(4.0, 7.5),
        Kind::Lane => rng.within(1.2, 2.2),
        Kind::Suburb => rng.within(3.0, 4.5),
    };
    let mut margin = || match kind {
        Kind::Avenue => rng.within(2.5, 5.0),
        Kind::Lane => rng.within(0.6, 1.4),
        Kind::Suburb => rng.within(7.0, 12.0),
    };
    let profile = Profile { kind, kerb, walls: (kerb + margin(), kerb + margin()) };
    let view = View {
        centre: rng.within(0.25, 0.75),
        horizon: rng.within(0.45, 0.68),
        focal: rng.within(0.7, 1.15),
        eye: if kind == Kind::Lane { rng.within(1.5, 2.2) } else { rng.within(1.5, 4.5) },
        far: 140.0,
    };
    stage.sky(view.horizon, view.horizon + 0.05);
    if stage.rng.chance(0.3) {
        hill(stage, &view);
    }
    road(stage, &view, &profile);
    let mut blocks = houses(stage, &profile);
    city::draw_blocks(&mut stage.canvas, &stage.noise, &stage.weather, &view, &mut blocks);
    if stage.weather.lamps() && stage.rng.chance(0.5) || stage.rng.chance(0.1) {
        wet(stage, &view);
    }
    furnish(stage, &view, &profile);
    if stage.rng.chance(0.25) {
        wires(stage, &view, &profile);
    }
}

/// A wooded hill that closes the view.
fn hill(stage: &mut Stage<'_>, view: &View) {
    let green = stage.foliage() * 0.7;
    let tall = stage.rng.within(0.03, 0.14);
    let offset = stage.rng.within(0.0, 50.0);
    let (noise, weather) = (&stage.noise, &stage.weather);
    for column in 0..stage.canvas.side() {
        let x = stage.canvas.position(column);
        let top = view.horizon - tall * (0.4 + noise.fbm(x * 3.0 + offset, offset, 3));
        for row in stage.canvas.index(top)..stage.canvas.index(view.horizon + 0.02) {
            *stage.canvas.sample_mut(column, row) = weather.veil(weather.lit(green, 0.4), 0.9);
        }
    }
}

/// Carriageway, markings, kerbs and pavements.
fn road(stage: &mut Stage<'_>, view: &View, profile: &Profile) {
    let verge = stage.grass();
    let rng = &mut *stage.rng;
    let lane = profile.kind == Kind::Lane;
    let asphalt = Rgb::hsv(rng.within(0.05, 0.65), rng.within(0.0, 0.1), rng.within(0.22, 0.55));
    let cobbles = lane && rng.chance(0.7);
    let paving = Rgb::hsv(rng.within(0.05, 0.13), rng.within(0.02, 0.2), rng.within(0.5, 0.8));
    let paint = if rng.chance(0.25) { Rgb::new(0.95, 0.8, 0.25) } else { Rgb::grey(0.92) };
    let marked = !lane && rng.chance(0.8);
    let crossing = if !lane && rng.chance(0.45) { rng.within(5.0, 22.0) } else { -10.0 };
    let grassy = profile.kind == Kind::Suburb;
    let sunny = rng.within(-1.0, 1.0);
    let kerb = profile.kerb;
    let (noise, weather) = (&stage.noise, &stage.weather);
    view.paint_ground(&mut stage.canvas, |x, z, _| {
        let wear = noise.fbm(x * 0.9, z * 0.45, 2);
        let off = x.abs();
        let colour = if off < kerb {
            let stripe = (z > crossing && z < crossing + 3.2) && ((x + 40.0) / 1.1) as i32 & 1 == 0;
            let dash = off < 0.09 + 0.002 * z && split(z / 6.0).1 < 0.5;
            let edge = (off - kerb + 0.5).abs() < 0.08;
            if marked && (stripe || ((dash || edge) && z < 90.0)) {
                paint * (0.75 + 0.3 * wear)
            } else if cobbles && z < 25.0 {
                asphalt * (0.75 + 0.6 * hash((x * 5.0 + 99.0) as i32, (z * 4.0) as i32, 5))
            } else {
                asphalt * (0.85 + 0.3 * wear)
            }
        } else if off < kerb + 0.2 {
            paving * 0.65
        } else if grassy && off > kerb + 1.8 {
            verge * (0.75 + 0.5 * wear)
        } else {
            let joint = z < 16.0 && split(x).1.min(split(z).1) < 0.06;
            paving * (if joint { 0.75 } else { 0.85 + 0.25 * wear })
        };
        // One side lies in the shadow of its houses.
        let shaded = smoothstep(-0.6, 0.6, (x - sunny * kerb) * weather.direction[0].signum());
        weather.veil(weather.lit(colour, 0.15 + 0.6 * (1.0 - shaded)), z / view.far)
    });
}

/// Two rows of houses, and what closes the street at its end.
fn houses(stage: &mut Stage<'_>, profile: &Profile) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (storeys, shops) = match profile.kind {
        Kind::Avenue => (stage.rng.within(9.0, 26.0), 0.7),
        Kind::Lane => (stage.rng.within(5.0, 11.0), 0.35),
        Kind::Suburb => (stage.rng.within(4.0, 7.0), 0.0),
    };
    let end = stage.rng.within(60.0, 130.0);
    let gaps = if profile.kind == Kind::Suburb { 0.9 } else { 0.06 };
    for (side, wall) in [(-1.0, profile.walls.0), (1.0, profile.walls.1)] {
        let mut z = stage.rng.within(-6.0, 1.0);
        while z < end {
            let facade = if profile.kind == Kind::Avenue && stage.rng.chance(0.3) {
                Facade::tower(stage.rng, &stage.weather)
            } else {
                Facade::town(stage.rng, &stage.weather, shops)
            };
            let rng = &mut *stage.rng;
            let tiles = Rgb::hsv(rng.pick(&[0.02, 0.05, 0.6]), rng.within(0.1, 0.6), rng.within(0.25, 0.6));
            let long = rng.within(3.5, 9.0);
            let set_back = if profile.kind == Kind::Suburb { rng.within(0.0, 3.0) } else { rng.within(0.0, 0.35) };
            let pitched = if profile.kind == Kind::Avenue { 0.2 } else { 0.75 };
            blocks.push(Block {
                at: (side * (wall + set_back + 6.0), z + long),
                half: (6.0, long),
                yaw: 0.0,
                rise: (0.0, storeys * rng.within(0.65, 1.35)),
                facade,
                roof: if rng.chance(pitched) { Roof::Gable(rng.within(0.5, 1.1), tiles) } else { Roof::Flat },
            });
            z += 2.0 * long + if rng.chance(gaps) { rng.within(2.0, 8.0) } else { 0.0 };
        }
    }
    if stage.rng.chance(0.5) {
        let facade = Facade::town(stage.rng, &stage.weather, 0.2);
        let (x, tall) = (stage.rng.within(-8.0, 8.0), storeys * stage.rng.within(0.7, 1.6));
        blocks.push(Block {
            at: (x, end + 12.0),
            half: (16.0, 6.0),
            yaw: 0.0,
            rise: (0.0, tall),
            facade,
            roof: Roof::Flat,
        });
    }
    blocks
}

/// A wet road mirrors the lights.
fn wet(stage: &mut Stage<'_>, view: &View) {
    let gloss = stage.rng.within(0.25, 0.6);
    let noise = &stage.noise;
    stage.canvas.mirror(
        view.horizon + 0.03,
        1.0,
        |x, y| (0.012 * (noise.value(x * 30.0, y * 40.0) - 0.5), 0.05 * (noise.value(x * 9.0, y * 40.0) - 0.5)),
        |x, y, under, mirrored| {
            let puddle = smoothstep(0.3, 0.6, noise.fbm(x * 4.0, y * 9.0, 2));
            under * (1.0 - 0.35 * gloss) + mirrored * (gloss * (0.35 + 0.65 * puddle))
        },
    );
}

/// Cars, people, lamps and trees, the farthest first.
fn furnish(stage: &mut Stage<'_>, view: &View, profile: &Profile) {
    enum Thing {
        Car(bool),
        Person,
        Lamp,
        Tree(Rgb),
    }
    let lane = profile.kind == Kind::Lane;
    let kerb = profile.kerb;
    let mut things: Vec<(f32, f32, Thing)> = Vec::new();
    let cars = if lane { stage.rng.count(0, 1) } else { stage.rng.count(0, 9) };
    for _ in 0..cars {
        let rng = &mut *stage.rng;
        let side = rng.sign();
        let parked = rng.chance(0.5);
        let x = side * if parked || lane { (kerb - 1.1).max(0.0) } else { kerb * 0.45 };
        things.push((rng.within(7.0, 55.0), x, Thing::Car(side < 0.0)));
    }
    for _ in 0..stage.rng.count(0, if lane { 7 } else { 10 }) {
        let rng = &mut *stage.rng;
        let x = if lane { rng.within(-kerb, kerb) } else { rng.sign() * (kerb + rng.within(0.5, 2.5)) };
        things.push((rng.within(4.5, 40.0), x, Thing::Person));
    }
    let lamps = stage.rng.chance(0.7);
    let rows = if lane { 0.0 } else { stage.rng.pick(&[0.0, 0.0, 1.0, 2.0]) };
    let leaves = stage.foliage();
    let (first, step) = (stage.rng.within(5.0, 12.0), stage.rng.within(9.0, 16.0));
    for i in 0..6 {
        let z = first + step * i as f32;
        for side in [-1.0, 1.0] {
            let x = side * (kerb + if lane { 0.3 } else { 0.8 });
            if lamps && (side > 0.0 || !lane) {
                things.push((z, x, Thing::Lamp));
            }
            if rows == 2.0 || rows == 1.0 && side > 0.0 {
                things.push((z + 0.5 * step, x + side * 0.4, Thing::Tree(leaves * stage.rng.within(0.8, 1.2))));
            }
        }
    }
    things.sort_by(|a, b| b.0.total_cmp(&a.0));
    let lamp_height = if lane { 3.6 } else { stage.rng.within(4.5, 8.0) };
    let bark = stage.bark();
    for (z, x, thing) in things {
        match thing {
            Thing::Car(coming) => {
                let paint = props::paintwork(stage.rng);
                props::car(&mut stage.canvas, &stage.weather, view, (x, z), paint, coming);
            }
            Thing::Person => props::person(&mut stage.canvas, &stage.weather, view, (x, z), stage.rng),
            Thing::Lamp => {
                let reach = -x.signum() * if lane { 0.3 } else { 1.4 };
                props::lamp(&mut stage.canvas, &stage.weather, view, (x, z), lamp_height, reach);
            }
            Thing::Tree(leaves) => {
                let (cx, base) = view.project([x, 0.0, z]);
                let height = stage.rng.within(4.5, 8.5) * view.scale(z);
                let distance = z / view.far;
                let tree = Tree { x: cx, base, height, width: height * 0.6, leaves, bark, snow: 0.0, distance };
                plants::broadleaf(&mut stage.canvas, &stage.noise, &stage.weather, tree);
            }
        }
    }
}

/// Cables and lines of flags across the street.
fn wires(stage: &mut Stage<'_>, view: &View, profile: &Profile) {
    let dark = stage.weather.lit(Rgb::grey(0.12), 0.1);
    let thin = 0.6 * stage.canvas.pixel();
    let flags = stage.rng.chance(0.4);
    for i in 0..stage.rng.count(1, 5) {
        let z = 6.0 + 7.0 * i as f32;
        let rng = &mut *stage.rng;
        let (left, right) = (rng.within(4.5, 7.0), rng.within(4.5, 7.0));
        let at = |t: f32| {
            let sag = 0.6 * 4.0 * t * (1.0 - t);
            view.project([
                -profile.walls.0 + t * (profile.walls.0 + profile.walls.1),
                left + (right - left) * t - sag,
                z,
            ])
        };
        for k in 0..12 {
            let (a, b) = (at(k as f32 / 12.0), at((k + 1) as f32 / 12.0));
            stage.canvas.stroke(a, b, thin, thin, dark);
            if flags {
                let colour = stage.weather.lit(Rgb::hsv(stage.rng.unit(), 0.7, 0.85), 0.5);
                let s = 0.45 * view.scale(z);
                stage.canvas.polygon(&[a, (a.0 + 0.6 * s, a.1), (a.0 + 0.3 * s, a.1 + s)], |_, _, _| colour);
            }
        }
    }
}
