//! Memory that secrets passed through is overwritten: what is given back at once, and stacks after an add-on was sealed.
//!
//! Keys are wiped by their own types. This is for everything else, much of which belongs to libraries: read and write
//! buffers of connections, JSON texts, strings that grew and left a copy behind, the working space of ciphers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;

/// How much of a stack is overwritten: more than any call uses, and a quarter of what a thread has.
const STACK_BYTES: usize = 512 * 1024;

/// How long after a seal a stack is overwritten once more, for what was still under way.
const SETTLING: Duration = Duration::from_millis(500);

/// How many times an add-on was sealed on this node. One for all threads of the process, like the allocator.
static SEALS: LazyLock<watch::Sender<u64>> = LazyLock::new(watch::Sender::default);

/// Has the threads that run [`wipe_stack_after_seals`] do so.
pub fn note_seal() {
    SEALS.send_modify(|seals| *seals += 1);
}

/// Overwrites the stack of the thread that this runs on, below what is in use, after each seal. To be run on each thread
/// that serves requests or actors.
pub async fn wipe_stack_after_seals() {
    let mut seals = SEALS.subscribe();
    while seals.changed().await.is_ok() {
        wipe_stack();
        tokio::time::sleep(SETTLING).await;
        wipe_stack();
    }
}

#[inline(never)]
#[allow(clippy::large_stack_arrays, reason = "that is what it is for")]
fn wipe_stack() {
    std::hint::black_box(&mut [0_u8; STACK_BYTES]);
}

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
