//! What the tests of plans share.

use kidu_engine::{EngineError, Weights};

/// Makes up any tensor that is asked for, and remembers it.
#[derive(Default)]
pub(crate) struct MadeUp {
    pub(crate) without: Option<&'static str>,
    pub(crate) shape: Option<(&'static str, Vec<usize>)>,
}

impl Weights for MadeUp {
    fn tensor(&self, key: &str) -> Option<(&[usize], &[f32])> {
        if self.without == Some(key) {
            return None;
        }
        let (wanted, shape) = self.shape.as_ref()?;
        (*wanted == key).then_some((shape.as_slice(), &[]))
    }

    fn values(&self, key: &str, shape: &[usize]) -> kidu_engine::Result<&[f32]> {
        if self.without == Some(key) || self.shape.as_ref().is_some_and(|(wanted, _)| *wanted == key) {
            let found = self.tensor(key).map(|(shape, _)| shape.to_vec());
            let problem = found.map_or("is missing".into(), |s| format!("has the shape {s:?} instead of {shape:?}"));
            return Err(EngineError::Weights { key: key.into(), problem });
        }
        let len: usize = shape.iter().product();
        let scale = if shape.len() == 1 { 0.2 } else { (3.0 / (len / shape[0]) as f32).sqrt() };
        let start =
            if shape.len() == 1 && (key.ends_with("weight") || key.ends_with("running_var")) { 1.0 } else { 0.0 };
        let seed = key.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
        let value = |i: usize| {
            start + scale * ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) as f32 / 2f32.powi(31) - 1.0)
        };
        Ok(Vec::leak((0..len).map(value).collect()))
    }
}

/// Images of waves.
pub(crate) fn images(count: usize, (height, width): (usize, usize)) -> Vec<f32> {
    (0..count * 3 * height * width).map(|i| (i as f32 * 0.37).sin()).collect()
}
