//! Between Burn's `[N, C, H, W]` tensors and channels-last slices.

use burn::{
    backend::{Flex, TensorMetadata, tensor::FloatTensor},
    tensor::TensorData,
};

pub(super) type Primitive = FloatTensor<Flex>;

/// N, C, H, W.
pub(super) fn dims(x: &Primitive) -> [usize; 4] {
    let shape = x.shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

/// The same values, `[N, H, W, C]` and contiguous. Copies only if they are not so in memory already.
pub(super) fn channels_last(x: Primitive) -> Primitive {
    let layout = x.layout().permute(&[0, 2, 3, 1]);
    x.with_layout(layout).to_contiguous()
}

/// The values of a contiguous tensor.
pub(super) fn values(x: &Primitive) -> &[f32] {
    let layout = x.layout();
    &x.storage::<f32>()[layout.start_offset()..layout.start_offset() + layout.num_elements()]
}

/// A logical `[N, C, H, W]` tensor over channels-last values.
pub(super) fn from_channels_last(values: Vec<f32>, [n, c, h, w]: [usize; 4]) -> Primitive {
    let tensor = Primitive::from_data(TensorData::new(values, [n, h, w, c]));
    let layout = tensor.layout().permute(&[0, 3, 1, 2]);
    tensor.with_layout(layout)
}

/// A tensor over values in row-major order.
pub(super) fn from_values<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Primitive {
    Primitive::from_data(TensorData::new(values, shape))
}
