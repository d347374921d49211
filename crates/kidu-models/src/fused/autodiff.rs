//! The fused operations on autodiff over the CPU backend.

use burn::backend::{
    Autodiff, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind, unary},
    },
    tensor::FloatTensor,
};
use kidu_kernels::{ConvShape, adam::AdamStep};

use super::{
    ConvNormActSpec, FusedOps, Normed, Prologue, Shortcut, Stepped,
    flex::{self, Applied, NormInputs, Saved, Wanted},
    layout::dims,
};

/// Parents: x, weight, gamma, beta and, for N = 5, the shortcut.
#[derive(Debug)]
struct ConvNormAct;

impl<const N: usize> Backward<Flex, N> for ConvNormAct {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let parent = |i: usize| ops.parents.get(i).and_then(Option::as_ref).map(|node| node.id);
        let wanted = Wanted { x: parent(0).is_some(), weight: parent(1).is_some(), shortcut: parent(4).is_some() };
        let found = flex::backward(ops.state, gradient, wanted);
        let affine = [Some(found.gamma), Some(found.beta)];
        let all = [found.x, found.weight].into_iter().chain(affine).chain([found.shortcut]);
        for (i, gradient) in all.enumerate() {
            if let (Some(node), Some(gradient)) = (parent(i), gradient) {
                grads.register::<Flex>(node, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (ConvShape, Vec<u8>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| flex::max_pool_backward(state, gradient));
    }
}

#[derive(Debug)]
struct MeanPool;

impl Backward<Flex, 1> for MeanPool {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dims = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| flex::mean_pool_backward(dims, &gradient));
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn conv_norm_act(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        prologue: Prologue<Self>,
        shortcut: Shortcut<Self>,
        spec: ConvNormActSpec,
    ) -> Normed<Self> {
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        let ((gamma, gamma_node), (beta, beta_node)) = (gamma.into_parts(), beta.into_parts());
        let prologue = match prologue {
            Prologue::None => Prologue::None,
            Prologue::Apply(scale, shift) => Prologue::Apply(scale.into_primitive(), shift.into_primitive()),
        };
        let prologue = Applied::new(prologue, spec.input_bounds);
        let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
        let norm = NormInputs { prologue, gamma, beta, mean, variance };
        // Recomputing a convolution would cost more than keeping its output: compute bound.
        let (normed, output) = match shortcut {
            Shortcut::None => {
                let prepared =
                    Backward::<Flex, 4>::prepare::<C>(ConvNormAct, [x_node, weight_node, gamma_node, beta_node]);
                let (normed, saved) = flex::forward(x, weight, &norm, None, spec);
                let output = normed.output.clone();
                (
                    normed,
                    match prepared.compute_bound().stateful() {
                        OpsKind::Tracked(prepared) => prepared.finish(saved, output),
                        OpsKind::UnTracked(prepared) => prepared.finish(output),
                    },
                )
            }
            Shortcut::Add(shortcut) => {
                let (shortcut, shortcut_node) = shortcut.into_parts();
                let nodes = [x_node, weight_node, gamma_node, beta_node, shortcut_node];
                let prepared = Backward::<Flex, 5>::prepare::<C>(ConvNormAct, nodes);
                let (normed, saved) = flex::forward(x, weight, &norm, Some(shortcut), spec);
                let output = normed.output.clone();
                (
                    normed,
                    match prepared.compute_bound().stateful() {
                        OpsKind::Tracked(prepared) => prepared.finish(saved, output),
                        OpsKind::UnTracked(prepared) => prepared.finish(output),
                    },
                )
            }
        };
        let [mean, variance, scale, shift] =
            [normed.mean, normed.variance, normed.scale, normed.shift].map(FloatTensor::<Self>::new);
        Normed { output, mean, variance, scale, shift }
    }

    fn max_pool_3x3(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match MaxPool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (output, state) = flex::max_pool_forward(x);
                prepared.finish(state, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(flex::max_pool_forward(x).0),
        }
    }

    fn mean_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let dims = dims(&x);
        match MeanPool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(dims, flex::mean_pool_forward(x)),
            OpsKind::UnTracked(prepared) => prepared.finish(flex::mean_pool_forward(x)),
        }
    }

    fn adam_step(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> Stepped<Self> {
        let [value, gradient, first, second] =
            [value, gradient, first, second].map(FloatTensor::<Self>::into_primitive);
        let stepped = Flex::adam_step(value, gradient, first, second, step);
        Stepped {
            value: FloatTensor::<Self>::new(stepped.value),
            first: FloatTensor::<Self>::new(stepped.first),
            second: FloatTensor::<Self>::new(stepped.second),
        }
    }
}
