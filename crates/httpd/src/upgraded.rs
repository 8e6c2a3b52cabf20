//! A connection after its 101: bytes in and out through httpd's filters, and its end.

use std::os::fd::RawFd;
use std::ptr::{self, NonNull};

use httpd_sys as sys;

use crate::apr::{Brigade, Pool, Status, Table};
use crate::bypass::{Bypass, Counters};
use crate::host_thread::{self, Acting};
use crate::request::Request;
use crate::socket;

/// The most that one pass through the filters carries, in bytes: below FlushMaxThreshold (64 KiB unless
/// configured), past which the core output filter blocks.
const MAX_PASS: usize = 48 * 1024;

/// What [`Upgraded::read`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many bytes, at least one.
    Data(usize),
    /// So many bytes, at least one, and nothing more: the next read would block, or find the end if the poller
    /// has seen one.
    LastData(usize),
    /// Nothing now.
    WouldBlock,
    /// The peer has ended its direction.
    Eof,
}

/// The connection of a request that has switched protocols.
///
/// May move between threads, but one thread at a time uses it: mod_ssl reads while it writes and writes while it
/// reads, and the bucket allocator has no lock. The owner keeps it under one.
pub struct Upgraded {
    r: NonNull<sys::request_rec>,
    c: NonNull<sys::conn_rec>,
    socket: RawFd,
    max_pass: usize,
    bypass: Bypass,
    /// Empty between calls.
    input: Brigade,
    /// Empty between calls.
    output: Brigade,
}

// SAFETY: httpd's connection has no ties to a thread once its handler has given it away, or while the handler's
// thread waits for it; one thread at a time uses it, which `&mut self` on every method that touches it says.
unsafe impl Send for Upgraded {}

impl Upgraded {
    /// Takes over the connection of a request, after [`Request::switch_protocols`].
    ///
    /// # Safety
    /// The request and its connection stay until this value is dropped: the handler does not return before, or
    /// has suspended the connection.
    pub unsafe fn new(request: &Request<'_>) -> Result<Self, Status> {
        // SAFETY: the request is live and used by this thread alone; the brigades go with the connection's pool.
        unsafe {
            let r = NonNull::new_unchecked(request.as_raw());
            let c = NonNull::new_unchecked(r.as_ref().connection);
            let (pool, bucket_alloc) = (c.as_ref().pool, c.as_ref().bucket_alloc);
            let mut socket: sys::apr_os_sock_t = -1;
            Status(sys::apr_os_sock_get(
                &mut socket,
                sys::ap_get_conn_socket(c.as_ptr()),
            ))
            .ok()?;
            share_allocator(pool)?;
            host_thread::remember(c.as_ptr());
            make_log_ids(r.as_ptr());
            Ok(Upgraded {
                r,
                c,
                socket,
                max_pass: max_pass(c.as_ptr()),
                bypass: Bypass::new(c.as_ptr()),
                input: Brigade::new(pool, bucket_alloc),
                output: Brigade::new(pool, bucket_alloc),
            })
        }
    }

    /// Gives back memory that the connection's allocator keeps for a next request, which will not come: what the
    /// opening handshake was read into, above all.
    ///
    /// # Safety
    /// The connection is never given back to the MPM, which would expect its allocator as it was.
    pub unsafe fn trim(&mut self) {
        const BLOCK: usize = 8000;
        const KEPT: usize = 64 * 1024;
        // SAFETY: the allocator is the live connection's own; each block goes back to it, which with this limit frees
        // it for good.
        unsafe {
            let allocator = sys::apr_pool_allocator_get((*self.c.as_ptr()).pool);
            sys::apr_allocator_max_free_set(allocator, 1);
            let block = sys::apr_allocator_alloc(allocator, BLOCK);
            if !block.is_null() {
                sys::apr_allocator_free(allocator, block);
            }
            if let Bypass::Closed = self.bypass {
                // Filters take a block for each read, and would have to get it from the system.
                sys::apr_allocator_max_free_set(allocator, KEPT);
            }
        }
    }

