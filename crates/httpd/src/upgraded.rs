//! A connection after its 101: bytes in and out through httpd's filters, and its end.

mod floor;
mod goodbye;
mod ground;
mod read;
mod reserve;
mod write;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use httpd_sys as sys;

use crate::apr::{Brigade, Pool, Status, Table};
use crate::bypass::{Bypass, Passed};
use crate::host_thread::{self, Acting};
use crate::module::Module;
use crate::request::Request;
use crate::{socket, tls};

use floor::Floor;
pub use floor::register as register_filters;
pub use read::{Inlet, Read};
pub use reserve::register as register_reserve;

/// The most that one pass through the filters carries, in bytes: below FlushMaxThreshold (64 KiB unless
/// configured), past which the core output filter blocks.
pub const MAX_PASS: usize = 48 * 1024;

/// What APR has for a socket that is closed. The kernel refuses it (EBADF).
const NO_SOCKET: RawFd = -1;

/// The connection of a request that has switched protocols.
///
/// May move between threads, but one thread at a time uses it: mod_ssl reads while it writes and writes while it
/// reads, and the bucket allocator has no lock. The owner keeps it under one.
pub struct Upgraded {
    r: NonNull<sys::request_rec>,
    c: NonNull<sys::conn_rec>,
    socket: RawFd,
    /// The same, where it is not httpd's descriptor.
    own_socket: Option<OwnedFd>,
    /// Whose slot of the connection's it is.
    module: &'static Module,
    max_pass: usize,
    way: Option<Way>,
    /// What nobody has counted yet.
    passed: Passed,
    /// The output filters hold nothing, and get nothing before the request's end.
    has_quiet_filters: bool,
    /// What a filter has given beyond what it was asked for.
    surplus: Vec<u8>,
    /// What came behind the last data: the end, or an error.
    end: Option<Status>,
    /// No other request will use the connection's memory.
    is_to_be_trimmed: bool,
    /// Empty between calls.
    input: Brigade,
    /// Empty between calls.
    output: Brigade,
}

/// How a connection's bytes go. Found out when the first ones do: a hook that runs when the handler returns may still
/// add filters, and who gives the connection back unused gives it back as it was.
struct Way {
    bypass: Bypass,
    /// Below filters that are not httpd's core ones.
    floor: Option<Floor>,
    goodbye: Goodbye,
    /// The connection's allocator has been lent blocks.
    has_blocks: bool,
    /// The socket's timeout, for who has the connection afterwards.
    timeout: sys::apr_interval_time_t,
}

impl Way {
    /// Finds out how the bytes go, and sees to it that nothing waits for the socket from here on.
    ///
    /// # Safety
    /// `c` is a live connection that this thread uses, and in no call of a filter.
    #[cold]
    unsafe fn of(c: *mut sys::conn_rec, fd: RawFd) -> Way {
        // SAFETY: the caller's promise.
        unsafe {
            let bypass = Bypass::new(c);
            let floor = match bypass {
                Bypass::Closed => Floor::lay(c, fd),
                Bypass::Ready(_) | Bypass::Open(_) => None,
            };
            let socket = sys::ap_get_conn_socket(c);
            let mut timeout = 0;
            sys::apr_socket_timeout_get(socket, &mut timeout);
            // The net below the floor: what polls the socket all the same finds it not ready, and breaks this
            // one connection.
            sys::apr_socket_timeout_set(socket, 0);
            Way {
                bypass,
                floor,
                goodbye: Goodbye::Unsaid,
                has_blocks: false,
                timeout,
            }
        }
    }
}

/// Whether the peer has been told that nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    /// Whoever closes the connection is still to say it.
    Unsaid,
    /// It has, or hears it when it has taken what waits for it: nothing is written any more.
    Said,
}

// SAFETY: httpd's connection has no ties to a thread once its handler has given it away, or while the handler's
// thread waits for it; one thread at a time uses it, which `&mut self` on every method that touches it says.
unsafe impl Send for Upgraded {}

