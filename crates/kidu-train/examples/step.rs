//! Times training steps.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
#![recursion_limit = "256"]
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kidu_core::model;
use kidu_models::{Accelerator, Network, parameters};
use kidu_train::{
    loss::CrossEntropy,
    optimizer::Optimizer,
    settings::{ClassWeights, OptimizerSettings},
};

#[global_allocator]
static ALLOCATOR: kidu_kernels::CacheAligned<mimalloc::MiMalloc> = kidu_kernels::CacheAligned(mimalloc::MiMalloc);

fn main() {
    let name = std::env::args().nth(1).unwrap_or("mobilenetv2_100".into());
    let batch: usize = std::env::args().nth(2).map_or(16, |b| b.parse().unwrap());
    let record = model::find(&name).unwrap();
    let device = Accelerator::Flex.device().unwrap();
    let mut network = Network::new(&record.architecture, 6, 1, &device).train();
    let criterion = CrossEntropy::new(&ClassWeights::None, 0.0, &[1; 6]).unwrap();
    let mut optimizer = Optimizer::new(&OptimizerSettings::default(), 1.0);
    let x: Vec<f32> = (0..batch * 3 * 224 * 224).map(|i| (i % 255) as f32 / 255.0 - 0.5).collect();
    let labels: Vec<usize> = (0..batch).map(|i| i % 6).collect();
    for _ in 0..6 {
        let start = Instant::now();
        let input =
            Tensor::<4>::from_inner(Tensor::from_data(TensorData::new(x.clone(), [batch, 3, 224, 224]), &device));
        let logits = network.forward(input);
        let loss = criterion.forward(logits, &labels);
        let value = loss.clone().into_scalar::<f32>();
        let forward = start.elapsed();
        let gradients = parameters::take_gradients(&network, &mut loss.backward());
        let backward = start.elapsed();
        network = optimizer.step(network, gradients, 1e-3);
        let all = start.elapsed();
        println!(
            "loss {value:.4}: forward {forward:?} backward {:?} optimizer {:?} all {all:?}",
            backward - forward,
            all - backward
        );
    }
}
