//! From the description of a network and its weights to steps over a handful of buffers.

mod build;

use std::sync::Mutex;

use kidu_core::Architecture;
use kidu_kernels::{
    Packed, conv,
    stem::PaddedImage,
    team::{self, Buffers, Step},
};
use rayon::prelude::*;

use crate::{
    error::{EngineError, Result},
    order::{to_channels_first, to_channels_last},
    weights::Weights,
};

/// A place between two parts of a network, in the order of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The normalised image, [3, height, width].
    Image,
    /// After the stem and this many stages.
    Stage(usize),
    /// After the last convolution and the mean over the pixels, [features, 1, 1].
    Features,
}

/// What stands at a point: where in the list of steps it is, in which buffer, and its shape.
#[derive(Clone, Copy, Debug)]
struct Mark {
    step: usize,
    buffer: usize,
    channels: usize,
    height: usize,
    width: usize,
}

impl Mark {
    fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn dims(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

/// A network ready to predict images of one size.
///
/// Everything is allocated when it is built, but for the buffers of passes that run at the same time, which are kept
/// for the next ones.
pub struct Plan {
    steps: Vec<Box<dyn Step>>,
    /// Image, stem, each stage, features.
    marks: Vec<Mark>,
    lengths: Vec<usize>,
    image: PaddedImage,
    classifier: (Packed, Vec<f32>),
    idle: Mutex<Vec<Buffers>>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("steps", &self.steps.len()).field("marks", &self.marks).finish()
    }
}

impl Plan {
    /// Folds and packs the weights of a network for images of `height` x `width`.
    ///
    /// # Errors
    /// [`EngineError::Weights`] for a tensor that is missing or of another shape; [`EngineError::Input`] for a size
    /// that leaves nothing.
    pub fn new(
        architecture: &Architecture,
        classes: usize,
        (height, width): (usize, usize),
        weights: &dyn Weights,
    ) -> Result<Self> {
        if height == 0 || width == 0 {
            return Err(EngineError::Input(format!("images of {width}x{height} pixels hold nothing to predict from")));
        }
        build::plan(architecture, classes, (height, width), weights)
    }

    /// The shape at a point: channels, height, width.
    pub fn shape(&self, point: Point) -> [usize; 3] {
        self.mark(point).dims()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classifier.1.len()
    }

    fn mark(&self, point: Point) -> &Mark {
        let last = self.marks.len() - 1;
        match point {
            Point::Image => &self.marks[0],
            Point::Stage(n) => &self.marks[(n + 1).min(last - 1)],
            Point::Features => &self.marks[last],
        }
    }

    /// From one point to a later one, for images one after another in `[channels, height, width]` order. One image
    /// uses up to `threads` threads; of several, each thread takes its own.
    ///
    /// # Errors
    /// [`EngineError::Input`] when `values` is not a whole number of images, or `to` comes before `from`.
    pub fn run_between(&self, values: &[f32], from: Point, to: Point, threads: usize) -> Result<Vec<f32>> {
        let (start, end) = (self.mark(from), self.mark(to));
        let [c, h, w] = self.shape(from);
        if !values.len().is_multiple_of(start.len()) {
            let found = values.len();
            return Err(EngineError::Input(format!(
                "{found} values are not a whole number of [{c}, {h}, {w}] tensors"
            )));
        }
        if from > to {
            return Err(EngineError::Input(format!("{from:?} comes after {to:?}")));
        }
        if from == to {
            return Ok(values.to_vec());
        }
        let images = values.len() / start.len();
        let mut output = vec![0.0; images * end.len()];
        let one = |input: &[f32], output: &mut [f32], threads| {
            let mut buffers = self.take();
            if from == Point::Image {
                self.image.fill(input, buffers.get_mut(start.buffer));
            } else {
                to_channels_last(input, start.dims(), buffers.get_mut(start.buffer));
            }
            team::run(&self.steps[start.step..end.step], &mut buffers, threads);
            to_channels_first(buffers.get(end.buffer), end.dims(), output);
            self.give_back(buffers);
        };
        if images == 1 || threads == 1 {
            values.chunks(start.len()).zip(output.chunks_mut(end.len())).for_each(|(i, o)| one(i, o, threads));
        } else {
            values.par_chunks(start.len()).zip(output.par_chunks_mut(end.len())).for_each(|(i, o)| one(i, o, 1));
        }
        Ok(output)
    }

    /// Logits of images, `[images, classes]`, from normalised images one after another, `[3, height, width]`.
    ///
    /// # Errors
    /// As [`Plan::run_between`].
    pub fn logits(&self, images: &[f32], threads: usize) -> Result<Vec<f32>> {
        let features = self.run_between(images, Point::Image, Point::Features, threads)?;
        Ok(self.classify(&features))
    }

    /// Logits from pooled features, one image after another.
    pub fn classify(&self, features: &[f32]) -> Vec<f32> {
        let (packed, bias) = &self.classifier;
        let mut logits = vec![0.0; features.len() / packed.depth() * packed.columns()];
        conv::product(
            features,
            packed,
            kidu_kernels::Epilogue { bias: Some(bias), ..kidu_kernels::Epilogue::NONE },
            &mut logits,
        );
        logits
    }

    fn take(&self) -> Buffers {
        let idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Buffers::new(&self.lengths))
    }

    fn give_back(&self, buffers: Buffers) {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(buffers);
    }
}
