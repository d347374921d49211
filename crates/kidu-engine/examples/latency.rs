//! Times one image.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
use std::time::Instant;

use kidu_core::{Architecture, model};
use kidu_engine::{Plan, Weights};

struct Noise(std::cell::RefCell<std::collections::HashMap<String, &'static (Vec<usize>, Vec<f32>)>>);
impl Weights for Noise {
    fn tensor(&self, _: &str) -> Option<(&[usize], &[f32])> {
        None
    }
    fn values(&self, key: &str, shape: &[usize]) -> kidu_engine::Result<&[f32]> {
        let n: usize = shape.iter().product();
        let scale = (2.0 / (n / shape[0]).max(1) as f32).sqrt();
        let v = if key.ends_with("running_var") || shape.len() == 1 && key.ends_with("weight") {
            vec![1.0; n]
        } else if shape.len() == 1 {
            vec![0.0; n]
        } else {
            (0..n).map(|i| (((i * 7919) % 1000) as f32 / 500.0 - 1.0) * scale).collect()
        };
        let leaked: &'static (Vec<usize>, Vec<f32>) = Box::leak(Box::new((shape.to_vec(), v)));
        self.0.borrow_mut().insert(key.into(), leaked);
        Ok(&leaked.1)
    }
}

fn main() {
    let only = std::env::args().nth(1);
    for record in model::records().iter().filter(|r| only.as_deref().is_none_or(|o| o == r.name)) {
        let architecture: &Architecture = &record.architecture;
        let plan = Plan::new(architecture, 1000, (224, 224), &Noise(Default::default())).unwrap();
        let x: Vec<f32> = (0..3 * 224 * 224).map(|i| ((i * 31) % 255) as f32 / 127.0 - 1.0).collect();
        let stages = architecture.num_stages();
        let mut from = kidu_engine::Point::Image;
        let mut value = x.clone();
        for to in (0..=stages).map(kidu_engine::Point::Stage).chain([kidu_engine::Point::Features]) {
            let mut best = f64::MAX;
            let mut out = Vec::new();
            for _ in 0..20 {
                let start = Instant::now();
                out = plan.run_between(&value, from, to, 1).unwrap();
                best = best.min(start.elapsed().as_secs_f64() * 1e3);
            }
            println!("  {from:?} -> {to:?} {:?}: {best:.3} ms", plan.shape(to));
            (from, value) = (to, out);
        }
        for threads in [1, 2] {
            let mut times: Vec<f64> = (0..60)
                .map(|_| {
                    let start = Instant::now();
                    std::hint::black_box(plan.logits(&x, threads).unwrap());
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("{} {threads} threads: median {:.2} ms, best {:.2}", record.name, times[30], times[0]);
        }
    }
}
