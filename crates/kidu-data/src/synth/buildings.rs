//! Buildings: towers, blocks, houses, landmarks and skylines, with the ground they stand on.

use super::{
    city::{self, Block, Roof, View},
    color::Rgb,
    facade::Facade,
    noise::{Dice, split},
    plants::{self, Tree},
    props,
    stage::Stage,
    weather::Mood,
};

pub(super) const MOODS: &[(Mood, f32)] = &[
    (Mood::Clear, 3.0),
    (Mood::Fair, 3.0),
    (Mood::Overcast, 2.2),
    (Mood::Mist, 0.4),
    (Mood::Golden, 1.0),
    (Mood::Dusk, 0.8),
    (Mood::Night, 0.8),
];

pub(super) fn draw(stage: &mut Stage<'_>) {
    match stage.rng.count(0, 11) {
        0..=3 => corner(stage),
        4..=5 => front(stage),
        6..=7 => house(stage),
        8..=9 => skyline(stage),
        _ => landmark(stage),
    }
}

/// The colour of tiles, slate or copper.
fn roofing(stage: &mut Stage<'_>) -> Rgb {
    let rng = &mut *stage.rng;
    match rng.count(0, 4) {
        0 | 1 => Rgb::hsv(rng.within(0.0, 0.06), rng.within(0.35, 0.7), rng.within(0.35, 0.7)),
        2 => Rgb::hsv(0.45, 0.3, 0.6),
        _ => Rgb::hsv(0.6, rng.within(0.0, 0.2), rng.within(0.2, 0.5)),
    }
}

/// Sky and the ground at the buildings' feet: lawn, pavement or a square.
fn setting(stage: &mut Stage<'_>, view: &View) {
    stage.sky(view.horizon.clamp(0.3, 1.0), view.horizon + 0.01);
    let lawn = stage.rng.chance(0.4);
    let colour =
        if lawn { stage.grass() } else { Rgb::hsv(0.1, stage.rng.within(0.0, 0.2), stage.rng.within(0.35, 0.75)) };
    let slab = stage.rng.within(1.0, 3.0);
    let (noise, weather) = (&stage.noise, &stage.weather);
    view.paint_ground(&mut stage.canvas, |x, z, _| {
        let grain = noise.fbm(x * 1.2, z * 1.2, 2);
        let joint = !lawn && z < 14.0 * slab && split(x / slab).1.min(split(z / slab).1) < 0.05;
        weather.veil(weather.lit(colour * (if joint { 0.75 } else { 0.8 + 0.4 * grain }), 0.6), z / view.far)
    });
}

/// Trees, cars and people before a building, between two distances.
fn clutter(stage: &mut Stage<'_>, view: &View, near: f32, far: f32) {
    let things = stage.rng.count(0, 5);
    let mut depths: Vec<f32> = (0..things).map(|_| stage.rng.within(near, far)).collect();
    depths.sort_by(|a, b| b.total_cmp(a));
    for z in depths {
        let leaves = stage.foliage();
        let bark = stage.bark();
        let x = stage.rng.within(-0.6, 0.6) * z / view.focal;
        match stage.rng.count(0, 3) {
            0 | 1 => {
                let metres = stage.rng.within(2.5, 6.0);
                let (cx, base) = view.project([x, 0.0, z]);
                let height = metres * view.scale(z);
                let width = height * stage.rng.within(0.5, 0.8);
                let tree = Tree { x: cx, base, height, width, leaves, bark, snow: 0.0, distance: z / view.far };
                plants::broadleaf(&mut stage.canvas, &stage.noise, &stage.weather, tree);
            }
            2 => {
                let paint = props::paintwork(stage.rng);
                props::car_aside(&mut stage.canvas, &stage.weather, view, (x, z), paint);
            }
            _ => props::person(&mut stage.canvas, &stage.weather, view, (x, z), stage.rng),
        }
    }
}

/// One or a few large buildings seen at the corner, often from below.
fn corner(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let low = rng.chance(0.35);
    let view = View {
        centre: rng.within(0.35, 0.65),
        horizon: if low { rng.within(1.0, 1.35) } else { rng.within(0.72, 0.92) },
        focal: rng.within(0.7, 1.1),
        eye: 1.7,
        far: 250.0,
    };
    stage.lens.lean = if low { rng.within(0.15, 0.45) } else { rng.within(0.0, 0.15) };
    let distance = rng.within(26.0, 48.0);
    let mut blocks = Vec::new();
    for k in 0..stage.rng.count(1, 4) {
        let facade = if stage.rng.chance(0.6) {
            Facade::tower(stage.rng, &stage.weather)
        } else {
            Facade::town(stage.rng, &stage.weather, 0.4)
        };
        let tiles = roofing(stage);
        let rng = &mut *stage.rng;
        let z = distance + 26.0 * k as f32;
        let reach = z / view.focal * view.horizon;
        let across = if k == 0 { rng.within(-5.0, 5.0) } else { rng.sign() * rng.within(9.0, 0.5 * z / view.focal) };
        let tall = reach * rng.within(0.6, 1.25);
        let roof = match rng.count(0, 5) {
            0 => Roof::Pyramid(rng.within(0.3, 1.0), tiles),
            1 if tall < 30.0 => Roof::Gable(rng.within(0.5, 1.1), tiles),
            _ => Roof::Flat,
        };
        blocks.push(Block {
            at: (across, z),
            half: (rng.within(7.0, 13.0), rng.within(7.0, 12.0)),
            yaw: rng.within(0.35, 1.2),
            rise: (0.0, tall),
            facade,
            roof,
        });
    }
    setting(stage, &view);
    city::draw_blocks(&mut stage.canvas, &stage.noise, &stage.weather, &view, &mut blocks);
    if !low {
        clutter(stage, &view, 13.0, 20.0);
    }
}

