//! Features of a frozen network, computed once for each image.
//!
//! While the first part of a network is frozen, what stands at its end is a function of the image alone. It is computed
//! with the frozen part in prediction mode and kept: in memory, and as a file under a key of weights, preprocessing,
//! image hashes and cut, so that a second run starts at once.
//!
//! **Augmentation.** An image has one or two fixed views: as it is, and mirrored if the training split is flipped at
//! random. Each time an image is trained on, its view is drawn anew with the probability of the flip. Random crops and
//! RandAugment need pixels and do not apply; the fit loop says so. `trainer.cache_features=false` brings them back, at
//! the price of running the frozen part at every step.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::{ContentHasher, Progress, Sha256Hex, files, rng};
use kidu_models::{Cut, Inference, Network};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    evaluate::{device_of, host, image_tensor},
    source::BatchSource,
};

const MAGIC: &str = "kidu features 1";

/// The most memory that cached features of all splits together may take, in bytes (4 GiB).
pub const MEMORY_BUDGET: u64 = 4 << 30;

/// What stands at a cut, measured with a fixed image of the right size.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// [channels, height, width] of one image at the cut.
    pub shape: [usize; 3],
    /// Hash of the numbers: changes with weights, padding, activation and backend alike.
    pub fingerprint: Sha256Hex,
}

impl Probe {
    /// Sends a fixed pattern of the shape [3, h, w] through a network on the plain device.
    pub fn new(network: &Network, cut: Cut, [c, h, w]: [usize; 3]) -> Self {
        // A pattern without symmetry, so that every weight of the first layer matters.
        let values: Vec<f32> = (0..c * h * w).map(|i| ((i * i % 1009) as f32 / 504.0) - 1.0).collect();
        let data = TensorData::new(values, [1, c, h, w]);
        let out = network.forward_between(Tensor::from_data(data, &device_of(network)), Cut::Image, cut);
        let [_, channels, height, width] = out.dims();
        let bytes: Vec<u8> = host(out).iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { shape: [channels, height, width], fingerprint: Sha256Hex::of_bytes(&bytes) }
    }

    /// Bytes that the features of `rows` images with `views` views take.
    pub fn bytes(&self, rows: usize, views: usize) -> u64 {
        4 * (rows * views) as u64 * self.shape.iter().product::<usize>() as u64
    }
}

/// The key of a cache file; `None` when the source cannot say what its images are.
pub fn key(network: &Network, probe: &Probe, cut: Cut, source: &dyn BatchSource, views: usize) -> Option<Sha256Hex> {
    let mut weights = ContentHasher::new("kidu frozen weights");
    kidu_models::parameters::visit(network, |info, value| {
        let before = match cut {
            Cut::Image => false,
            Cut::Stage(_) | Cut::Features => crate::fit::is_before(cut, info.location),
        };
        if before {
            let bytes: Vec<u8> = host(value).iter().flat_map(|v| v.to_le_bytes()).collect();
            weights = std::mem::take(&mut weights).field(&info.key, bytes);
        }
    });
    let hasher = ContentHasher::new(MAGIC)
        .field("images", source.identity()?.as_str())
        .field("weights", weights.finish().as_str())
        .field("probe", probe.fingerprint.as_str())
        .field("cut", format!("{cut:?}"))
        .field("views", views.to_le_bytes());
    Some(hasher.finish())
}

/// The features of one split in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureCache {
    header: Header,
    /// [rows, views, channels, height, width].
    values: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    key: Option<Sha256Hex>,
    shape: [usize; 3],
    views: usize,
    /// Index of each row's image in the split; skipped images have no row.
    indices: Vec<usize>,
    labels: Vec<usize>,
}

impl Header {
    fn row_len(&self) -> usize {
        self.views * self.shape.iter().product::<usize>()
    }
}

