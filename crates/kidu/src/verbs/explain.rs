//! `kidu explain`: which parts of an image a prediction rests on.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use image::RgbImage;
use kidu_core::{Bundle, BundleManifest, Prediction, Progress, files, suggest};
use kidu_explain::{
    Baseline, Differentiable, ExplainError, HeatMap, IntegratedGradients, Method, faithfulness, grad_cam::grad_cam,
    occlusion::Occlusion, overlay,
};
use kidu_image::{Layout, Limits, Preprocessor};
use serde::Serialize;

use super::predict;
use crate::{
    Outcome,
    cli::{ExplainArgs, ExplainBaseline, ExplainMethod, IntegralMethod},
    failure::Failure,
    ui::{self, Console},
};

/// The largest share of values that the colours leave out, in percent: single pixels would darken all others.
const OUTLIERS: f64 = 1.0;

/// Standard deviation in pixels, and of the noise in normalised values.
const BLUR: f64 = 12.0;
const NOISE: f64 = 0.5;
const NOISE_SAMPLES: usize = 8;

/// Steps of Integrated Gradients where none are asked for: so many, and doubled up to so many.
const STEPS: usize = 50;
const MOST_STEPS: usize = 800;

/// What is told of one image.
#[derive(Debug, Serialize)]
struct Explanation {
    path: PathBuf,
    /// The predicted class with its probability.
    label: String,
    score: f32,
    /// The class that is explained.
    target: String,
    picture: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergence_delta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergence_delta_percent: Option<f64>,
    /// Nodes of the integral.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// Area below the deletion curve: the less the better.
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<f64>,
    /// Area below the insertion curve: the more the better.
    #[serde(skip_serializing_if = "Option::is_none")]
    insertion: Option<f64>,
}

pub(super) fn run(arguments: &ExplainArgs) -> Outcome {
    let bundle = Bundle::open(&arguments.model.bundle)?;
    let console = Console::new();
    let explainer = Explainer::new(arguments, &bundle, &console)?;
    let paths = predict::expand(&arguments.images)?;
    let passes = explainer.passes() * paths.len() as u64;
    console.begin("explain", "passes", Some(passes));
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for (number, path) in paths.iter().enumerate() {
        match explainer.explain(number, path)? {
            Ok(explanation) => found.push(explanation),
            Err(error) => {
                console.note(&format!("{}: no explanation: {error}", path.display()));
                refused.push(path.display().to_string());
            }
        }
    }
    console.end();
    files::write_json(&arguments.out.join("explanations.json"), &found)?;
    if arguments.json {
        ui::json(&found)?;
    } else {
        found.iter().for_each(print);
    }
    ui::place("wrote", &arguments.out);
    match refused.as_slice() {
        [] => Ok(()),
        [first, more @ ..] => {
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            Err(Failure::Failed(anyhow::anyhow!(
                "{} of {} images have a convergence delta above {} % (--max-delta) and no picture: {first}{more}",
                refused.len(),
                paths.len(),
                arguments.max_delta
            )))
        }
    }
}

/// The heat map of an image, and for Integrated Gradients how exact it is.
struct Map {
    heat: HeatMap,
    exactness: Option<Exactness>,
}

struct Exactness {
    delta: f64,
    percent: f64,
    steps: usize,
}

struct Explainer<'a> {
    arguments: &'a ExplainArgs,
    manifest: &'a BundleManifest,
    network: Differentiable,
    preprocessor: Preprocessor,
    /// Index of the class that was asked for.
    target: Option<usize>,
    console: &'a Console,
}

impl<'a> Explainer<'a> {
    fn new(arguments: &'a ExplainArgs, bundle: &'a Bundle, console: &'a Console) -> Outcome<Self> {
        let manifest = bundle.manifest();
        let target = arguments.target.as_deref().map(|name| class_of(manifest, name)).transpose()?;
        let network = Differentiable::open(bundle).map_err(failure)?;
        let preprocessor = Preprocessor::new(&manifest.image);
        Ok(Self { arguments, manifest, network, preprocessor, target, console })
    }

