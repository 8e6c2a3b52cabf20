//! Blocks of memory that filters read into, lent to a connection while it reads.
//!
//! The core input filter takes a block for each read from the socket and gives it back when its bytes have been read,
//! to the connection's allocator. Kept there, each connection that waits has blocks of its own that are in no use; given
//! to the system, each read has them made anew, and other threads wait while the system forgets the old ones. So those that
//! read share a few.
//!
//! An opening handshake is such a read, too. A page's connection finds the blocks that the one before it has left in the
//! MPM's allocator; a WebSocket keeps its allocator, so that the next connection has a new and empty one. It is lent what
//! the last handshake went through.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use httpd_sys as sys;

/// As much as a read from the socket takes (`APR_BUCKET_BUFF_SIZE`), in bytes: APR's smallest block.
const BLOCK: usize = 8000;
/// How many of them a read through TLS has in use at a time, and so has an opening handshake: what the request is read into,
/// and what the 101 is written into.
pub(super) const LENT: usize = 2;

/// How many times so many are kept: about as many as there are threads that read at a time.
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

/// Lends an allocator blocks, if there are any: whether there were.
///
/// # Safety
/// As for [`Blocks::give`].
pub(super) unsafe fn lend(allocator: *mut sys::apr_allocator_t) -> bool {
    let blocks = reserve().pop();
    let any = blocks.is_some();
    if let Some(blocks) = blocks {
        // SAFETY: the caller's promise.
        unsafe { blocks.give(allocator) };
    }
    any
}

/// Takes as many blocks back from an allocator as it was lent, or would have been: whether there was a place for them.
///
/// # Safety
/// As for [`Blocks::give`].
pub(super) unsafe fn take_back(allocator: *mut sys::apr_allocator_t) -> bool {
    if reserve().len() >= MOST {
        return false;
    }
    // SAFETY: the caller's promise.
    let blocks = unsafe { take(allocator, LENT) };
    reserve().push(blocks);
    true
}

/// Has new connections lent blocks for what may be an opening handshake. Called by a module's register_hooks, each time that
/// it is loaded.
pub fn register() {
    // SAFETY: registering is what a register_hooks function may do; the function stays while the DSO is loaded.
    unsafe {
        sys::ap_hook_pre_connection(
            Some(lend_to_new),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_FIRST as c_int,
        );
    }
}

/// The pre_connection hook.
unsafe extern "C" fn lend_to_new(c: *mut sys::conn_rec, _socket: *mut c_void) -> c_int {
    // SAFETY: httpd runs the hook with a new connection on the thread that serves it; its pool has an allocator, which
    // nobody else uses yet, and outlives its cleanup.
    unsafe {
        // Where no connection outlives its thread's turn, each finds the blocks of the one before. A stream of HTTP/2 has
        // its connection's. And an allocator that may keep next to nothing (MaxMemFree) would free them at once.
        let most = sys::ap_max_mem_free;
        let keeps =
            most == sys::APR_ALLOCATOR_MAX_FREE_UNLIMITED || most as usize >= 4 * LENT * BLOCK;
        if (*c).cs.is_null() || !(*c).master.is_null() || !keeps {
            return sys::DECLINED;
        }
        let pool = (*c).pool;
        if lend(sys::apr_pool_allocator_get(pool)) {
            let end = Some(end_of_loan as unsafe extern "C" fn(*mut c_void) -> sys::apr_status_t);
            sys::apr_pool_cleanup_register(
                pool,
                pool.cast(),
                end,
                Some(sys::apr_pool_cleanup_null),
            );
        }
    }
    sys::DECLINED
}

/// The connection becomes a WebSocket, which settles the loan when it has read its opening handshake.
///
/// # Safety
/// `pool` is a live connection's, and this thread is the one that the MPM has given it to.
pub(super) unsafe fn outlive_loan(pool: *mut sys::apr_pool_t) {
    // SAFETY: the caller's promise; nothing happens where there is no such cleanup.
    unsafe { sys::apr_pool_cleanup_kill(pool, pool.cast(), Some(end_of_loan)) };
}

/// The end of a connection that was lent blocks and has become no WebSocket: for the next one.
unsafe extern "C" fn end_of_loan(pool: *mut c_void) -> sys::apr_status_t {
    // SAFETY: APR runs the cleanup before the pool's memory goes, when its requests' has gone back to the allocator, on the
    // one thread that has the connection.
    unsafe { take_back(sys::apr_pool_allocator_get(pool.cast())) };
    sys::APR_SUCCESS as sys::apr_status_t
}

fn reserve() -> MutexGuard<'static, Vec<Blocks>> {
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner)
}
