//! Draws a sheet of generated scenes, one row a kind, to look at them:
//! `cargo run -p kidu-data --example contact_sheet -- sheet.png [columns] [size] [seed] [kind]`.
//! With a kind, the sheet shows that kind alone, on six rows.

use std::{error::Error, time::Instant};

use image::{RgbImage, imageops};
use kidu_core::rng;
use kidu_data::synth::{SceneKind, draw_scene};

#[allow(clippy::print_stdout, reason = "an example's only output besides its file")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().map_or("contact-sheet.png", String::as_str);
    let number = |index: usize, default: u64| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let (columns, size, seed) = (number(1, 8)? as u32, number(2, 150)? as u32, number(3, 0)?);
    let kinds = match arguments.get(4) {
        Some(name) => [name.parse::<SceneKind>()?; 6],
        None => SceneKind::ALL,
    };
    let gap = 4;
    let mut sheet = RgbImage::new(columns * (size + gap) + gap, 6 * (size + gap) + gap);
    let mut spent = [0.0; 6];
    for (row, kind) in kinds.into_iter().enumerate() {
        for column in 0..columns {
            let start = Instant::now();
            let scene = draw_scene(kind, size, &mut rng::stream(seed, "sheet", &[row as u64, u64::from(column)]));
            spent[row] += start.elapsed().as_secs_f64() * 1e3 / f64::from(columns);
            let (x, y) = (gap + column * (size + gap), gap + row as u32 * (size + gap));
            imageops::replace(&mut sheet, &scene, i64::from(x), i64::from(y));
        }
    }
    sheet.save(path)?;
    for (kind, milliseconds) in kinds.into_iter().zip(spent) {
        println!("{kind}: {milliseconds:.2} ms a picture");
    }
    println!("{path}");
    Ok(())
}
