//! Photographs to the input of a network on one core: decode, resize to 224 x 224, normalise.

use std::{fs, hint::black_box, path::Path};

use anyhow::{Context, anyhow};
use image::{codecs::jpeg::JpegEncoder, imageops};
use kidu_core::{Filter, ImageSpec, rng};
use kidu_data::synth::{SceneKind, draw_scene};
use kidu_image::{Limits, Preprocessor};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::{
    SEED,
    peer::Peers,
    turns::{self, Measured, Rival, Rules},
};
use crate::{Outcome, verbs::predict};

/// Side of the network's input.
const SIZE: u32 = 224;

/// The most photographs of a folder, spread evenly over it.
const MOST: usize = 64;

/// Drawn scenes of each kind, 640 x 480 as JPEG of this quality.
const SCENES: u64 = 2;
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const QUALITY: u8 = 90;

/// The rate of one core.
#[derive(Debug, Serialize)]
pub(super) struct Images {
    /// Where the photographs came from.
    pub(super) source: String,
    pub(super) photographs: usize,
    pub(super) images_per_second: f64,
    /// Seconds are those of one photograph.
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// Encoded photographs.
pub(super) struct Photographs {
    pub(super) source: String,
    pub(super) files: Vec<Vec<u8>>,
}

impl Photographs {
    /// Reads a folder, or draws scenes.
    pub(super) fn new(folder: Option<&Path>) -> Outcome<Self> {
        match folder {
            Some(folder) => Self::read(folder),
            None => Self::draw(),
        }
    }

    fn read(folder: &Path) -> Outcome<Self> {
        let mut paths = predict::expand(&[folder.to_path_buf()])?;
        let is_jpeg = |path: &Path| {
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"))
        };
        paths.retain(|path| is_jpeg(path));
        if paths.is_empty() {
            return Err(anyhow!("{} holds no .jpg; give a folder of photographs", folder.display()).into());
        }
        let files = paths.iter().step_by(paths.len().div_ceil(MOST));
        let files = files.map(|path| fs::read(path).with_context(|| format!("cannot read {}", path.display())));
        Ok(Self { source: folder.display().to_string(), files: files.collect::<anyhow::Result<_>>()? })
    }

    fn draw() -> Outcome<Self> {
        let jobs: Vec<(SceneKind, u64)> =
            SceneKind::ALL.into_iter().flat_map(|kind| (0..SCENES).map(move |i| (kind, i))).collect();
        let files = jobs.par_iter().map(|(kind, i)| {
            let scene = draw_scene(*kind, WIDTH, &mut rng::stream(SEED, "bench", &[*kind as u64, *i]));
            let part = imageops::crop_imm(&scene, 0, (WIDTH - HEIGHT) / 2, WIDTH, HEIGHT).to_image();
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&part)?;
            Ok(bytes)
        });
        let files = files.collect::<anyhow::Result<_>>()?;
        Ok(Self { source: format!("drawn scenes, {WIDTH}x{HEIGHT}, JPEG quality {QUALITY}"), files })
    }
}

/// Measures Kidu, and Pillow if there is a peer.
pub(super) fn measure(photographs: &Photographs, rounds: u32, peers: &mut Peers) -> Outcome<Images> {
    let preprocessor = Preprocessor::new(&ImageSpec::imagenet(SIZE, Filter::Bilinear));
    let limits = Limits::default();
    let files = &photographs.files;
    let mut pass = || {
        for bytes in files {
            let input = preprocessor.preprocess(bytes, &limits);
            black_box(input.with_context(|| format!("a photograph of {}", photographs.source))?);
        }
        Ok(())
    };
    let hex = |bytes: &Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let request = json!({"kind": "pillow", "size": SIZE, "photographs": files.iter().map(hex).collect::<Vec<_>>()});
    let rivals = [Rival { name: "Pillow", request }];
    let rules = Rules { rounds, units: files.len() };
    let measured = turns::in_turn(rules, &mut |seconds| turns::turn(seconds, &mut pass), peers.at(1)?, &rivals)?;
    let rate = 1.0 / measured.kidu.seconds;
    Ok(Images { source: photographs.source.clone(), photographs: files.len(), images_per_second: rate, measured })
}