    /// The socket, to wait for.
    pub fn socket(&self) -> RawFd {
        self.socket
    }

    pub(crate) fn request_raw(&self) -> *mut sys::request_rec {
        self.r.as_ptr()
    }

    /// Reads without blocking: through the input filters, or past them when none of them has any part in it.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        if let Bypass::Open(counters) = self.bypass {
            return self.read_socket(buffer, counters);
        }
        let read = self.read_filters(buffer);
        if let (Ok(Read::WouldBlock), Bypass::Ready(counters)) = (&read, self.bypass) {
            // What came with the handshake has been read: the core input filter holds nothing but the socket.
            self.bypass = Bypass::Open(counters);
            return self.read_socket(buffer, counters);
        }
        read
    }

    fn read_socket(&mut self, buffer: &mut [u8], counters: Counters) -> Result<Read, Status> {
        match socket::receive(self.socket, buffer) {
            Ok(0) => Ok(Read::Eof),
            Ok(count) => {
                counters.add_in(self.c.as_ptr(), count);
                match count < buffer.len() {
                    true => Ok(Read::LastData(count)),
                    false => Ok(Read::Data(count)),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(Read::WouldBlock),
            Err(error) => Err(error.into()),
        }
    }

    fn read_filters(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        // SAFETY: the connection is live and this thread's.
        let _thread = unsafe { Acting::on(self.c.as_ptr()) };
        // SAFETY: the connection is live and this thread's (see `new` and `Send`); the brigade is empty.
        let status = Status(unsafe {
            sys::ap_get_brigade(
                self.c.as_ref().input_filters,
                self.input.as_raw(),
                sys::ap_input_mode_t_AP_MODE_READBYTES,
                sys::apr_read_type_e_APR_NONBLOCK_READ,
                buffer.len() as sys::apr_off_t,
            )
        });
        let read = status.ok().and_then(|()| self.input.flatten(buffer));
        let eos = self.input.has_eos();
        self.input.clear();
        match read {
            Ok(0) if eos => Ok(Read::Eof),
            Ok(0) => Ok(Read::WouldBlock),
            Ok(count) => Ok(Read::Data(count)),
            Err(status) if status.is_would_block() => Ok(Read::WouldBlock),
            Err(status) if status.is_eof() => Ok(Read::Eof),
            Err(status) => Err(status),
        }
    }

    /// Whether the filters still hold output that the socket has not taken: then [`Upgraded::write`] takes none.
    pub fn has_output(&self) -> bool {
        // SAFETY: the connection is live.
        unsafe { self.c.as_ref().data_in_output_filters != 0 }
    }

    /// Writes without blocking, through the output filters or past them: takes some of `bytes`, or none while the socket takes
    /// none. Says how many bytes were taken; they are copied if the socket does not take them at once.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        if self.has_output() {
            self.flush()?;
            if self.has_output() {
                return Ok(0);
            }
        }
        if let Bypass::Open(counters) = self.bypass {
            return match socket::send(self.socket, bytes) {
                Ok(count) => {
                    counters.add_out(self.c.as_ptr(), count);
                    Ok(count)
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
                Err(error) => Err(error.into()),
            };
        }
        let bytes = &bytes[..bytes.len().min(self.max_pass)];
        // SAFETY: the connection is live and this thread's.
        let _thread = unsafe { Acting::on(self.c.as_ptr()) };
        // SAFETY: the connection is live and this thread's; `bytes` outlive the pass, and the brigade is cleared
        // behind it.
        let status = Status(unsafe {
            self.output.append_transient(bytes);
            self.output.append_boundary();
            sys::ap_pass_brigade(self.c.as_ref().output_filters, self.output.as_raw())
        });
        self.output.clear();
        status.ok()?;
        self.flush()?;
        Ok(bytes.len())
    }

    /// Has the filters write what they hold and the socket takes; whether something is left says
    /// [`Upgraded::has_output`].
    pub fn flush(&mut self) -> Result<(), Status> {
        // SAFETY: the connection is live and this thread's.
        let _thread = unsafe { Acting::on(self.c.as_ptr()) };
        // SAFETY: the connection is live and this thread's. The last filter of a connection is the core output
        // filter, which takes NULL for "write what is set aside, without blocking", as the MPM itself calls it.
        unsafe {
            let mut filter = self.c.as_ref().output_filters;
            while !(*filter).next.is_null() {
                filter = (*filter).next;
            }
            let write = (*(*filter).frec)
                .filter_func
                .out_func
                .expect("an output filter has a function");
            let status = write(filter, std::ptr::null_mut());
            if self.c.as_ref().aborted != 0 {
                return Err(Status(libc::ECONNABORTED));
            }
            Status(status).ok()
        }
    }

    /// What the access log shows as bytes sent (`%b`).
    pub fn set_bytes_sent(&mut self, bytes: u64) {
        // SAFETY: the request is live and this thread's.
        unsafe {
            self.r.as_mut().bytes_sent =
                sys::apr_off_t::try_from(bytes).unwrap_or(sys::apr_off_t::MAX);
            // mod_log_config shows "-" for a response without a body.
            self.r.as_mut().sent_bodyct = 1;
        }
    }

    /// The request's notes, which the access log can show (`%{name}n`).
    pub fn notes(&self) -> Table<'_> {
        // SAFETY: the request is live and this thread's.
        unsafe { Table::from_raw(self.r.as_ref().notes) }
    }

    /// Whether the connection is known to be gone.
    pub fn is_aborted(&self) -> bool {
        // SAFETY: the connection is live.
        unsafe { self.c.as_ref().aborted != 0 }
    }

    /// The connection is gone: nothing more is written to it, not even by httpd.
    pub fn abort(&mut self) {
        // SAFETY: the connection is live and this thread's.
        unsafe { self.c.as_mut().aborted = 1 };
    }

    /// Tells the peer at once that this is the end, when no filter has to say goodbye first, as TLS has: nothing more
    /// will be written.
    pub fn shut_if_bare(&mut self) {
        if !matches!(self.bypass, Bypass::Closed) && !self.has_output() {
            socket::shutdown_write(self.socket);
        }
    }

    /// Ends the request of a suspended connection: writes the access log, tells TLS's peer that this is the end, and
    /// shuts the socket for writing. Blocks when the log does.
    ///
    /// # Safety
    /// The connection has been suspended, and its handler has returned. Nothing uses the request any more.
    pub unsafe fn end_request(mut self) -> Closing {
        // SAFETY: the connection is live and this thread's. The bucket takes the request with it when it is
        // destroyed, by the last filter that sees it or by `clear`; filters before it get what they need to say
        // goodbye, and the core filter writes it.
        unsafe {
            let c = self.c.as_ptr();
            let _thread = Acting::on(c);
            let request = sys::ap_bucket_eor_create((*c).bucket_alloc, self.r.as_ptr());
            sys::port::brigade_insert_tail(self.output.as_raw(), request);
            sys::ap_pass_brigade((*c).output_filters, self.output.as_raw());
            self.output.clear();
        }
        self.say_goodbye()
    }

    /// [`Upgraded::end_request`] without any log, and so without blocking.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn end_request_unlogged(self) -> Closing {
        let r = self.r;
        let closing = self.say_goodbye();
        // SAFETY: nothing uses the request any more, as the caller says; its pool holds all of it.
        unsafe { sys::apr_pool_destroy((*r.as_ptr()).pool) };
        closing
    }

    fn say_goodbye(mut self) -> Closing {
        // SAFETY: the connection is live and this thread's.
        unsafe {
            let c = self.c.as_ptr();
            let _thread = Acting::on(c);
            if (*c).aborted == 0 {
                sys::ap_prep_lingering_close(c);
                sys::ap_shutdown_conn(c, 0);
                // What the socket does not take now, it will not have to.
                let _ = self.flush();
            }
        }
        socket::shutdown_write(self.socket);
        Closing {
            c: self.c,
            socket: self.socket,
        }
    }
}

