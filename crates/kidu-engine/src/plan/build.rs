//! Building a plan.

use kidu_core::{Architecture, EfficientNetSpec, ResNetSpec};
use kidu_kernels::{
    ConvShape, Packed, conv, depthwise,
    norm::Bounds,
    stem::{PaddedImage, StemWeights},
    team::Step,
    winograd::WinogradWeights,
};

use super::{Mark, Plan};
use crate::{
    error::Result,
    fold::Folded,
    layers::{self, ConvSpec, MobileBlock, bounds},
    steps::{Block, Conv, Dense, Depthwise, MaxPool, MeanPool, Stem},
    weights::Weights,
};

/// The padded image; two buffers that hold the activations in turn; two for what is inside a block.
const IMAGE: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;
const INNER: usize = 3;
const INNER_SECOND: usize = 4;

/// Rows of output from which a block is done in one sweep. Smaller ones fit the cache whole, and halves of them would
/// share too many rows.
const SWEEP_ROWS: usize = 28;

pub(super) fn plan(
    architecture: &Architecture,
    classes: usize,
    (height, width): (usize, usize),
    weights: &dyn Weights,
) -> Result<Plan> {
    let start = Mark { step: 0, buffer: IMAGE, channels: 3, height, width };
    let mut builder = Builder { weights, steps: Vec::new(), marks: vec![start], lengths: vec![0; 5], at: start };
    let image = builder.stem(architecture)?;
    match architecture {
        Architecture::ResNet(spec) => builder.resnet(spec)?,
        Architecture::EfficientNet(spec) => builder.efficientnet(spec)?,
    }
    builder.mean_pool();
    let classifier = architecture.classifier_name();
    let features = architecture.num_features();
    let weight = weights.values(&format!("{classifier}.weight"), &[classes, features])?;
    let bias = weights.values(&format!("{classifier}.bias"), &[classes])?.to_vec();
    let rows: Vec<usize> = (0..features).collect();
    let columns: Vec<usize> = (0..classes).map(|c| c * features).collect();
    builder.lengths[IMAGE] = image.len();
    Ok(Plan {
        steps: builder.steps,
        marks: builder.marks,
        lengths: builder.lengths,
        image,
        classifier: (Packed::new(weight, &rows, &columns), bias),
        idle: std::sync::Mutex::default(),
    })
}

struct Builder<'a> {
    weights: &'a dyn Weights,
    steps: Vec<Box<dyn Step>>,
    marks: Vec<Mark>,
    lengths: Vec<usize>,
    /// What the next step reads.
    at: Mark,
}

/// The buffer for activations that is not this one.
fn other(buffer: usize) -> usize {
    if buffer == FIRST { SECOND } else { FIRST }
}

