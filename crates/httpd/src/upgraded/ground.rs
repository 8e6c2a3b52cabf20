//! What the floor lies on: the socket, where only httpd's core filters are below it.
//!
//! The core filters read 8,000 bytes at a time into a block of their own, ask the socket again to hear that there is
//! nothing more, and copy what is to be written before they write it. Under TLS that is as much work as the encryption.
//! So the floor reads and writes itself, with bytes where they are, while the core filters hold nothing: nobody above
//! it can tell.

use std::cell::Cell;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::RawFd;
use std::ptr::NonNull;

use httpd_sys as sys;

use super::write::has_pending_output;
use crate::apr::{Brigade, Status};
use crate::bypass::{self, Counters};
use crate::socket;

/// The least that is worth reading into, in bytes: a TLS record, more or less.
pub(super) const LEAST_ROOM: usize = 16 * 1024;
/// More stretches are left to the core filter.
const STRETCHES: usize = 16;

/// The socket of one connection, as its floor sees it. Belongs to the thread that has the connection.
pub(super) struct Ground {
    socket: RawFd,
    /// What reading has to count; `None` when not all filters below and above are known.
    reads: Option<Counters>,
    /// What writing has to count; `None` when not all filters below are known.
    writes: Option<Counters>,
    /// The core input filter holds nothing that it has read.
    is_bare: Cell<bool>,
    /// Where to read to: only during one of the owner's reads.
    room: Cell<Option<NonNull<[u8]>>>,
    /// The socket had less than there was room for, in this read of the owner's.
    is_dry: Cell<bool>,
    /// The socket has come to its end, which the core input filter says the second time that it is asked for it.
    is_over: Cell<bool>,
    /// There was no memory for what is unread: nothing can be read any more.
    is_torn: Cell<bool>,
    /// What has been read, and nobody above has asked for yet. Refers to the room while that is lent.
    unread: Brigade,
}

impl Ground {
    /// `input` and `output` are the floor's filters.
    ///
    /// # Safety
    /// `c` is a live connection that this thread uses, and the filters are in its chains.
    pub(super) unsafe fn new(
        c: *mut sys::conn_rec,
        socket: RawFd,
        input: NonNull<sys::ap_filter_t>,
        output: NonNull<sys::ap_filter_t>,
    ) -> Self {
        // SAFETY: the caller's promise. The brigade goes with the connection's pool.
        unsafe {
            Ground {
                socket,
                is_over: Cell::new(false),
                is_torn: Cell::new(false),
                reads: Counters::of_input(input.as_ref().next).filter(|_| is_below_tls(c, input)),
                writes: Counters::of_output(output.as_ref().next),
                is_bare: Cell::new(false),
                room: Cell::new(None),
                is_dry: Cell::new(false),
                unread: Brigade::new((*c).pool, (*c).bucket_alloc),
            }
        }
    }

    /// The socket has another number.
    pub(super) fn move_to(&mut self, socket: RawFd) {
        self.socket = socket;
    }

    /// Whether the next read may go to the socket, if it is lent room.
    pub(super) fn is_bare(&self) -> bool {
        self.is_bare.get()
    }

    /// Whether everything has been given that was in the socket, in this read of the owner's.
    pub(super) fn is_exhausted(&self) -> bool {
        self.is_dry.get() && self.unread.is_empty()
    }

    /// Whether the end has come: an answer of nothing is not all that there is to hear.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Whether something has been read that nobody has asked for.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Lends room to read into; [`Ground::take_back`] ends that.
    pub(super) fn lend(&self, room: &mut [u8]) {
        self.is_dry.set(false);
        self.room.set(Some(NonNull::from(room)));
    }

    /// The room may be used for something else from here on.
    pub(super) fn take_back(&mut self) {
        self.room.set(None);
        self.is_dry.set(false);
        if !self.unread.is_empty() && !self.unread.set_aside() {
            self.is_torn.set(true);
        }
    }