impl FeatureCache {
    /// Computes the features of all images with a network on the plain device. `None` when `stop` was set meanwhile.
    ///
    /// # Errors
    /// What the source reports.
    pub fn compute(
        network: &Network,
        probe: &Probe,
        cut: Cut,
        source: &dyn BatchSource,
        views: usize,
        key: Option<Sha256Hex>,
        (progress, stop): (&dyn Progress, &AtomicBool),
    ) -> Result<Option<Self>> {
        let device = device_of(network);
        let inference = Inference::new(network, source.image_shape())?;
        let mut header = Header { key, shape: probe.shape, views, indices: Vec::new(), labels: Vec::new() };
        let mut values = Vec::with_capacity(source.images() * header.row_len());
        let one = header.row_len() / views.max(1);
        for batch in source.plain() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let batch = batch?;
            let images = batch.labels.len();
            header.indices.extend(&batch.indices);
            header.labels.extend(&batch.labels);
            let x = image_tensor(batch, source.image_shape(), &device);
            let mut of_views = vec![host(inference.between(x.clone(), Cut::Image, cut)?)];
            if views > 1 {
                of_views.push(host(inference.between(x.flip([3]), Cut::Image, cut)?));
            }
            for image in 0..images {
                of_views.iter().for_each(|view| values.extend_from_slice(&view[image * one..(image + 1) * one]));
            }
            progress.advance(images as u64);
        }
        Ok(Some(Self { header, values }))
    }

    /// Number of images.
    pub fn rows(&self) -> usize {
        self.header.indices.len()
    }

    /// Number of views of each image.
    pub fn views(&self) -> usize {
        self.header.views
    }

    /// The rows of an epoch in order, with the view of each: a function of seed and epoch.
    pub fn epoch(&self, seed: u64, epoch: u64, flip: f64) -> Vec<(usize, usize)> {
        let mut rng = rng::stream(seed, "cached features", &[epoch]);
        let mut rows: Vec<usize> = (0..self.rows()).collect();
        for last in (1..rows.len()).rev() {
            // The bias of the product without rejection is below 2^-40 for any number of images.
            let other = (u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64;
            rows.swap(last, other as usize);
        }
        let mut view = || usize::from(self.views() > 1 && unit(rng.next_u64()) < flip);
        rows.into_iter().map(|row| (row, view())).collect()
    }

    /// The given rows as a tensor [N, channels, height, width], with their labels.
    pub fn batch(&self, rows: &[(usize, usize)], device: &Device) -> (Tensor<4>, Vec<usize>) {
        let one = self.header.row_len() / self.views().max(1);
        let mut values = Vec::with_capacity(rows.len() * one);
        for (row, view) in rows {
            let at = (row * self.views() + view) * one;
            values.extend_from_slice(&self.values[at..at + one]);
        }
        let [c, h, w] = self.header.shape;
        let x = Tensor::from_data(TensorData::new(values, [rows.len(), c, h, w]), device);
        (x, rows.iter().map(|(row, _)| self.header.labels[*row]).collect())
    }

    /// Writes the cache as a file, atomically.
    ///
    /// # Errors
    /// [`kidu_core::Error::Io`].
    pub fn save(&self, path: &Path) -> kidu_core::Result<()> {
        files::write_atomic_with(path, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            writeln!(out, "{MAGIC}\n{}", serde_json::to_string(&self.header)?)?;
            self.values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?;
            out.flush()
        })
    }

    /// Reads a cache file; `None` when there is none or it is not whole: it is then computed again.
    pub fn load(path: &Path, key: &Sha256Hex) -> Option<Self> {
        let mut input = BufReader::with_capacity(1 << 20, File::open(path).ok()?);
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        if line.trim_end() != MAGIC {
            return None;
        }
        line.clear();
        input.read_line(&mut line).ok()?;
        let header: Header = serde_json::from_str(&line).ok()?;
        let count = header.indices.len() * header.row_len();
        let mut bytes = vec![0u8; 4 * count];
        input.read_exact(&mut bytes).ok()?;
        let whole = input.read(&mut [0]).ok()? == 0 && header.labels.len() == header.indices.len();
        let (chunks, _) = bytes.as_chunks::<4>();
        let values = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
        (whole && header.key.as_ref() == Some(key)).then_some(Self { header, values })
    }
}

/// 53 random bits as a number in [0, 1).
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> FeatureCache {
        let header = Header {
            key: Some(Sha256Hex::of_bytes(b"k")),
            shape: [1, 1, 2],
            views: 2,
            indices: vec![0, 2, 3],
            labels: vec![1, 0, 1],
        };
        FeatureCache { header, values: (0..12).map(|i| i as f32).collect() }
    }

    #[test]
    fn files_round_trip_and_damaged_ones_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.bin");
        let key = Sha256Hex::of_bytes(b"k");
        assert!(FeatureCache::load(&path, &key).is_none());
        cache().save(&path).unwrap();
        assert_eq!(FeatureCache::load(&path, &key).unwrap(), cache());
        assert!(FeatureCache::load(&path, &Sha256Hex::of_bytes(b"other")).is_none());
        let bytes = std::fs::read(&path).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat(), b"", b"kidu features 1\n{}"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(FeatureCache::load(&path, &key).is_none());
        }
    }

    #[test]
    fn epochs_are_permutations_with_views_by_probability() {
        let cache = cache();
        let mut flips = 0;
        for epoch in 0..300 {
            let order = cache.epoch(1, epoch, 0.25);
            assert_eq!(order, cache.epoch(1, epoch, 0.25));
            let mut rows: Vec<usize> = order.iter().map(|r| r.0).collect();
            rows.sort_unstable();
            assert_eq!(rows, [0, 1, 2]);
            flips += order.iter().filter(|r| r.1 == 1).count();
        }
        assert!((170..290).contains(&flips), "{flips}");
        assert!(cache.epoch(1, 0, 0.0).iter().all(|r| r.1 == 0));
    }

    #[test]
    fn batches_pick_rows_and_views() {
        let (x, labels) = cache().batch(&[(2, 1), (0, 0)], &Device::flex());
        assert_eq!((x.dims(), labels), ([2, 1, 1, 2], vec![1, 1]));
        assert_eq!(host(x), [10.0, 11.0, 0.0, 1.0]);
    }
}
