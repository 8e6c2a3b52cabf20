//! Past the filters: when a connection's bytes may go straight to and from its socket.

use std::ffi::CStr;

use httpd_sys as sys;

/// Whether bytes may go past the filters, straight to and from the socket. A brigade costs its buckets, a read of
/// 8,000 bytes at a time and a read that only says "would block"; on a plain connection, where httpd's own core
/// filters are the only ones, it brings nothing.
#[derive(Clone, Copy)]
pub(crate) enum Bypass {
    /// Some filter has a part in the bytes.
    Closed,
    /// None has, but the core input filter may hold input that came with the handshake.
    Ready(Counters),
    /// Nothing is in the filters, and nothing will be.
    Open(Counters),
}

/// mod_logio's optional functions: its filter only counts, and so can we.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    add_in: Option<unsafe extern "C" fn(*mut sys::conn_rec, sys::apr_off_t)>,
    add_out: Option<unsafe extern "C" fn(*mut sys::conn_rec, sys::apr_off_t)>,
}

impl Bypass {
    /// # Safety
    /// `c` is a live connection that this thread uses.
    pub(crate) unsafe fn new(c: *mut sys::conn_rec) -> Self {
        // SAFETY: the caller's promise; the optional functions have the types that mod_logio.h declares.
        unsafe {
            let counters: Counters = Counters {
                add_in: std::mem::transmute::<sys::apr_opt_fn_t, Option<_>>(
                    sys::apr_dynamic_fn_retrieve(c"ap_logio_add_bytes_in".as_ptr()),
                ),
                add_out: std::mem::transmute::<sys::apr_opt_fn_t, Option<_>>(
                    sys::apr_dynamic_fn_retrieve(c"ap_logio_add_bytes_out".as_ptr()),
                ),
            };
            let is_core = |name: &CStr| match name.to_bytes() {
                b"core_in" | b"core" => true,
                b"log_input_output" => counters.add_in.is_some() && counters.add_out.is_some(),
                _ => false,
            };
            let is_bare = all_filters((*c).input_filters, is_core)
                && all_filters((*c).output_filters, is_core)
                && (*c).master.is_null();
            if is_bare {
                Bypass::Ready(counters)
            } else {
                Bypass::Closed
            }
        }
    }
}

impl Counters {
    /// Counts bytes received.
    pub(crate) fn add_in(self, c: *mut sys::conn_rec, count: usize) {
        if let Some(add) = self.add_in {
            // SAFETY: the connection is live and this thread's; mod_logio counts in its own record of it.
            unsafe { add(c, count as sys::apr_off_t) }
        }
    }

    /// Counts bytes sent.
    pub(crate) fn add_out(self, c: *mut sys::conn_rec, count: usize) {
        if let Some(add) = self.add_out {
            // SAFETY: as in `add_in`.
            unsafe { add(c, count as sys::apr_off_t) }
        }
    }
}

/// Whether `accepts` holds for the name of each filter of a chain.
///
/// # Safety
/// `filter` is NULL or the head of a live connection's chain.
pub(crate) unsafe fn all_filters(
    mut filter: *mut sys::ap_filter_t,
    accepts: impl Fn(&CStr) -> bool,
) -> bool {
    // SAFETY: the caller's promise; a registered filter has a terminated name.
    unsafe {
        while let Some(this) = filter.as_ref() {
            if !accepts(CStr::from_ptr((*this.frec).name)) {
                return false;
            }
            filter = this.next;
        }
    }
    true
}