impl Builder<'_> {
    /// Adds a step; what stands behind it is `shape` in `buffer`.
    fn push(&mut self, step: impl Step + 'static, [channels, height, width]: [usize; 3]) {
        let buffer = step.writes();
        self.lengths[buffer] = self.lengths[buffer].max(channels * height * width);
        self.steps.push(Box::new(step));
        self.at = Mark { step: self.steps.len(), buffer, channels, height, width };
    }

    fn mark(&mut self) {
        self.marks.push(self.at);
    }

    fn out(shape: &ConvShape) -> [usize; 3] {
        [shape.output, shape.out_height(), shape.out_width()]
    }

    fn stem(&mut self, architecture: &Architecture) -> Result<PaddedImage> {
        let (spec, bounds) = layers::stem(architecture);
        let shape = spec.shape(self.at.dims());
        let Folded { weight, bias } = spec.fold(self.weights, 3)?;
        let weights = StemWeights::new(&shape, &weight);
        self.push(Stem { shape, weights, bias, bounds, buffers: ([IMAGE], FIRST) }, Self::out(&shape));
        Ok(PaddedImage::new(&shape))
    }

    /// A dense convolution from the present buffer into `writes`.
    fn conv(&mut self, spec: ConvSpec, bounds: Bounds, shortcut: Option<usize>, writes: usize) -> Result<()> {
        let shape = spec.shape(self.at.dims());
        let Folded { weight, bias } = spec.fold(self.weights, shape.input)?;
        let weights = if layers::is_for_winograd(&shape) {
            Dense::Winograd(WinogradWeights::new(&shape, &weight))
        } else {
            Dense::Direct(conv::pack_weight(&shape, &weight))
        };
        let reads = [self.at.buffer].into_iter().chain(shortcut).collect();
        self.push(Conv { shape, weights, bias, bounds, reads, writes }, Self::out(&shape));
        Ok(())
    }

    fn mean_pool(&mut self) {
        let Mark { buffer, channels, height, width, .. } = self.at;
        let step = MeanPool { channels, pixels: height * width, buffers: ([buffer], other(buffer)) };
        self.push(step, [channels, 1, 1]);
        self.mark();
    }

    fn efficientnet(&mut self, spec: &EfficientNetSpec) -> Result<()> {
        self.mark();
        for (i, stage) in spec.stages.iter().enumerate() {
            for (j, block) in stage.iter().enumerate() {
                self.block(layers::mobile_block(spec, block, (i, j)), bounds(spec.activation), block.skip)?;
            }
            self.mark();
        }
        let writes = other(self.at.buffer);
        self.conv(layers::head(spec), bounds(spec.activation), None, writes)
    }

    fn block(&mut self, block: MobileBlock, bounds: Bounds, skip: bool) -> Result<()> {
        let (input, writes) = (self.at, other(self.at.buffer));
        let shape = block.depthwise.shape([block.depthwise.output, input.height, input.width]);
        if shape.out_height() >= SWEEP_ROWS {
            return self.sweep(shape, block, bounds, (skip, writes));
        }
        if let Some(expand) = block.expand {
            self.conv(expand, bounds, None, INNER)?;
        }
        self.depthwise(block.depthwise, bounds)?;
        self.conv(block.project, Bounds::NONE, skip.then_some(input.buffer), writes)
    }

    /// A block in one step.
    fn sweep(
        &mut self,
        shape: ConvShape,
        MobileBlock { expand, depthwise, project }: MobileBlock,
        bounds: Bounds,
        (skip, writes): (bool, usize),
    ) -> Result<()> {
        let pointwise = |spec: &ConvSpec, at: &Mark| -> Result<(Packed, Vec<f32>)> {
            let Folded { weight, bias } = spec.fold(self.weights, at.channels)?;
            Ok((conv::pack_weight(&spec.shape(at.dims()), &weight), bias))
        };
        let expand = expand.map(|spec| pointwise(&spec, &self.at)).transpose()?;
        let Folded { weight, bias } = depthwise.fold(self.weights, shape.input)?;
        let middle = Mark { channels: shape.output, height: shape.out_height(), width: shape.out_width(), ..self.at };
        let out = [project.output, middle.height, middle.width];
        let step = Block {
            shape,
            expand,
            depthwise: (depthwise::pack_weight(&shape, &weight), bias),
            project: pointwise(&project, &middle)?,
            bounds,
            skip,
            buffers: ([self.at.buffer], writes),
        };
        self.push(step, out);
        Ok(())
    }

    fn depthwise(&mut self, spec: ConvSpec, bounds: Bounds) -> Result<()> {
        let shape = spec.shape(self.at.dims());
        let Folded { weight, bias } = spec.fold(self.weights, shape.input)?;
        let weight = depthwise::pack_weight(&shape, &weight);
        let buffers = ([self.at.buffer], INNER_SECOND);
        self.push(Depthwise { shape, weight, bias, bounds, buffers }, Self::out(&shape));
        Ok(())
    }

    fn resnet(&mut self, spec: &ResNetSpec) -> Result<()> {
        self.max_pool();
        self.mark();
        for (layer, blocks) in spec.layers.iter().enumerate() {
            for block in 0..*blocks {
                let input = self.at;
                let block = layers::basic_block(spec, (layer, block), input.channels);
                let mut shortcut = input.buffer;
                if let Some(down) = block.downsample {
                    self.conv(down, Bounds::NONE, None, INNER_SECOND)?;
                    shortcut = INNER_SECOND;
                    self.at = Mark { step: self.steps.len(), ..input };
                }
                self.conv(block.first, Bounds::RELU, None, INNER)?;
                self.conv(block.second, Bounds::RELU, Some(shortcut), other(input.buffer))?;
            }
            self.mark();
        }
        Ok(())
    }

    fn max_pool(&mut self) {
        let at = self.at;
        let shape = layers::max_pool(at.dims());
        self.push(MaxPool { shape, buffers: ([at.buffer], other(at.buffer)) }, Self::out(&shape));
    }
}