impl Upgraded {
    /// Takes over the connection of a request, after [`Request::switch_protocols`]. `module` is whose
    /// [`Suspension`](crate::suspension::Suspension) the hooks were registered for.
    ///
    /// # Safety
    /// The request and its connection stay until this value is dropped: the handler does not return before, or
    /// has suspended the connection.
    pub unsafe fn new(request: &Request<'_>, module: &'static Module) -> Result<Self, Status> {
        // SAFETY: the request is live and used by this thread alone; the brigades go with the connection's pool.
        unsafe {
            let r = NonNull::new_unchecked(request.as_raw());
            let c = NonNull::new_unchecked(r.as_ref().connection);
            let (pool, bucket_alloc) = (c.as_ref().pool, c.as_ref().bucket_alloc);
            let socket = socket_of(c.as_ptr())?;
            share_allocator(pool)?;
            host_thread::remember(c.as_ptr());
            make_log_ids(r.as_ptr());
            tls::prepare(c.as_ptr(), module);
            Ok(Upgraded {
                r,
                c,
                socket,
                own_socket: None,
                module,
                max_pass: max_pass(c.as_ptr()),
                way: None,
                passed: Passed::default(),
                has_quiet_filters: false,
                surplus: Vec::new(),
                end: None,
                is_to_be_trimmed: false,
                input: Brigade::new(pool, bucket_alloc),
                output: Brigade::new(pool, bucket_alloc),
            })
        }
    }

    /// Takes the connection off the scoreboard, where it is the worker thread's that suspends it. The MPM does the same right
    /// behind the suspend_connection hook; another thread may have ended the request by then, and what httpd notes at a
    /// request's end would go to a worker that has other work, or none.
    ///
    /// # Safety
    /// This is the suspend_connection hook.
    pub unsafe fn leave_scoreboard(&mut self) {
        // SAFETY: the connection is live, and this thread's until the hook has returned.
        unsafe { self.c.as_mut().sbh = ptr::null_mut() };
    }

    /// Has the memory given back that the connection's allocator keeps for a next request, which will not come: what the
    /// opening handshake was read into, above all. That is done when nothing is left to be read for the first time.
    ///
    /// # Safety
    /// The connection is never given back to the MPM, which would expect its allocator as it was.
    pub unsafe fn trim(&mut self) {
        self.is_to_be_trimmed = true;
        // Here, on the thread that the MPM has given the connection to: what belongs to the connection's pool as a whole is not
        // changed by the reactor's threads, as long as the MPM's may close its socket.
        // SAFETY: the connection is live and this thread's.
        unsafe { reserve::outlive_loan((*self.c.as_ptr()).pool) };
    }

    /// What [`Upgraded::trim`] has asked for.
    fn give_memory_back(&mut self) {
        const KEPT: usize = 64 * 1024;
        if !std::mem::take(&mut self.is_to_be_trimmed) {
            return;
        }
        let has_filters = matches!(self.way().bypass, Bypass::Closed);
        // What the request and the first read went through; with TLS also its own handshake.
        let most = if has_filters { 2 } else { 1 };
        let allocator = self.allocator();
        // SAFETY: the allocator is the live connection's own; each block that finds no place in the reserve goes back to it,
        // which with this limit frees it for good.
        unsafe {
            sys::apr_allocator_max_free_set(allocator, 1);
            for _ in 0..most {
                if !reserve::take_back(allocator) {
                    reserve::take(allocator, reserve::LENT).give(allocator);
                }
            }
            if has_filters {
                // What filters take beyond what a read is lent, they would have to get from the system each time.
                sys::apr_allocator_max_free_set(allocator, KEPT);
            }
        }
    }

    /// Uses a descriptor of its own for the socket from now on. A threaded MPM that is to end at once closes those of the
    /// connections whose handlers run, while they run, and the number may be another file's then.
    pub fn keep_socket(&mut self) -> Result<(), Status> {
        let own = socket::duplicate(self.socket)?;
        // SAFETY: the connection is live.
        if unsafe { socket_of(self.c.as_ptr()) } != Ok(self.socket) {
            // It has been closed in between: what was duplicated may be another file.
            return Err(Status(libc::EBADF));
        }
        self.move_to(own.as_raw_fd());
        self.own_socket = Some(own);
        Ok(())
    }

    /// Asks httpd again which descriptor the socket is: none (-1), once a threaded MPM that is to end at once has closed it. Where
    /// that may have been, before the number is used for what another file must not suffer. Says whether there is one.
    pub fn ask_for_socket(&mut self) -> bool {
        if self.own_socket.is_none() {
            // SAFETY: the connection is live.
            let socket = unsafe { socket_of(self.c.as_ptr()) }.unwrap_or(NO_SOCKET);
            if socket != self.socket {
                self.move_to(socket);
            }
        }
        self.socket != NO_SOCKET
    }

