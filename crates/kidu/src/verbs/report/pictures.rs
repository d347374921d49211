//! Small pictures of images, and of what the model looked at.

use std::{collections::BTreeMap, fs, io::Cursor, path::PathBuf};

use image::{ImageFormat, RgbImage};
use kidu_core::{Bundle, Filter, ImageSpec, Progress};
use kidu_eval::{
    Scores,
    report::{self, Picture},
};
use kidu_explain::{Differentiable, HeatMap, IntegratedGradients, grad_cam::grad_cam, overlay};
use kidu_image::{Layout, Limits, Preprocessor};

use crate::{Outcome, cli::HeatMaps};

/// An image to draw.
pub(crate) struct Wanted {
    /// Its place among the predictions.
    pub(crate) index: usize,
    pub(crate) path: PathBuf,
    /// The class that is explained.
    pub(crate) class: usize,
}

/// Largest side of a picture without a model, in pixels.
const SIDE: u32 = 224;
/// The largest share of values that the colours leave out, in percent.
const OUTLIERS: f64 = 1.0;

/// The surest mistakes and the least certain images, `most` of each, in the order of the predictions.
pub(crate) fn worth_a_look(scores: &Scores, most: usize) -> Vec<usize> {
    let mut wanted = report::surest_mistakes(scores, most);
    wanted.extend(report::least_certain(scores, most));
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Pictures by the images' places. What cannot be read or explained is noted and left out.
pub(crate) fn draw(
    images: &[Wanted],
    bundle: Option<&Bundle>,
    heat_maps: HeatMaps,
    progress: &dyn Progress,
) -> Outcome<BTreeMap<usize, Picture>> {
    let artist = Artist::new(bundle, heat_maps)?;
    progress.begin("pictures", "images", Some(images.len() as u64));
    let mut drawn = BTreeMap::new();
    for wanted in images {
        match artist.draw(wanted) {
            Ok(picture) => drop(drawn.insert(wanted.index, picture)),
            Err(reason) => progress.note(&format!("no picture of {}: {reason:#}", wanted.path.display())),
        }
        progress.advance(1);
    }
    progress.end();
    Ok(drawn)
}

struct Artist {
    preprocessor: Preprocessor,
    network: Option<Differentiable>,
    heat_maps: HeatMaps,
}

impl Artist {
    fn new(bundle: Option<&Bundle>, heat_maps: HeatMaps) -> Outcome<Self> {
        let spec = bundle.map_or_else(|| ImageSpec::imagenet(SIDE, Filter::Bilinear), |b| b.manifest().image.clone());
        let explained = bundle.filter(|_| heat_maps != HeatMaps::None);
        let network = explained.map(Differentiable::open).transpose().map_err(anyhow::Error::from)?;
        Ok(Self { preprocessor: Preprocessor::new(&spec), network, heat_maps })
    }

    fn draw(&self, wanted: &Wanted) -> anyhow::Result<Picture> {
        let image = kidu_image::decode(&fs::read(&wanted.path)?, &Limits::default())?;
        let pixels = self.preprocessor.resize(&image);
        let map = self.network.as_ref().map(|network| self.map(network, &pixels, wanted.class)).transpose()?;
        let heat_map = map.map(|map| jpeg(&overlay::blend(&pixels, &map.normalised(OUTLIERS)))).transpose()?;
        Ok(Picture { image: jpeg(&pixels)?, heat_map })
    }

    fn map(&self, network: &Differentiable, pixels: &RgbImage, class: usize) -> anyhow::Result<HeatMap> {
        let mut input = vec![0.0; network.len()];
        self.preprocessor.normalize_into(pixels, Layout::Chw, &mut input);
        if self.heat_maps == HeatMaps::GradCam {
            let map = grad_cam(network, &input, class)?;
            return Ok(map.resized(pixels.height() as usize, pixels.width() as usize));
        }
        let found = IntegratedGradients::default().attribute(network, &input, class, |_| {})?;
        Ok(HeatMap::of_magnitudes(&found.values, network.shape()))
    }
}

fn jpeg(image: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg)?;
    Ok(bytes.into_inner())
}