/// A row of fronts that fills the picture.
fn front(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let view = View {
        centre: rng.within(0.2, 0.8),
        horizon: rng.within(0.75, 0.97),
        focal: rng.within(0.9, 1.3),
        eye: rng.within(1.6, 4.0),
        far: 250.0,
    };
    let z = rng.within(18.0, 34.0);
    let yaw = rng.within(-0.25, 0.25);
    let storeys = z / view.focal * rng.within(0.4, 1.1);
    let (sin, cos) = yaw.sin_cos();
    let mut along = -1.1 * z / view.focal;
    let mut blocks = Vec::new();
    while along < 1.1 * z / view.focal {
        let tiles = roofing(stage);
        let facade = if stage.rng.chance(0.25) {
            Facade::tower(stage.rng, &stage.weather)
        } else {
            Facade::town(stage.rng, &stage.weather, 0.3)
        };
        let rng = &mut *stage.rng;
        let half = rng.within(4.0, 14.0);
        let middle = along + half;
        let tall = storeys * rng.within(0.75, 1.25);
        blocks.push(Block {
            at: (middle * cos, z + 5.0 + middle * sin),
            half: (half, 5.0),
            yaw,
            rise: (0.0, tall),
            facade,
            roof: if rng.chance(0.4) { Roof::Gable(rng.within(0.5, 1.2), tiles) } else { Roof::Flat },
        });
        along += 2.0 * half;
    }
    setting(stage, &view);
    city::draw_blocks(&mut stage.canvas, &stage.noise, &stage.weather, &view, &mut blocks);
    clutter(stage, &view, 10.0, z * 0.9);
}

/// Houses with gardens.
fn house(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let view = View {
        centre: 0.5,
        horizon: rng.within(0.55, 0.75),
        focal: rng.within(0.9, 1.3),
        eye: rng.within(1.7, 5.0),
        far: 180.0,
    };
    let mut blocks = Vec::new();
    for k in 0..stage.rng.count(1, 3) {
        let tiles = roofing(stage);
        let facade = Facade::town(stage.rng, &stage.weather, 0.05);
        let rng = &mut *stage.rng;
        let z = rng.within(15.0, 21.0) + 12.0 * k as f32;
        let x = if k == 0 { rng.within(-3.0, 3.0) } else { rng.sign() * rng.within(8.0, 0.5 * z) };
        let yaw = rng.within(-0.8, 0.8);
        let (half, eaves) = ((rng.within(4.0, 7.0), rng.within(3.5, 5.0)), rng.within(3.2, 7.0));
        let pitch = rng.within(0.5, 1.3);
        let roof = if rng.chance(0.75) { Roof::Gable(pitch, tiles) } else { Roof::Pyramid(pitch, tiles) };
        if rng.chance(0.5) {
            // A wing across the front.
            let (sin, cos) = yaw.sin_cos();
            let along = rng.within(-2.5, 2.5);
            blocks.push(Block {
                at: (x + along * cos + half.1 * sin, z + along * sin - half.1 * cos),
                half: (2.2, 2.4),
                yaw,
                rise: (0.0, eaves * 0.95),
                facade: facade.clone(),
                roof: Roof::Gable(pitch, tiles),
            });
        }
        blocks.push(Block { at: (x, z), half, yaw, rise: (0.0, eaves), facade, roof });
    }
    setting(stage, &view);
    for _ in 0..stage.rng.count(0, 6) {
        let (leaves, bark) = (stage.foliage(), stage.bark());
        let (x, tall) = (stage.rng.unit(), stage.rng.within(0.2, 0.45));
        let tree = Tree {
            x,
            base: view.horizon + 0.05,
            height: tall,
            width: tall * 0.75,
            leaves,
            bark,
            snow: 0.0,
            distance: 0.25,
        };
        plants::broadleaf(&mut stage.canvas, &stage.noise, &stage.weather, tree);
    }
    city::draw_blocks(&mut stage.canvas, &stage.noise, &stage.weather, &view, &mut blocks);
    clutter(stage, &view, 10.0, 13.0);
}

