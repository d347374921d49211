//! Building a plan.

use kidu_core::{Activation, Architecture, BlockKind, BlockSpec, EfficientNetSpec, PadType, ResNetSpec};
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
    fold::{Folded, fold},
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

/// Channels and output pixels from which Winograd's transforms, and its four times larger weights, cost less than they
/// save.
const WINOGRAD_CHANNELS: usize = 32;
const WINOGRAD_PIXELS: usize = 100;

pub(super) fn plan(
    architecture: &Architecture,
    classes: usize,
    (height, width): (usize, usize),
    weights: &dyn Weights,
) -> Result<Plan> {
    let start = Mark { step: 0, buffer: IMAGE, channels: 3, height, width };
    let mut builder = Builder { weights, steps: Vec::new(), marks: vec![start], lengths: vec![0; 5], at: start };
    let (image, classifier) = match architecture {
        Architecture::ResNet(spec) => (builder.resnet(spec)?, "fc"),
        Architecture::EfficientNet(spec) => (builder.efficientnet(spec)?, "classifier"),
    };
    builder.mean_pool();
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

/// A convolution before its place is known.
struct ConvSpec {
    /// State-dict keys of the convolution and of the batch norm behind it.
    keys: (String, String),
    output: usize,
    kernel: usize,
    stride: usize,
    depthwise: bool,
    pad_type: PadType,
    eps: f64,
}

impl ConvSpec {
    fn shape(&self, at: &Mark) -> ConvShape {
        ConvShape {
            images: 1,
            height: at.height,
            width: at.width,
            input: at.channels,
            output: self.output,
            kernel: self.kernel,
            stride: self.stride,
            vertical: self.pad_type.padding(at.height, self.kernel, self.stride),
            horizontal: self.pad_type.padding(at.width, self.kernel, self.stride),
        }
    }

    fn fold(&self, weights: &dyn Weights, input: usize) -> Result<Folded> {
        let per_output = if self.depthwise { 1 } else { input };
        fold(weights, (&self.keys.0, &self.keys.1), [self.output, per_output, self.kernel, self.kernel], self.eps)
    }
}

fn bounds(activation: Activation) -> Bounds {
    match activation {
        Activation::Relu => Bounds::RELU,
        Activation::Relu6 => Bounds::RELU6,
    }
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

    fn stem(&mut self, spec: ConvSpec, bounds: Bounds) -> Result<PaddedImage> {
        let shape = spec.shape(&self.at);
        let Folded { weight, bias } = spec.fold(self.weights, 3)?;
        let weights = StemWeights::new(&shape, &weight);
        self.push(Stem { shape, weights, bias, bounds, buffers: ([IMAGE], FIRST) }, Self::out(&shape));
        Ok(PaddedImage::new(&shape))
    }

    /// A dense convolution from the present buffer into `writes`.
    fn conv(&mut self, spec: ConvSpec, bounds: Bounds, shortcut: Option<usize>, writes: usize) -> Result<()> {
        let shape = spec.shape(&self.at);
        let Folded { weight, bias } = spec.fold(self.weights, shape.input)?;
        let is_large = shape.out_pixels() >= WINOGRAD_PIXELS && shape.input.min(shape.output) >= WINOGRAD_CHANNELS;
        let weights = if spec.kernel == 3 && spec.stride == 1 && is_large {
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

    fn efficientnet(&mut self, spec: &EfficientNetSpec) -> Result<PaddedImage> {
        let bounds = bounds(spec.activation);
        let conv = |keys: (&str, &str), output, kernel, stride, pad_type| ConvSpec {
            keys: (keys.0.into(), keys.1.into()),
            output,
            kernel,
            stride,
            depthwise: false,
            pad_type,
            eps: spec.bn_eps,
        };
        let image = self.stem(conv(("conv_stem", "bn1"), spec.stem_channels, 3, 2, spec.pad_type), bounds)?;
        self.mark();
        for (i, stage) in spec.stages.iter().enumerate() {
            for (j, block) in stage.iter().enumerate() {
                self.block(spec, block, &format!("blocks.{i}.{j}"))?;
            }
            self.mark();
        }
        let head = conv(("conv_head", "bn2"), spec.head_channels, 1, 1, PadType::Symmetric);
        let writes = other(self.at.buffer);
        self.conv(head, bounds, None, writes)?;
        Ok(image)
    }

    fn block(&mut self, network: &EfficientNetSpec, block: &BlockSpec, key: &str) -> Result<()> {
        let bounds = bounds(network.activation);
        let BlockSpec { kernel, stride, mid_channels: mid, out_channels: out, skip, .. } = *block;
        let conv = |names: (&str, &str), output, kernel, stride, depthwise| ConvSpec {
            keys: (format!("{key}.{}", names.0), format!("{key}.{}", names.1)),
            output,
            kernel,
            stride,
            depthwise,
            pad_type: network.pad_type,
            eps: network.bn_eps,
        };
        let (expand, depthwise, project) = match block.kind {
            BlockKind::InvertedResidual => (
                Some(conv(("conv_pw", "bn1"), mid, 1, 1, false)),
                conv(("conv_dw", "bn2"), mid, kernel, stride, true),
                conv(("conv_pwl", "bn3"), out, 1, 1, false),
            ),
            BlockKind::DepthwiseSeparable => {
                (None, conv(("conv_dw", "bn1"), mid, kernel, stride, true), conv(("conv_pw", "bn2"), out, 1, 1, false))
            }
        };
        let (input, writes) = (self.at, other(self.at.buffer));
        let shape = depthwise.shape(&Mark { channels: mid, ..input });
        if shape.out_height() >= SWEEP_ROWS {
            return self.sweep(shape, (expand, depthwise, project), bounds, (skip, writes));
        }
        if let Some(expand) = expand {
            self.conv(expand, bounds, None, INNER)?;
        }
        self.depthwise(depthwise, bounds)?;
        self.conv(project, Bounds::NONE, skip.then_some(input.buffer), writes)
    }

    /// A block in one step.
    fn sweep(
        &mut self,
        shape: ConvShape,
        (expand, depthwise, project): (Option<ConvSpec>, ConvSpec, ConvSpec),
        bounds: Bounds,
        (skip, writes): (bool, usize),
    ) -> Result<()> {
        let pointwise = |spec: &ConvSpec, at: &Mark| -> Result<(Packed, Vec<f32>)> {
            let Folded { weight, bias } = spec.fold(self.weights, at.channels)?;
            Ok((conv::pack_weight(&spec.shape(at), &weight), bias))
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
        let shape = spec.shape(&self.at);
        let Folded { weight, bias } = spec.fold(self.weights, shape.input)?;
        let weight = depthwise::pack_weight(&shape, &weight);
        let buffers = ([self.at.buffer], INNER_SECOND);
        self.push(Depthwise { shape, weight, bias, bounds, buffers }, Self::out(&shape));
        Ok(())
    }

    fn resnet(&mut self, spec: &ResNetSpec) -> Result<PaddedImage> {
        let conv = |keys: (String, String), output, kernel, stride| ConvSpec {
            keys,
            output,
            kernel,
            stride,
            depthwise: false,
            pad_type: PadType::Symmetric,
            eps: spec.bn_eps,
        };
        let stem = conv(("conv1".into(), "bn1".into()), spec.stem_channels, 7, 2);
        let image = self.stem(stem, Bounds::RELU)?;
        self.max_pool();
        self.mark();
        for (layer, blocks) in spec.layers.iter().enumerate() {
            for block in 0..*blocks {
                let key = |part: &str| format!("layer{}.{block}.{part}", layer + 1);
                let (input, output) = (self.at, spec.channels[layer]);
                let stride = if block == 0 && layer > 0 { 2 } else { 1 };
                let mut shortcut = input.buffer;
                if stride != 1 || input.channels != output {
                    let down = conv((key("downsample.0"), key("downsample.1")), output, 1, stride);
                    self.conv(down, Bounds::NONE, None, INNER_SECOND)?;
                    shortcut = INNER_SECOND;
                    self.at = Mark { step: self.steps.len(), ..input };
                }
                self.conv(conv((key("conv1"), key("bn1")), output, 3, stride), Bounds::RELU, None, INNER)?;
                let second = conv((key("conv2"), key("bn2")), output, 3, 1);
                self.conv(second, Bounds::RELU, Some(shortcut), other(input.buffer))?;
            }
            self.mark();
        }
        Ok(image)
    }

    fn max_pool(&mut self) {
        let at = self.at;
        let shape = ConvShape {
            images: 1,
            height: at.height,
            width: at.width,
            input: at.channels,
            output: at.channels,
            kernel: 3,
            stride: 2,
            vertical: (1, 1),
            horizontal: (1, 1),
        };
        self.push(MaxPool { shape, buffers: ([at.buffer], other(at.buffer)) }, Self::out(&shape));
    }
}
