//! Buffers that are used again: a fresh one of the size of an image costs as much as a light transform, for the
//! operating system hands it out page by page.

use std::cell::RefCell;

use image::RgbImage;

/// Buffers kept for each thread.
const KEPT: usize = 6;
/// Larger ones are given back to the system.
const LARGEST: usize = 1 << 24;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of `len` bytes whose content means nothing.
pub(crate) fn take(len: usize) -> Vec<u8> {
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    // What lies beyond the old length is zeroed, what lies below stays: both are overwritten by the caller.
    buffer.resize(len, 0);
    buffer
}

/// Keeps a buffer for the next [`take`].
pub(crate) fn give(buffer: Vec<u8>) {
    if buffer.capacity() <= LARGEST {
        BUFFERS.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                kept.push(buffer);
            }
        });
    }
}

/// An image whose pixels mean nothing yet.
pub(crate) fn image(width: u32, height: u32) -> RgbImage {
    let len = 3 * width as usize * height as usize;
    RgbImage::from_raw(width, height, take(len)).unwrap_or_else(|| RgbImage::new(width, height))
}

/// A copy of an image.
pub(crate) fn copy(image: &RgbImage) -> RgbImage {
    let mut out = self::image(image.width(), image.height());
    out.copy_from_slice(image.as_raw());
    out
}

/// Keeps the buffer of an image that is no longer needed.
pub(crate) fn recycle(image: RgbImage) {
    give(image.into_raw());
}