/// Many towers far off, over a park, roofs or water.
fn skyline(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let view = View {
        centre: 0.5,
        horizon: rng.within(0.55, 0.82),
        focal: rng.within(1.0, 1.8),
        eye: rng.within(2.0, 25.0),
        far: 900.0,
    };
    let water = rng.chance(0.4);
    let tall = rng.within(0.15, 0.42);
    setting(stage, &view);
    let mut blocks = Vec::new();
    for _ in 0..stage.rng.count(12, 26) {
        let tiles = roofing(stage);
        let facade = Facade::tower(stage.rng, &stage.weather);
        let rng = &mut *stage.rng;
        let z = rng.within(170.0, 420.0);
        let x = rng.within(-0.58, 0.58) * z / view.focal;
        let top = view.eye + tall * z / view.focal * rng.within(0.25, 1.1);
        let half = (rng.within(7.0, 20.0), rng.within(7.0, 16.0));
        let yaw = rng.within(-0.6, 0.6);
        let roof = if rng.chance(0.15) { Roof::Pyramid(rng.within(0.6, 2.5), tiles) } else { Roof::Flat };
        if rng.chance(0.25) {
            let upper = (half.0 * 0.6, half.1 * 0.6);
            let facade = facade.clone();
            blocks.push(Block { at: (x, z), half: upper, yaw, rise: (top, top * 1.25), facade, roof });
            blocks.push(Block {
                at: (x, z + 0.01),
                half,
                yaw,
                rise: (0.0, top),
                facade: blocks[blocks.len() - 1].facade.clone(),
                roof: Roof::Flat,
            });
        } else {
            blocks.push(Block { at: (x, z), half, yaw, rise: (0.0, top), facade, roof });
        }
    }
    city::draw_blocks(&mut stage.canvas, &stage.noise, &stage.weather, &view, &mut blocks);
    if water {
        let line = view.horizon + stage.rng.within(0.03, 0.08);
        let colour = Rgb::hsv(stage.rng.within(0.5, 0.62), 0.35, stage.rng.within(0.25, 0.5));
        let ripple = stage.rng.within(0.3, 1.0);
        stage.water(line, 1.0, colour, ripple);
        return;
    }
    let row = stage.rng.count(0, 14);
    for _ in 0..row {
        let (leaves, bark) = (stage.foliage() * 0.8, stage.bark());
        let rng = &mut *stage.rng;
        let height = rng.within(0.05, 0.16);
        let tree = Tree {
            x: rng.unit(),
            base: view.horizon + rng.within(0.05, 0.3),
            height,
            width: height * 0.95,
            leaves,
            bark,
            snow: 0.0,
            distance: 0.2,
        };
        plants::broadleaf(&mut stage.canvas, &stage.noise, &stage.weather, tree);
    }
}

/// A church, a hall with a dome, or a stepped tower.
fn landmark(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let view = View {
        centre: rng.within(0.4, 0.6),
        horizon: rng.within(0.72, 0.95),
        focal: rng.within(0.8, 1.2),
        eye: 1.7,
        far: 250.0,
    };
    stage.lens.lean = rng.within(0.0, 0.2);
    let (z, yaw) = (rng.within(38.0, 55.0), rng.within(-0.6, 0.6));
    let unit = z / view.focal * view.horizon;
    let tiles = roofing(stage);
    let facade = Facade::town(stage.rng, &stage.weather, 0.0);
    let rng = &mut *stage.rng;
    let block = |dx: f32, dz: f32, half: (f32, f32), rise: (f32, f32), roof: Roof| Block {
        at: (dx * yaw.cos(), z + dz + dx * yaw.sin()),
        half,
        yaw,
        rise,
        facade: facade.clone(),
        roof,
    };
    let mut blocks = match rng.count(0, 2) {
        0 => {
            let nave = unit * rng.within(0.28, 0.4);
            let tower = unit * rng.within(0.5, 0.65);
            vec![
                block(6.0, 1.0, (13.0, 7.0), (0.0, nave), Roof::Gable(1.0, tiles)),
                block(-8.0, -1.0, (4.5, 4.5), (0.0, tower), Roof::Pyramid(rng.within(1.5, 3.2), tiles)),
            ]
        }
        1 => {
            let hall = unit * rng.within(0.3, 0.42);
            let drum = hall + unit * rng.within(0.06, 0.14);
            vec![
                block(0.0, 2.0, (18.0, 9.0), (0.0, hall), Roof::Flat),
                block(0.0, 0.0, (7.5, 7.0), (hall, drum), Roof::Dome(tiles)),
                block(0.0, -6.0, (5.5, 4.0), (0.0, hall * 0.9), Roof::Gable(0.5, tiles)),
            ]
        }
        _ => {
            let steps = [unit * 0.35, unit * 0.62, unit * 0.82];
            vec![
                block(0.0, 0.2, (13.0, 12.0), (0.0, steps[0]), Roof::Flat),
                block(0.0, 0.1, (9.0, 8.0), (steps[0], steps[1]), Roof::Flat),
                block(0.0, 0.0, (5.0, 5.0), (steps[1], steps[2]), Roof::Pyramid(rng.within(0.8, 3.0), tiles)),
            ]
        }
    };
    setting(stage, &view);
    city::draw_blocks(&mut stage.canvas, &stage.noise, &stage.weather, &view, &mut blocks);
    clutter(stage, &view, 15.0, 26.0);
}
