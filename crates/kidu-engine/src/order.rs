//! Channels first, as images and tensors are handed over, and channels last, as the kernels read them.

/// `[channels, height, width]` to `[height, width, channels]`.
pub(crate) fn to_channels_last(input: &[f32], [channels, height, width]: [usize; 3], output: &mut [f32]) {
    let pixels = height * width;
    for (pixel, output) in output[..channels * pixels].chunks_exact_mut(channels).enumerate() {
        output.iter_mut().enumerate().for_each(|(c, slot)| *slot = input[c * pixels + pixel]);
    }
}

/// `[height, width, channels]` to `[channels, height, width]`.
pub(crate) fn to_channels_first(input: &[f32], [channels, height, width]: [usize; 3], output: &mut [f32]) {
    let pixels = height * width;
    for (pixel, input) in input[..channels * pixels].chunks_exact(channels).enumerate() {
        input.iter().enumerate().for_each(|(c, value)| output[c * pixels + pixel] = *value);
    }
}
