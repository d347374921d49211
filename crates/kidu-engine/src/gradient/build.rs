//! Building the layers.

use kidu_core::{Architecture, EfficientNetSpec, ResNetSpec};
use kidu_kernels::{ConvShape, conv, depthwise, norm::Bounds, stem::StemWeights, winograd::WinogradWeights};

use super::{InputGradients, Layer, Work};
use crate::{
    error::Result,
    fold::Folded,
    layers::{self, ConvSpec, bounds},
    weights::Weights,
};

pub(super) fn gradients(
    architecture: &Architecture,
    classes: usize,
    image: [usize; 3],
    weights: &dyn Weights,
) -> Result<InputGradients> {
    let mut builder = Builder { weights, layers: Vec::new(), shapes: vec![image] };
    builder.stem(architecture)?;
    match architecture {
        Architecture::ResNet(spec) => builder.resnet(spec)?,
        Architecture::EfficientNet(spec) => builder.efficientnet(spec)?,
    }
    let (name, features) = (architecture.classifier_name(), architecture.num_features());
    let weight = weights.values(&format!("{name}.weight"), &[classes, features])?.to_vec();
    let bias = weights.values(&format!("{name}.bias"), &[classes])?.to_vec();
    Ok(InputGradients {
        layers: builder.layers,
        shapes: builder.shapes,
        classifier: (weight, bias),
        idle: std::sync::Mutex::default(),
    })
}

struct Builder<'a> {
    weights: &'a dyn Weights,
    layers: Vec<Layer>,
    shapes: Vec<[usize; 3]>,
}

impl Builder<'_> {
    /// The number of the last value.
    fn last(&self) -> usize {
        self.layers.len()
    }

    fn push(&mut self, reads: usize, shortcut: Option<usize>, shape: ConvShape, bounds: Bounds, work: Work) -> usize {
        self.layers.push(Layer { reads, shortcut, shape, bounds, work });
        self.shapes.push([shape.output, shape.out_height(), shape.out_width()]);
        self.last()
    }

    fn stem(&mut self, architecture: &Architecture) -> Result<()> {
        let (spec, bounds) = layers::stem(architecture);
        let shape = spec.shape(self.shapes[0]);
        let Folded { weight, bias } = spec.fold(self.weights, shape.input)?;
        let (weights, back) = (StemWeights::new(&shape, &weight), conv::pack_transposed(&shape, &weight));
        self.push(0, None, shape, bounds, Work::Stem { weights, back, bias });
        Ok(())
    }

    /// A convolution of one value; returns the number of its own.
    fn conv(&mut self, spec: ConvSpec, reads: usize, bounds: Bounds, shortcut: Option<usize>) -> Result<usize> {
        let shape = spec.shape(self.shapes[reads]);
        let Folded { weight, bias } = spec.fold(self.weights, shape.input)?;
        let work = if spec.depthwise {
            Work::Depthwise { weight: depthwise::pack_weight(&shape, &weight), bias }
        } else if layers::is_for_winograd(&shape) {
            let back = WinogradWeights::transposed(&shape, &weight);
            Work::Winograd { weights: WinogradWeights::new(&shape, &weight), back, bias }
        } else {
            let back = conv::pack_transposed(&shape, &weight);
            Work::Direct { weights: conv::pack_weight(&shape, &weight), back, bias }
        };
        Ok(self.push(reads, shortcut, shape, bounds, work))
    }

    fn efficientnet(&mut self, network: &EfficientNetSpec) -> Result<()> {
        let activation = bounds(network.activation);
        for (i, stage) in network.stages.iter().enumerate() {
            for (j, spec) in stage.iter().enumerate() {
                let block = layers::mobile_block(network, spec, (i, j));
                let input = self.last();
                let mut at = input;
                if let Some(expand) = block.expand {
                    at = self.conv(expand, at, activation, None)?;
                }
                at = self.conv(block.depthwise, at, activation, None)?;
                self.conv(block.project, at, Bounds::NONE, spec.skip.then_some(input))?;
            }
        }
        self.conv(layers::head(network), self.last(), activation, None)?;
        Ok(())
    }

    fn resnet(&mut self, spec: &ResNetSpec) -> Result<()> {
        let pool = layers::max_pool(self.shapes[self.last()]);
        self.push(self.last(), None, pool, Bounds::NONE, Work::MaxPool);
        for (layer, blocks) in spec.layers.iter().enumerate() {
            for block in 0..*blocks {
                let input = self.last();
                let block = layers::basic_block(spec, (layer, block), self.shapes[input][0]);
                let shortcut = match block.downsample {
                    Some(down) => self.conv(down, input, Bounds::NONE, None)?,
                    None => input,
                };
                let first = self.conv(block.first, input, Bounds::RELU, None)?;
                self.conv(block.second, first, Bounds::RELU, Some(shortcut))?;
            }
        }
        Ok(())
    }
}
