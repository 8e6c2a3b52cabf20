//! Past the filters: when a connection's bytes may go straight to and from its socket.

use std::ffi::CStr;

use httpd_sys as sys;

/// The name of mod_logio's filter.
const LOGIO: &[u8] = b"log_input_output";

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

/// Bytes that have gone past the filters, and are still to be counted: mod_logio, whose record lies in memory that nothing
/// else here touches, wants to know before the log is written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Passed {
    pub received: usize,
    pub sent: usize,
}

impl Bypass {
    /// # Safety
    /// `c` is a live connection that this thread uses.
    pub(crate) unsafe fn new(c: *mut sys::conn_rec) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let counters = Counters::find();
            let is_core = |name: &CStr| counters.can_replace(name);
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
    /// mod_logio's, if it is there.
    pub(crate) fn find() -> Self {
        // SAFETY: the optional functions have the types that mod_logio.h declares.
        unsafe {
            Counters {
                add_in: std::mem::transmute::<sys::apr_opt_fn_t, Option<_>>(
                    sys::apr_dynamic_fn_retrieve(c"ap_logio_add_bytes_in".as_ptr()),
                ),
                add_out: std::mem::transmute::<sys::apr_opt_fn_t, Option<_>>(
                    sys::apr_dynamic_fn_retrieve(c"ap_logio_add_bytes_out".as_ptr()),
                ),
            }
        }
    }

    /// Whether who reads from and writes to the socket itself, and counts, does all that a filter of this name does.
    fn can_replace(&self, name: &CStr) -> bool {
        match name.to_bytes() {
            b"core_in" | b"core" => true,
            LOGIO => self.add_in.is_some() && self.add_out.is_some(),
            _ => false,
        }
    }

    /// What reading from the socket instead of a chain of input filters has to count; `None` when one of them does more.
    ///
    /// # Safety
    /// `filter` is the head of a live connection's chain, or further down in it.
    pub(crate) unsafe fn of_input(filter: *mut sys::ap_filter_t) -> Option<Self> {
        let all = Counters::find();
        // SAFETY: the caller's promise.
        let (is_replaced, counts) = unsafe {
            (
                all_filters(filter, |name| all.can_replace(name)),
                !all_filters(filter, |name| name.to_bytes() != LOGIO),
            )
        };
        // A mod_logio above goes on counting.
        let add_in = all.add_in.filter(|_| counts);
        is_replaced.then_some(Counters { add_in, ..all })
    }

    /// What writing to the socket instead of a chain of output filters has to count, where the core filter itself has
    /// mod_logio count; `None` when one of them does more.
    ///
    /// # Safety
    /// As for [`Counters::of_input`].
    pub(crate) unsafe fn of_output(filter: *mut sys::ap_filter_t) -> Option<Self> {
        let all = Counters::find();
        // SAFETY: the caller's promise.
        unsafe { all_filters(filter, |name| all.can_replace(name)) }.then_some(all)
    }

    /// Counts what has gone past the filters.
    pub(crate) fn add(self, c: *mut sys::conn_rec, passed: Passed) {
        if passed.received > 0 {
            self.add_in(c, passed.received);
        }
        if passed.sent > 0 {
            self.add_out(c, passed.sent);
        }
    }

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
