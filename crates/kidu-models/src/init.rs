//! Initial weights as timm makes them, from our own seeded stream: the same on every machine and backend.

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::rng::{self, ChaCha8Rng};
use rand::Rng;

/// Makes initial tensors, one stream for each state-dict key, so that the order of construction does not matter.
#[derive(Clone, Debug)]
pub struct Initializer {
    seed: u64,
    device: Device,
}

impl Initializer {
    /// An initialiser for networks on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { seed, device: device.clone() }
    }

    /// The device that tensors are made on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Normal distribution with mean 0, by Box and Muller.
    pub fn normal<const D: usize>(&self, key: &str, shape: [usize; D], std: f64) -> Tensor<D> {
        let mut rng = self.stream(key);
        let mut spare = None;
        self.tensor(shape, || {
            if let Some(value) = spare.take() {
                return value;
            }
            // 1 - u is in (0, 1], so the logarithm is finite.
            let radius = (-2.0 * (1.0 - unit(&mut rng)).ln()).sqrt() * std;
            let (sin, cos) = (std::f64::consts::TAU * unit(&mut rng)).sin_cos();
            spare = Some((radius * sin) as f32);
            (radius * cos) as f32
        })
    }

    /// Uniform distribution on [-bound, bound).
    pub fn uniform<const D: usize>(&self, key: &str, shape: [usize; D], bound: f64) -> Tensor<D> {
        let mut rng = self.stream(key);
        self.tensor(shape, || ((2.0 * unit(&mut rng) - 1.0) * bound) as f32)
    }

    /// The same value everywhere.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Tensor<D> {
        self.tensor(shape, || value)
    }

    fn tensor<const D: usize>(&self, shape: [usize; D], mut next: impl FnMut() -> f32) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn stream(&self, key: &str) -> ChaCha8Rng {
        rng::stream(self.seed, key, &[])
    }
}

/// 53 random bits as a number in [0, 1).
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
