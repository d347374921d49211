//! Weights by state-dict key.

use std::{collections::BTreeMap, fs::File, io::Read, ops::Range, path::Path};

use safetensors::{Dtype, SafeTensors};

use crate::error::{EngineError, Result};

/// Where a plan takes its weights from.
pub trait Weights {
    /// The tensor under a key: its shape, and its values in row-major order.
    fn tensor(&self, key: &str) -> Option<(&[usize], &[f32])>;

    /// The values of a tensor that must have this shape.
    ///
    /// # Errors
    /// [`EngineError::Weights`], naming the key.
    fn values(&self, key: &str, shape: &[usize]) -> Result<&[f32]> {
        let wrong = |problem: String| EngineError::Weights { key: key.to_string(), problem };
        let (found, values) = self.tensor(key).ok_or_else(|| wrong("is missing".into()))?;
        if found == shape { Ok(values) } else { Err(wrong(format!("has the shape {found:?} instead of {shape:?}"))) }
    }
}

/// Tensors read from a safetensors file: the file's bytes once, where they lie.
#[derive(Clone, Debug, Default)]
pub struct TensorMap {
    /// The file as numbers, header and all.
    words: Vec<f32>,
    /// Shape, and the place among the words.
    tensors: BTreeMap<String, (Vec<usize>, Range<usize>)>,
}

impl TensorMap {
    /// Reads all float32 tensors of a safetensors file.
    ///
    /// # Errors
    /// [`EngineError::File`] when it cannot be read, is damaged, or holds another type.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |reason: String| EngineError::File { path: path.to_path_buf(), reason };
        let unread = |e: std::io::Error| fail(format!("cannot be read ({e})"));
        let mut file = File::open(path).map_err(unread)?;
        let len = usize::try_from(file.metadata().map_err(unread)?.len())
            .ok()
            .filter(|len| *len <= LARGEST)
            .ok_or_else(|| fail(format!("is larger than {} GB; no network here has as many weights", LARGEST >> 30)))?;
        let mut words = vec![0.0f32; len.div_ceil(4)];
        let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..len];
        file.read_exact(bytes).map_err(unread)?;
        let parsed = SafeTensors::deserialize(bytes)
            .map_err(|e| fail(format!("is not a whole safetensors file ({e}); copy the bundle again")))?;
        let start = bytes.as_ptr().addr();
        let mut found = Vec::new();
        for (name, view) in parsed.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
            if view.dtype() != Dtype::F32 {
                return Err(fail(format!("'{name}' has the type {:?}; a bundle holds float32", view.dtype())));
            }
            let first = view.data().as_ptr().addr() - start;
            found.push((name.to_string(), view.shape().to_vec(), first..first + view.data().len()));
        }
        let mut tensors = BTreeMap::new();
        for (name, shape, place) in found {
            let place = settle(&mut words, place);
            tensors.insert(name, (shape, place));
        }
        Ok(Self { words, tensors })
    }
}

/// The most bytes of a file of weights.
const LARGEST: usize = 4 << 30;

/// Brings the bytes at a place into the order of this machine. They lie at whole words, as the writers of the format
/// see to; if they do not, they are copied behind the end.
fn settle(words: &mut Vec<f32>, place: Range<usize>) -> Range<usize> {
    let words_of = |place: &Range<usize>| place.start / 4..place.end / 4;
    if place.start.is_multiple_of(4) && cfg!(target_endian = "little") {
        return words_of(&place);
    }
    let bytes: &[u8] = bytemuck::cast_slice(words);
    let (chunks, _) = bytes[place].as_chunks::<4>();
    let moved: Vec<f32> = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
    let start = words.len();
    words.extend(moved);
    start..words.len()
}

impl Weights for TensorMap {
    fn tensor(&self, key: &str) -> Option<(&[usize], &[f32])> {
        self.tensors.get(key).map(|(shape, place)| (shape.as_slice(), &self.words[place.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_at_any_place() {
        let values = [1.5f32, -2.0, 3.25];
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        for offset in 0..9 {
            let mut words = vec![0.0f32; 6];
            bytemuck::cast_slice_mut(&mut words)[offset..offset + 12].copy_from_slice(&bytes);
            let place = settle(&mut words, offset..offset + 12);
            assert_eq!(words[place], values, "{offset}");
        }
    }
}