    /// The core input filter has answered a read of data.
    pub(super) fn note(&self, is_nothing: bool) {
        self.is_bare.set(is_nothing && self.reads.is_some());
    }

    /// Reads for the filter above, at most `count` bytes; `None` when the core input filter is to do it.
    ///
    /// # Safety
    /// `c` is the live connection, used by this thread; `to` is an empty brigade of it.
    pub(super) unsafe fn read(
        &mut self,
        c: *mut sys::conn_rec,
        to: &mut Brigade,
        mode: sys::ap_input_mode_t,
        count: usize,
    ) -> Option<Status> {
        if mode != sys::ap_input_mode_t_AP_MODE_READBYTES {
            // Who asks in such a way is none of the filters that are known.
            return self
                .has_unread()
                .then_some(Status(sys::APR_ENOTIMPL as sys::apr_status_t));
        }
        if self.is_torn.get() {
            return Some(Status(libc::ENOMEM));
        }
        if !self.has_unread() {
            let counters = self.reads.filter(|_| self.is_bare.get())?;
            if self.is_dry.get() {
                return Some(Status(libc::EAGAIN));
            }
            let mut room = self.room.get()?;
            // SAFETY: lent, and nobody refers to it: nothing is unread, and the filter above, mod_ssl's, has copied what it
            // has asked for before it asks again.
            let room = unsafe { room.as_mut() };
            let received = match socket::receive(self.socket, room) {
                // How the end is told, the core input filter knows.
                Ok(0) => {
                    self.is_over.set(true);
                    return None;
                }
                Ok(received) => received,
                Err(error) => {
                    self.is_dry.set(error.kind() == ErrorKind::WouldBlock);
                    return Some(error.into());
                }
            };
            self.is_dry.set(received < room.len());
            counters.add_in(c, received);
            // SAFETY: the bytes stay until the room is taken back, when what is left is copied.
            unsafe { self.unread.append_transient(&room[..received]) };
        }
        self.unread.move_front(count, to);
        Some(Status::SUCCESS)
    }

    /// Writes what the filter above passes, as far as the socket takes it, and takes that out of the brigade. Says whether
    /// nothing is left for the core output filter to do.
    ///
    /// # Safety
    /// `c` is the live connection, used by this thread; `from` is a brigade of it.
    pub(super) unsafe fn write(&self, c: *mut sys::conn_rec, from: &mut Brigade) -> bool {
        let Some(counters) = self.writes else {
            return false;
        };
        // SAFETY: the caller's promise.
        if unsafe { has_pending_output(c) || (*c).aborted != 0 } {
            return false;
        }
        let mut stretches = [IoSlice::new(&[]); STRETCHES];
        let Some(count) = from.stretches(&mut stretches) else {
            return false;
        };
        let stretches = &stretches[..count];
        let sent = match stretches {
            [] => Ok(0),
            [one] => socket::send(self.socket, one),
            several => socket::send_vectored(self.socket, several),
        };
        let length: usize = stretches.iter().map(|bytes| bytes.len()).sum();
        match sent {
            Ok(sent) if sent == length => {
                counters.add_out(c, sent);
                from.clear();
                true
            }
            Ok(sent) => {
                counters.add_out(c, sent);
                from.drop_front(sent);
                false
            }
            // The core output filter meets it, too, and knows what follows.
            Err(_) => false,
        }
    }
}

/// Whether mod_ssl's filter alone is above the floor's: it has copied what it has asked for when it returns.
///
/// # Safety
/// `c` is a live connection that this thread uses, and `floor` in its chain.
unsafe fn is_below_tls(c: *mut sys::conn_rec, floor: NonNull<sys::ap_filter_t>) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let known = [&b"ssl/tls filter"[..], b"log_input_output", b"core_in"];
        let own = std::ffi::CStr::from_ptr((*floor.as_ref().frec).name);
        bypass::all_filters((*c).input_filters, |name| {
            name == own || known.contains(&name.to_bytes())
        })
    }
}
