//! The floor: a pair of filters of our own below those of other modules, just above httpd's core filters.
//!
//! What other filters say of the socket may not be so. mod_ssl answers "would block" for a TLS record without data while
//! the next one waits in the core input filter; it asks for a flush, for which the core output filter would poll the
//! socket, while it is being read from; it reads blocking while it writes. The floor sees what is really there, and
//! makes everything that passes it one that does not wait. Where it lies on nothing else, it is the one that reads and
//! writes: see `ground.rs`.

use std::ffi::{CStr, c_void};
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};

use httpd_sys as sys;

use super::ground::{Ground, LEAST_ROOM};
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
    laid: NonNull<Laid>,
}

/// What the two filters know.
struct Laid {
    below: Below,
    ground: Ground,
}

/// Room to read into, lent to the floor until this value is dropped.
pub(super) struct Lent(NonNull<Laid>);

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: in the pool of the connection, which this thread has, and in no call of a filter.
        unsafe { self.0.as_mut() }.ground.take_back();
    }
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
    /// `c` is a live connection that this thread uses, and not in a call of one of its filters; `socket` is its own.
    pub(super) unsafe fn lay(c: *mut sys::conn_rec, socket: RawFd) -> Option<Self> {
        // SAFETY: the caller's promise; the state is in the connection's pool, as the filters are, and written before one of
        // them is called. APR aborts rather than return NULL.
        unsafe {
            let laid = sys::apr_palloc((*c).pool, size_of::<Laid>()).cast::<Laid>();
            let add_in = sys::ap_add_input_filter;
            let add_out = sys::ap_add_output_filter;
            let ctx = laid.cast::<c_void>();
            let input = NonNull::new(add_in(INPUT.as_ptr(), ctx, ptr::null_mut(), c))?;
            let output = NonNull::new(add_out(OUTPUT.as_ptr(), ctx, ptr::null_mut(), c));
            let Some(output) = output else {
                sys::ap_remove_input_filter(input.as_ptr());
                return None;
            };
            laid.write(Laid {
                below: Below::Unasked,
                ground: Ground::new(c, socket, input, output),
            });
            Some(Floor {
                input,
                output,
                laid: NonNull::new(laid)?,
            })
        }
    }

    /// The socket has another number.
    pub(super) fn move_to(&mut self, socket: RawFd) {
        self.laid().ground.move_to(socket);
    }

    /// Forgets what has been asked for so far.
    pub(super) fn forget(&mut self) {
        self.laid().below = Below::Unasked;
    }

    /// What has come from below.
    pub(super) fn below(&mut self) -> Below {
        self.laid().below
    }

    /// Whether everything has been given that the socket had during this loan.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.laid().ground.is_exhausted()
    }

    /// Whether the next read needs the core input filter and its blocks.
    pub(super) fn needs_blocks(&mut self) -> bool {
        !self.laid().ground.is_bare()
    }

    /// Lends the floor the second half of a buffer, if it can use that, for as long as the second value lives. What is
    /// read takes no more than the first half, once it is decrypted.
    pub(super) fn lend<'b>(&mut self, buffer: &'b mut [u8]) -> (&'b mut [u8], Option<Lent>) {
        let half = buffer.len() / 2;
        if half < LEAST_ROOM || !self.laid().ground.is_bare() {
            return (buffer, None);
        }
        let (buffer, room) = buffer.split_at_mut(half);
        self.laid().ground.lend(room);
        (buffer, Some(Lent(self.laid)))
    }

    /// Asks below, without taking anything, because the filters above have not.
    ///
    /// # Safety
    /// The connection is live and this thread's; `scrap` is an empty brigade of it.
    pub(super) unsafe fn ask(&mut self, scrap: &mut Brigade) -> Below {
        if self.laid().ground.has_unread() {
            return Below::Something;
        }
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

    fn laid(&mut self) -> &mut Laid {
        // SAFETY: in the pool of the connection, which outlives this value; used by the thread that has the connection,
        // outside of calls of its filters.
        unsafe { self.laid.as_mut() }
    }
}

/// Reads from the socket or the core input filter, never blocking: who insists on data gets a timeout at once.
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
            let laid = (*f).ctx.cast::<Laid>();
            let mut to = Brigade::from_raw(bb);
            let count = usize::try_from(readbytes).unwrap_or(0);
            let status = (*laid).ground.read((*f).c, &mut to, mode, count);
            let from_core = status.is_none();
            let status = status.unwrap_or_else(|| {
                Status(sys::ap_get_brigade(
                    (*f).next,
                    bb,
                    mode,
                    sys::apr_read_type_e_APR_NONBLOCK_READ,
                    readbytes,
                ))
            });
            let is_nothing =
                status.is_would_block() || (status == Status::SUCCESS && to.is_empty());
            (*laid).below = match is_nothing && !(*laid).ground.is_over() {
                true => Below::Nothing,
                false => Below::Something,
            };
            if from_core {
                (*laid).ground.note(is_nothing && is_read_of_data(mode));
            }
            let is_read = mode != sys::ap_input_mode_t_AP_MODE_INIT;
            if is_nothing && is_read && block == sys::apr_read_type_e_APR_BLOCK_READ {
                return sys::APR_TIMEUP as sys::apr_status_t;
            }
            status.as_raw()
        }
    })
}

/// Whether an answer of nothing says that the core input filter holds nothing.
fn is_read_of_data(mode: sys::ap_input_mode_t) -> bool {
    mode == sys::ap_input_mode_t_AP_MODE_READBYTES
        || mode == sys::ap_input_mode_t_AP_MODE_SPECULATIVE
}

/// Writes to the socket or the core output filter, never waiting for the socket to take it.
unsafe extern "C" fn write_below(
    f: *mut sys::ap_filter_t,
    bb: *mut sys::apr_bucket_brigade,
) -> sys::apr_status_t {
    guard(sys::APR_EGENERAL as sys::apr_status_t, || {
        // SAFETY: as in `read_below`.
        unsafe {
            if !bb.is_null() {
                let mut from = Brigade::from_raw(bb);
                let laid = (*f).ctx.cast::<Laid>();
                if (*laid).ground.write((*f).c, &mut from) {
                    return sys::APR_SUCCESS as sys::apr_status_t;
                }
                if !from.defuse() {
                    from.clear();
                    return sys::APR_ENOTIMPL as sys::apr_status_t;
                }
            }
            sys::ap_pass_brigade((*f).next, bb)
        }
    })
}
