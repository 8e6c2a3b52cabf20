//! The `apr_thread_t` that a connection names while a thread of ours runs code of httpd's for it.
//!
//! Modules keep things for each thread in its pool (mod_lua its states), and take `c->current_thread` for the thread
//! that runs. The worker that served the handshake has others to serve by the time that ours use the connection.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use httpd_sys as sys;

thread_local! {
    /// This thread's record, once it has one. Without a destructor, which would keep the module from being unloaded.
    static OWN: Cell<*mut sys::apr_thread_t> = const { Cell::new(ptr::null_mut()) };
}

/// Records for threads that have none of their own, which are a plugin's: one for each that is in a filter at a time.
static GUESTS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

/// A record, and the pool that it is in.
struct Record(NonNull<sys::apr_thread_t>);

// SAFETY: a record is an address and a pool; one thread at a time has it.
unsafe impl Send for Record {}

impl Record {
    /// A record for the calling thread.
    fn new() -> Option<Self> {
        // SAFETY: an unmanaged pool is the record's own; the record lives in it.
        unsafe {
            let mut pool = ptr::null_mut();
            if sys::apr_pool_create_unmanaged_ex(&mut pool, None, ptr::null_mut()) != 0 {
                return None;
            }
            let mut thread = ptr::null_mut();
            let mut own = sys::apr_os_thread_current();
            let status = sys::apr_os_thread_put(&mut thread, &mut own, pool);
            match NonNull::new(thread) {
                Some(thread) if status == 0 => Some(Record(thread)),
                _ => {
                    sys::apr_pool_destroy(pool);
                    None
                }
            }
        }
    }

    /// A record that httpd knows of, too (`ap_thread_current`), where it knows of any.
    #[cfg(has_thread_current)]
    fn registered() -> Option<Self> {
        // SAFETY: the pool is only asked what to do when memory runs out.
        unsafe {
            let mut pool = ptr::null_mut();
            if sys::apr_pool_create_unmanaged_ex(&mut pool, None, ptr::null_mut()) != 0 {
                return None;
            }
            let mut thread = ptr::null_mut();
            let status = sys::ap_thread_current_create(&mut thread, ptr::null_mut(), pool);
            sys::apr_pool_destroy(pool);
            (status == 0)
                .then(|| NonNull::new(thread).map(Record))
                .flatten()
        }
    }

    #[cfg(not(has_thread_current))]
    fn registered() -> Option<Self> {
        Self::new()
    }

    fn destroy(self) {
        // SAFETY: nobody names the record any more; it goes with its pool.
        unsafe { sys::apr_pool_destroy(sys::apr_thread_pool_get(self.0.as_ptr())) }
    }
}

/// Runs the whole of a thread of ours with a record of its own.
pub fn with_record(body: &mut dyn FnMut()) {
    let record = Record::registered();
    if let Some(record) = &record {
        OWN.set(record.0.as_ptr());
    }
    body();
    OWN.set(ptr::null_mut());
    if let Some(record) = record {
        record.destroy();
    }
}

/// The calling thread is httpd's own, and serves `c`.
///
/// # Safety
/// `c` is a live connection that this thread serves.
pub(crate) unsafe fn remember(c: *mut sys::conn_rec) {
    // SAFETY: the caller's promise.
    OWN.set(unsafe { (*c).current_thread });
}

/// While it lives, a connection names the record of the calling thread.
pub(crate) struct Acting {
    c: *mut sys::conn_rec,
    /// What the connection named before.
    before: *mut sys::apr_thread_t,
    /// Lent to the thread, which has none of its own.
    guest: Option<Record>,
}

impl Acting {
    /// # Safety
    /// `c` is a live connection, used by this thread alone until the value is dropped.
    pub(crate) unsafe fn on(c: *mut sys::conn_rec) -> Self {
        let mut guest = None;
        if OWN.get().is_null() {
            guest = guests().pop().or_else(Record::new);
            let record = guest.as_ref().map(|record| record.0.as_ptr());
            // Its own until it is given back, so that one is enough.
            OWN.set(record.unwrap_or(ptr::null_mut()));
        }
        // SAFETY: the caller's promise.
        let before = unsafe { ptr::replace(&raw mut (*c).current_thread, OWN.get()) };
        Acting { c, before, guest }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        // SAFETY: the promise to `on`.
        unsafe { (*self.c).current_thread = self.before };
        if let Some(record) = self.guest.take() {
            OWN.set(ptr::null_mut());
            guests().push(record);
        }
    }
}

fn guests() -> std::sync::MutexGuard<'static, Vec<Record>> {
    GUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}
