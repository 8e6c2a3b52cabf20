//! System calls on a connection's socket, never blocking unless they say so.

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::thread::block_signals;

/// What a [`wait`] looks for at a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// There is input, or its end.
    pub read: bool,
    /// There is room for output.
    pub write: bool,
    /// The connection is broken, in both directions. Where `read` or `write` is looked for, that ends the wait anyway; alone
    /// it would do so over and over, once it is so.
    pub end: bool,
}

/// How a [`wait`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waited {
    /// The waker was used.
    pub is_woken: bool,
    /// The connection is broken, in both directions.
    pub is_broken: bool,
}

/// Blocks until the socket is ready for what is looked for, the waker is used, a signal is handled or the time is over (`None`:
/// for ever). With `signals`, those that it lets through are handled in here whatever
/// [`HeldSignals`] holds.
pub fn wait(
    signals: Option<&SignalMask>,
    socket: RawFd,
    waker: RawFd,
    interest: Interest,
    timeout: Option<Duration>,
) -> io::Result<Waited> {
    let Interest { read, write, end } = interest;
    let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
    let mut descriptors = [
        libc::pollfd {
            // POLLERR and POLLHUP are reported unasked. A negative descriptor is left out.
            fd: if read || write || end { socket } else { -1 },
            events,
            revents: 0,
        },
        libc::pollfd {
            fd: waker,
            events: libc::POLLIN,
            revents: 0,
        },
    ];
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mask = signals.map_or(ptr::null(), |signals| ptr::from_ref(&signals.0));
    // SAFETY: ppoll reads and writes the two entries of the array; time and mask are NULL or live for the call.
    let count = unsafe { libc::ppoll(descriptors.as_mut_ptr(), 2, timeout, mask) };
    if count < 0 {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted {
            return Ok(Waited {
                is_woken: false,
                is_broken: false,
            });
        }
        return Err(error);
    }
    let [socket, waker] = descriptors.map(|descriptor| descriptor.revents);
    Ok(Waited {
        is_woken: waker != 0,
        // Of a TCP connection POLLHUP says that both directions are over; the end of one is POLLRDHUP.
        is_broken: socket & (libc::POLLERR | libc::POLLHUP) != 0,
    })
}

/// Which signals a thread handles.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

/// While it lives, no signal is handled on its thread but within [`wait`]: what a handler does there, it does to a thread
/// that is at rest. Neither `Send` nor `Sync`.
pub struct HeldSignals {
    before: SignalMask,
    _thread: PhantomData<*const ()>,
}

impl HeldSignals {
    /// Holds all signals but those of faults.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        HeldSignals {
            before: SignalMask(block_signals()),
            _thread: PhantomData,
        }
    }

    /// What the thread handles when it holds none, and in [`wait`].
    pub fn before(&self) -> SignalMask {
        self.before
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // SAFETY: the mask is one that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before.0, ptr::null_mut()) };
    }
}

/// One more descriptor for the socket.
pub fn duplicate(socket: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes no memory here.
    let descriptor = unsafe { libc::fcntl(socket, libc::F_DUPFD_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// No address.
const NOWHERE: *const libc::c_void = ptr::null();

/// Reads what there is, at most `buffer.len()` bytes; 0 is the end.
pub fn receive(socket: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // Not `recv`, a cancellation point, which tells the thread's state of itself before and after: nobody cancels threads
    // here, and it costs as much again as the call.
    // SAFETY: recvfrom writes at most the given length into the buffer; whose message it is, is not asked for.
    let count = unsafe {
        libc::syscall(
            libc::SYS_recvfrom,
            socket,
            buffer.as_mut_ptr(),
            buffer.len(),
            libc::MSG_DONTWAIT,
            NOWHERE,
            NOWHERE,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes what the socket takes; says how many bytes.
pub fn send(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // Not `send`: as in `receive`.
    // SAFETY: sendto reads at most the given length from the bytes; the socket is connected.
    let count = unsafe {
        libc::syscall(
            libc::SYS_sendto,
            socket,
            bytes.as_ptr(),
            bytes.len(),
            flags,
            NOWHERE,
            0_usize,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// [`send`] of several stretches as one.
pub fn send_vectored(socket: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: all zero is a message without address, data and control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An `IoSlice` is a `struct iovec`, as its documentation promises.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len();
    // Not `sendmsg`: as in `receive`.
    // SAFETY: sendmsg reads the message, and at most what its stretches say of each of them; the socket is connected.
    let count = unsafe { libc::syscall(libc::SYS_sendmsg, socket, &raw const message, flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// How many bytes the peer's system has acknowledged since the connection began (tcp(7), `tcpi_bytes_acked`); `None` when
/// the socket is no TCP connection, or the kernel is older than 4.1.
///
/// Unlike what `send` takes it does not grow while the peer reads nothing: its buffer is full then, whatever room there
/// is in ours.
pub fn acknowledged(socket: RawFd) -> Option<u64> {
    // Where the number lies in struct tcp_info (linux/tcp.h), which only ever grows at its end.
    const OFFSET: usize = 120;
    let mut info = [0_u8; OFFSET + size_of::<u64>()];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: getsockopt writes at most the given length, and says how much it was.
    let status = unsafe {
        libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    };
    let is_whole = status == 0 && length as usize == info.len();
    let number = info.last_chunk().copied().map(u64::from_ne_bytes);
    number.filter(|_| is_whole)
}

/// Ends our direction (FIN): the peer reads what was sent, then the end.
pub fn shutdown_write(socket: RawFd) {
    // SAFETY: shutdown takes no memory; a socket that is gone already is an error that changes nothing.
    unsafe { libc::shutdown(socket, libc::SHUT_WR) };
}

/// Reads nothing more of what the peer sends later: what came already is read, then the end.
pub fn shutdown_read(socket: RawFd) {
    // SAFETY: as in `shutdown_write`.
    unsafe { libc::shutdown(socket, libc::SHUT_RD) };
}

/// Ends a [`wait`] on another thread.
pub struct Waker(OwnedFd);

impl Waker {
    /// An eventfd of its own.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no memory.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Waker(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// For [`wait`].
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Ends the present wait, or the next one.
    pub fn wake(&self) {
        const ONE: u64 = 1;
        // SAFETY: write reads eight bytes; a full counter is as good as a written one.
        unsafe {
            libc::write(
                self.descriptor(),
                ptr::from_ref(&ONE).cast(),
                size_of::<u64>(),
            )
        };
    }

    /// Forgets the wakes so far.
    pub fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: read writes at most eight bytes; an empty counter is an error that changes nothing.
        unsafe { libc::read(self.descriptor(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

/// Which thread this is, to be compared only. Unlike `std::thread::current` it leaves nothing in the thread.
pub fn current_thread() -> usize {
    // SAFETY: pthread_self cannot fail.
    unsafe { libc::pthread_self() as usize }
}
