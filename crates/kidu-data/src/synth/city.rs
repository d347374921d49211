//! Blocks on level ground seen by a camera that stands upright: what streets and groups of buildings are made of.
//! Lengths are metres; x runs right, y up and z away from the viewer.

use super::{
    canvas::{Canvas, Region},
    color::Rgb,
    facade::Facade,
    noise::Noise,
    weather::Weather,
};

/// A point: right, up, away.
pub(super) type Point = [f32; 3];

/// An upright camera over the ground's origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Where lines straight ahead meet, a fraction of the side from the left.
    pub(super) centre: f32,
    /// Height of the horizon, a fraction of the side from the top; may lie outside the picture.
    pub(super) horizon: f32,
    /// Focal length, in sides of the picture.
    pub(super) focal: f32,
    /// Height of the eye.
    pub(super) eye: f32,
    /// Distance at which haze counts as 1.
    pub(super) far: f32,
}

/// What covers a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Roof {
    Flat,
    /// Two slopes, as steep as given (rise over run).
    Gable(f32, Rgb),
    /// Four slopes to a point, as steep as given.
    Pyramid(f32, Rgb),
    Dome(Rgb),
}

/// A building: an upright box.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Centre of its base: right and away.
    pub(super) at: (f32, f32),
    /// Half its width and half its depth.
    pub(super) half: (f32, f32),
    /// Turn about the upright, radians.
    pub(super) yaw: f32,
    /// Height of its base (blocks can stand on blocks) and of its eaves.
    pub(super) rise: (f32, f32),
    pub(super) facade: Facade,
    pub(super) roof: Roof,
}

impl View {
    /// Where a point appears.
    pub(super) fn project(&self, [x, y, z]: Point) -> (f32, f32) {
        (self.centre + self.focal * x / z, self.horizon - self.focal * (y - self.eye) / z)
    }

    /// The size of a metre at distance `z`.
    pub(super) fn scale(&self, z: f32) -> f32 {
        self.focal / z
    }

    /// Paints the ground below the horizon: `shade(x, z, colour so far)` by place.
    pub(super) fn paint_ground(&self, canvas: &mut Canvas, mut shade: impl FnMut(f32, f32, Rgb) -> Rgb) {
        let start = self.horizon + 0.5 / canvas.side() as f32;
        canvas.paint(Region::rows(start, 1.0), |x, y, under| {
            let z = self.eye * self.focal / (y - self.horizon).max(1e-4);
            shade((x - self.centre) * z / self.focal, z, under)
        });
    }
}

/// Where a line of sight meets a block.
struct Hit {
    depth: f32,
    along: f32,
    normal: (f32, f32),
}

impl Block {
    /// From the block's frame to the world.
    fn turn(&self, (x, z): (f32, f32)) -> (f32, f32) {
        let (sin, cos) = self.yaw.sin_cos();
        (cos * x - sin * z, sin * x + cos * z)
    }

    fn corner(&self, x: f32, z: f32, y: f32) -> Point {
        let (tx, tz) = self.turn((x, z));
        [self.at.0 + tx, y, self.at.1 + tz]
    }

    /// Crosses the box with the line (slope · z, z) over the ground.
    fn meet(&self, slope: f32) -> Option<Hit> {
        let (sin, cos) = self.yaw.sin_cos();
        let back = |x: f32, z: f32| (cos * x + sin * z, -sin * x + cos * z);
        let from = back(-self.at.0, -self.at.1);
        let step = back(slope, 1.0);
        let span = |from: f32, step: f32, half: f32| {
            let step = if step.abs() < 1e-6 { 1e-6 } else { step };
            let (a, b) = ((-half - from) / step, (half - from) / step);
            (a.min(b), a.max(b))
        };
        let (x_in, x_out) = span(from.0, step.0, self.half.0);
        let (z_in, z_out) = span(from.1, step.1, self.half.1);
        let depth = x_in.max(z_in);
        if depth > x_out.min(z_out) || depth < 0.3 {
            return None;
        }
        let (along, normal) = if x_in > z_in {
            (from.1 + depth * step.1 + self.half.1, (-step.0.signum(), 0.0))
        } else {
            (from.0 + depth * step.0 + self.half.0, (0.0, -step.1.signum()))
        };
        Some(Hit { depth, along, normal: self.turn(normal) })
    }

    fn draw(&self, canvas: &mut Canvas, noise: &Noise, weather: &Weather, view: &View) {
        let (base, eaves) = self.rise;
        for column in 0..canvas.side() {
            let slope = (canvas.position(column) - view.centre) / view.focal;
            let Some(hit) = self.meet(slope) else { continue };
            let scale = view.focal / hit.depth;
            let top = view.horizon - (eaves - view.eye) * scale;
            let bottom = view.horizon - (base - view.eye) * scale;
            let facing = weather.facing([hit.normal.0, 0.0, -hit.normal.1]);
            // The narrower a wall is seen, the coarser its pattern.
            let slant = (hit.normal.0 * slope + hit.normal.1).abs().max(0.05);
            let grain = 1.0 / (scale * canvas.side() as f32 * slant);
            for row in canvas.index(top)..canvas.index(bottom) {
                let above = (view.horizon - canvas.position(row)) / scale + view.eye - base;
                let colour = self.facade.shade((noise, weather), (hit.along, above), eaves - base, facing, grain);
                *canvas.sample_mut(column, row) = weather.veil(colour, hit.depth / view.far);
            }
        }
        self.draw_roof(canvas, noise, weather, view);
    }

