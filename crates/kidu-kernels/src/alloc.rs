//! Large allocations at cache lines.

use std::alloc::{GlobalAlloc, Layout};

/// Allocations of at least this size begin at a cache line.
const LARGE: usize = 1024;

const LINE: usize = 64;

/// A global allocator that begins large allocations at a cache line.
///
/// Tensors come from whatever allocator the process has, at addresses that are multiples of 16 bytes; then every
/// 64-byte vector straddles two cache lines, and the kernels run at little more than half their speed.
///
/// ```
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: kidu_kernels::CacheAligned<System> = kidu_kernels::CacheAligned(System);
///
/// fn main() {
///     assert_eq!(vec![0.0f32; 5000].as_ptr() as usize % 64, 0);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheAligned<A>(pub A);

/// The layout that is asked of the allocator below: a function of the layout alone, so that freeing finds the same.
fn widen(layout: Layout) -> Layout {
    if layout.size() < LARGE {
        return layout;
    }
    layout.align_to(LINE).unwrap_or(layout)
}

// SAFETY: every call reaches the inner allocator with the layout that `widen` makes of the caller's, which is at least
// as aligned and of the same size, and the same when the memory is freed or moved.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CacheAligned<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.alloc(widen(layout))
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.0.dealloc(ptr, widen(layout));
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.0.alloc_zeroed(widen(layout))
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align_unchecked(new_size, layout.align());
        if widen(layout).align() == widen(new).align() {
            return self.0.realloc(ptr, widen(layout), new_size);
        }
        let moved = self.0.alloc(widen(new));
        if !moved.is_null() {
            std::ptr::copy_nonoverlapping(ptr, moved, layout.size().min(new_size));
            self.0.dealloc(ptr, widen(layout));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    #[test]
    fn growing_across_the_threshold_keeps_the_bytes() {
        let allocator = CacheAligned(System);
        let layout = Layout::from_size_align(600, 4).unwrap();
        // SAFETY: each block is freed with the layout it has.
        unsafe {
            let small = allocator.alloc(layout);
            small.write_bytes(7, 600);
            let large = allocator.realloc(small, layout, 5000);
            assert_eq!(large as usize % LINE, 0);
            assert!((0..600).all(|i| large.add(i).read() == 7));
            let layout = Layout::from_size_align(5000, 4).unwrap();
            let small = allocator.realloc(large, layout, 10);
            assert!((0..10).all(|i| small.add(i).read() == 7));
            allocator.dealloc(small, Layout::from_size_align(10, 4).unwrap());
        }
    }
}
