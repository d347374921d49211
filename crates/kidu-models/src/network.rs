//! Any of the known networks behind one type.

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use kidu_core::Architecture;

use crate::{
    efficientnet::EfficientNet,
    error::{ModelError, Result},
    freeze::Freeze,
    init::Initializer,
    layers::mean_pool,
    parameters::{self, Location},
    resnet::ResNet,
};

/// A place between two parts of a network, in the order of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// The normalised image, [N, 3, H, W].
    Image,
    /// After the stem and this many stages (`Stage(0)`: after the stem).
    Stage(usize),
    /// After the last convolution and global average pooling, [N, features, 1, 1].
    Features,
}

/// The family's module.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "Burn's derive takes no boxes, and there is one network at a time")]
enum Family {
    ResNet(ResNet),
    EfficientNet(EfficientNet),
}

/// A classifier: stem, stages, pooled features, linear layer.
///
/// On a device with autodiff it normalises with batch statistics and records gradients ([`Module::train`]); on a plain
/// device it predicts ([`Module::valid`]). A clone shares its running statistics with the original; take a state dict
/// where an independent copy is needed.
#[derive(Module, Debug)]
pub struct Network {
    family: Family,
    #[module(skip)]
    architecture: Arc<Architecture>,
    #[module(skip)]
    num_classes: usize,
}

impl Network {
    /// Builds a network on a plain device with timm's initial weights drawn from `seed`.
    pub fn new(architecture: &Architecture, num_classes: usize, seed: u64, device: &Device) -> Self {
        let init = Initializer::new(seed, device);
        let family = match architecture {
            Architecture::ResNet(spec) => Family::ResNet(ResNet::new(spec, num_classes, &init)),
            Architecture::EfficientNet(spec) => Family::EfficientNet(EfficientNet::new(spec, num_classes, &init)),
        };
        Self { family, architecture: Arc::new(architecture.clone()), num_classes }
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// What it was built from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Number of features that the classifier sees.
    pub fn num_features(&self) -> usize {
        self.architecture.num_features()
    }

    /// Number of stages.
    pub fn num_stages(&self) -> usize {
        self.architecture.num_stages()
    }

    /// Logits, [N, classes], of normalised images, [N, 3, H, W].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        self.classify(self.forward_between(x, Cut::Image, Cut::Features))
    }

    /// The last feature map before pooling, [N, features, H', W'] (timm's `forward_features`).
    pub fn forward_features(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.forward_between(x, Cut::Image, Cut::Stage(self.num_stages()));
        self.head(x)
    }

    /// From one cut to a later one; the input is what stands at `from`.
    pub fn forward_between(&self, x: Tensor<4>, from: Cut, to: Cut) -> Tensor<4> {
        let mut x = x;
        if from == Cut::Image && to > Cut::Image {
            x = match &self.family {
                Family::ResNet(n) => n.forward_stem(x),
                Family::EfficientNet(n) => n.forward_stem(x),
            };
        }
        for stage in self.stages_before(from)..self.stages_before(to) {
            x = match &self.family {
                Family::ResNet(n) => n.forward_stage(stage, x),
                Family::EfficientNet(n) => n.forward_stage(stage, x),
            };
        }
        if to == Cut::Features && from < Cut::Features { mean_pool(self.head(x)) } else { x }
    }

    /// Logits from pooled features, [N, features, 1, 1].
    pub fn classify(&self, features: Tensor<4>) -> Tensor<2> {
        let features = features.flatten::<2>(1, 3);
        match &self.family {
            Family::ResNet(n) => n.fc.forward(features),
            Family::EfficientNet(n) => n.classifier.forward(features),
        }
    }

    /// Logits from a feature map as [`Network::forward_features`] gives it: pooled, then classified.
    pub fn classify_map(&self, map: Tensor<4>) -> Tensor<2> {
        self.classify(mean_pool(map))
    }

    /// Freezes a part: no gradients for its parameters, fixed batch norms. `freeze_bn` fixes every batch norm of the
    /// network, affine parameters included.
    ///
    /// # Errors
    /// [`ModelError::Setting`] when the network has fewer stages.
    pub fn freeze(mut self, freeze: Freeze, freeze_bn: bool) -> Result<Self> {
        let freeze = freeze.resolve(self.num_stages());
        if let Freeze::Stages(n) = freeze
            && n > self.num_stages()
        {
            return Err(ModelError::Setting(format!(
                "model.freeze: {n} stages asked for, the network has {}; use 1..={} or backbone",
                self.num_stages(),
                self.num_stages()
            )));
        }
        let frozen = |at: Location| match (freeze, at) {
            (Freeze::None | Freeze::AllBut(_), _) | (_, Location::Classifier) => false,
            (Freeze::Backbone, _) | (Freeze::Stages(_), Location::Stem) => true,
            (Freeze::Stages(n), Location::Stage(i)) => i < n,
            (Freeze::Stages(_), Location::Head) => false,
        };
        let fixed = |at: Location| freeze_bn || frozen(at);
        match &mut self.family {
            Family::ResNet(n) => n.set_fixed(fixed(Location::Stem), |i| fixed(Location::Stage(i))),
            Family::EfficientNet(n) => {
                n.set_fixed(fixed(Location::Stem), |i| fixed(Location::Stage(i)), fixed(Location::Head));
            }
        }
        Ok(parameters::require_grad(self, |info| !(frozen(info.location) || freeze_bn && info.is_norm)))
    }

    fn head(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.family {
            Family::ResNet(_) => x,
            Family::EfficientNet(n) => n.forward_head(x),
        }
    }

    fn stages_before(&self, cut: Cut) -> usize {
        match cut {
            Cut::Image => 0,
            Cut::Stage(n) => n.min(self.num_stages()),
            Cut::Features => self.num_stages(),
        }
    }
}
