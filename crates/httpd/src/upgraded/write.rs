//! Writing without blocking: through the output filters, or past them.

use std::io::{self, IoSlice};

use httpd_sys as sys;

use super::{Goodbye, Upgraded, Way};
use crate::apr::Status;
use crate::bypass::{Bypass, Counters};
use crate::host_thread::Acting;
use crate::socket;

impl Upgraded {
    /// What counts the bytes that go past the filters, when they do.
    #[inline]
    pub(super) fn past_filters(&self) -> Option<Counters> {
        match &self.way {
            Some(Way {
                bypass: Bypass::Open(counters),
                ..
            }) => Some(*counters),
            _ => None,
        }
    }

    /// Whether the filters still hold output that the socket has not taken: then [`Upgraded::write`] takes none.
    #[inline(always)]
    pub fn has_output(&self) -> bool {
        // SAFETY: the connection is live and this thread's.
        !self.has_quiet_filters && unsafe { has_pending_output(self.c.as_ptr()) }
    }

    /// Whether [`Upgraded::read`] would say [`Read::Stalled`].
    pub fn is_clogged(&self) -> bool {
        self.has_output() && self.past_filters().is_none()
    }

    /// Writes without blocking, through the output filters or past them: takes some of `bytes`, or none while the socket takes
    /// none. Says how many bytes were taken; they are copied if the socket does not take them at once.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        if !self.begin_write()? {
            return Ok(0);
        }
        match self.past_filters() {
            Some(_) => self.count_out(socket::send(self.socket, bytes)),
            None => self.write_filters(bytes),
        }
    }

    /// [`Upgraded::write`] of several stretches as one: past the filters in one call, without a copy. What the filters get is
    /// copied together first, since TLS would make a record of each stretch.
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Status> {
        if !self.begin_write()? {
            return Ok(0);
        }
        if self.past_filters().is_some() {
            return self.count_out(socket::send_vectored(self.socket, slices));
        }
        let mut bytes = Vec::with_capacity(self.max_pass);
        for slice in slices {
            let room = self.max_pass - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        self.write_filters(&bytes)
    }

    /// Whether something may be written: nothing waits in the filters.
    #[inline(always)]
    fn begin_write(&mut self) -> Result<bool, Status> {
        if let Goodbye::Said = self.way().goodbye {
            return Err(Status(libc::EPIPE));
        }
        match self.has_quiet_filters {
            true => Ok(true),
            false => self.quieten_filters(),
        }
    }

    /// Has the filters write what they hold, such as the 101; says whether they hold nothing.
    fn quieten_filters(&mut self) -> Result<bool, Status> {
        if self.has_output() {
            self.flush()?;
        }
        let is_quiet = !self.has_output();
        self.has_quiet_filters = is_quiet && self.past_filters().is_some();
        Ok(is_quiet)
    }

    /// What the socket has taken, which nobody else counts.
    #[inline(always)]
    fn count_out(&mut self, sent: io::Result<usize>) -> Result<usize, Status> {
        match sent {
            Ok(count) => {
                self.passed.sent += count;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn write_filters(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        let has_floor = self.way().floor.is_some();
        let bytes = &bytes[..bytes.len().min(self.max_pass)];
        // SAFETY: the connection is live and this thread's.
        let _thread = unsafe { Acting::on(self.c.as_ptr()) };
        // SAFETY: the connection is live and this thread's; `bytes` outlive the pass, and the brigade is cleared
        // behind it.
        let status = Status(unsafe {
            self.output.append_transient(bytes);
            match has_floor {
                // A filter that keeps everything until it is told to flush lets go of it; the floor defuses it.
                true => self.output.append_flush(),
                false => self.output.append_boundary(),
            }
            sys::ap_pass_brigade(self.c.as_ref().output_filters, self.output.as_raw())
        });
        self.output.clear();
        status.ok()?;
        if self.has_output() || self.is_aborted() {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    /// Has the filters write what they hold and the socket takes; whether something is left says
    /// [`Upgraded::has_output`].
    pub fn flush(&mut self) -> Result<(), Status> {
        // SAFETY: the connection is live and this thread's.
        let _thread = unsafe { Acting::on(self.c.as_ptr()) };
        // SAFETY: the connection is live and this thread's.
        unsafe {
            let status = write_pending(self.c.as_ptr());
            if self.c.as_ref().aborted != 0 {
                return Err(Status(libc::ECONNABORTED));
            }
            status.ok()
        }
    }
}

/// Whether filters hold output.
///
/// # Safety
/// `c` is a live connection that this thread uses.
#[cfg(not(has_pending_filters))]
pub(super) unsafe fn has_pending_output(c: *mut sys::conn_rec) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*c).data_in_output_filters != 0 }
}

/// As above. The first filter speaks for those behind it, unless AsyncFilter keeps it from doing so; then only the
/// last one holds anything.
#[cfg(has_pending_filters)]
pub(super) unsafe fn has_pending_output(c: *mut sys::conn_rec) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        sys::ap_filter_should_yield((*c).output_filters) != 0
            || sys::ap_filter_should_yield(last_filter(c)) != 0
    }
}

/// Has filters write what they hold and the socket takes.
///
/// # Safety
/// As for [`has_pending_output`].
#[cfg(not(has_pending_filters))]
unsafe fn write_pending(c: *mut sys::conn_rec) -> Status {
    // SAFETY: the caller's promise. The last filter of a connection is the core output filter, which takes NULL for
    // "write what is set aside, without blocking", as the MPM itself calls it.
    unsafe {
        let filter = last_filter(c);
        let write = (*(*filter).frec)
            .filter_func
            .out_func
            .expect("an output filter has a function");
        Status(write(filter, std::ptr::null_mut()))
    }
}

/// As above. Each filter that holds something is asked, as the MPM does it.
#[cfg(has_pending_filters)]
unsafe fn write_pending(c: *mut sys::conn_rec) -> Status {
    // SAFETY: the caller's promise.
    let answer = unsafe { sys::ap_filter_output_pending(c) };
    match answer == sys::OK as std::ffi::c_int || answer == sys::DECLINED {
        true => Status::SUCCESS,
        false => Status(libc::ECONNABORTED),
    }
}

/// # Safety
/// As for [`has_pending_output`].
unsafe fn last_filter(c: *mut sys::conn_rec) -> *mut sys::ap_filter_t {
    // SAFETY: a connection has at least the core output filter.
    unsafe {
        let mut filter = (*c).output_filters;
        while !(*filter).next.is_null() {
            filter = (*filter).next;
        }
        filter
    }
}
