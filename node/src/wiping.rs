//! [`WipingAllocator`]: memory that is given back is overwritten first.
//!
//! Keys are wiped by their own types. This is for everything that secrets pass through on their way and that belongs to
//! libraries: read and write buffers of connections, JSON texts, strings that grew and left a copy behind. After an
//! add-on is sealed, nothing of it is left in freed memory.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with an overwrite before each release. The binary installs it.
#[derive(Clone, Copy, Debug, Default)]
pub struct WipingAllocator;

// SAFETY: each call is passed on to the system's allocator as it came. `realloc` is the trait's own, which moves to a new
// block and releases the old one through `dealloc`, so that it is wiped as well.
#[allow(unsafe_code, reason = "an allocator cannot be written otherwise")]
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's, as long as its layout says, and nobody reads it any more.
        unsafe {
            block.write_bytes(0, layout.size());
            // The compiler may leave out a write that nobody reads; it does not know what happens in here.
            System.dealloc(std::hint::black_box(block), layout);
        }
    }
}