    /// Passes for one image, as progress counts them.
    fn passes(&self) -> u64 {
        let [_, height, width] = self.network.shape();
        match self.arguments.method {
            ExplainMethod::IntegratedGradients if self.arguments.baseline == ExplainBaseline::Noise => {
                (self.arguments.steps.unwrap_or(STEPS) * NOISE_SAMPLES) as u64
            }
            ExplainMethod::IntegratedGradients => self.arguments.steps.unwrap_or(STEPS) as u64,
            ExplainMethod::GradCam => 1,
            ExplainMethod::Occlusion => self.occlusion().windows(height, width) as u64,
        }
    }

    /// Explains an image and draws its picture. The inner error: the attributions do not add up.
    fn explain(&self, number: usize, path: &Path) -> Outcome<Result<Explanation, ExplainError>> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let pixels = self.pixels(&bytes).with_context(|| path.display().to_string())?;
        let mut image = vec![0.0; self.network.len()];
        self.preprocessor.normalize_into(&pixels, Layout::Chw, &mut image);
        let logits = self.network.logits(&image).map_err(failure)?;
        let prediction = Prediction::from_logits(&logits, self.manifest.temperature, &self.manifest.classes);
        let predicted = self.manifest.classes.index_of(&prediction.label).unwrap_or_default();
        let target = self.target.unwrap_or(predicted);
        let Map { heat, exactness } = match self.map(&image, target) {
            Err(error @ ExplainError::Convergence { .. }) => return Ok(Err(error)),
            other => other.map_err(|e| in_file(e, path))?,
        };
        let areas = self.faithfulness(&image, &heat, target).map_err(|e| in_file(e, path))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let picture = self.arguments.out.join(format!("model_explanation_{number:03}_{name}.png"));
        let class = self.manifest.classes[target].to_string();
        let title =
            format!("{name}: {} {:.1} %; {} for {class}", prediction.label, 100.0 * prediction.score, self.method());
        let drawn = overlay::picture(&pixels, &heat.normalised(OUTLIERS), &title).map_err(failure)?;
        files::create_dir_all(&self.arguments.out)?;
        files::write_atomic(&picture, &drawn)?;
        Ok(Ok(Explanation {
            path: path.to_path_buf(),
            label: prediction.label,
            score: prediction.score,
            target: class,
            picture,
            convergence_delta: exactness.as_ref().map(|e| e.delta),
            convergence_delta_percent: exactness.as_ref().map(|e| e.percent),
            steps: exactness.map(|e| e.steps),
            deletion: areas.map(|a| a.0),
            insertion: areas.map(|a| a.1),
        }))
    }

    /// The image as the network sees it, before normalising.
    fn pixels(&self, bytes: &[u8]) -> anyhow::Result<RgbImage> {
        let image = kidu_image::decode(bytes, &Limits::default())?;
        Ok(self.preprocessor.resize(&image))
    }

    fn map(&self, image: &[f32], target: usize) -> Result<Map, ExplainError> {
        let advance = |passes: usize| self.console.advance(passes as u64);
        let heat = match self.arguments.method {
            ExplainMethod::IntegratedGradients => return self.integrated(image, target),
            ExplainMethod::GradCam => {
                let map = grad_cam(&self.network, image, target)?;
                advance(1);
                map
            }
            ExplainMethod::Occlusion => self.occlusion().attribute(&self.network, image, target, advance)?,
        };
        Ok(Map { heat, exactness: None })
    }

    fn integrated(&self, image: &[f32], target: usize) -> Result<Map, ExplainError> {
        // Steps that were asked for are taken as they are.
        let (asked, first) = (self.arguments.steps, self.passes());
        let most = asked.unwrap_or(MOST_STEPS);
        let done = Cell::new(0);
        // Progress knows of the first attempt; how many will follow cannot be told before.
        let advance = |passes: usize| {
            let counted = (passes as u64).min(first - done.get());
            done.set(done.get() + counted);
            self.console.advance(counted);
            if counted == 0 {
                self.console.set_message("more steps");
            }
        };
        let (found, steps) =
            self.integrated_gradients().attribute_within(&self.network, image, target, most, advance)?;
        let exactness = Exactness { delta: found.convergence_delta, percent: found.delta_percent(), steps };
        Ok(Map { heat: HeatMap::of_magnitudes(&found.values, self.network.shape()), exactness: Some(exactness) })
    }

    fn integrated_gradients(&self) -> IntegratedGradients {
        let arguments = self.arguments;
        IntegratedGradients {
            steps: arguments.steps.unwrap_or(STEPS),
            method: match arguments.integral {
                IntegralMethod::Gausslegendre => Method::GaussLegendre,
                IntegralMethod::RiemannLeft => Method::RiemannLeft,
                IntegralMethod::RiemannRight => Method::RiemannRight,
                IntegralMethod::RiemannMiddle => Method::RiemannMiddle,
                IntegralMethod::RiemannTrapezoid => Method::RiemannTrapezoid,
            },
            baseline: match arguments.baseline {
                ExplainBaseline::Zero => Baseline::Zero,
                ExplainBaseline::Blur => Baseline::Blur(BLUR),
                ExplainBaseline::Noise => Baseline::Noise { samples: NOISE_SAMPLES, std: NOISE, seed: arguments.seed },
            },
            internal_batch_size: arguments.internal_batch_size,
            max_delta_percent: Some(arguments.max_delta),
        }
    }

    fn occlusion(&self) -> Occlusion {
        let side = self.network.shape()[1].min(self.network.shape()[2]);
        Occlusion { internal_batch_size: self.arguments.internal_batch_size, ..Occlusion::for_side(side) }
    }

    /// Areas below the deletion and the insertion curve.
    fn faithfulness(&self, image: &[f32], map: &HeatMap, target: usize) -> Result<Option<(f64, f64)>, ExplainError> {
        let steps = self.arguments.faithfulness_steps;
        if steps == 0 {
            return Ok(None);
        }
        let (deletion, insertion) = faithfulness(&self.network, image, map, target, steps)?;
        Ok(Some((deletion.area(), insertion.area())))
    }

    fn method(&self) -> &'static str {
        match self.arguments.method {
            ExplainMethod::IntegratedGradients => "Integrated Gradients",
            ExplainMethod::GradCam => "Grad-CAM",
            ExplainMethod::Occlusion => "occlusion",
        }
    }
}