    fn move_to(&mut self, socket: RawFd) {
        self.socket = socket;
        if let Some(Way {
            floor: Some(floor), ..
        }) = &mut self.way
        {
            floor.move_to(socket);
        }
    }

    /// The connection's own, which goes with it.
    fn allocator(&self) -> *mut sys::apr_allocator_t {
        // SAFETY: the connection is live, and its pool has an allocator.
        unsafe { sys::apr_pool_allocator_get((*self.c.as_ptr()).pool) }
    }

    /// The socket, to wait for.
    pub fn socket(&self) -> RawFd {
        self.socket
    }

    pub(crate) fn request_raw(&self) -> *mut sys::request_rec {
        self.r.as_ptr()
    }

    /// The way that bytes go; from here on nothing that httpd or a filter does for this connection waits for its socket.
    #[inline]
    fn way(&mut self) -> &mut Way {
        let (c, fd) = (self.c.as_ptr(), self.socket);
        // SAFETY: the connection is live and this thread's, and in no call of a filter.
        self.way.get_or_insert_with(|| unsafe { Way::of(c, fd) })
    }

    /// Has what went past the filters counted.
    fn count_passed(&mut self) {
        let passed = std::mem::take(&mut self.passed);
        if let Some(counters) = self.past_filters() {
            counters.add(self.c.as_ptr(), passed);
        }
    }

    /// Gives the connection back to httpd, which will close it: its filters may block the calling thread again.
    pub fn give_back(mut self) {
        self.count_passed();
        let Some(way) = self.way.take() else { return };
        // SAFETY: the connection is live and this thread's, and in no call of a filter.
        unsafe {
            if let Some(floor) = way.floor {
                floor.take_up();
            }
            sys::apr_socket_timeout_set(sys::ap_get_conn_socket(self.c.as_ptr()), way.timeout);
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

    /// The request.
    pub fn request(&self) -> Request<'_> {
        // SAFETY: the request is live, and this thread's for as long as it has `self`.
        unsafe { Request::from_raw(self.r.as_ptr()) }
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

    /// Ends the request of a suspended connection: writes the access log, tells TLS's peer that this is the end, and
    /// shuts the socket for writing. Blocks when the log does.
    ///
    /// # Safety
    /// The connection has been suspended, and its handler has returned. Nothing uses the request any more.
    pub unsafe fn end_request(mut self) -> Remains {
        self.way();
        self.count_passed();
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
    pub unsafe fn end_request_unlogged(self) -> Remains {
        let r = self.r;
        let closing = self.say_goodbye();
        // SAFETY: nothing uses the request any more, as the caller says; its pool holds all of it.
        unsafe { sys::apr_pool_destroy((*r.as_ptr()).pool) };
        closing
    }
}

/// A suspended connection whose request has ended: what is left is its socket and its memory.
pub struct Remains {
    c: NonNull<sys::conn_rec>,
}

// SAFETY: as for `Upgraded`.
unsafe impl Send for Remains {}

impl Remains {
    /// Throws away what the peer still sends, so that the kernel does not answer it with a reset, which would
    /// destroy what the peer has not read yet. Says whether the peer has ended, too. A peer that sends without
    /// end is not followed for ever.
    pub fn drain(&mut self) -> bool {
        const READS: usize = 256;
        let mut scrap = [0; 4096];
        // SAFETY: the connection is live.
        let socket = unsafe { socket_of(self.c.as_ptr()) }.unwrap_or(NO_SOCKET);
        for _ in 0..READS {
            match socket::receive(socket, &mut scrap) {
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
        // SAFETY: nobody uses the connection any more, as the caller says. The pool that owns the allocator is the one that
        // the MPM made for the connection, with the socket in it: the connection's own, or (httpd's trunk) its parent.
        unsafe {
            let pool = (*self.c.as_ptr()).pool;
            let owner = sys::apr_allocator_owner_get(sys::apr_pool_allocator_get(pool));
            sys::apr_pool_destroy(if owner.is_null() { pool } else { owner });
        }
    }
}

/// The number that a connection's socket has for APR, which forgets it before it closes it.
///
/// # Safety
/// `c` is a live connection.
unsafe fn socket_of(c: *mut sys::conn_rec) -> Result<RawFd, Status> {
    let mut socket: sys::apr_os_sock_t = -1;
    // SAFETY: the caller's promise; what its socket is to APR lives as long, closed or not.
    Status(unsafe { sys::apr_os_sock_get(&mut socket, sys::ap_get_conn_socket(c)) }).ok()?;
    Ok(socket)
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
