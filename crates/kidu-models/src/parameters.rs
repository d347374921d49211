//! A network's parameters and buffers by their state-dict keys, as flat tensors: what optimizers, averaging and
//! checkpoints work on.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Gradients, Tensor},
};

use crate::network::Network;

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// timm's state-dict key.
    pub key: String,
    /// Shape of the tensor.
    pub shape: Vec<usize>,
    /// Whether it is a running statistic, which optimizers leave alone.
    pub is_buffer: bool,
    /// Whether it belongs to a batch norm.
    pub is_norm: bool,
    /// The part of the network it belongs to.
    pub location: Location,
}

/// A part of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Before the first stage.
    Stem,
    /// A stage, counted from 0.
    Stage(usize),
    /// Between the last stage and pooling.
    Head,
    /// The linear layer.
    Classifier,
}

impl ParameterInfo {
    fn new(key: String, shape: Vec<usize>) -> Self {
        let is_buffer = key.ends_with("running_mean") || key.ends_with("running_var");
        let parts: Vec<&str> = key.split('.').collect();
        let parent = if parts.len() > 1 { parts[parts.len() - 2] } else { "" };
        let is_norm = parent.starts_with("bn") || (parts.contains(&"downsample") && parent == "1");
        let is_mobile = |k: &str| k == "conv_head";
        let location = match parts[0] {
            "fc" | "classifier" => Location::Classifier,
            "blocks" => Location::Stage(parts[1].parse().unwrap_or(0)),
            "bn2" => Location::Head,
            first if is_mobile(first) => Location::Head,
            first => match first.strip_prefix("layer").and_then(|n| n.parse::<usize>().ok()) {
                Some(n) => Location::Stage(n.saturating_sub(1)),
                None => Location::Stem,
            },
        };
        Self { key, shape, is_buffer, is_norm, location }
    }
}

/// The current key: names of fields and indices, without the variants of enums and our wrapper's own field.
#[derive(Default)]
struct Path(Vec<Option<String>>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        let hidden = container.starts_with("Enum:") || container == "Struct:Network";
        self.0.push((!hidden).then(|| name.to_string()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn info(&self, shape: Vec<usize>) -> ParameterInfo {
        let key = self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".");
        ParameterInfo::new(key, shape)
    }
}

/// Calls `f` with every parameter and buffer, flattened, on the network's plain device.
pub fn visit(network: &Network, f: impl FnMut(&ParameterInfo, Tensor<1>)) {
    struct Visitor<F>(Path, F);
    impl<F: FnMut(&ParameterInfo, Tensor<1>)> ModuleVisitor for Visitor<F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let info = self.0.info(value.dims().to_vec());
            (self.1)(&info, plain(value));
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
    }
    network.visit(&mut Visitor(Path::default(), f));
}

/// What every parameter and buffer is called, in the order of the forward pass.
pub fn infos(network: &Network) -> Vec<ParameterInfo> {
    let mut infos = Vec::new();
    visit(network, |info, _| infos.push(info.clone()));
    infos
}

/// Replaces values: `f` gets each parameter and buffer, flattened, on the plain device, and returns the new value or
/// `None` to keep it. Whether a parameter needs a gradient stays as it was.
pub fn map(network: Network, f: impl FnMut(&ParameterInfo, Tensor<1>) -> Option<Tensor<1>>) -> Network {
    struct Mapper<F>(Path, F);
    impl<F: FnMut(&ParameterInfo, Tensor<1>) -> Option<Tensor<1>>> ModuleMapper for Mapper<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let value = param.val();
            let shape = value.shape();
            let info = self.0.info(value.dims().to_vec());
            let (on_autodiff, tracked) = (value.device().is_autodiff(), value.is_require_grad());
            match (self.1)(&info, plain(value)) {
                None => param,
                Some(new) => param.map(|_| {
                    let new = new.reshape(shape);
                    if on_autodiff { Tensor::from_inner(new).set_require_grad(tracked) } else { new }
                }),
            }
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
    }
    network.map(&mut Mapper(Path::default(), f))
}

/// Sets which parameters get gradients. Buffers never do.
pub fn require_grad(network: Network, f: impl FnMut(&ParameterInfo) -> bool) -> Network {
    struct Mapper<F>(Path, F);
    impl<F: FnMut(&ParameterInfo) -> bool> ModuleMapper for Mapper<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let info = self.0.info(param.dims().to_vec());
            let wanted = !info.is_buffer && (self.1)(&info);
            param.set_require_grad(wanted)
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
    }
    network.map(&mut Mapper(Path::default(), f))
}

/// Takes the gradients of a backward pass, flattened, by key. Frozen parameters have none.
pub fn take_gradients(network: &Network, gradients: &mut Gradients) -> BTreeMap<String, Tensor<1>> {
    struct Visitor<'a>(Path, &'a mut Gradients, BTreeMap<String, Tensor<1>>);
    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            if let Some(gradient) = value.grad_remove(self.1) {
                let info = self.0.info(value.dims().to_vec());
                self.2.insert(info.key, plain(gradient));
            }
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
    }
    let mut visitor = Visitor(Path::default(), gradients, BTreeMap::new());
    network.visit(&mut visitor);
    visitor.2
}

/// Flat and without autodiff.
fn plain<const D: usize>(value: Tensor<D>) -> Tensor<1> {
    let elements = value.shape().num_elements();
    let value = if value.device().is_autodiff() { value.inner() } else { value };
    value.reshape([elements])
}