fn class_of(manifest: &BundleManifest, name: &str) -> Outcome<usize> {
    manifest.classes.index_of(name).ok_or_else(|| {
        let hint = suggest::did_you_mean(suggest::nearest(name, manifest.classes.iter()));
        Failure::usage(format!("--target {name}: the bundle has no such class{hint}"))
    })
}

fn failure(error: ExplainError) -> Failure {
    match error {
        ExplainError::Option { .. } => Failure::Usage(error.into()),
        other => Failure::Failed(other.into()),
    }
}

fn in_file(error: ExplainError, path: &Path) -> Failure {
    match error {
        ExplainError::Option { .. } => Failure::Usage(error.into()),
        other => Failure::Failed(anyhow::Error::from(other).context(path.display().to_string())),
    }
}

fn print(explanation: &Explanation) {
    let Explanation { path, label, score, target, picture, .. } = explanation;
    let mut line = format!("{}: {label} {:.1} %, for {target}", path.display(), 100.0 * score);
    if let Some(percent) = explanation.convergence_delta_percent {
        line += &format!("; convergence delta {percent:.2} %");
        if let Some(steps) = explanation.steps.filter(|s| *s > STEPS) {
            line += &format!(" after {steps} steps");
        }
    }
    if let (Some(deletion), Some(insertion)) = (explanation.deletion, explanation.insertion) {
        line += &format!("; deletion {deletion:.3}, insertion {insertion:.3}");
    }
    ui::line(format!("{line}\n  {}", picture.display()));
}