    fn draw_roof(&self, canvas: &mut Canvas, noise: &Noise, weather: &Weather, view: &View) {
        let eaves = self.rise.1;
        let (w, d) = self.half;
        match self.roof {
            Roof::Flat => {}
            Roof::Gable(pitch, colour) => {
                let (along_x, run) = (w >= d, w.min(d));
                let top = eaves + run * pitch;
                let at = |along: f32, across: f32, y: f32| {
                    if along_x { self.corner(along, across, y) } else { self.corner(across, along, y) }
                };
                let long = w.max(d);
                let (hang, low) = (run * 1.12, eaves - 0.12 * run * pitch);
                let wall = self.facade.plain();
                let mut faces: Vec<(Vec<Point>, Rgb, (f32, f32))> = Vec::new();
                for side in [-1.0, 1.0] {
                    let slope = vec![
                        at(-long, side * hang, low),
                        at(long, side * hang, low),
                        at(long, 0.0, top),
                        at(-long, 0.0, top),
                    ];
                    let gable =
                        vec![at(side * long, -run, eaves), at(side * long, run, eaves), at(side * long, 0.0, top)];
                    let (across, along) = if along_x { ((0.0, side), (side, 0.0)) } else { ((side, 0.0), (0.0, side)) };
                    faces.push((slope, colour, self.turn(across)));
                    faces.push((gable, wall, self.turn(along)));
                }
                draw_faces(canvas, noise, weather, view, faces);
            }
            Roof::Pyramid(pitch, colour) => {
                let apex = self.corner(0.0, 0.0, eaves + w.min(d) * pitch);
                let ring = [(-w, -d), (w, -d), (w, d), (-w, d)];
                let faces = (0..4)
                    .map(|i| {
                        let (a, b) = (ring[i], ring[(i + 1) % 4]);
                        let out = ((a.0 + b.0) / (2.0 * w), (a.1 + b.1) / (2.0 * d));
                        (vec![self.corner(a.0, a.1, eaves), self.corner(b.0, b.1, eaves), apex], colour, self.turn(out))
                    })
                    .collect();
                draw_faces(canvas, noise, weather, view, faces);
            }
            Roof::Dome(colour) => {
                let radius = w.min(d) * 0.85;
                let (cx, cy) = view.project([self.at.0, eaves, self.at.1]);
                let r = radius * view.scale(self.at.1);
                canvas.stroke((cx, cy - r), (cx, cy - 1.45 * r), r * 0.12, r * 0.02, weather.lit(colour, 0.3));
                canvas.paint(Region::new(cx - r, cx + r, cy - r, cy), |x, y, under| {
                    let (dx, dy) = ((x - cx) / r, (cy - y) / r);
                    let rest = 1.0 - dx * dx - dy * dy;
                    if rest < 0.0 {
                        return under;
                    }
                    let rib = 0.9 + 0.1 * (dx / rest.sqrt().max(0.2) * 9.0).sin();
                    let facing = weather.facing([dx, dy, rest.sqrt()]);
                    weather.veil(weather.lit(colour * rib, facing), self.at.1 / view.far)
                });
            }
        }
    }
}

/// Paints roof planes, the farthest first; each has its corners, colour and outward direction over the ground.
fn draw_faces(
    canvas: &mut Canvas,
    noise: &Noise,
    weather: &Weather,
    view: &View,
    mut faces: Vec<(Vec<Point>, Rgb, (f32, f32))>,
) {
    let depth = |corners: &[Point]| corners.iter().map(|c| c[2]).sum::<f32>() / corners.len() as f32;
    faces.sort_by(|a, b| depth(&b.0).total_cmp(&depth(&a.0)));
    for (corners, colour, out) in faces {
        if corners.iter().any(|c| c[2] < 0.6) || faces_away(&corners, out, view.eye) {
            continue;
        }
        let z = depth(&corners);
        let seen: Vec<(f32, f32)> = corners.iter().map(|c| view.project(*c)).collect();
        let facing = weather.facing([0.6 * out.0, 0.7, -0.6 * out.1]);
        let pitch = view.scale(z);
        canvas.polygon(&seen, |x, y, _| {
            let tile = noise.value(x / pitch * 1.5, y / pitch * 4.0);
            weather.veil(weather.lit(colour * (0.8 + 0.35 * tile), facing), z / view.far)
        });
    }
}

/// Whether a roof plane turns its back to an eye at the given height over the origin.
fn faces_away(corners: &[Point], out: (f32, f32), eye: f32) -> bool {
    let from = |p: Point, q: Point| [q[0] - p[0], q[1] - p[1], q[2] - p[2]];
    let dot = |a: Point, b: Point| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (a, b) = (from(corners[0], corners[1]), from(corners[0], corners[2]));
    let normal = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let outward = dot(normal, [out.0, 0.5, out.1]).signum();
    outward * dot(normal, from(corners[0], [0.0, eye, 0.0])) < 0.0
}

/// Draws blocks, the farthest first; of blocks at one distance the lower first.
pub(super) fn draw_blocks(canvas: &mut Canvas, noise: &Noise, weather: &Weather, view: &View, blocks: &mut [Block]) {
    blocks.sort_by(|a, b| b.at.1.total_cmp(&a.at.1).then(a.rise.0.total_cmp(&b.rise.0)));
    for block in blocks.iter() {
        block.draw(canvas, noise, weather, view);
    }
}
