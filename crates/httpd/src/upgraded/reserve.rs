//! Blocks of memory that filters read into, lent to a connection while it reads.
//!
//! The core input filter takes a block for each read from the socket and gives it back when its bytes have been read,
//! to the connection's allocator. Kept there, each connection that waits has blocks of its own that are in no use; given
//! to the system, each read has them made anew. So those that read share a few.

use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use httpd_sys as sys;

/// As much as a read from the socket takes (`APR_BUCKET_BUFF_SIZE`), in bytes: APR's smallest block.
const BLOCK: usize = 8000;
/// How many of them a read through TLS has in use at a time.
const LENT: usize = 2;

/// How many times so many are kept: more than there are threads that read at a time.
const MOST: usize = 32;

/// [`LENT`] blocks for each connection that has read while the others did.
static RESERVE: Mutex<Vec<Blocks>> = Mutex::new(Vec::new());

/// Blocks that no allocator has, linked; maybe none.
pub(super) struct Blocks(*mut sys::apr_memnode_t);

// SAFETY: memory that nobody else knows of; blocks have no ties to the allocator that has made them.
unsafe impl Send for Blocks {}

impl Blocks {
    /// Gives the blocks to an allocator, to keep or to free.
    ///
    /// # Safety
    /// `allocator` is live, and this thread may use it.
    pub(super) unsafe fn give(self, allocator: *mut sys::apr_allocator_t) {
        if !self.0.is_null() {
            // SAFETY: the caller's promise; from here on the blocks are the allocator's.
            unsafe { sys::apr_allocator_free(allocator, self.0) };
        }
    }
}

/// Takes blocks from an allocator: first those that it keeps.
///
/// # Safety
/// As for [`Blocks::give`].
pub(super) unsafe fn take(allocator: *mut sys::apr_allocator_t, count: usize) -> Blocks {
    let mut first = ptr::null_mut();
    for _ in 0..count {
        // SAFETY: the caller's promise; a block that has been allocated is the caller's, its link with it.
        unsafe {
            let block = sys::apr_allocator_alloc(allocator, BLOCK);
            if !block.is_null() {
                (*block).next = first;
                first = block;
            }
        }
    }
    Blocks(first)
}

/// Lends an allocator blocks, if there are any.
///
/// # Safety
/// As for [`Blocks::give`].
pub(super) unsafe fn lend(allocator: *mut sys::apr_allocator_t) {
    let blocks = reserve().pop();
    if let Some(blocks) = blocks {
        // SAFETY: the caller's promise.
        unsafe { blocks.give(allocator) };
    }
}

/// Takes as many blocks back from an allocator as it was lent, or would have been. It keeps them when there are enough.
///
/// # Safety
/// As for [`Blocks::give`].
pub(super) unsafe fn take_back(allocator: *mut sys::apr_allocator_t) {
    if reserve().len() < MOST {
        // SAFETY: the caller's promise.
        let blocks = unsafe { take(allocator, LENT) };
        reserve().push(blocks);
    }
}

fn reserve() -> MutexGuard<'static, Vec<Blocks>> {
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner)
}
