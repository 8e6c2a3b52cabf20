//! The floor: a pair of filters of our own below those of other modules, just above httpd's core filters.
//!
//! What other filters say of the socket may not be so. mod_ssl answers "would block" for a TLS record without data while
//! the next one waits in the core input filter; it asks for a flush, for which the core output filter would poll the
//! socket, while it is being read from; it reads blocking while it writes. The floor sees what is really there, and
//! makes everything that passes it one that does not wait.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use httpd_sys as sys;

use crate::apr::{Brigade, Status};
use crate::guard::guard;

const INPUT: &CStr = c"WEBSOCKET_FLOOR_IN";
const OUTPUT: &CStr = c"WEBSOCKET_FLOOR_OUT";
/// Below TLS (AP_FTYPE_CONNECTION + 5) and its kind, above the core filters.
const FTYPE: sys::ap_filter_type = sys::ap_filter_type_AP_FTYPE_NETWORK - 1;

/// What the filters above have got from below since [`Floor::forget`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Below {
    /// They have not asked.
    Unasked,
    /// Something, when they last asked: there may be more.
    Something,
    /// Nothing, when they last asked: the next input is reported by the poller.
    Nothing,
}

/// The floor of one connection.
pub(super) struct Floor {
    input: NonNull<sys::ap_filter_t>,
    output: NonNull<sys::ap_filter_t>,
    /// In the connection's pool: it stays for as long as the filters may be called.
    below: NonNull<Cell<Below>>,
}

/// Tells httpd of the two filters. Called by a module's register_hooks, each time that it is loaded.
pub fn register() {
    // SAFETY: registering is what a register_hooks function may do; names are static, and the functions stay while
    // the DSO is loaded.
    unsafe {
        sys::ap_register_input_filter(INPUT.as_ptr(), Some(read_below), None, FTYPE);
        sys::ap_register_output_filter(OUTPUT.as_ptr(), Some(write_below), None, FTYPE);
    }
}

impl Floor {
    /// Lays the floor of a connection; `None` if httpd does not know the filters.
    ///
    /// # Safety
    /// `c` is a live connection that this thread uses, and not in a call of one of its filters.
    pub(super) unsafe fn lay(c: *mut sys::conn_rec) -> Option<Self> {
        // SAFETY: the caller's promise; the state is in the connection's pool, as the filters are.
        unsafe {
            let size = size_of::<Cell<Below>>();
            let below = sys::apr_palloc((*c).pool, size).cast::<Cell<Below>>();
            below.write(Cell::new(Below::Unasked));
            let add_in = sys::ap_add_input_filter;
            let add_out = sys::ap_add_output_filter;
            let ctx = below.cast::<c_void>();
            Some(Floor {
                input: NonNull::new(add_in(INPUT.as_ptr(), ctx, ptr::null_mut(), c))?,
                output: NonNull::new(add_out(OUTPUT.as_ptr(), ctx, ptr::null_mut(), c))?,
                below: NonNull::new(below)?,
            })
        }
    }

    /// Forgets what has been asked for so far.
    pub(super) fn forget(&self) {
        self.cell().set(Below::Unasked);
    }

    /// What has come from below.
    pub(super) fn below(&self) -> Below {
        self.cell().get()
    }

    /// Asks below, without taking anything, because the filters above have not.
    ///
    /// # Safety
    /// The connection is live and this thread's; `scrap` is an empty brigade of it.
    pub(super) unsafe fn ask(&self, scrap: &mut Brigade) -> Below {
        // SAFETY: the caller's promise; the filter is in the connection's chain, or was.
        unsafe {
            sys::ap_get_brigade(
                self.input.as_ptr(),
                scrap.as_raw(),
                sys::ap_input_mode_t_AP_MODE_SPECULATIVE,
                sys::apr_read_type_e_APR_NONBLOCK_READ,
                1,
            );
        }
        scrap.clear();
        self.below()
    }

    /// Takes the floor away: what passes may block again.
    ///
    /// # Safety
    /// The connection is live and this thread's, and not in a call of one of its filters.
    pub(super) unsafe fn take_up(self) {
        // SAFETY: the caller's promise; the filters are in the connection's chains.
        unsafe {
            sys::ap_remove_input_filter(self.input.as_ptr());
            sys::ap_remove_output_filter(self.output.as_ptr());
        }
    }

    fn cell(&self) -> &Cell<Below> {
        // SAFETY: in the pool of the connection, which outlives this value; used by the thread that has the connection.
        unsafe { self.below.as_ref() }
    }
}

/// Reads from the core input filter, never blocking: who insists on data gets a timeout at once.
unsafe extern "C" fn read_below(
    f: *mut sys::ap_filter_t,
    bb: *mut sys::apr_bucket_brigade,
    mode: sys::ap_input_mode_t,
    block: sys::apr_read_type_e,
    readbytes: sys::apr_off_t,
) -> sys::apr_status_t {
    guard(sys::APR_EGENERAL as sys::apr_status_t, || {
        // SAFETY: httpd calls a filter with itself and a live brigade, on the thread that uses the connection; the
        // context is what `lay` gave it.
        unsafe {
            let status = Status(sys::ap_get_brigade(
                (*f).next,
                bb,
                mode,
                sys::apr_read_type_e_APR_NONBLOCK_READ,
                readbytes,
            ));
            let is_nothing = status.is_would_block()
                || (status == Status::SUCCESS && Brigade::from_raw(bb).is_empty());
            let below = match is_nothing {
                true => Below::Nothing,
                false => Below::Something,
            };
            (*(*f).ctx.cast::<Cell<Below>>()).set(below);
            let is_read = mode != sys::ap_input_mode_t_AP_MODE_INIT;
            if is_nothing && is_read && block == sys::apr_read_type_e_APR_BLOCK_READ {
                return sys::APR_TIMEUP as sys::apr_status_t;
            }
            status.as_raw()
        }
    })
}

/// Writes to the core output filter, never waiting for the socket to take it.
unsafe extern "C" fn write_below(
    f: *mut sys::ap_filter_t,
    bb: *mut sys::apr_bucket_brigade,
) -> sys::apr_status_t {
    guard(sys::APR_EGENERAL as sys::apr_status_t, || {
        // SAFETY: as in `read_below`.
        unsafe {
            if !bb.is_null() && !Brigade::from_raw(bb).defuse() {
                sys::apr_brigade_cleanup(bb.cast());
                return sys::APR_ENOTIMPL as sys::apr_status_t;
            }
            sys::ap_pass_brigade((*f).next, bb)
        }
    })
}
