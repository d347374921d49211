//! The gradient of a logit with respect to the image: a forward pass that keeps what the way back needs, and the way
//! back, on the same folded and packed weights as the inference plan.
//!
//! Explanations run it dozens of times for one image. As the weights get no gradient and batch norm uses its running
//! statistics, a convolution with its normalisation is one affine map: its backward pass is a convolution with the
//! folded weights, behind the activation's mask.

mod build;

use std::sync::Mutex;

use kidu_core::Architecture;
use kidu_kernels::{
    ConvShape, Epilogue, Packed, conv, depthwise,
    norm::Bounds,
    pool,
    stem::{self, PaddedImage, StemWeights},
    unfilled,
    winograd::{self, WinogradWeights},
};
use rayon::prelude::*;

use crate::{
    error::{EngineError, Result},
    order::{to_channels_first, to_channels_last},
    weights::Weights,
};

/// A network ready to tell how the logits of an image change with its values.
///
/// Images do not touch each other: each is taken through the network and back by itself, several at the same time on
/// the threads of the present pool. Results do not depend on how many there are.
pub struct InputGradients {
    layers: Vec<Layer>,
    /// Shape of the image and of each layer's output, channels first.
    shapes: Vec<[usize; 3]>,
    /// `[classes, features]` and `[classes]`.
    classifier: (Vec<f32>, Vec<f32>),
    idle: Mutex<Vec<Workspace>>,
}

/// A layer reads the values of earlier ones and writes its own; value 0 is the image, value i + 1 that of layer i.
struct Layer {
    reads: usize,
    /// Added before the activation.
    shortcut: Option<usize>,
    shape: ConvShape,
    bounds: Bounds,
    work: Work,
}

/// The way there, and the way back.
enum Work {
    Stem { weights: StemWeights, back: Packed, bias: Vec<f32> },
    Direct { weights: Packed, back: Packed, bias: Vec<f32> },
    Winograd { weights: WinogradWeights, back: WinogradWeights, bias: Vec<f32> },
    Depthwise { weight: Vec<f32>, bias: Vec<f32> },
    MaxPool,
}

/// Memory of one pass, kept for the next one.
#[derive(Default)]
struct Workspace {
    values: Vec<Vec<f32>>,
    /// Where the largest values of a pooling were.
    places: Vec<u8>,
    gradients: Vec<Option<Vec<f32>>>,
    spare: Vec<Vec<f32>>,
}

impl Workspace {
    /// A buffer of `len` values that are still to be written; the one given back last is the likeliest in the cache.
    fn buffer(&mut self, len: usize) -> Vec<f32> {
        let found = self.spare.iter().rposition(|buffer| buffer.capacity() >= len);
        let Some(at) = found else { return unfilled(len) };
        let mut buffer = self.spare.remove(at);
        buffer.resize(len, 0.0);
        buffer
    }

    /// Adds a gradient to what a value has already.
    fn add(&mut self, value: usize, gradient: Vec<f32>) {
        match &mut self.gradients[value] {
            None => self.gradients[value] = Some(gradient),
            Some(sum) => {
                sum.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g);
                self.spare.push(gradient);
            }
        }
    }
}

/// The last feature map of an image, and the gradient of a logit with respect to it.
#[derive(Clone, Debug)]
pub struct FeatureMap {
    /// Activations, channels first.
    pub values: Vec<f32>,
    /// Gradient of the chosen logit, channels first.
    pub gradient: Vec<f32>,
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
}

impl InputGradients {
    /// Folds and packs the weights of a network for images of `height` x `width`.
    ///
    /// # Errors
    /// As [`crate::Plan::new`].
    pub fn new(
        architecture: &Architecture,
        classes: usize,
        (height, width): (usize, usize),
        weights: &dyn Weights,
    ) -> Result<Self> {
        if height == 0 || width == 0 {
            return Err(EngineError::Input(format!("images of {width}x{height} pixels hold nothing to explain")));
        }
        build::gradients(architecture, classes, [3, height, width], weights)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classifier.1.len()
    }

    /// The gradients of the logit `target` of each image, laid out as the images are: one after another,
    /// `[3, height, width]`; and these logits.
    ///
    /// # Errors
    /// [`EngineError::Input`] when `images` is not a whole number of images, or there is no such class.
    pub fn gradients(&self, images: &[f32], target: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let len: usize = self.shapes[0].iter().product();
        self.check(images.len(), target)?;
        let mut gradients = unfilled(images.len());
        let mut logits = vec![0.0; images.len() / len];
        let work = gradients.par_chunks_mut(len).zip(images.par_chunks(len)).zip(&mut logits);
        work.for_each(|((gradient, image), logit)| {
            let mut space = self.take();
            self.forward(image, &mut space);
            *logit = self.logit(&space, target);
            self.start_back(&mut space, target);
            self.backward(&mut space);
            if let Some(found) = space.gradients[0].take() {
                to_channels_first(&found, self.shapes[0], gradient);
                space.spare.push(found);
            }
            self.give_back(space);
        });
        Ok((gradients, logits))
    }

    /// The last feature map of one image with the gradient of the logit `target`.
    ///
    /// # Errors
    /// As [`InputGradients::gradients`]; also for more than one image.
    pub fn feature_map(&self, image: &[f32], target: usize) -> Result<FeatureMap> {
        let len: usize = self.shapes[0].iter().product();
        self.check(image.len(), target)?;
        if image.len() != len {
            return Err(EngineError::Input(format!("{} values are not one image of {len}", image.len())));
        }
        let shape = self.shapes[self.shapes.len() - 1];
        let mut space = self.take();
        self.forward(image, &mut space);
        self.start_back(&mut space, target);
        let [mut values, mut gradient] = [(); 2].map(|()| vec![0.0; shape.iter().product()]);
        to_channels_first(&space.values[self.layers.len()], shape, &mut values);
        if let Some(found) = space.gradients[self.layers.len()].take() {
            to_channels_first(&found, shape, &mut gradient);
        }
        self.give_back(space);
        Ok(FeatureMap { values, gradient, shape })
    }