/// A suspended connection whose request has ended: what is left is its socket and its memory.
pub struct Closing {
    c: NonNull<sys::conn_rec>,
    socket: RawFd,
}

// SAFETY: as for `Upgraded`.
unsafe impl Send for Closing {}

impl Closing {
    /// The socket, to wait for.
    pub fn socket(&self) -> RawFd {
        self.socket
    }

    /// Throws away what the peer still sends, so that the kernel does not answer it with a reset, which would
    /// destroy what the peer has not read yet. Says whether the peer has ended, too. A peer that sends without
    /// end is not followed for ever.
    pub fn drain(&mut self) -> bool {
        const MOST: usize = 256;
        let mut scrap = [0; 4096];
        for _ in 0..MOST {
            match socket::receive(self.socket, &mut scrap) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
        false
    }

    /// Closes the socket and frees the connection; the MPM's counters follow by its cleanups.
    ///
    /// # Safety
    /// The worker thread that suspended the connection is done with it. After the suspend_connection hook the MPM
    /// still stores two fields, `c->sbh` and then a flag of its own, so that this must come some time after that.
    pub unsafe fn destroy(self) {
        // SAFETY: nobody uses the connection any more, as the caller says; its pool holds all of it.
        unsafe { sys::apr_pool_destroy((*self.c.as_ptr()).pool) }
    }
}

/// Lets several threads use pools of one allocator, as a plugin does that uses the request's pool while another of
/// its threads sends. The MPM uses the allocator again for later connections, so the lock is taken away before the
/// pool that holds it goes.
///
/// # Safety
/// `pool` is a live connection pool.
unsafe fn share_allocator(pool: *mut sys::apr_pool_t) -> Result<(), Status> {
    // SAFETY: the mutex lives in the pool, and the allocator forgets it in a pre-cleanup of that pool.
    unsafe {
        let allocator = sys::apr_pool_allocator_get(pool);
        let mut mutex = std::ptr::null_mut();
        Status(sys::apr_thread_mutex_create(
            &mut mutex,
            sys::APR_THREAD_MUTEX_DEFAULT,
            pool,
        ))
        .ok()?;
        sys::apr_allocator_mutex_set(allocator, mutex);
        Pool::from_raw(pool).before_cleanup(move || {
            sys::apr_allocator_mutex_set(allocator, std::ptr::null_mut());
        });
    }
    Ok(())
}

/// Makes the ids that the error log may show, while nobody else uses the pools that they are made in.
///
/// # Safety
/// `r` is a live request that this thread serves.
unsafe fn make_log_ids(r: *mut sys::request_rec) {
    // SAFETY: the caller's promise; httpd's own hook makes an id if no other does.
    unsafe {
        let c = (*r).connection;
        if (*c).log_id.is_null() {
            sys::ap_run_generate_log_id(c, ptr::null(), &raw mut (*c).log_id);
        }
        if (*r).log_id.is_null() {
            sys::ap_run_generate_log_id(c, r, &raw mut (*r).log_id);
        }
    }
}

/// [`MAX_PASS`], or less when FlushMaxThreshold is lower.
///
/// # Safety
/// `c` is a live connection.
unsafe fn max_pass(c: *mut sys::conn_rec) -> usize {
    // SAFETY: the core module's configuration of a connection's server is always there.
    let threshold = unsafe {
        let config = (*(*c).base_server).module_config;
        let core = sys::ap_get_module_config(config, &raw const sys::core_module);
        (*core.cast::<sys::core_server_config>()).flush_max_threshold as usize
    };
    match threshold {
        0 => MAX_PASS,
        threshold => MAX_PASS.min(threshold * 3 / 4).max(1),
    }
}