    fn check(&self, values: usize, target: usize) -> Result<()> {
        let [c, h, w] = self.shapes[0];
        if !values.is_multiple_of(c * h * w) {
            return Err(EngineError::Input(format!(
                "{values} values are not a whole number of [{c}, {h}, {w}] tensors"
            )));
        }
        if target >= self.classes() {
            return Err(EngineError::Input(format!("{target} is no class of the {}", self.classes())));
        }
        Ok(())
    }

    fn forward(&self, image: &[f32], space: &mut Workspace) {
        if let Some(Layer { shape, work: Work::Stem { .. }, .. }) = self.layers.first() {
            // The first value is never read but by the stem, which wants it padded.
            let padded = PaddedImage::new(shape);
            space.values[0].resize(padded.len(), 0.0);
            padded.fill(image, &mut space.values[0]);
        } else {
            space.values[0].resize(image.len(), 0.0);
            to_channels_last(image, self.shapes[0], &mut space.values[0]);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let (before, rest) = space.values.split_at_mut(number + 1);
            let output = &mut rest[0];
            output.resize(layer.shape.output_len(), 0.0);
            layer.forward(
                &before[layer.reads],
                layer.shortcut.map(|s| before[s].as_slice()),
                output,
                &mut space.places,
            );
        }
    }

    fn logit(&self, space: &Workspace, target: usize) -> f32 {
        let (weight, bias) = &self.classifier;
        let last = &space.values[self.layers.len()];
        let channels = weight.len() / bias.len();
        let mut means = vec![0.0; channels];
        pool::mean_into(last, channels, &mut means);
        bias[target] + means.iter().zip(&weight[target * channels..]).map(|(m, w)| m * w).sum::<f32>()
    }

    /// The gradient of the last feature map: the class's weights, shared among the pixels.
    fn start_back(&self, space: &mut Workspace, target: usize) {
        let (weight, bias) = &self.classifier;
        let last = self.layers.len();
        let [channels, height, width] = self.shapes[last];
        let row = &weight[target * channels..][..channels];
        debug_assert_eq!(weight.len(), channels * bias.len());
        let mut gradient = space.buffer(channels * height * width);
        pool::mean_backward(row, channels, height * width, &mut gradient);
        space.gradients.iter_mut().for_each(|slot| *slot = None);
        space.gradients[last] = Some(gradient);
    }

    fn backward(&self, space: &mut Workspace) {
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let Some(mut gradient) = space.gradients[number + 1].take() else { continue };
            mask(&mut gradient, &space.values[number + 1], layer.bounds);
            let mut input = space.buffer(layer.shape.input_len());
            layer.backward(&gradient, &space.places, &mut input);
            space.add(layer.reads, input);
            match layer.shortcut {
                Some(shortcut) => space.add(shortcut, gradient),
                None => space.spare.push(gradient),
            }
        }
    }

    fn take(&self) -> Workspace {
        let idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Workspace {
            values: vec![Vec::new(); self.shapes.len()],
            gradients: vec![None; self.shapes.len()],
            ..Workspace::default()
        })
    }

    fn give_back(&self, space: Workspace) {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(space);
    }
}

impl std::fmt::Debug for InputGradients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputGradients").field("layers", &self.layers.len()).field("shapes", &self.shapes).finish()
    }
}

/// Zero where the activation does not let the gradient through: at its bounds and beyond.
fn mask(gradient: &mut [f32], output: &[f32], bounds: Bounds) {
    if bounds != Bounds::NONE {
        let passes = |o: f32| bounds.low < o && o < bounds.high;
        gradient.iter_mut().zip(output).for_each(|(g, o)| *g = if passes(*o) { *g } else { 0.0 });
    }
}

impl Layer {
    fn forward(&self, input: &[f32], shortcut: Option<&[f32]>, output: &mut [f32], places: &mut Vec<u8>) {
        let Bounds { low, high } = self.bounds;
        let shape = &self.shape;
        let epilogue = |bias| Epilogue { bias: Some(bias), residual: shortcut, low, high };
        match &self.work {
            Work::Stem { weights, bias, .. } => stem::forward_rows(shape, input, weights, epilogue(bias), 0, output),
            Work::Direct { weights, bias, .. } => {
                conv::forward(shape, input, weights, epilogue(bias), output, |_, _| {});
            }
            Work::Winograd { weights, bias, .. } => {
                winograd::forward_rows(shape, input, weights, epilogue(bias), 0, output);
            }
            Work::Depthwise { weight, bias } => {
                depthwise::forward(shape, input, weight, epilogue(bias), output, |_, _| {});
            }
            Work::MaxPool => {
                places.resize(output.len(), 0);
                pool::max_forward(shape, input, output, places);
            }
        }
    }

    /// The gradient of the input from that of the sum before the activation.
    fn backward(&self, gradient: &[f32], places: &[u8], input: &mut [f32]) {
        let shape = &self.shape;
        match &self.work {
            Work::Stem { back, .. } | Work::Direct { back, .. } => conv::backward_input(shape, gradient, back, input),
            Work::Winograd { back, .. } => winograd::backward_input(shape, gradient, back, input),
            Work::Depthwise { weight, .. } => depthwise::backward_input(shape, gradient, weight, input),
            Work::MaxPool => pool::max_backward(shape, gradient, places, input),
        }
    }
}
